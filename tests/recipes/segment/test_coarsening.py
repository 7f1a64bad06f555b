"""Coarser looks at large images: when, along which axes, and back to the grid of each image."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from planned import fingerprint

from hyperseg.core import Grid, Scene
from hyperseg.medical.explain import explain
from hyperseg.medical.export.restore import restore
from hyperseg.medical.fingerprint import Fingerprint
from hyperseg.medical.plan import at_spacing, make_plan
from hyperseg.medical.prepare import prepare
from hyperseg.recipes.segment.coarsening import SHORTEST, coarsened
from hyperseg.recipes.segment.narrowing import LEAST_WIDTH

SMALL = make_plan(fingerprint("Hippocampus"))


def pictures(size: tuple[int, ...] = (440, 512), unit: str = "px") -> Fingerprint:
    """Of ten images that are all alike."""
    seen = fingerprint("Hippocampus")
    return replace(seen, spacings=((1.0,) * len(size),) * 10, sizes=(size,) * 10, unit=unit)


def test_all_the_time_of_the_world_changes_nothing() -> None:
    plan = make_plan(pictures())
    assert coarsened(plan, "2d", patience=1e9, pace=1e9) == plan


def test_small_images_keep_their_pixels_in_any_time() -> None:
    assert coarsened(SMALL, "3d", patience=1, pace=1) == SMALL


@pytest.mark.parametrize("values", [3e7, 1.6e7, 8e6])
def test_the_step_fits_and_a_finer_one_does_not(values: float) -> None:
    plan = make_plan(pictures())
    found = coarsened(plan, "2d", patience=1, pace=values)
    assert 2 * found.configuration("2d").values * (LEAST_WIDTH / 32) ** 2 <= values
    finer = at_spacing(plan, tuple(n / 1.03 for n in found.spacing))
    assert 2 * finer.configuration("2d").values * (LEAST_WIDTH / 32) ** 2 > values
    assert found.spacing[0] == found.spacing[1] > 1
    assert found.size == tuple(round(n / found.spacing[0]) for n in plan.size)
    assert f"pixels of {found.spacing[0]:.4g} x" in "\n".join(explain(found))


def test_images_keep_some_pixels() -> None:
    assert SHORTEST <= max(coarsened(make_plan(pictures()), "2d", patience=1, pace=1).size) < 1.1 * SHORTEST


def test_short_axes_of_volumes_keep_their_slices() -> None:
    found = coarsened(make_plan(pictures((10, 256, 216))), "3d", patience=1, pace=1e7)
    assert found.spacing[0] == 1
    assert found.size[0] == 10
    assert 2 > found.spacing[1] == found.spacing[2] > 1
    assert found.configuration("3d").topology.pools == (1, 4, 4)


def test_the_same_spacing_is_the_same_plan() -> None:
    for name in ("Hippocampus", "Prostate", "Liver"):
        plan = make_plan(fingerprint(name))
        assert at_spacing(plan, plan.spacing) == plan


def test_labels_come_back_to_the_grid_of_the_image() -> None:
    """Halves of a picture, looked at with pixels twice as large, are the same halves in its own pixels."""
    labels = np.zeros((40, 60), np.int16)
    labels[:, 30:] = 1
    scene = Scene(labels[..., None] * 3.0 + 1, labels, classes=("a", "b"), grid=Grid(), name="halves")
    seen = replace(pictures((40, 60)), classes=("a", "b"), counts=(1, 1))
    plan = at_spacing(make_plan(seen), (2.0, 2.0))
    made = prepare(scene, plan, plan.configuration("2d"), labels=True)
    assert made.image.shape == (1, 20, 30)
    assert made.labels is not None
    scores = torch.nn.functional.one_hot(torch.from_numpy(made.labels).long(), 2).movedim(-1, 0).float()
    assert (restore(scores, made.back) == labels).all()
