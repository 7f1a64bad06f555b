"""The bridged U-Net: what its bridges are, its parameters by formula, activations of its halves, and its controls."""

from __future__ import annotations

import json
from dataclasses import replace
from itertools import pairwise, product
from math import prod
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from hyperseg.backbone import BackboneSpec, ConvSpec, Decoder, Encoder, seeded
from hyperseg.core import SettingError
from hyperseg.core.settings import from_json, to_json
from hyperseg.losses import parse_loss
from hyperseg.losses.loss import Sums, at_levels
from hyperseg.medical.bridged.controls import bridged_unet, equal_parameters, n_parameters
from hyperseg.medical.bridged.network import AUXILIARY, BridgedUNet, with_auxiliary
from hyperseg.medical.bridged.settings import BridgeSettings
from hyperseg.medical.networks import UNet

K = 3
CHOICES = [
    {"bridge": bridge, "reads": reads, "down": down}
    for bridge, reads, down in product(("cat", "add"), ("image", "first"), ("stride", "pool"))
]


def spec_of(ndim: int = 2, *, widths: tuple[int, ...] = (4, 6, 8), depth: int = 2, **conv: Any) -> BackboneSpec:
    levels = len(widths)
    return BackboneSpec(2, widths, (1, *(2,) * (levels - 1)), (3,) * levels, (depth,) * levels, ConvSpec(ndim, **conv))


def made(spec: BackboneSpec, seed: int = 0, **choices: Any) -> BridgedUNet:
    with seeded(seed):
        return BridgedUNet(spec, K, **choices)


def images(*size: int, n: int = 2) -> Tensor:
    return torch.randn(n, 2, *size, generator=torch.Generator().manual_seed(1))


class Plain(nn.Module):
    """The second half by itself: an encoder and a decoder of the same weights, nothing bridged."""

    def __init__(self, net: BridgedUNet, spec: BackboneSpec) -> None:
        super().__init__()
        spec = replace(spec, conv=replace(spec.conv, act="elu"))
        self.encoder, self.decoder, self.heads = Encoder(spec), Decoder(spec, up="transpose"), net.heads
        self.decoder.load_state_dict(net.decoder.state_dict())
        for stage, opening, rest in zip(self.encoder.stages, net.encoder.openings, net.encoder.stages, strict=True):
            stage.blocks[0].load_state_dict(opening.blocks[0].state_dict())
            for block, same in zip(stage.blocks[1:], rest.blocks, strict=True):
                state = dict(same.state_dict())
                weight = block.conv.layer.weight
                state["conv.layer.weight"] = state["conv.layer.weight"][:, : weight.shape[1]]  # of its own channels
                block.load_state_dict(state)

    def forward(self, x: Tensor) -> Tensor:
        return self.heads.heads[0](self.decoder(self.encoder(x)))


def test_added_maps_of_zero_leave_a_plain_stack() -> None:
    spec = spec_of()
    net = made(spec, bridge="add").eval()
    last = [merge.blocks[-1] for merge in net.encoder.first_decoder.merges] + [
        net.encoder.first_encoder.stages[-1].blocks[-1]
    ]
    for block in last:  # their ReLU of zero is zero: so is every d1
        nn.init.zeros_(block.finish.norm.weight)
        nn.init.zeros_(block.finish.norm.bias)
    x = images(13, 11)
    assert torch.equal(net(x), Plain(net, spec).eval()(x))


def test_with_zero_weights_for_bridged_channels_the_second_half_sees_its_own_path_alone() -> None:
    spec = spec_of()
    net, x = made(spec, bridge="cat").eval(), images(13, 11)
    before = net(x)
    with torch.no_grad():
        for stage, width in zip(net.encoder.stages, spec.widths, strict=True):
            stage.blocks[0].conv.layer.weight[:, width:] = 0
    found = net(x)
    assert not torch.allclose(found, before)
    torch.testing.assert_close(found, Plain(net, spec).eval()(x), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("choice", CHOICES, ids=str)
def test_every_parameter_of_the_first_half_gets_gradient_through_the_bridges(choice: dict[str, Any]) -> None:
    net = made(spec_of(), **choice)
    out = net(images(13, 11))
    (out * torch.randn(out.shape, generator=torch.Generator().manual_seed(2))).sum().backward()
    for name, parameter in net.encoder.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.abs().max() > 0, name


@pytest.mark.parametrize("size", [(37, 41), (7, 9, 5), (23,)])
def test_odd_sizes_of_any_number_of_axes(size: tuple[int, ...]) -> None:
    x = images(*size)
    for choice in CHOICES:
        net = made(spec_of(len(size)), heads=2, auxiliary=True, **choice).eval()
        fine, coarse, first = net.levels(x)
        half = tuple(-(-n // 2) for n in size)
        assert (fine.shape, coarse.shape, first.shape) == ((2, K, *size), (2, K, *half), (2, K, *size))
        assert torch.equal(net(x), fine)
        assert torch.equal(net(x), net(x))


def formula(spec: BackboneSpec, *, bridge: str, reads: str, auxiliary: bool, heads: int) -> int:
    """Convolutions with a norm of two numbers a channel and no bias; transposed ones and scores have biases."""

    def conv(inputs: int, width: int, kernel: Any) -> int:
        return inputs * width * prod(kernel) + 2 * width

    def unet(first: int) -> int:
        inputs = (first, *spec.widths[:-1])
        total = sum(
            conv(n, w, k) + (depth - 1) * conv(w, w, k)
            for n, w, k, depth in zip(inputs, spec.widths, spec.kernels, spec.depths, strict=True)
        )
        for level, (w, coarse) in enumerate(pairwise(spec.widths)):
            total += coarse * w * prod(spec.strides[level + 1]) + w
            total += conv(2 * w, w, spec.kernels[level]) + (spec.depths[level] - 1) * conv(w, w, spec.kernels[level])
        return total

    total = unet(spec.in_channels) + unet(spec.in_channels if reads == "image" else spec.widths[0])
    if bridge == "cat":  # w channels more for one convolution of w maps, at every bridged level
        more = [w * w * prod(k) for w, k in zip(spec.widths, spec.kernels, strict=True)]
        total += sum(more[0 if reads == "image" else 1 :])
    scores = [(w + 1) * K for w in spec.widths]
    return total + sum(scores[:heads]) + auxiliary * scores[0]


@pytest.mark.parametrize("choice", CHOICES, ids=str)
@pytest.mark.parametrize("ndim", [2, 3])
def test_parameters_follow_the_formula(ndim: int, choice: dict[str, Any]) -> None:
    spec = spec_of(ndim, widths=(4, 6, 10, 12))
    for auxiliary, heads in ((False, 1), (True, 3)):
        net = made(spec, auxiliary=auxiliary, heads=heads, **choice)
        told = {name: choice[name] for name in ("bridge", "reads")}
        assert n_parameters(net) == formula(spec, auxiliary=auxiliary, heads=heads, **told)


@pytest.mark.parametrize(("widths", "ndim"), [((16, 32, 64, 128), 2), ((6, 12, 24), 3)])
def test_the_wide_control_has_as_many_parameters_within_two_percent(widths: tuple[int, ...], ndim: int) -> None:
    spec = spec_of(ndim, widths=widths)
    for bridge in ("cat", "add"):
        chosen = BridgeSettings(bridge=bridge, auxiliary=True)
        wanted = n_parameters(bridged_unet(spec, K, chosen, heads=2, down="stride"))
        wide = equal_parameters(spec, K, chosen, heads=2)
        assert len(wide.widths) == len(widths)
        assert replace(wide, widths=widths) == spec
        assert abs(n_parameters(UNet(wide, K, heads=2)) / wanted - 1) <= 0.02


def test_counting_draws_no_random_numbers() -> None:
    before = torch.random.get_rng_state()
    equal_parameters(spec_of(widths=(7, 9)), K, BridgeSettings())
    assert torch.equal(torch.random.get_rng_state(), before)


KINDS = {"relu": nn.ReLU, "elu": nn.ELU, "leaky_relu": nn.LeakyReLU}


@pytest.mark.parametrize(("first", "second"), [*product(("relu", "elu"), repeat=2), ("leaky_relu", "elu")])
def test_each_half_has_the_activation_that_was_asked_for(first: str, second: str) -> None:
    """Two blocks a stage down and two a level up."""
    net = made(spec_of(), act_first=first, act_second=second)
    halves = (
        (first, [net.encoder.first_encoder, net.encoder.first_decoder]),
        (second, [net.encoder.openings, net.encoder.stages, net.decoder]),
    )
    for name, parts in halves:
        modules = [module for part in parts for module in part.modules()]
        found = {kind: sum(isinstance(module, KINDS[kind]) for module in modules) for kind in KINDS}
        assert found == {kind: 3 * 2 + 2 * 2 if kind == name else 0 for kind in KINDS}


def test_the_first_half_weighs_half_as_much_and_the_sum_stays() -> None:
    assert with_auxiliary((0.75, 0.25, 0.0), auxiliary=False) == (0.75, 0.25, 0.0)
    found = with_auxiliary((0.75, 0.25, 0.0), auxiliary=True)
    assert sum(found) == pytest.approx(1.0)
    assert found[-1] / sum(found[:-1]) == pytest.approx(AUXILIARY)
    assert found[0] / found[1] == pytest.approx(3.0)


def test_a_stage_of_one_block_has_one_after_the_bridge() -> None:
    net = made(spec_of(depth=1, residual=True))
    assert [len(stage.blocks) for stage in (*net.encoder.openings, *net.encoder.stages)] == [1] * 6
    assert net(images(9, 7)).shape == (2, K, 9, 7)


@pytest.mark.parametrize(
    ("choice", "told"),
    [
        ({"act_first": "rleu"}, "relu"),
        ({"bridge": "sum"}, "bridge is cat or add, got 'sum'"),
        ({"reads": "second"}, "reads is image or first"),
        ({"down": "up"}, "down is stride or pool"),
    ],
)
def test_unknown_choices_are_refused(choice: dict[str, Any], told: str) -> None:
    with pytest.raises(SettingError, match=told):
        made(spec_of(), **choice)
    if "down" not in choice:
        with pytest.raises(SettingError):
            BridgeSettings(**choice)


def test_a_stride_in_level_0_and_the_first_ones_map_do_not_go_together() -> None:
    spec = replace(spec_of(), strides=(2, 2, 2))
    with pytest.raises(SettingError, match="level 0 has no stride"):
        made(spec, reads="first")
    assert made(spec)(images(13, 11)).shape == (2, K, 7, 6)


def test_settings_survive_json() -> None:
    chosen = BridgeSettings(act_first="elu", bridge="add", reads="first", auxiliary=True)
    assert from_json(BridgeSettings, json.loads(json.dumps(to_json(chosen)))) == chosen


def discs(side: int = 24) -> tuple[Tensor, Tensor]:
    """Two images in noise, one with a large bright disc, one with a small dark one, on steps of grey."""
    y, x = torch.meshgrid(torch.arange(side), torch.arange(side), indexing="ij")
    labels = torch.stack([((y - 10) ** 2 + (x - 12) ** 2) < 49, ((y - 15) ** 2 + (x - 8) ** 2) < 16]).long()
    noise = torch.randn(2, 1, side, side, generator=torch.Generator().manual_seed(0))
    sign = torch.tensor([1.5, -1.5]).view(2, 1, 1, 1)
    return 0.5 * noise + sign * labels.unsqueeze(1) + (x > 11), labels


@pytest.mark.parametrize("bridge", ["cat", "add"])
def test_two_images_are_learnt_by_heart(bridge: Any) -> None:
    spec = replace(spec_of(widths=(8, 16)), in_channels=1)
    with seeded(0):
        net = BridgedUNet(spec, 2, bridge=bridge, heads=2, auxiliary=True)
    x, labels = discs()
    loss, weights = parse_loss("dice-ce"), with_auxiliary((1.0, 0.0), auxiliary=True)
    optimiser = torch.optim.Adam(net.parameters(), lr=1e-2)
    for _ in range(40):
        optimiser.zero_grad()
        terms = at_levels(loss, net.levels(x), labels, Sums(), weights=weights)
        sum(terms.values(), torch.zeros(())).backward()
        optimiser.step()
    found = net(x).argmax(1)
    for said, is_so in zip(found, labels, strict=True):
        assert 2 * (said * is_so).sum() / (said.sum() + is_so.sum()) > 0.98
