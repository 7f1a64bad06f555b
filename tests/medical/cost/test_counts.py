"""Multiply-adds against brute force on real networks, and memory of scores."""

from __future__ import annotations

from dataclasses import replace
from math import prod
from typing import Any

import pytest
import torch
from planned import fingerprint
from torch import nn

from hyperseg.medical.configuration import Configuration
from hyperseg.medical.cost.counts import forward_madds, scores_memory, training_madds, training_memory
from hyperseg.medical.networks import build_unet
from hyperseg.medical.plan import make_plan
from hyperseg.medical.topology import training_bytes

PLANS = {task: make_plan(fingerprint(task)) for task in ("Hippocampus", "Prostate")}
FIRST = make_plan(fingerprint("Hippocampus"), preset="msd2018")


def small(one: Configuration, patch: tuple[int, ...]) -> Configuration:
    """Narrow, with a patch that need not be divisible."""
    widths = tuple(4 + 2 * level for level in range(len(one.backbone.widths)))
    return replace(one, patch=patch, backbone=replace(one.backbone, widths=widths))


CASES = {
    "planes": small(PLANS["Hippocampus"].configuration("2d"), (16, 24)),
    "whole": small(PLANS["Hippocampus"].configuration("3d"), (16, 8, 24)),
    "flat": small(PLANS["Prostate"].configuration("3d"), (8, 64, 64)),
    "odd": small(PLANS["Hippocampus"].configuration("3d"), (17, 9, 13)),
    "pooled": small(FIRST.configuration("2d"), (32, 32)),
}


def sums(module: Any, seen: torch.Tensor, given: torch.Tensor) -> int:
    """Every number a convolution gives is a sum over its kernel and inputs; a transposed one spreads what it gets."""
    size = (seen if module.transposed else given).shape[2:]
    return len(given) * prod(module.kernel_size) * module.in_channels * module.out_channels * prod(size)


def convolutions(net: nn.Module) -> list[nn.Module]:
    return [m for m in net.modules() if isinstance(m, nn.Conv2d | nn.Conv3d | nn.ConvTranspose2d | nn.ConvTranspose3d)]


def by_hooks(one: Configuration, n_classes: int, *, levels: bool) -> int:
    """Of all layers that are called."""
    net, total = build_unet(one, n_classes), 0

    def count(module: Any, seen: tuple[torch.Tensor, ...], given: torch.Tensor) -> None:
        nonlocal total
        total += sums(module, seen[0], given)

    for module in convolutions(net):
        module.register_forward_hook(count)
    x = torch.zeros((1, one.backbone.in_channels, *one.patch))
    with torch.no_grad():
        if levels:
            net.levels(x)
        else:
            net(x)
    return total


@pytest.mark.parametrize("name", CASES)
def test_convolutions_counted_one_by_one(name: str) -> None:
    one = CASES[name]
    heads = len(one.supervision)
    assert forward_madds(one.backbone, one.patch, 3) == by_hooks(one, 3, levels=False)
    assert forward_madds(one.backbone, one.patch, 3, heads=heads) == by_hooks(one, 3, levels=True)


@pytest.mark.parametrize("name", ["planes", "whole", "pooled"])
def test_a_training_step_counted_by_its_gradients(name: str) -> None:
    """Each layer forward; as much for its weights' gradient; and as much for its input's, where it has one."""
    one = replace(CASES[name], batch=2)
    net, total = build_unet(one, 3), 0

    def count(module: Any, seen: tuple[torch.Tensor, ...], given: torch.Tensor) -> None:
        nonlocal total
        total += sums(module, seen[0], given) * (2 + seen[0].requires_grad)

    for module in convolutions(net):
        module.register_forward_hook(count)
    net.levels(torch.zeros((2, one.backbone.in_channels, *one.patch)))
    assert training_madds(one, 3) == total


def test_scores_do_not_grow_along_the_first_axis() -> None:
    one = PLANS["Hippocampus"].configuration("3d")
    once, long = (scores_memory(one, (n, 80, 80), 10) for n in (40, 4000))
    assert once == long
    assert scores_memory(one, (40, 80, 80), 10) == 10 * scores_memory(one, (40, 80, 80), 1)
    assert scores_memory(one, (4, 4, 4), 10) == scores_memory(one, one.patch, 10)


def test_half_the_bits_halve_the_maps_alone() -> None:
    one = PLANS["Hippocampus"].configuration("3d")
    whole, half = training_memory(one), training_memory(one, half=True)
    assert whole == training_bytes(one.values, one.batch, one.parameters)
    assert whole - half == pytest.approx(half - 16 * one.parameters, abs=2)
