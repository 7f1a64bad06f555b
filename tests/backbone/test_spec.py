"""Specs: arithmetic against the real encoder, the JSON round trip, and every refusal."""

import json
from dataclasses import replace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from hyperseg.backbone import BackboneSpec, ConvSpec, Encoder, seeded
from hyperseg.core import SettingError
from hyperseg.core.settings import from_json, to_json


def spec_of(ndim: int = 2, **changes: object) -> BackboneSpec:
    plain: dict = {"in_channels": 2, "widths": (4, 6), "strides": (1, 2), "kernels": (3, 3), "depths": (1, 1)}
    return BackboneSpec(**{**plain, "conv": ConvSpec(ndim), **changes})


@st.composite
def specs(draw: st.DrawFn) -> BackboneSpec:
    ndim, levels = draw(st.integers(1, 3)), draw(st.integers(1, 3))
    axes = st.tuples(*[st.integers(1, 4)] * ndim)
    return BackboneSpec(
        in_channels=draw(st.integers(1, 2)),
        widths=tuple(draw(st.lists(st.integers(2, 3), min_size=levels, max_size=levels))),
        strides=tuple(draw(st.lists(st.tuples(*[st.integers(1, 3)] * ndim), min_size=levels, max_size=levels))),
        kernels=tuple(draw(st.lists(axes, min_size=levels, max_size=levels))),
        depths=tuple(draw(st.lists(st.integers(1, 2), min_size=levels, max_size=levels))),
        conv=ConvSpec(
            ndim,
            norm="none",
            act="none",
            residual=draw(st.booleans()),
            padding=draw(st.tuples(*[st.sampled_from(["same", "valid"])] * ndim)),
        ),
    )


def affordable(spec: BackboneSpec) -> bool:
    return torch.tensor(spec.min_size).prod().item() < 20_000


@settings(max_examples=60, deadline=None)
@given(spec=specs().filter(affordable), extra=st.lists(st.integers(0, 4), min_size=3, max_size=3))
def test_sizes_are_those_of_the_encoder(spec: BackboneSpec, extra: list[int]) -> None:
    shape = tuple(n + e for n, e in zip(spec.min_size, extra, strict=False))
    with seeded(0), torch.no_grad():
        pyramid = Encoder(spec)(torch.zeros(1, spec.in_channels, *shape))
    assert [tuple(level.shape[2:]) for level in pyramid] == list(spec.sizes(shape))
    assert [level.shape[1] for level in pyramid] == list(spec.widths)


@settings(max_examples=40, deadline=None)
@given(spec=specs().filter(affordable))
def test_receptive_field_and_margin_are_what_gradients_reach(spec: BackboneSpec) -> None:
    """One output of an all-positive valid net depends on exactly `receptive_field` pixels, and no fewer."""
    kernels = [
        tuple(max(k, s) for k, s in zip(a, b, strict=True)) for a, b in zip(spec.kernels, spec.strides, strict=True)
    ]
    spec = replace(spec, kernels=tuple(kernels), conv=replace(spec.conv, padding="valid", residual=False))
    if not affordable(spec):
        return
    shape = tuple(r + s for r, s in zip(spec.receptive_field, spec.stride, strict=True))
    assert spec.sizes(shape)[-1] == (2,) * spec.conv.ndim
    encoder = Encoder(spec)
    for weight in encoder.parameters():
        torch.nn.init.ones_(weight)
    x = torch.zeros(1, spec.in_channels, *shape, requires_grad=True)
    encoder(x)[-1].flatten(2)[0, 0, 0].backward()  # the output at the origin
    reached = x.grad[0, 0] > 0
    window = tuple(slice(0, r) for r in spec.receptive_field)
    assert reached[window].all()
    assert reached.sum() == reached[window].numel()
    assert spec.margin == tuple(r // 2 for r in spec.receptive_field)


def test_margin_by_hand() -> None:
    conv = ConvSpec(3, padding=("same", "valid", "valid"))
    spec = BackboneSpec(1, (4, 4, 4), ((2, 1, 1), 1, 1), ((7, 1, 1), (1, 3, 3), (1, 3, 5)), (1, 1, 2), conv)
    assert spec.margin == (0, 1 + 2 * 1, 1 + 2 * 2)
    assert spec.receptive_field == (7, 7, 11)
    assert spec.min_size == (1, 7, 11)
    strided = BackboneSpec(1, (4, 4), (2, 2), (3, 3), (1, 1), ConvSpec(1, padding="valid"))
    assert (strided.receptive_field, strided.stride, strided.margin) == ((7,), (4,), (3,))
    assert replace(spec, conv=replace(conv, residual=True)).margin == (0, 2 * 3, 2 * 5)


@given(spec=specs())
def test_json_round_trip(spec: BackboneSpec) -> None:
    assert from_json(BackboneSpec, json.loads(json.dumps(to_json(spec)))) == spec


def test_scalars_and_lists_are_normalised() -> None:
    assert spec_of(strides=[1, 2]) == spec_of(strides=((1, 1), [2, 2]))
    assert ConvSpec(2, padding="valid").padding == ("valid", "valid")
    assert hash(spec_of(strides=[1, [2, 2]])) == hash(spec_of())


@pytest.mark.parametrize(
    ("changes", "word"),
    [
        ({"widths": (4,)}, "one entry per stage"),
        ({"widths": (), "strides": (), "kernels": (), "depths": ()}, "at least one stage"),
        ({"widths": (4, 0)}, r"widths\[1\]"),
        ({"depths": (1, True)}, r"depths\[1\]"),
        ({"strides": (1, (2, 2, 2))}, r"strides\[1\]"),
        ({"kernels": (3, 2.0)}, r"kernels\[1\]"),
        ({"kernels": 3}, "kernels"),
        ({"in_channels": 0}, "in_channels"),
        ({"conv": 2}, "ConvSpec"),
        ({"widths": (1, 4), "conv": ConvSpec(2, norm="group")}, "instance norm"),
    ],
)
def test_refused_backbones(changes: dict, word: str) -> None:
    with pytest.raises(SettingError, match=word):
        spec_of(**changes)


@pytest.mark.parametrize(
    "changes",
    [
        {"ndim": 4}, {"ndim": True}, {"norm": "layer"}, {"act": "tanh"}, {"padding": "reflect"},
        {"padding": ("same",)}, {"padding": None}, {"dropout": 1.0}, {"dropout": -0.1}, {"dropout": "0"},
        {"residual": 1}, {"spectral_norm": None}, {"cond_dim": -1},
    ],
)  # fmt: skip
def test_refused_conv_settings(changes: dict) -> None:
    with pytest.raises(SettingError, match=next(iter(changes))):
        ConvSpec(**{"ndim": 2, **changes})


def test_too_small_inputs_are_refused() -> None:
    spec = spec_of(conv=ConvSpec(2, padding="valid"))
    assert spec.min_size == (5, 5)
    for shape in ((4, 9), (9, 9, 9)):
        with pytest.raises(SettingError, match=r"\(5, 5\)"):
            spec.sizes(shape)
