"""A folder of six small images, a plan of tiny networks for it, and what there is before a training."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from hyperseg.backbone import seeded
from hyperseg.core.parts import Beginning
from hyperseg.core.runtime import Runtime
from hyperseg.io.cases import CaseFolder, open_cases
from hyperseg.medical.configuration import Configuration
from hyperseg.medical.networks import build_unet
from hyperseg.medical.plan import Plan
from hyperseg.recipes.segment.fold import Budget
from hyperseg.recipes.segment.methods.chosen import case_method
from hyperseg.recipes.segment.planning import plan_cases
from hyperseg.recipes.segment.training import Order

QUIET = Runtime(quiet=True)
SIDE, BATCH, CHANNELS = 16, 3, 1


def boxes(root: Path) -> CaseFolder:
    """Six images with a bright box in noise, the box half as wide as the image."""
    return written(root, (20, 22), 6, lambda i: (slice(3 + i % 2, 12 + i % 3), slice(4, 13)))


def corner_boxes(root: Path, shape: tuple[int, ...], n: int) -> CaseFolder:
    """Images or volumes with a bright box in noise, the box near the first corner."""
    return written(root, shape, n, lambda i: tuple(slice(2 + i % 2, 8 + i % 3) for _ in shape))


def written(
    root: Path, shape: tuple[int, ...], n: int, box: Callable[[int], tuple[slice, ...]]
) -> CaseFolder:  # fmt: skip
    """So many images with a bright box in noise, the place of the box by the number of the image."""
    for i in range(n):
        labels = np.zeros(shape, np.uint8)
        labels[box(i)] = 1
        image = np.random.default_rng(i).normal(0, 0.3, labels.shape) + 2.0 * labels
        for kind, array in (("images", image.astype(np.float32)), ("labels", labels)):
            (root / kind).mkdir(parents=True, exist_ok=True)
            np.save(root / kind / f"c{i}.npy", array)
    return open_cases(root)


def tiny_plan(folder: CaseFolder, widths: tuple[int, ...] = (4, 6)) -> Plan:
    """A plan whose networks have two stages."""

    def smaller(one: Configuration) -> Configuration:
        body, n = one.backbone, len(widths)
        spec = replace(body, widths=widths, strides=body.strides[:n], kernels=body.kernels[:n], depths=(1,) * n)
        return replace(one, backbone=spec, patch=(SIDE,) * one.n_axes, batch=BATCH, supervision=(1.0,))

    plan = plan_cases(folder)
    return replace(plan, configurations=tuple(map(smaller, plan.configurations)))


def two_levels(plan: Plan, supervision: tuple[float, ...] | None = None) -> Plan:
    """Networks of two levels for patches of 8 pixels a side, with these weights or the first of the plan's."""

    def smaller(one: Configuration) -> Configuration:
        body = one.backbone
        spec = replace(
            body, widths=(8, 16), strides=body.strides[:2], kernels=body.kernels[:2], depths=body.depths[:2],
        )  # fmt: skip
        weights = one.supervision[:1] if supervision is None else supervision
        return replace(one, backbone=spec, patch=(8,) * one.n_axes, batch=2, supervision=weights)

    return replace(plan, configurations=tuple(map(smaller, plan.configurations)))


def order(steps: int, *tricks: str, method: str = "unet", fold: int = 0) -> Order:
    return Order(Budget(steps=steps), (), fold, method=case_method(method, tricks=tricks))


def patches(number: int) -> tuple[Tensor, Tensor]:
    """Patches of a bright box, a pure function of the number."""
    generator = torch.Generator().manual_seed(number)
    classes = torch.zeros(BATCH, SIDE, SIDE, dtype=torch.long)
    classes[:, 4:12, 3:11] = 1
    return 2.0 * classes[:, None] + 0.3 * torch.randn(BATCH, CHANNELS, SIDE, SIDE, generator=generator), classes


def beginning(
    plan: Plan, *, steps: int = 6, batch: Callable[[int], tuple[Tensor, Tensor]] = patches, runtime: Runtime = QUIET
) -> Beginning:  # fmt: skip
    """Before the training of the plan's first network."""
    configuration = plan.configurations[0]
    with seeded(1):
        net = build_unet(configuration, len(plan.facts.classes))
    return Beginning(net, plan, configuration, steps, batch, runtime)


def stopped_at(stop: int, word: str) -> Runtime:
    """As Ctrl-C after so many steps of the bar that says the word."""

    def on_step(title: str, done: int) -> None:
        if word in title and done == stop:
            raise KeyboardInterrupt

    return replace(QUIET, on_step=on_step)
