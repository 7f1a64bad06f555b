"""Cheaper networks for a CPU: what they cost, and what stays."""

from __future__ import annotations

from dataclasses import replace

import pytest
from planned import fingerprint

from hyperseg.medical.explain import explain
from hyperseg.medical.networks import build_unet
from hyperseg.medical.plan import make_plan
from hyperseg.recipes.segment.narrowing import narrowed, unmirrored

PLAN = make_plan(fingerprint("Hippocampus"))


def test_all_the_time_of_the_world_changes_nothing() -> None:
    assert narrowed(PLAN, patience=1e9, pace=1e9).configurations == PLAN.configurations


@pytest.mark.parametrize(
    ("values", "batch", "width"), [(2e8, 9, 32), (1e8, 5, 32), (3.9e7, 2, 32), (3e7, 2, 16), (9.6e6, 2, 16), (1, 2, 16)]
)
def test_batches_become_smaller_then_networks_narrower(values: float, batch: int, width: int) -> None:
    before, after = PLAN.configuration("3d"), narrowed(PLAN, patience=2, pace=values / 2).configuration("3d")
    assert (after.batch, after.backbone.widths[0], after.patch) == (batch, width, before.patch)
    assert after.backbone.strides == before.backbone.strides
    net = build_unet(after, 3)
    assert sum(p.numel() for p in net.parameters()) == after.parameters
    assert after.training_bytes <= before.training_bytes
    if width < 32:
        assert after.values < before.values


def test_bodies_are_not_mirrored_in_short_trainings() -> None:
    """Front and back of a body differ; of what has no size in millimetres nobody knows that."""
    seen = fingerprint("Hippocampus")
    short = unmirrored(PLAN)
    assert (short.training.augmentation.mirror, short.training.inference.mirror) == (False, False)
    rest = replace(short.training, augmentation=PLAN.training.augmentation, inference=PLAN.training.inference)
    assert replace(short, training=rest) == PLAN  # nothing else has changed
    unsized = make_plan(replace(seen, unit="px", spacings=((1.0, 1.0, 1.0),) * seen.n_cases))
    picture = make_plan(replace(seen, spacings=((1.0, 1.0),) * seen.n_cases, sizes=((50, 35),) * seen.n_cases))
    for plan in (unsized, picture):
        assert unmirrored(plan) == plan
    assert any("Mirror images: none" in sentence for sentence in explain(short))
    assert not any("Mirror images" in sentence for sentence in explain(PLAN))
