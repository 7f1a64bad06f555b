"""Transformers: windows that lose nothing and see nothing else, attention by loops, the peer's numbers."""

from __future__ import annotations

from itertools import product
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from hyperseg.backbone import BackboneSpec, Conv, ConvSpec, seeded
from hyperseg.core import SettingError
from hyperseg.zoo import parse_network
from hyperseg.zoo.transformer.segformer import ReducedAttention, SegFormer
from hyperseg.zoo.transformer.swin_unetr import Merging, SwinUnetr
from hyperseg.zoo.transformer.windows import WindowAttention, Windows, windows_of


def noise(*shape: int) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(5), dtype=torch.float64)


def network(text: str, spec: BackboneSpec, seed: int = 0) -> Any:
    member, chosen = parse_network(text)
    with seeded(seed):
        return member.build(spec, 3, chosen).double().eval()


@pytest.mark.parametrize("size", [(8, 8), (9, 5), (3, 13), (1, 10), (5, 6, 9)])
@pytest.mark.parametrize("shifted", [False, True])
def test_windows_put_together_again_are_the_map(size: tuple[int, ...], shifted: bool) -> None:
    x = noise(2, *size, 3)
    windows = windows_of(size, 4, shifted=shifted)
    cut = windows.cut(x)
    assert torch.equal(windows.joined(cut), x)
    outside = windows.outside(x)
    kept = cut if outside is None else cut[:, outside[:, 0, 0] == 0]
    assert kept.numel() == x.numel()
    assert sorted(kept.flatten().tolist()) == sorted(x.flatten().tolist())


@pytest.mark.parametrize("size", [(9, 6), (8, 8), (4, 3), (5, 1)])
@pytest.mark.parametrize("shifted", [False, True])
def test_attention_in_windows_is_what_loops_give(size: tuple[int, int], shifted: bool) -> None:
    side, heads, width = 4, 2, 3
    with seeded(0):
        layer = WindowAttention(heads * width, heads, side, 2, shifted=shifted).double()
        nn.init.normal_(layer.places)
    x = noise(1, *size, heads * width)
    read = layer.read(x)[0]

    def window(place: tuple[int, int]) -> list[int]:
        """Rolled by half a window as in the paper: what came round the border has windows of its own."""
        shift = [side // 2 if shifted and n > side else 0 for n in size]
        return [(p - s) // side if n > side else 0 for p, s, n in zip(place, shift, size, strict=True)]

    found = torch.zeros(*size, heads * width, dtype=torch.float64)
    for here, head in product(product(*map(range, size)), range(heads)):
        part = slice(head * width, (head + 1) * width)
        others = [there for there in product(*map(range, size)) if window(there) == window(here)]
        scores = []
        for there in others:
            row, column = (a - b + side - 1 for a, b in zip(here, there, strict=True))
            score = read[here][part] @ read[there][heads * width :][part] / width**0.5
            scores.append(score + layer.places[row * (2 * side - 1) + column, head])
        weights = torch.stack(scores).softmax(0)
        for weight, there in zip(weights, others, strict=True):
            found[here][part] += weight * read[there][2 * heads * width :][part]
    assert torch.allclose(layer(x)[0], layer.write(found), atol=1e-10)


def test_weights_of_a_window_sum_to_one_whatever_is_outside() -> None:
    with seeded(0):
        layer = WindowAttention(4, 2, 4, 2, shifted=True).double()
    with torch.no_grad():
        layer.read.weight[8:].zero_()  # every value is one
        layer.read.bias[8:].fill_(1.0)
    ones = layer.write(torch.ones(4, dtype=torch.float64))
    assert torch.allclose(layer(noise(2, 7, 9, 4)), ones.expand(2, 7, 9, 4), atol=1e-12)


def test_shifted_windows_never_look_across_the_border_and_meet_their_neighbours() -> None:
    plain, shifted = (WindowAttention(2, 1, 4, 2, shifted=s) for s in (False, True))
    corner, inner = (0, 0), (4, 4)
    for layer, place, seen in (
        (plain, corner, {(i, j) for i in range(4) for j in range(4)}),
        (shifted, corner, {(i, j) for i in range(2) for j in range(2)}),
        (shifted, inner, {(i, j) for i in range(2, 6) for j in range(2, 6)}),
    ):
        x = torch.randn(1, 10, 10, 2, generator=torch.Generator().manual_seed(0)).requires_grad_()
        layer(x)[0][place].sum().backward()
        assert x.grad is not None
        assert {tuple(p) for p in x.grad[0].abs().sum(-1).nonzero().tolist()} == seen


def test_merging_is_a_linear_map_of_the_pixels_of_a_cell() -> None:
    spec = BackboneSpec(1, (3, 5), (1, (2, 1)), (3, 3), (1, 1), ConvSpec(2))
    with seeded(0):
        merging = Merging(3, spec.stages[1]).double()
    x = noise(1, 5, 4, 3)
    found = merging(x)
    assert found.shape == (1, 3, 4, 5)
    below = torch.cat((x, torch.zeros(1, 1, 4, 3, dtype=torch.float64)), 1)
    for i, j in product(range(3), range(4)):
        cell = torch.cat((below[0, 2 * i, j], below[0, 2 * i + 1, j]))
        assert torch.allclose(found[0, i, j], merging.reduce(merging.norm(cell)), atol=1e-12)


def test_reduced_attention_without_reduction_is_full_attention_by_loops() -> None:
    channels, size = 64, (3, 4)
    with seeded(0):
        layer = ReducedAttention(ConvSpec(2, norm="none", act="none"), channels, (1, 1)).double()
    assert layer.heads == 2
    tokens = noise(1, 12, channels)
    query, read = layer.query(tokens)[0], layer.read(tokens)[0]
    found = torch.zeros(12, channels, dtype=torch.float64)
    for head, i in product(range(2), range(12)):
        part = slice(head * 32, (head + 1) * 32)
        scores = torch.stack([query[i, part] @ read[j, :channels][part] / 32**0.5 for j in range(12)])
        for j, weight in enumerate(scores.softmax(0)):
            found[i, part] += weight * read[j, channels:][part]
    assert torch.allclose(layer(tokens, size)[0], layer.write(found), atol=1e-10)


def test_a_reduction_gives_as_many_keys_as_the_coarsest_map_has_pixels() -> None:
    spec = BackboneSpec(2, (8, 8, 12), (1, 2, (2, 1)), (3, 3, 3), (1, 1, 1), ConvSpec(2))
    net: SegFormer = network("segformer:depth=1", spec)
    strides = []
    for stage in net.stages:
        reduce = stage.blocks[0].attention.reduce  # type: ignore[union-attr, index]
        strides.append((1, 1) if reduce is None else reduce.window.stride)
    assert strides == [(4, 2), (2, 1), (1, 1)]


def test_a_segformer_sees_the_whole_image_and_where_things_are() -> None:
    spec = BackboneSpec(2, (8, 8), (1, 2), (3, 3), (1, 1), ConvSpec(2))
    net = network("segformer", spec)
    x = noise(1, 2, 9, 11).requires_grad_()
    net(x)[0, 0, 0, 0].backward()
    assert x.grad is not None
    assert (x.grad.abs().sum(1) > 0).all()
    turned = net(x.detach().flip(2))
    assert not torch.allclose(turned.flip(2), net(x), atol=1e-3)  # kernels tell up from down


def test_fewer_than_three_stages_are_refused_by_swin_unetr() -> None:
    spec = BackboneSpec(2, (8, 8), (1, 2), (3, 3), (1, 1), ConvSpec(2))
    with pytest.raises(SettingError, match="needs 3 stages or more, and 2 are planned"):
        network("swin-unetr", spec)


def peers(axes: int, width: int, window: int, depth: int = 2) -> tuple[SwinUnetr, Any]:
    """Ours and MONAI's, built to be the same network."""
    nets = pytest.importorskip("monai.networks.nets")
    conv = ConvSpec(axes, norm="instance", act="leaky_relu")
    widths = tuple(width * times for times in (1, 1, 2, 4, 8, 16))
    spec = BackboneSpec(2, widths, (1, 2, 2, 2, 2, 2), (3,) * 6, (1,) * 6, conv)
    ours = network(f"swin-unetr:window={window},depth={depth}", spec)
    theirs = nets.SwinUNETR(
        2, 3, feature_size=width, spatial_dims=axes, num_heads=tuple(max(1, w // 16) for w in widths[1:5]),
        depths=(depth,) * 4, window_size=window, norm_name=("instance", {"affine": True}), downsample="mergingv2",
    )  # fmt: skip
    return ours, theirs.double().eval()


@pytest.mark.parametrize("axes", [2, 3])
def test_swin_unetr_has_as_many_parameters_as_monais(axes: int) -> None:
    ours, theirs = peers(axes, 12, 7)
    assert sum(p.numel() for p in ours.parameters()) == sum(p.numel() for p in theirs.parameters())


def test_with_monais_weights_swin_unetr_gives_monais_numbers() -> None:
    pytest.importorskip("einops", reason="MONAI's SwinUNETR runs with einops alone")
    ours, theirs = peers(2, 12, 4)
    swin = theirs.swinViT
    copied(ours.embed.layer, swin.patch_embed.proj)
    for mine, layers in zip(ours.stages, (swin.layers1, swin.layers2, swin.layers3, swin.layers4), strict=True):
        *blocks, merging = mine  # type: ignore[misc]
        for block, other in zip(blocks, layers[0].blocks, strict=True):
            block.attention.places.data.copy_(other.attn.relative_position_bias_table)
            for a, b in (
                (block.before, other.norm1), (block.between, other.norm2), (block.attention.read, other.attn.qkv),
                (block.attention.write, other.attn.proj), (block.widen, other.mlp.linear1),
                (block.narrow, other.mlp.linear2),
            ):  # fmt: skip
                copied(a, b)
        other = layers[0].downsample
        for a, b in ((merging.norm, other.norm), (merging.reduce, other.reduction)):
            a.load_state_dict({name: turned(value) for name, value in b.state_dict().items()})
    residual(ours.finest, theirs.encoder1.layer)
    for skip, name in zip(ours.skips, ("encoder2", "encoder3", "encoder4"), strict=True):
        residual(skip, getattr(theirs, name).layer)
    residual(ours.coarsest, theirs.encoder10.layer)
    for level, up in enumerate(ours.ups, start=1):
        copied(up.up.layer, getattr(theirs, f"decoder{level}").transp_conv.conv)  # type: ignore[union-attr]
        residual(up.block, getattr(theirs, f"decoder{level}").conv_block)
    copied(ours.score.layer, theirs.out.conv.conv)
    x = noise(1, 2, 128, 64)  # a multiple of 32, where none of theirs is padded within a window
    with torch.no_grad():
        assert torch.allclose(ours(x), theirs(x), atol=1e-8)


def copied(mine: nn.Module, other: nn.Module) -> None:
    mine.load_state_dict(other.state_dict())


def turned(value: Tensor) -> Tensor:
    """Theirs goes through a cell of four pixels column by column in images, ours row by row."""
    return value.unflatten(-1, (2, 2, -1)).transpose(-3, -2).flatten(-3)


def residual(mine: Any, other: Any) -> None:
    copied(mine.first.conv.layer, other.conv1.conv)
    copied(mine.conv.layer, other.conv2.conv)
    copied(mine.first.finish.norm, other.norm1)
    copied(mine.finish.norm, other.norm2)
    if mine.project is not None:
        copied(mine.project.layer, other.conv3.conv)
        copied(mine.project_norm, other.norm3)


def test_a_map_that_no_window_divides_is_the_part_of_a_larger_one_where_windows_agree() -> None:
    """Padding takes no part: pixels whose windows lie inside both maps have the same numbers."""
    with seeded(0):
        layer = WindowAttention(4, 2, 4, 2, shifted=False).double()
    large = noise(1, 12, 12, 4)
    assert torch.allclose(layer(large[:, :10, :9])[:, :8, :8], layer(large)[:, :8, :8], atol=1e-12)
    whole = Windows((2, 1), (2, 1), (0, 0))
    alone = layer(large[:, 8:10, 8:9])
    assert torch.allclose(layer(large[:, :10, :9])[:, 8:, 8:], alone, atol=1e-12)
    assert whole.outside(large) is None


def test_patches_of_a_segformer_overlap() -> None:
    spec = BackboneSpec(2, (8, 8), (1, 4), (3, 3), (1, 1), ConvSpec(2))
    net = network("segformer", spec)
    embed: Conv = net.stages[1].embed
    assert embed.window.kernel == (7, 7)  # the paper's 7 for a stride of 4, and 3 for 2
    assert network("segformer", BackboneSpec(2, (8, 8), (1, 2), (3, 3), (1, 1), ConvSpec(2))).stages[
        1
    ].embed.window.kernel == (3, 3)
