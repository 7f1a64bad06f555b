"""What a U-Net costs: the formulas against networks on the meta device."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from itertools import pairwise

import pytest
import torch
from planned import GOLDEN, fingerprint
from torch import Tensor, nn
from torch.nn import functional as F

from hyperseg.backbone import Conv, ConvTranspose
from hyperseg.medical.configuration import Configuration
from hyperseg.medical.networks import PooledEncoder, UNet, build_unet, measure_pace
from hyperseg.medical.plan import make_plan
from hyperseg.medical.topology import PER_VALUE, cancelled_biases, parameters_of, training_bytes, values_of, voxels_of
from hyperseg.medical.training import Preset

PRESETS: tuple[Preset, ...] = ("v2", "msd2018")


def on_meta(one: Configuration, n_classes: int) -> tuple[UNet, Tensor]:
    """The network of a configuration and one patch for it; neither has numbers."""
    with torch.device("meta"):
        return build_unet(one, n_classes), torch.empty(1, one.backbone.in_channels, *one.patch)


@contextmanager
def counting(net: nn.Module) -> Iterator[list[int]]:
    """Numbers that the convolutions of a network give while this is open."""
    found: list[int] = []
    layers = [layer for layer in net.modules() if isinstance(layer, Conv | ConvTranspose)]
    hooks = [layer.register_forward_hook(lambda _, __, y: found.append(y.numel())) for layer in layers]
    yield found
    for hook in hooks:
        hook.remove()


@pytest.mark.parametrize("preset", PRESETS)
@pytest.mark.parametrize("task", ["Hippocampus", "Prostate", "Pancreas"])
def test_values_and_parameters_are_those_of_the_network(task: str, preset: Preset) -> None:
    plan = make_plan(fingerprint(task), preset=preset)
    for one in plan.configurations:
        net, x = on_meta(one, len(plan.facts.classes))
        with counting(net) as found:
            y = net(x)
        assert y.shape == (1, len(plan.facts.classes), *one.patch)
        assert sum(found) == one.values
        assert sum(p.numel() for p in net.parameters()) == one.parameters


def test_the_reference_has_31_20_million_parameters() -> None:
    """What the published network has more are biases before instance norms, and only those."""
    one = make_plan(fingerprint("BrainTumour")).configuration("3d")
    assert round(one.parameters / 1e6, 2) == 31.20
    by_hand = 0
    widths = (4, 32, 64, 128, 256, 320, 320)
    for low, high in pairwise(widths):  # with the bias of every convolution, scale and shift
        by_hand += 27 * low * high + 3 * high + 27 * high * high + 3 * high
    for high, low in zip(widths[:1:-1], widths[-2:0:-1], strict=True):
        by_hand += 8 * high * low + low + 27 * 2 * low * low + 3 * low + 27 * low * low + 3 * low + 4 * low + 4
    assert one.parameters + cancelled_biases(one.backbone) == by_hand == 31_199_796


def test_a_bias_before_a_norm_changes_nothing() -> None:
    torch.manual_seed(0)
    x, bias = torch.randn(2, 3, 8, 8), torch.randn(1, 3, 1, 1)
    assert torch.allclose(F.instance_norm(x + bias), F.instance_norm(x), atol=1e-5)


@pytest.mark.parametrize("preset", PRESETS)
def test_memory_that_waits_for_the_way_back_is_within_the_rule(preset: Preset) -> None:
    plan = make_plan(fingerprint("Hippocampus"), preset=preset)
    for one in plan.configurations:
        net, x = on_meta(one, 3)
        weights = {p.untyped_storage()._cdata for p in net.parameters()}
        kept: list[Tensor] = []

        def keep(t: Tensor, kept: list[Tensor] = kept) -> Tensor:
            kept.append(t)
            return t

        with torch.autograd.graph.saved_tensors_hooks(keep, lambda t: t):
            scores = [F.log_softmax(y, 1) for y in net.levels(x)]
        storages = {t.untyped_storage()._cdata: t.untyped_storage().nbytes() for t in kept}
        ratio = sum(n for at, n in storages.items() if at not in weights) / 4 / one.values
        assert len(scores) == len(one.supervision)
        assert 1.9 < ratio < PER_VALUE
    assert training_bytes(100, 3, 10) == round(4 * (PER_VALUE * 300 + 40))


def test_voxels_and_values_by_hand() -> None:
    topology = make_plan(fingerprint("Hippocampus")).configuration("2d").topology
    assert voxels_of(topology.patch, topology.strides) == (56 * 40, 28 * 20, 14 * 10, 7 * 5)
    small = replace(topology, patch=(4, 4), strides=((1, 1), (2, 2)), kernels=((3, 3),) * 2)
    assert values_of(small, (2, 4), 3) == 2 * (32 + 16) + 3 * 32 + 3 * 16
    spec = small.backbone(1, (2, 4))
    down = (9 * 2 + 4) + (9 * 4 + 4) + (9 * 8 + 8) + (9 * 16 + 8)
    up = (4 * 8 + 2) + (9 * 8 + 4) + (9 * 4 + 4)
    assert parameters_of(spec, 3, heads=1) == down + up + 3 * 3


@pytest.mark.parametrize("preset", PRESETS)
def test_a_small_network_learns_and_any_size_goes_in(preset: Preset) -> None:
    one = make_plan(fingerprint("Hippocampus"), preset=preset).configuration("2d")
    small = replace(one, backbone=replace(one.backbone, widths=(4, 6, 8, 8)))
    torch.manual_seed(0)
    net = build_unet(small, 2, n_channels=2)
    x, y = torch.randn(2, 2, 33, 21), torch.zeros(2, 33, 21, dtype=torch.long)
    y[:, 10:20, 5:15] = 1
    x[:, :1] += y[:, None]
    optimiser = torch.optim.Adam(net.parameters(), 1e-2)
    losses = []
    for _ in range(15):
        optimiser.zero_grad()
        loss = F.cross_entropy(net(x), y)
        loss.backward()
        optimiser.step()
        losses.append(float(loss.detach()))
    assert losses[-1] < 0.5 * losses[0]
    net.eval()
    assert torch.equal(net(x), net.levels(x)[0])


def test_an_encoder_pools_to_the_sizes_that_strides_give() -> None:
    one = make_plan(fingerprint("Hippocampus"), preset="msd2018").configuration("2d")
    with torch.device("meta"):
        net = build_unet(one, 3)
        sizes = [tuple(y.shape[2:]) for y in net.encoder(torch.empty(1, 1, 33, 21))]
    assert sizes == list(one.backbone.sizes((33, 21)))
    assert not any(max(layer.window.stride) > 1 for layer in net.encoder.modules() if isinstance(layer, Conv))


def test_pooling_takes_the_largest() -> None:
    """A coarse map does not change when all but the largest number of each window is made smaller."""
    spec = replace(
        make_plan(fingerprint("Hippocampus"), preset="msd2018").configuration("2d").backbone, widths=(1,) * 4
    )
    encoder = PooledEncoder(replace(spec, conv=replace(spec.conv, norm="none", act="none")))
    encoder.stages[0] = nn.Identity()
    x = torch.rand(1, 1, 6, 5)
    largest = F.max_pool2d(x, 2, ceil_mode=True).repeat_interleave(2, 2).repeat_interleave(2, 3)[..., :6, :5]
    less = torch.where(x == largest, x, x - 1)
    assert not torch.equal(less, x)
    assert torch.equal(encoder(less)[1], encoder(x)[1])


@pytest.mark.parametrize("task", GOLDEN)
def test_stages_divide_the_patch(task: str) -> None:
    for preset in PRESETS:
        for one in make_plan(fingerprint(task), preset=preset).configurations:
            assert all(n % 2**p == 0 for n, p in zip(one.patch, one.topology.pools, strict=True))
            assert one.backbone.stride == tuple(2**p for p in one.topology.pools)


@pytest.mark.parametrize("preset", PRESETS)
@pytest.mark.parametrize("size", [(5, 5), (7, 30), (1, 64, 64), (6, 6, 6), (9, 9, 9), (300, 40, 2)])
def test_odd_sizes_have_networks_that_run(size: tuple[int, ...], preset: Preset) -> None:
    seen = replace(fingerprint("Hippocampus"), sizes=(size,) * 3, spacings=((1.0,) * len(size),) * 3)
    for one in make_plan(seen, preset=preset).configurations:
        net, x = on_meta(one, 3)
        assert net(x).shape == (1, 3, *one.patch)


def test_the_pace_of_this_machine_is_a_number() -> None:
    assert 1e4 < measure_pace(2) < 1e12
