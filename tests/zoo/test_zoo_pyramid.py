"""What pyramid pooling, feature pyramids, parallel resolutions and chained pooling compute."""

from __future__ import annotations

from itertools import pairwise
from math import ceil, floor

import pytest
import torch
from torch import Tensor, nn

from hyperseg.backbone import BackboneSpec, ConvSpec, Encoder, resized, seeded
from hyperseg.backbone.context.pyramid_pooling import BINS, PyramidPooling, pooled
from hyperseg.core import SettingError
from hyperseg.core.parts import NoSettings
from hyperseg.zoo import parse_network
from hyperseg.zoo.encoder_decoder.hrnet import Branches, Exchange, HRNet, HRNetSettings
from hyperseg.zoo.encoder_decoder.hrnet_ocr import ObjectContext, means_of, regions_of
from hyperseg.zoo.encoder_decoder.refinenet import ChainedPooling, ResidualUnit
from hyperseg.zoo.pyramid.fpn import FeaturePyramid
from hyperseg.zoo.pyramid.pspnet import PSPNet, PSPNetSettings

PLAIN = ConvSpec(2, norm="none")


def spec_of(stages: int = 3, *, conv: ConvSpec | None = None, stride: int = 2) -> BackboneSpec:
    strides = (1, *[stride] * (stages - 1))
    return BackboneSpec(2, (8, 12, 16, 16)[:stages], strides, (3,) * stages, (1,) * stages, conv or ConvSpec(2))


def drawn(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def test_one_bin_is_the_mean_of_the_image() -> None:
    x = drawn(2, 3, 7, 5)
    torch.testing.assert_close(pooled(x, 1), x.mean((2, 3), keepdim=True))


@pytest.mark.parametrize("bins", BINS)
@pytest.mark.parametrize("size", [(7, 11), (6, 6), (1, 4)])
def test_bins_are_means_of_parts(bins: int, size: tuple[int, int]) -> None:
    x = drawn(1, 2, *size)
    found = pooled(x, bins)
    counts = [min(bins, n) for n in size]
    assert found.shape == (1, 2, *counts)
    for i in range(counts[0]):
        for j in range(counts[1]):
            (a, b), (c, d) = (
                (floor(k * n / count), ceil((k + 1) * n / count))
                for k, n, count in zip((i, j), size, counts, strict=True)
            )
            torch.testing.assert_close(found[..., i, j], x[..., a:b, c:d].mean((2, 3)))


def test_a_constant_stays_constant() -> None:
    x = drawn(2, 8, 1, 1).expand(2, 8, 5, 9)
    torch.testing.assert_close(pooled(x, 3), x[..., :3, :3])
    with seeded(0):
        net = PyramidPooling(ConvSpec(2), 8)
    found = net(x)
    assert found.shape == (2, net.width, 5, 9)
    torch.testing.assert_close(found, found[..., :1, :1].expand_as(found))
    torch.testing.assert_close(found[:, :8], x)


def test_pyramid_pooling_of_one_pixel_and_one_image_can_be_learnt_from() -> None:
    with seeded(0):
        net = PyramidPooling(ConvSpec(2), 8).train()
    assert net(drawn(1, 8, 1, 1)).isfinite().all()


def test_pspnet_stops_before_its_last_stride_and_counts_scores_on_the_way() -> None:
    with seeded(0):
        net, other = (
            PSPNet(spec_of(), 3, PSPNetSettings(output_stride=stride, auxiliary=weight))
            for stride, weight in ((0, 0.4), (1, 0.0))
        )
    assert net.encoder.spec.stride == (2, 2)
    assert other.encoder.spec.stride == (1, 1)
    assert (net.weights, other.weights) == ((1.0, 0.4), (1.0,))
    x = drawn(2, 2, 9, 10)
    levels = net.eval().levels(x)
    assert [level.shape for level in levels] == [(2, 3, 9, 10), (2, 3, 5, 5)]
    torch.testing.assert_close(levels[0], net(x))
    assert len(other.levels(x)) == 1
    assert len(PSPNet(spec_of(1), 3, PSPNetSettings()).levels(x)) == 1
    member, chosen = parse_network("pspnet:output_stride=3")
    with pytest.raises(SettingError, match="cannot stop at 3"):
        member.build(spec_of(), 3, chosen)


@torch.no_grad()
def test_levels_of_a_feature_pyramid_are_sums_of_all_that_are_coarser() -> None:
    with seeded(0):
        net = FeaturePyramid(spec_of(4), 3, NoSettings()).eval()
    pyramid = net.encoder(drawn(1, 2, 13, 10))
    merged = net.merged(pyramid)
    laterals = [lateral(y) for lateral, y in zip(net.laterals, pyramid, strict=True)]
    torch.testing.assert_close(merged[-1], laterals[-1])
    torch.testing.assert_close(merged[2], laterals[2] + resized(laterals[3], laterals[2].shape[2:]))
    for lateral in net.laterals[:-1]:
        for parameter in lateral.parameters():
            parameter.zero_()
    alone = net.merged(pyramid)  # with no lateral of its own, a level is the coarser one, raised
    for fine, coarse in pairwise(alone):
        torch.testing.assert_close(fine, resized(coarse, fine.shape[2:]))
    torch.testing.assert_close(alone[-1], laterals[-1])


@torch.no_grad()
def test_hrnet_of_one_branch_is_a_plain_residual_network() -> None:
    residual = spec_of(1, conv=ConvSpec(2, residual=True))
    with seeded(0):
        net, plain = HRNet(spec_of(1), 3, HRNetSettings()).eval(), Encoder(residual).eval()
    plain.stages[0].load_state_dict(net.body.opened[0].state_dict())
    x = drawn(2, 2, 9, 7)
    torch.testing.assert_close(net(x), net.score(net.mix(plain(x)[-1])))
    assert sum(p.numel() for p in net.body.parameters()) == sum(p.numel() for p in plain.parameters())


def test_every_branch_reads_from_every_branch() -> None:
    spec = spec_of(3)
    with seeded(0):
        exchange = Exchange(spec, 3, worked=2).eval()
    shapes = zip(spec.widths, spec.sizes((9, 11)), strict=True)
    maps = [drawn(1, width, *size).requires_grad_() for width, size in shapes]
    for y, found in zip(maps, exchange(maps), strict=True):
        assert found.shape == y.shape
        reached = torch.autograd.grad(found.square().sum(), maps, retain_graph=True)
        assert all(bool(grad.abs().sum() > 0) for grad in reached)


@torch.no_grad()
def test_without_ways_between_them_branches_stay_apart() -> None:
    spec = spec_of(2, conv=PLAIN)
    with seeded(0):
        exchange = Exchange(spec, 2, worked=0)
    for parameter in exchange.sums.parameters():
        parameter.zero_()
    maps = [drawn(1, 8, 6, 6), drawn(1, 12, 3, 3)]
    for y, found in zip(maps, exchange(maps), strict=True):
        torch.testing.assert_close(found, y.relu())


@pytest.mark.parametrize("exchanges", [1, 3])
def test_branches_have_the_shapes_of_the_encoder(exchanges: int) -> None:
    spec = spec_of(4)
    found = Branches(spec, exchanges)(drawn(2, 2, 13, 9))
    assert [tuple(y.shape[1:]) for y in found] == [
        (width, *size) for width, size in zip(spec.widths, spec.sizes((13, 9)), strict=True)
    ]


def test_regions_are_shares_of_the_pixels() -> None:
    scores, pixels = drawn(2, 3, 5, 4), drawn(2, 6, 5, 4, seed=1)
    torch.testing.assert_close(regions_of(scores).sum(2), torch.ones(2, 3))
    found = means_of(pixels, scores)
    for b in range(2):
        for k in range(3):
            share = scores[b, k].exp() / scores[b, k].exp().sum()
            torch.testing.assert_close(found[b, :, k], (pixels[b] * share).sum((1, 2)))


def test_a_sure_region_has_the_mean_of_its_pixels() -> None:
    labels, pixels = torch.arange(20).reshape(4, 5) % 3, drawn(1, 6, 4, 5)
    scores = torch.stack([torch.where(labels == k, 50.0, -50.0) for k in range(3)])[None]
    expected = torch.stack([pixels[0, :, labels == k].mean(1) for k in range(3)], 1)[None]
    torch.testing.assert_close(means_of(pixels, scores), expected)


@torch.no_grad()
def test_of_one_region_every_pixel_is_told_the_same() -> None:
    with seeded(0):
        context = ObjectContext(ConvSpec(2), 8).eval()
    told = context(drawn(1, 8, 4, 5), drawn(1, 8, 1, seed=1))
    torch.testing.assert_close(told, told[..., :1, :1].expand_as(told))


def chained(pools: int) -> ChainedPooling:
    """Its convolutions hand on what they get."""
    net = ChainedPooling(PLAIN, 4, (3, 3), pools)
    for name, parameter in net.named_parameters():
        nn.init.dirac_(parameter) if name.endswith("weight") else nn.init.zeros_(parameter)
    return net


@torch.no_grad()
def test_a_chain_of_poolings_adds_maxima_over_larger_and_larger_surroundings() -> None:
    x = torch.zeros(1, 4, 13, 13)
    x[..., 6, 6] = 1
    found = chained(2)(x)
    expected = x.clone()
    expected[..., 4:9, 4:9] += 1
    expected[..., 2:11, 2:11] += 1
    torch.testing.assert_close(found, expected)


@torch.no_grad()
@pytest.mark.parametrize("pools", [1, 2, 4])
def test_a_chain_of_poolings_keeps_constants(pools: int) -> None:
    x = drawn(1, 4, 1, 1).expand(1, 4, 5, 3)
    torch.testing.assert_close(chained(pools)(x), (1 + pools) * x.relu())


@torch.no_grad()
def test_a_residual_unit_without_weights_changes_nothing() -> None:
    unit, x = ResidualUnit(PLAIN, 4, (3, 3)), drawn(1, 4, 5, 5)
    before = x.clone()
    unit(x)
    torch.testing.assert_close(x, before)
    for parameter in unit.parameters():
        parameter.zero_()
    torch.testing.assert_close(unit(x), before)
