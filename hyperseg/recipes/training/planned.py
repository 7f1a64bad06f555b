"""What a U-Net is built from and how it is trained, planned from what a task is like: a scene, images or volumes."""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import prod
from typing import Any

import numpy as np

from hyperseg.backbone.spec import BackboneSpec
from hyperseg.core import SettingError
from hyperseg.core.settings import to_json
from hyperseg.core.task import Task
from hyperseg.core.words import counted
from hyperseg.data.facts import facts_of
from hyperseg.hsi.explain import explain
from hyperseg.hsi.plan import Given, plan_scene
from hyperseg.medical import v2
from hyperseg.medical.explain import by
from hyperseg.medical.spacing import axis_order
from hyperseg.medical.topology import Topology, values_of
from hyperseg.recipes.training.unet import UNetSpec

FOLDER_STEPS = 1000  # four of nnU-Net's thousand epochs: what a CPU has time for


@dataclass(frozen=True)
class Planned:
    """A U-Net and its training, decided.

    Attributes:
        tile: sides of the windows, per axis.
        body: the U-Net.
        groups: neighbouring bands that are averaged first.
        batch, steps: windows in a step, and steps.
        background: class 0 is what no class is.
        pointwise: features of single pixels are made before it.
        sentences: why.
        numbers: of the plan, as JSON types.
    """

    tile: tuple[int, ...]
    body: BackboneSpec
    groups: int
    batch: int
    steps: int
    background: bool
    pointwise: bool
    sentences: tuple[str, ...]
    numbers: dict[str, Any]


def planned(task: Task, given: Given) -> Planned:
    """Plan the U-Net of a task from its training pixels: `hsi.plan` of one scene of bands, nnU-Net's rules of a folder.

    One scene (rows, columns, bands) is n = 1; several of them, and volumes, are a folder.

    Args:
        given: what the user decided.
    """
    if len(task.scenes) == 1 and len(task.scenes[0].shape) == 2:
        plan = plan_scene(facts_of(task.scene, task.split), given)
        return Planned(
            (plan.window, plan.window), plan.backbone, plan.groups, plan.batch, plan.steps, background=False,
            pointwise=True, sentences=tuple(explain(plan)), numbers=to_json(plan),
        )  # fmt: skip
    return _of_folder(task, given)


def _of_folder(task: Task, given: Given) -> Planned:
    """Patch, topology and batch by the rules of nnU-Net's second version, for a card of 8 GB.

    Differs: scenes of a task keep their pixels, nothing is resampled; sides of windows are odd, a pixel and what is
    around it; of the given window all sides are at most that.
    """
    if given.groups > 1:
        raise SettingError(
            f"groups averages neighbouring bands of a scene, not channels: leave it out, got {given.groups}."
        )
    scenes = [scene for scene, split in zip(task.scenes, task.splits, strict=True) if split.train.any()]
    spacings = [s.grid.spacing if s.grid.unit != "px" else (1.0,) * len(s.shape) for s in scenes]
    spacing, size = np.median(spacings, 0), np.median([s.shape for s in scenes], 0)
    if given.window:
        size = np.minimum(size, given.window)
    order = axis_order(tuple(map(float, spacing)))
    every = float(sum(prod(scene.shape) for scene in scenes))
    limits = v2.Limits(v2.USUAL_GIGABYTES, None, task.n_classes, every)
    found = v2.fit(tuple(float(spacing[a]) for a in order), tuple(int(size[a]) for a in order), limits)
    depth, most = given.depth or len(found.topology.strides), len(found.topology.strides)
    if depth > most:
        raise SettingError(f"depth is {most} at most for windows of {by(found.topology.patch)} pixels, got {depth}.")
    turned = Topology(
        tuple(found.topology.patch[order.index(a)] for a in range(len(order))),
        tuple(tuple(s[order.index(a)] for a in range(len(order))) for s in found.topology.strides[:depth]),
        tuple(tuple(k[order.index(a)] for a in range(len(order))) for k in found.topology.kernels[:depth]),
    )  # fmt: skip
    widths = turned.widths(given.width or v2.FIRST_WIDTH, v2.BUDGETS[len(order)].widest)
    batch, steps = given.batch or found.batch, given.steps or FOLDER_STEPS
    sentences = (
        f"Folder: {counted(len(scenes), 'case')} to learn from, usually {by(size)} pixels, {by(spacing)} apart.",
        f"Windows of {by(turned.patch)} pixels, {batch} in a step, {steps} steps.",
        f"U-Net of {counted(len(widths), 'stage')} with {', '.join(map(str, widths))} channels, by nnU-Net's rules: "
        f"{values_of(turned, widths, task.n_classes):.3g} feature values in a window.",
        *((f"Given, not planned: {', '.join(given.names)}.",) if given.names else ()),
    )  # fmt: skip
    tile = tuple(side | 1 for side in turned.patch)
    body = turned.backbone(task.scenes[0].n_bands, widths)
    numbers = {"window": list(tile), "widths": list(widths), "batch": batch, "steps": steps}
    return Planned(tile, body, 1, batch, steps, background=True, pointwise=False, sentences=sentences, numbers=numbers)


def spec_of(made: Planned, n_features: int, n_classes: int) -> UNetSpec:
    """What the network is built from."""
    if made.pointwise:
        return UNetSpec(n_features, n_classes, made.body, made.tile)
    return UNetSpec(
        n_features, n_classes, replace(made.body, in_channels=n_features), made.tile, pointwise=False, dropout=0.0,
        initial_scale=1.0,
    )  # fmt: skip
