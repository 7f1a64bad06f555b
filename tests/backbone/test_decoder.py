"""Decoders: exact sizes everywhere, the generator as the encoder's adjoint, nothing held twice."""

from dataclasses import replace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from hyperseg.backbone import BackboneSpec, ConvSpec, Decoder, Encoder, seeded
from hyperseg.core import SettingError


def u_net(ndim: int = 2, levels: int = 3, **conv: object) -> BackboneSpec:
    widths = tuple(4 * (i + 1) for i in range(levels))
    strides = (1, *(2,) * (levels - 1))
    return BackboneSpec(1, widths, strides, (3,) * levels, (1,) * levels, ConvSpec(ndim, **conv))


def spectral_spatial(bands: int, side: int) -> BackboneSpec:
    """The spectral-spatial discriminator of sheet sizes, narrow: stride 2, a full collapse, then 3x3."""
    left = (bands - 7) // 2 + 1
    conv = ConvSpec(3, norm="none", padding="valid")
    kernels = ((7, 1, 1), (left, 1, 1), (1, min(3, side), min(3, side)))
    return BackboneSpec(1, (2, 3, 4), ((2, 1, 1), 1, 1), kernels, (1, 1, 1), conv)


@settings(max_examples=25, deadline=None)
@given(
    shape=st.lists(st.integers(4, 19), min_size=1, max_size=3),
    skips=st.sampled_from(["concat", "add"]),
    up=st.sampled_from(["transpose", "interpolate"]),
    residual=st.booleans(),
    stride=st.integers(1, 4),
)
def test_skip_decoder_returns_the_pyramids_shapes(shape, skips, up, residual, stride) -> None:
    spec = replace(u_net(len(shape), norm="group", residual=residual), strides=((1,) * len(shape), stride, 2))
    with torch.no_grad():
        pyramid = Encoder(spec)(torch.randn(1, 1, *shape))
        out = Decoder(spec, skips=skips, up=up)(pyramid)
    assert [level.shape for level in out] == [level.shape for level in pyramid]
    assert out[-1] is pyramid[-1]


def test_interpolation_after_the_1x1_convolution_is_interpolation_before_it() -> None:
    spec = u_net(norm="none")
    merge = Decoder(spec, up="interpolate", skips="add").merges[0].double()
    coarse = torch.randn(1, 8, 4, 5, dtype=torch.float64)
    resize = torch.nn.Upsample((7, 9), mode="bilinear", align_corners=False)
    torch.testing.assert_close(resize(merge.up(coarse)), merge.up(resize(coarse)))


def test_added_skip_with_nothing_from_below_is_the_skip() -> None:
    spec = u_net(norm="none", act="none")
    decoder = Decoder(spec, skips="add")
    for merge in decoder.merges:
        torch.nn.init.zeros_(merge.up.layer.weight)
        torch.nn.init.dirac_(merge.blocks[0].conv.layer.weight)
    pyramid = Encoder(spec)(torch.randn(1, 1, 9, 7))
    for got, want in zip(decoder(pyramid), pyramid, strict=True):
        torch.testing.assert_close(got, want)


@pytest.mark.parametrize("side", [5, 9])
@pytest.mark.parametrize(
    ("bands", "depth"), [(103, 49), (144, 69), (200, 97), (204, 99), (285, 140), (20, 7), (21, 8), (37, 16), (250, 122)]
)
def test_collapsing_generator_gives_the_cube_for_published_band_counts(bands: int, depth: int, side: int) -> None:
    spec, shape = spectral_spatial(bands, side), (bands, side, side)
    assert spec.sizes(shape)[0][0] == depth
    with torch.no_grad():
        z = torch.randn(2, 4, *spec.sizes(shape)[-1])
        assert Decoder(spec, skips="none")(z, shape=shape)[0].shape == (2, 1, *shape)


@pytest.mark.parametrize("side", [4, 5])
def test_generator_gives_the_cube_for_every_band_count(side: int) -> None:
    """Every count on valid and on "same" spectral axes, with one decoder for all counts."""
    padded = BackboneSpec(
        1, (2, 2, 2), ((2, 1, 1), (3, 1, 1), 1), ((7, 1, 1), (4, 1, 1), (1, 3, 3)), (1, 2, 1),
        ConvSpec(3, norm="none", padding=("same", "valid", "valid")),
    )  # fmt: skip
    valid = replace(padded, conv=ConvSpec(3, norm="none", padding="valid"), depths=(1, 1, 1))
    decoders = {spec: Decoder(spec, skips="none").eval() for spec in (padded, valid)}
    with torch.no_grad():
        for bands in range(20, 251):
            for spec, decoder in decoders.items():
                sizes = spec.sizes((bands, side, side))
                out = decoder(torch.zeros(1, 2, *sizes[-1]), shape=(bands, side, side))
                assert [tuple(level.shape[2:]) for level in out] == [(bands, side, side), *sizes]


def test_generator_is_the_adjoint_of_a_linear_encoder() -> None:
    spec = BackboneSpec(
        2, (3, 4), ((2, 1, 2), 1), ((4, 3, 1), (3, 1, 2)), (2, 1),
        ConvSpec(3, norm="none", act="none", padding=("same", "valid", "valid")),
    )  # fmt: skip
    with seeded(0):
        encoder, decoder = Encoder(spec).double(), Decoder(spec, skips="none").double()
    for stage, mirror in zip(encoder.stages, decoder.mirrors, strict=True):
        ups = [mirror.last, *list(mirror.blocks)[::-1]]
        for down, up in zip(stage.blocks, ups, strict=True):
            up.conv.layer.weight = down.conv.layer.weight
    for tensor in (*encoder.parameters(), *decoder.parameters()):
        if tensor.ndim == 1:
            torch.nn.init.zeros_(tensor)
    x = torch.randn(1, 2, 9, 7, 8, dtype=torch.float64)
    code = encoder(x)[-1]
    y = torch.randn_like(code)
    torch.testing.assert_close((code * y).sum(), (x * decoder(y, shape=x.shape[2:])[0]).sum())


def test_generator_output_is_linear_and_inner_levels_are_not() -> None:
    spec = u_net(norm="batch", act="relu")
    with seeded(0):
        levels = Decoder(spec, skips="none")(torch.randn(2, 12, 2, 2), shape=(8, 7))
        assert levels[0].min() < 0 <= levels[1].min()
    modules = [type(m).__name__ for m in Decoder(spec, skips="none").mirrors[0].last.modules()]
    assert modules == ["UpBlock", "ConvTranspose", "ConvTranspose2d", "Finish"]


def test_finest_stops_early_and_agrees() -> None:
    spec = u_net(norm="group")
    decoder, pyramid = Decoder(spec), Encoder(spec)(torch.randn(1, 1, 9, 9))
    part = decoder(pyramid, finest=1)
    for got, want in zip(part, decoder(pyramid)[1:], strict=True):
        assert torch.equal(got, want)


def test_depths_count_blocks() -> None:
    assert [len(m.blocks) for m in Decoder(u_net(), depths=(2, 3)).merges] == [2, 3]


def test_refusals() -> None:
    wrong = [({"skips": "sum"}, "skips"), ({"up": "nearest"}, "up must be"), ({"depths": (1,)}, "depths")]
    for options, word in (*wrong, ({"depths": (1, 0)}, "depths")):
        with pytest.raises(SettingError, match=word):
            Decoder(u_net(), **options)
    with pytest.raises(SettingError, match="same"):
        Decoder(u_net(padding=("same", "valid")))
    with pytest.raises(SettingError, match="pyramid of 3"):
        Decoder(u_net())([torch.zeros(1, 4, 8, 8)])
    generator = Decoder(u_net(), skips="none")
    with pytest.raises(SettingError, match="shape"):
        generator(torch.zeros(1, 12, 2, 2))
    with pytest.raises(SettingError, match=r"\(batch, 12, 2, 3\)"):
        generator(torch.zeros(1, 12, 2, 2), shape=(8, 9))
