"""Dilation and groups: the convolution by loops, the encoder's arithmetic by trying, dilation in place of strides."""

from __future__ import annotations

from collections.abc import Callable
from itertools import product
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from hyperseg.backbone import BackboneSpec, Conv, ConvSpec, Encoder, ResidualBlock, seeded
from hyperseg.backbone.context.aspp import Aspp, Separable
from hyperseg.core import SettingError


def noise(*shape: int) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(3), dtype=torch.float64)


def made(build: Callable[[], Any]) -> Any:
    """In evaluation, in double precision, with statistics of batch norms that are not those of nothing."""
    with seeded(0):
        net = build().double().eval()
        for module in net.modules():
            if isinstance(module, nn.BatchNorm2d | nn.BatchNorm3d):
                nn.init.uniform_(module.running_mean, -0.5, 0.5)
                nn.init.uniform_(module.running_var, 0.5, 2.0)
    return net


@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize("groups", [1, 2])
@pytest.mark.parametrize("padding", ["same", "valid"])
def test_a_dilated_convolution_in_groups_is_what_loops_give(padding: str, groups: int, stride: int) -> None:
    kernel, dilation, size = (3, 2), (2, 3), (9, 8)
    spec = ConvSpec(2, norm="none", padding=padding)  # type: ignore[arg-type]
    conv = made(lambda: Conv(spec, 4, 6, kernel, stride, dilation=dilation, groups=groups))
    x, weight = noise(1, 4, *size), conv.layer.weight.detach().detach()
    extent = tuple((k - 1) * d + 1 for k, d in zip(kernel, dilation, strict=True))
    before = [(max(e - stride, 0) + (stride > 1)) // 2 if padding == "same" else 0 for e in extent]
    found = conv(x).detach()
    for o, i, j in product(range(6), *map(range, found.shape[2:])):
        total = 0.0
        for c, a, b in product(range(4 // groups), *map(range, kernel)):
            row = i * stride - before[0] + a * dilation[0]
            column = j * stride - before[1] + b * dilation[1]
            if 0 <= row < size[0] and 0 <= column < size[1]:
                total += float(weight[o, c, a, b]) * float(x[0, c + o // (6 // groups) * (4 // groups), row, column])
        assert abs(float(found[0, o, i, j]) - total) < 1e-10
    expected = [
        -(-n // stride) if padding == "same" else (n - e) // stride + 1 for n, e in zip(size, extent, strict=True)
    ]
    assert list(found.shape[2:]) == expected


@pytest.mark.parametrize("before", [1, 3])
@pytest.mark.parametrize("kernel", [3, (5, 3)])
def test_a_dilated_residual_block_gives_a_patch_what_it_gives_the_scene(kernel: int, before: int) -> None:
    block = made(lambda: ResidualBlock(ConvSpec(2, padding="valid"), 3, 5, kernel, dilation=2, before=before))
    scene = noise(1, 3, 27, 25)
    whole = block(scene)
    lost = [n - m for n, m in zip(scene.shape[2:], whole.shape[2:], strict=True)]
    assert lost == [
        sum((k - 1) * d for d in (before, 2)) for k in ((kernel,) * 2 if isinstance(kernel, int) else kernel)
    ]
    for i, j in [(0, 0), (4, 7), (whole.shape[2] - 1, whole.shape[3] - 1)]:
        patch = scene[:, :, i : i + lost[0] + 1, j : j + lost[1] + 1]
        assert torch.allclose(block(patch)[..., 0, 0], whole[..., i, j], atol=1e-12)
    assert torch.equal(
        block.crop(scene), scene[:, :, lost[0] // 2 : 27 - lost[0] // 2, lost[1] // 2 : 25 - lost[1] // 2]
    )


SPECS = {
    "plain": BackboneSpec(2, (3, 4, 5), (1, 2, 1), (3, 3, 3), (1, 2, 1), ConvSpec(2, padding="valid"), (), (1, 2, 3)),
    "residual": BackboneSpec(
        2, (3, 4), (2, 1), (3, 5), (2, 1), ConvSpec(2, residual=True, padding="valid"), (), (2, 3)
    ),
    "per axis": BackboneSpec(
        2, (3, 4), ((1, 2), 1), ((3, 1), 3), (1, 1), ConvSpec(2, padding="valid"), (), ((1, 2), (4, 1))
    ),
}  # fmt: skip


@pytest.mark.parametrize("spec", SPECS.values(), ids=SPECS)
def test_the_arithmetic_of_a_dilated_backbone_is_what_one_output_reads(spec: BackboneSpec) -> None:
    net = made(lambda: Encoder(spec))
    shape = tuple(n + 7 for n in spec.min_size)
    x = noise(1, 2, *shape)
    pyramid = net(x)
    assert tuple(tuple(y.shape[2:]) for y in pyramid) == spec.sizes(shape)
    smallest = net(torch.zeros(1, 2, *spec.min_size, dtype=torch.float64))[-1]
    assert smallest.shape[2:] == (1, 1)
    for axis, n in enumerate(shape):
        reads = []
        for place in range(n):  # a row or column that is not a number spreads to the first output
            spoilt = torch.zeros(1, 2, *shape, dtype=torch.float64)
            spoilt.select(2 + axis, place).fill_(torch.nan)
            reads.append(bool(net(spoilt)[-1][0, :, 0, 0].isnan().any()))
        assert reads[0]
        assert max(i for i, read in enumerate(reads) if read) + 1 == spec.receptive_field[axis]
    assert spec.margin == tuple(r // 2 for r in spec.receptive_field)


def body(axes: int, strides: tuple[object, ...], *, residual: bool, kernel: int = 3) -> BackboneSpec:
    n = len(strides)
    return BackboneSpec(
        2,
        (3, 4, 4, 5, 4)[:n],
        strides,
        (kernel,) * n,
        (1, 2, 1, 1, 1)[:n],
        ConvSpec(axes, residual=residual),  # type: ignore[arg-type]
    )


@pytest.mark.parametrize("residual", [False, True])
@pytest.mark.parametrize(
    ("axes", "strides", "coarse", "fine", "size"),
    [
        (2, (1, 2, 2, 2, 2), 16, 8, (245, 197)),
        (2, (1, 2, 2, 2), 8, 2, (150, 130)),
        (2, (1, (2, 1), 2, 2), (8, 4), (4, 2), (130, 90)),
        (3, (1, 2, 2), 4, 2, (44, 41, 38)),
    ],
)
def test_dilation_in_place_of_strides_gives_the_same_pixels_and_those_between(
    axes: int, strides: tuple[object, ...], coarse: object, fine: object, size: tuple[int, ...], residual: bool
) -> None:
    spec = body(axes, strides, residual=residual)
    ends = [spec.at_output_stride(stride) for stride in (coarse, fine)]  # type: ignore[arg-type]
    nets = [made(lambda end=end: Encoder(end)) for end in ends]
    shapes = {name: value.shape for name, value in nets[1].state_dict().items()}
    nets[1].load_state_dict({name: value.reshape(shapes[name]) for name, value in nets[0].state_dict().items()})
    x = noise(1, 2, *size)
    low, high = (net(x)[-1] for net in nets)
    times = [a // b for a, b in zip(ends[0].stride, ends[1].stride, strict=True)]
    assert max(times) > 1
    sampled = high[(slice(None), slice(None), *(slice(None, None, t) for t in times))]
    assert sampled.shape == low.shape
    inner = [slice(None), slice(None)]
    for n, rf, stride in zip(size, spec.receptive_field, ends[0].stride, strict=True):
        border = -(-(rf // 2 + 1) // stride)  # further in, no output looks beyond the border
        assert n // stride > 2 * border
        inner.append(slice(border, n // stride - border))
    assert torch.allclose(sampled[tuple(inner)], low[tuple(inner)], atol=1e-10)


def test_an_output_stride_that_no_stages_make_is_refused() -> None:
    with pytest.raises(SettingError, match="cannot stop at 3"):
        body(2, (1, 2, 2), residual=False).at_output_stride(3)
    with pytest.raises(SettingError, match="coarser than this backbone's maps"):
        body(2, (1, 2, 2), residual=False).at_output_stride(8)
    with pytest.raises(SettingError, match="has dilations already"):
        body(2, (1, 2, 2), residual=False).at_output_stride(2).at_output_stride(1)


@pytest.mark.parametrize("axes", [2, 3])
def test_a_branch_of_rate_r_reaches_2r_plus_1_pixels(axes: int) -> None:
    rates, n = (1, 3, 5), 13
    net = made(lambda: Aspp(ConvSpec(axes, norm="none", act="none"), 1, 2, rates))
    spot = torch.zeros(1, 1, *[n] * axes, dtype=torch.float64)
    spot[(0, 0, *[n // 2] * axes)] = 1
    for rate, branch in zip((0, *rates), net.branches, strict=True):
        seen = (branch(spot)[0] != 0).any(0).nonzero()
        assert ((seen.max(0).values - seen.min(0).values + 1) == 2 * rate + 1).all()
        assert len(seen) == (1 if rate == 0 else 3**axes)


def test_of_a_rate_larger_than_the_map_the_middle_alone_acts() -> None:
    net = made(lambda: Aspp(ConvSpec(2), 3, 4, (7,)))
    x = noise(2, 3, 7, 6)
    branch = net.branches[1]
    middle = torch.einsum("oc,bchw->bohw", branch.conv.layer.weight[:, :, 1, 1], x)
    assert torch.allclose(branch(x), branch.finish(middle, None), atol=1e-12)
    larger = noise(2, 3, 8, 6)  # one pixel more, and it does not
    middle = torch.einsum("oc,bchw->bohw", branch.conv.layer.weight[:, :, 1, 1], larger)
    assert not torch.allclose(branch(larger), branch.finish(middle, None), atol=1e-3)


def test_the_image_branch_is_the_same_everywhere_and_tells_images_apart() -> None:
    net = made(lambda: Aspp(ConvSpec(2), 3, 4, (1,)))
    x = noise(2, 3, 5, 6)
    seen = net.image(x.mean((2, 3), keepdim=True))
    assert seen.shape == (2, 4, 1, 1)
    assert not torch.allclose(seen[0], seen[1])
    shuffled = x.flatten(2)[..., torch.randperm(30, generator=torch.Generator().manual_seed(0))].reshape(x.shape)
    assert torch.allclose(net.image(shuffled.mean((2, 3), keepdim=True)), seen, atol=1e-12)


def test_a_separable_convolution_is_a_kernel_a_channel_then_a_mixture() -> None:
    net = made(lambda: Separable(ConvSpec(2, norm="none", act="none"), 3, 5, 3, dilation=2))
    x = noise(2, 3, 9, 8)
    each, mixed = net.depthwise.conv.layer, net.pointwise.conv.layer
    own = [
        nn.functional.conv2d(x[:, c : c + 1], each.weight[c : c + 1], each.bias[c : c + 1], 1, 2, 2) for c in range(3)
    ]
    found = torch.einsum("oc,bchw->bohw", mixed.weight[:, :, 0, 0], torch.cat(own, 1)) + mixed.bias[:, None, None]
    assert torch.allclose(net(x), found, atol=1e-12)
    assert each.weight.shape == (3, 1, 3, 3)
