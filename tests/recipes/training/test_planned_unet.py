"""The planned U-Net: how far it looks, plans of folders, and what it may not be told."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from hyperseg.backbone import BackboneSpec, ConvSpec
from hyperseg.core import Scene, SettingError, Split
from hyperseg.core.scene import Grid
from hyperseg.core.task import Task
from hyperseg.hsi.plan import Given
from hyperseg.medical import v2
from hyperseg.recipes.training.planned import planned, spec_of
from hyperseg.recipes.training.unet import UNetSpec, build, reach_of


@pytest.mark.parametrize("residual", [False, True])
@pytest.mark.parametrize("depth", [1, 2, 3])
def test_a_decision_looks_no_further_than_it_says(depth: int, residual: bool) -> None:
    """Pixels beyond the reach change nothing; the bound is at most three times as far as what does."""
    strides = (1, *(2,) * (depth - 1))
    body = BackboneSpec(4, (4,) * depth, strides, (3,) * depth, (1,) * depth, ConvSpec(2, residual=residual))
    net = build(UNetSpec(3, 2, body, (99, 99), initial_scale=1.0), seed=0).eval()
    assert net.context_px == reach_of(body)
    x = torch.randn((1, 3, 1, 128), generator=torch.Generator().manual_seed(0))
    moved = []
    with torch.inference_mode():
        before = net(x)[0, :, 0]
        for place in range(56, 72):
            other = x.clone()
            other[..., place] += 5.0
            changes = (net(other)[0, :, 0] != before).any(0)
            moved += (changes.nonzero()[:, 0] - place).abs().tolist()
    assert max(moved) <= net.context_px <= 3 * max(moved)


def folder(*, axes: int, spacing: tuple[float, ...]) -> Task:
    """Two cases of 20 x 24 x 28 pixels (or 24 x 28), half of them labelled in one."""
    shape = (20, 24, 28)[-axes:]
    scenes, splits = [], []
    for seed in range(2):
        random = np.random.default_rng(seed)
        labels = random.integers(0, 2, shape).astype(np.int16)
        cube = random.normal(size=(*shape, 2)).astype(np.float32)
        grid = Grid(spacing=spacing, unit="mm")
        scenes.append(Scene(cube, labels, classes=("none", "some"), colours=((0, 0, 0),) * 2, grid=grid))
        train = (random.random(shape) < 0.5) & (seed == 0)
        splits.append(Split(train, np.zeros_like(train), ~train, "half", seed))
    return Task(tuple(scenes), tuple(splits))


@pytest.mark.parametrize(
    ("axes", "spacing"), [(2, (1.0, 1.0)), (3, (1.0, 1.0, 1.0)), (3, (1.0, 1.0, 4.0)), (3, (4.0, 1.0, 1.0))]
)
def test_a_folder_is_planned_by_the_rules_of_images_and_volumes(axes: int, spacing: tuple[float, ...]) -> None:
    """Axes stay where they are in the data, though the rules begin with the coarsest."""
    task = folder(axes=axes, spacing=spacing)
    made = planned(task, Given())
    shape = task.scenes[0].shape
    order = sorted(range(axes), key=lambda axis: -spacing[axis])
    limits = v2.Limits(v2.USUAL_GIGABYTES, None, 2, float(2 * np.prod(shape)))
    expected = v2.fit(tuple(spacing[a] for a in order), tuple(shape[a] for a in order), limits)
    assert tuple(made.tile[a] | 1 for a in order) == tuple(side | 1 for side in expected.topology.patch)
    assert tuple(tuple(s[a] for a in order) for s in made.body.strides) == expected.topology.strides  # type: ignore[index]
    assert tuple(tuple(k[a] for a in order) for k in made.body.kernels) == expected.topology.kernels  # type: ignore[index]
    assert made.batch == expected.batch
    assert made.background


def test_what_is_given_wins_and_is_said() -> None:
    task = folder(axes=2, spacing=(1.0, 1.0))
    made = planned(task, Given(window=13, width=6, depth=2, batch=3, steps=5))
    assert max(made.tile) <= 17
    assert made.body.widths == (6, 12)
    assert (made.batch, made.steps) == (3, 5)
    assert made.sentences[-1] == "Given, not planned: window, width, depth, batch, steps."
    net = build(spec_of(made, 2, 2), seed=0).eval()
    assert net(torch.zeros((1, 2, 13, 13))).shape == (1, 2, 13, 13)


@pytest.mark.parametrize(("given", "told"), [(Given(groups=2), "groups"), (Given(depth=9), "depth is")])
def test_choices_that_no_folder_can_have_are_refused(given: Given, told: str) -> None:
    with pytest.raises(SettingError, match=told):
        planned(folder(axes=2, spacing=(1.0, 1.0)), given)
