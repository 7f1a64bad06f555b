"""SegNet, V-Net, U-Net++ and Attention U-Net: what defines them, as identities."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from hyperseg.backbone import BackboneSpec, ConvSpec, seeded
from hyperseg.zoo import parse_network
from hyperseg.zoo.encoder_decoder.attention_u_net import AttentionUNet
from hyperseg.zoo.encoder_decoder.segnet import SegNet
from hyperseg.zoo.encoder_decoder.u_net_plus_plus import UNetPlusPlus
from hyperseg.zoo.encoder_decoder.v_net import ResidualStage, VNet

K, SIZE = 3, {2: (19, 22), 3: (6, 13, 12)}


def body(axes: int = 2, *, stages: int = 4, depth: int = 1, channels: int = 2, norm: str = "batch") -> BackboneSpec:
    conv = ConvSpec(axes, norm=norm)  # type: ignore[arg-type]
    return BackboneSpec(
        channels, (4, 6, 8, 8, 8)[:stages], (1, 2, 2, 2, 2)[:stages], (3,) * stages, (depth,) * stages, conv
    )


def made(name: str, spec: BackboneSpec) -> Any:
    member, chosen = parse_network(name)
    with seeded(0):
        return member.build(spec, K, chosen).eval()


def image(axes: int = 2) -> Tensor:
    return torch.randn((2, 2, *SIZE[axes]), generator=torch.Generator().manual_seed(1))


# SegNet


@pytest.mark.parametrize("axes", [2, 3])
def test_features_reach_the_decoder_through_the_coarsest_map_alone(axes: int) -> None:
    net: SegNet = made("segnet", body(axes))
    seen: list[Tensor] = []

    def kept(module: nn.Module, given: object, found: Tensor) -> Tensor:
        seen.append(found)
        if module is not net.stages[-1]:
            return found
        seen.append(found.detach().requires_grad_())  # the decoder is cut off here
        return seen[-1]

    for stage in net.stages:
        stage.register_forward_hook(kept)
    found = net(image(axes))
    *grads, coarse = torch.autograd.grad(found.square().sum(), seen, allow_unused=True)
    assert grads == [None] * 4
    assert coarse.abs().max() > 0


def test_only_the_order_of_a_level_matters_to_its_decoder() -> None:
    """Features that are changed but have their maxima where they were give the same scores."""
    net: SegNet = made("segnet", body())
    with torch.no_grad():
        x = image()
        coarse, places = net.encode(x)
        expected = net.decode(coarse, places)
        stage = net.stages[0]
        hook = stage.register_forward_hook(lambda module, given, found: 3 * found + 5)
        other, same = net.encode(x)
        hook.remove()
        assert torch.equal(same[0].index, places[0].index)
        assert not torch.equal(other, coarse)
        assert torch.equal(net.decode(coarse, [same[0], *places[1:]]), expected)
        turned = [type(place)(place.index.flip(2), place.size) for place in places]
        assert not torch.allclose(net.decode(coarse, turned), expected)


# V-Net


@pytest.mark.parametrize("axes", [2, 3])
def test_a_residual_stage_without_weights_passes_its_input(axes: int) -> None:
    stage = ResidualStage(ConvSpec(axes, act="prelu"), 4, 4, (5,) * axes, 3).eval()
    for module in stage.modules():
        if isinstance(module, nn.Conv2d | nn.Conv3d):
            nn.init.zeros_(module.weight)
    x = torch.randn((1, 4, *SIZE[axes]), generator=torch.Generator().manual_seed(0))
    assert torch.equal(stage(x.abs()), x.abs())
    assert torch.equal(stage(x), torch.where(x > 0, x, 0.25 * x))  # the slope that PReLU starts with


def test_one_channel_is_added_to_all_of_the_first_stage() -> None:
    stage = ResidualStage(ConvSpec(2, norm="none", act="none"), 1, 4, (5, 5), 1)
    nn.init.zeros_(stage.conv.layer.weight)  # type: ignore[arg-type]
    x = torch.randn((1, 1, 6, 7), generator=torch.Generator().manual_seed(0))
    assert torch.equal(stage(x), x.expand(1, 4, 6, 7))


def test_its_stages_see_as_far_as_the_paper_says() -> None:
    """Table 1 of the paper: 5, 22, 72, 172 and 372 pixels."""
    net: VNet = made("v-net", body(stages=5, depth=3, channels=1, norm="none")).double()
    x = torch.ones((1, 1, 1, 800), dtype=torch.float64, requires_grad=True)
    found, seen = x, []
    for down, left in zip(net.downs, net.lefts, strict=True):
        found = left(down(found))
        (grad,) = torch.autograd.grad(found[..., found.shape[3] // 2].sum(), x, retain_graph=True)
        pixels = grad[0, 0, 0].nonzero()
        seen.append(int(pixels.max() - pixels.min()) + 1)
    assert seen == [5, 22, 72, 172, 372]


def test_kernels_are_flat_where_the_backbones_are() -> None:
    spec = BackboneSpec(1, (4, 6), (1, (1, 2, 2)), ((1, 3, 3), 3), (1, 1), ConvSpec(3))
    net: VNet = made("v-net:kernel=7", spec)
    kernels = [left.conv.window.kernel for left in net.lefts]  # type: ignore[union-attr]
    assert kernels == [(1, 7, 7), (7, 7, 7)]


# U-Net++


def test_at_depth_one_it_is_a_u_net() -> None:
    spec = body(stages=2, depth=2)
    plain, nested = made("u-net", spec), made("u-net-plus-plus", spec)
    names = {"decoder.merges.0.": "nodes.0.0.", "head.": "heads.0.", "encoder.": "encoder."}
    weights = {
        new + name.removeprefix(old): value
        for name, value in plain.state_dict().items()
        for old, new in names.items()
        if name.startswith(old)
    }
    nested.load_state_dict(weights)
    with torch.no_grad():
        assert torch.equal(nested(image()), plain(image()))


def test_a_smaller_u_net_of_it_reads_no_coarser_stage() -> None:
    net: UNetPlusPlus = made("u-net-plus-plus", body())
    levels = net.levels(image())
    assert len(levels) == 3 == len(net.weights)
    assert sum(net.weights) == pytest.approx(1)
    assert torch.equal(levels[0], net(image()))
    stages = [next(stage.parameters()) for stage in net.encoder.stages]
    for depth, found in enumerate(levels[::-1], start=1):
        grads = torch.autograd.grad(found.sum(), stages, allow_unused=True, retain_graph=True)
        assert [grad is not None for grad in grads] == [stage <= depth for stage in range(4)]


def test_every_map_of_a_level_reaches_those_after_it() -> None:
    net: UNetPlusPlus = made("u-net-plus-plus", body())
    columns = net.columns(image())
    assert len(columns) == 4
    for i, later in enumerate(columns):
        for earlier in columns[:i]:
            (grad,) = torch.autograd.grad(later.sum(), earlier, retain_graph=True)
            assert grad.abs().max() > 0


def test_without_deep_supervision_one_map_is_scored() -> None:
    net: UNetPlusPlus = made("u-net-plus-plus:deep_supervision=false", body())
    assert (len(net.heads), len(net.levels(image())), net.weights) == (1, 1, (1.0,))


# Attention U-Net


@pytest.mark.parametrize(("bias", "kept"), [(1e4, 1.0), (-1e4, 0.0)])
@pytest.mark.parametrize("axes", [2, 3])
def test_an_open_gate_is_a_u_net_and_a_closed_one_has_no_skips(bias: float, kept: float, axes: int) -> None:
    spec = body(axes)
    plain, gated = made("u-net", spec), made("attention-u-net", spec)
    gated.load_state_dict(plain.state_dict(), strict=False)
    with torch.no_grad():
        for gate in gated.gates:
            gate.psi.layer.bias.fill_(bias)
        *skips, coarse = plain.encoder(image(axes))
        expected = plain.head(plain.decoder([*[kept * skip for skip in skips], coarse]))
        assert torch.allclose(gated(image(axes)), expected, atol=1e-5)


def test_a_gate_weighs_pixels_between_zero_and_one_by_skip_and_coarse_map() -> None:
    net: AttentionUNet = made("attention-u-net", body())
    *_, skip, coarse = net.encoder(image())
    gate: Any = net.gates[-1]
    weight = gate.weight(skip, coarse)
    least, most = weight.detach().aminmax()
    assert weight.shape == (2, 1, *skip.shape[2:])
    assert 0 < least < most < 1
    for read in torch.autograd.grad(weight.sum(), (skip, coarse)):
        assert read.abs().max() > 0
    with torch.no_grad():
        gate.psi.layer.weight.zero_()
        assert torch.allclose(gate(skip, coarse), 0.5 * skip)
