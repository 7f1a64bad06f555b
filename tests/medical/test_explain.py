"""A plan in words: every number of the plan stands in a sentence, and each limit is named where it is what decides."""

from __future__ import annotations

from dataclasses import replace

import pytest
from planned import GOLDEN, fingerprint

from hyperseg.core.words import thousands
from hyperseg.medical.explain import by, explain, table
from hyperseg.medical.plan import Plan, at_spacing, make_plan
from hyperseg.medical.training import Preset


def text(plan: Plan) -> str:
    return "\n".join(explain(plan))


@pytest.mark.parametrize("preset", ["v2", "msd2018"])
@pytest.mark.parametrize("task", GOLDEN)
def test_sentences_and_table_hold_the_numbers(task: str, preset: Preset) -> None:
    plan = make_plan(fingerprint(task), preset=preset)
    words, rows = text(plan), table(plan)
    assert [row[0] for row in rows] == ["network", *(one.name for one in plan.configurations)]
    assert len({len(row) for row in rows}) == 1
    for one, row in zip(plan.configurations, rows[1:], strict=True):
        assert by(one.patch) in row
        if not one.after:
            assert f"{one.name}: patch {by(one.patch)} " in words
            assert f"{thousands(one.parameters)} parameters of the planned U-Net" in words
            assert f"{one.name}: batch {one.batch}:" in words
            assert f"; {thousands(12345)} parameters." in "\n".join(explain(plan, {one.name: 12345}))
    assert "0.01 M" in table(plan, {plan.main.name: 12345})[1 + plan.configurations.index(plan.main)]
    assert all(line.endswith(".") for line in explain(plan))
    assert ("so 3d_low looks" in words) == ("3d_low" in words)


def test_the_reason_that_decides_is_given() -> None:
    small, large = make_plan(fingerprint("Hippocampus")), make_plan(fingerprint("Liver"))
    assert "patch 40 x 56 x 40 voxels: the median image (36 x 50 x 35) grown to multiples of 8 x 8 x 8" in text(small)
    assert "3d: batch 9: 5 % of the voxels of the data set (there is room for 58" in text(small)
    assert "shortened from 215 x 280 x 280" in text(large)
    assert "what 8 GB hold" in text(large)
    assert "what 24 GB hold" in text(make_plan(fingerprint("Liver"), gigabytes=24))
    patient = make_plan(fingerprint("Hippocampus"), patience=2.0, pace=6e6)
    assert "what 2 s are enough for at 6e+06 values a second" in text(patient)
    assert "GB hold" not in text(patient)
    fixed = text(make_plan(fingerprint("Liver"), preset="msd2018"))
    assert "at most 128^3 voxels" in fixed
    assert "GB hold" not in fixed


def test_scales_spacing_and_axes_are_told() -> None:
    assert "clipped to -5 .. 30" in text(make_plan(fingerprint("Lung", channel="CT")))
    assert "where it is not zero, as the crop keeps 50.0 %" in text(make_plan(fingerprint("Lung", kept=0.5)))
    seen = fingerprint("Hippocampus")
    turned = replace(seen, spacings=((0.5, 0.5, 2.0),) * 3, sizes=((100, 80, 20),) * 3)
    assert "columns x depth x rows, columns first, since it is the coarsest" in text(make_plan(turned))
    few = replace(seen, spacings=tuple((float(z), 1.0, 1.0) for z in range(4, 15)), sizes=((20, 128, 128),) * 11)
    assert "but 5 instead of 9 along the coarsest axis" in text(make_plan(few))
    pixels = replace(seen, unit="px", spacings=((1.0, 1.0),) * 3, sizes=((64, 64),) * 3)
    assert "files do not say it" in text(make_plan(pixels))
    assert "cascade" not in text(make_plan(pixels)).lower()
    assert "Resampling" not in text(make_plan(pixels))
    stacks = replace(seen, unit="px")
    assert "slices are taken to be as near" in text(make_plan(stacks))


def test_that_images_have_no_common_spacing_is_told() -> None:
    """Whether sizes change, and by which factors."""
    plan = make_plan(fingerprint("Heart"))
    apart = replace(plan, training=replace(plan.training, resampling=replace(plan.training.resampling, keep=True)))
    assert "Spacing: each image keeps its own; the median is 1.37 x 1.25 x 1.25 mm then" in text(apart)
    coarse = text(at_spacing(apart, (1.37, 2.5, 5.0)))
    assert "that of each image, times 1 x 2 x 4; the median is 1.37 x 2.5 x 5 mm then, and a median image" in coarse


def test_a_class_that_is_nowhere_is_told() -> None:
    seen = replace(fingerprint("Hippocampus"), counts=(10, 0, 5))
    assert "Caution: nothing is labelled class 1" in text(make_plan(seen))
