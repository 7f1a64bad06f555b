"""`PixelHead`: one contract for numbers and for classes, and the network for each pixel written out."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any, cast

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from hyperseg.core import SettingError
from hyperseg.core.parts import Saved
from hyperseg.core.runtime import Runtime
from hyperseg.core.settings import from_json, to_json
from hyperseg.dpm.denoise import Tapped
from hyperseg.dpm.model import DiffusionModel
from hyperseg.dpm.network import Denoiser, denoiser_spec
from hyperseg.dpm.schedules import SCHEDULES
from hyperseg.dpm.tapped.head import HeadSpec, PixelHead, head_spec, new_head
from hyperseg.dpm.tapped.learning import HeadSettings, read_heads, train_heads
from hyperseg.dpm.tapped.saved import load_heads, saved_heads

SIZES = [(13,), (9, 6), (5, 7, 4)]


def tapped(size: tuple[int, ...], n: int = 4, seed: int = 0) -> Tapped:
    """Levels of 4, 6 and 5 channels, each half as long as the one before, of any odd size."""
    generator = torch.Generator().manual_seed(seed)
    sizes = [size, tuple(-(-s // 2) for s in size), tuple(-(-s // 4) for s in size)]
    levels = [torch.randn(n, c, *s, generator=generator) for c, s in zip((4, 6, 5), sizes, strict=True)]
    return Tapped(tuple(levels), 1000 * torch.rand(n, generator=generator))


def awake(spec: HeadSpec, seed: int = 0) -> PixelHead:
    """A head that hears the time, to which it is deaf at first."""
    head = new_head(spec, seed)
    if head.scale is not None:
        with torch.no_grad():
            generator = torch.Generator().manual_seed(seed)
            head.scale.weight.copy_(0.3 * torch.randn(head.scale.weight.shape, generator=generator))
    return head.eval()


def spec_of(size: tuple[int, ...], blocks: tuple[int, ...] = (0, 1, 2), **options: Any) -> HeadSpec:
    return HeadSpec(len(size), (5, 6, 4), blocks, **{"outputs": 1, "hidden": (8, 7), "cond_dim": 6, **options})


def by_hand(head: PixelHead, told: Tapped) -> Tensor:
    """All maps raised, side by side, then a network of matrices for every pixel."""
    size = told.levels[0].shape[2:]
    kinds = {1: "linear", 2: "bilinear", 3: "trilinear"}
    blocks = [told.levels[::-1][b] for b in head.spec.blocks]
    raised = [F.interpolate(b, size=size, mode=kinds[head.spec.ndim], align_corners=False) for b in blocks]
    pixels = torch.cat(raised, 1).flatten(2).transpose(1, 2)  # (B, pixels, channels)
    reads, layers = ([cast(Any, conv).layer for conv in each] for each in (head.reads, head.layers))
    x = pixels @ torch.cat([read.weight.flatten(1) for read in reads], 1).T + reads[0].bias
    if head.time is not None and head.scale is not None:
        scale, shift = head.scale(head.time(told.place))[:, None].chunk(2, 2)
        x = x * (1 + scale) + shift
    for layer in layers:
        x = x.clamp(min=0) @ layer.weight.flatten(1).T + layer.bias
    return x.transpose(1, 2).unflatten(2, size)


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("blocks", [(0, 1, 2), (1,), (0, 2)])
@pytest.mark.parametrize("cond_dim", [6, 0])
def test_the_network_for_each_pixel_written_out(size: tuple[int, ...], blocks: tuple[int, ...], cond_dim: int) -> None:
    head, told = awake(spec_of(size, blocks, outputs=3, cond_dim=cond_dim)).double(), tapped(size)
    told = Tapped(tuple(level.double() for level in told.levels), told.place.double())
    torch.testing.assert_close(head(told), by_hand(head, told), rtol=0, atol=1e-6)


@pytest.mark.parametrize("size", SIZES)
def test_a_coarse_head_is_a_head_of_a_smaller_picture_raised(size: tuple[int, ...]) -> None:
    told = tapped(size)
    coarse = awake(spec_of(size, (0, 1), coarse=True))
    usual = PixelHead(replace(coarse.spec, coarse=False))
    usual.load_state_dict(coarse.state_dict())
    small = usual(Tapped((told.levels[1][:, :4], *told.levels[1:]), told.place))  # as if level 1 were the finest
    raised = F.interpolate(small, size=size, mode={1: "linear", 2: "bilinear", 3: "trilinear"}[len(size)])
    torch.testing.assert_close(coarse(told), raised)
    finest = awake(spec_of(size, (0, 2), coarse=True))
    same = PixelHead(replace(finest.spec, coarse=False))
    same.load_state_dict(finest.state_dict())
    assert torch.equal(finest(told), same(told))  # where the finest level is read it is the usual head


@pytest.mark.parametrize("size", SIZES)
def test_a_head_of_means_is_the_head_on_features_averaged_over_a_box(size: tuple[int, ...]) -> None:
    """The finest level alone, so that raising does not come between; at an edge the mean of what there is."""
    told = tapped(size)
    head = awake(spec_of(size, (2,), mean=3))
    plain = PixelHead(replace(head.spec, mean=1))
    plain.load_state_dict(head.state_dict())
    boxes = told.levels[0]
    for axis in range(2, boxes.ndim):
        n = boxes.shape[axis]
        rows = [boxes.narrow(axis, max(i - 1, 0), min(i + 2, n) - max(i - 1, 0)).mean(axis) for i in range(n)]
        boxes = torch.stack(rows, axis)
    torch.testing.assert_close(head(told), plain(Tapped((boxes, *told.levels[1:]), told.place)), rtol=1e-5, atol=1e-5)
    with pytest.raises(SettingError, match="odd"):
        replace(head.spec, mean=2)


# One contract for numbers and classes


def small_model(ndim: int = 2) -> DiffusionModel:
    spec = denoiser_spec(2, ndim, widths=(12, 8), cond_dim=8)
    return DiffusionModel(Denoiser(spec).eval(), spec, SCHEDULES["linear"], "eps")


def answers(outputs: int, x0: Tensor) -> Tensor:
    """Something that the first channel tells: its value, or which third of the values it is in; some unknown."""
    if outputs == 1:
        target = 0.5 + 0.3 * x0[:, 0]
        target[:, 0, :2] = float("nan")
        return target
    target = torch.bucketize(x0[:, 0].contiguous(), torch.tensor([-0.4, 0.4]))
    target[:, 0, :2] = -1
    return target


@pytest.mark.parametrize("outputs", [1, 3], ids=["numbers", "classes"])
def test_numbers_and_classes_keep_one_contract(outputs: int) -> None:
    torch.manual_seed(0)
    model = small_model()
    spec = head_spec(model.spec, (0.0, 1.0), outputs, hidden=(32,), cond_dim=8)
    again = from_json(HeadSpec, json.loads(json.dumps(to_json(spec))))
    assert again == spec
    head, twin, other = new_head(spec, 1), new_head(again, 1), new_head(spec, 2)
    assert all(torch.equal(a, b) for a, b in zip(head.state_dict().values(), twin.state_dict().values(), strict=True))
    assert not torch.equal(head.reads[0].layer.weight, other.reads[0].layer.weight)  # type: ignore[union-attr,arg-type]
    x0 = torch.randn(12, 2, 8, 6, generator=torch.Generator().manual_seed(3))
    target = answers(outputs, x0)
    shown = read_heads(model, head, x0, time=0.02, generator=torch.Generator().manual_seed(0))
    assert shown.shape == (12, outputs, 8, 6)
    assert shown.dtype == torch.float32
    runtime = Runtime(seed=3, quiet=True)
    chosen = HeadSettings(steps=80, batch=6, lr=2e-2, ema=0.9)
    history = train_heads(model, {"any": head}, x0, target, chosen, runtime, latest=0.05)
    assert list(history.terms) == ["any"]
    assert sum(history.terms["any"][-10:]) < 0.9 * sum(history.terms["any"][:10])
    train_heads(model, {"any": twin}, x0, target, chosen, runtime, latest=0.05)
    said = [
        read_heads(model, each, x0, time=0.02, generator=torch.Generator().manual_seed(0))
        for each in (head, twin, load_heads(saved_heads({"any": head}))["any"])
    ]
    assert torch.equal(said[0], said[1])  # the same seeds, the same bytes
    assert torch.equal(said[0], said[2])  # saved and loaded
    alone = read_heads(model, head, x0[:1], time=0.02, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(alone, said[0][:1], rtol=1e-4, atol=1e-5)  # a sample does not depend on the others
    if outputs == 3:
        assert float((said[0].argmax(1) == target)[target >= 0].float().mean()) > 0.5
    else:
        known = target.isfinite()
        spread = (target[known] - target[known].median()).abs().mean()  # of the best constant answer
        assert float((said[0][:, 0] - target)[known].abs().mean()) < 0.9 * float(spread)


def test_heads_of_other_networks_and_bad_specs_are_refused() -> None:
    with pytest.raises(SettingError, match="reads one or more of the decoder's 3 blocks, rising"):
        spec_of((9, 6), (1, 3))
    with pytest.raises(SettingError, match="rising"):
        spec_of((9, 6), (1, 0))
    with pytest.raises(SettingError, match="rising"):
        spec_of((9, 6), ())
    model = small_model()
    foreign = new_head(spec_of((9, 6)), 0)
    with pytest.raises(SettingError, match=r"blocks of \[5, 6, 4\] channels"):
        read_heads(model, foreign, torch.zeros(1, 2, 8, 8), time=0.1, generator=None)
    head = new_head(head_spec(model.spec, (0.0,), 1), 0)
    with pytest.raises(SettingError, match=r"at a time of 0\.001 to 1"):
        read_heads(model, head, torch.zeros(1, 2, 8, 8), time=1.5, generator=None)
    saved = saved_heads({"any": head})
    broken = {name: array for name, array in saved.arrays.items() if "scale" not in name}
    with pytest.raises(SettingError, match="weights of the head 'any' do not fit"):
        load_heads(Saved(saved.record, broken))
