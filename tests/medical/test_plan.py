"""The planner: golden plans, the rules one by one, and that a plan is a pure function with a JSON form."""

from __future__ import annotations

import json
from dataclasses import fields, is_dataclass, replace
from math import prod

import pytest
from planned import GOLDEN, fingerprint

from hyperseg.core import SettingError
from hyperseg.core.settings import from_json, to_json
from hyperseg.medical import msd2018, v2
from hyperseg.medical.fingerprint import Fingerprint, Intensity
from hyperseg.medical.plan import Normalisation, Plan, limits_of, make_plan, rotation
from hyperseg.medical.spacing import axis_order, median_size, target_spacing
from hyperseg.medical.training import MSD2018, V2, Preset, supervision

ONES, HALF, PLANE = (1, 1, 1), (2, 2, 2), (1, 2, 2)
STRIDES = {
    "Prostate": (ONES, PLANE, PLANE, HALF, HALF, PLANE, PLANE),
    "Heart": (ONES, HALF, HALF, HALF, HALF, PLANE),
    "Lung": (ONES, HALF, HALF, HALF, HALF, PLANE),
    "Pancreas": (ONES, PLANE, HALF, HALF, HALF, PLANE),
}
KERNELS = {"Prostate": ((1, 3, 3),) * 2 + ((3, 3, 3),) * 5, "Pancreas": ((1, 3, 3),) + ((3, 3, 3),) * 5}
FIRST = {"Heart": (115, 264, 232), "Liver": (215, 280, 280), "Lung": (189, 298, 298), "Pancreas": (96, 374, 374)}


def plan_json(plan: Plan) -> str:
    return json.dumps(to_json(plan), sort_keys=True)


@pytest.mark.parametrize("task", GOLDEN)
def test_golden_plans(task: str) -> None:
    row, plan = GOLDEN[task], make_plan(fingerprint(task))
    for name, expected in (("3d", row.solid), ("2d", row.flat)):
        one = plan.configuration(name)
        assert (one.patch, one.batch, one.topology.pools, one.values) == expected
    full = plan.configuration("3d")
    pools = full.topology.pools
    assert full.topology.strides == STRIDES.get(task, (ONES, *(HALF,) * max(pools)))
    assert full.topology.kernels == KERNELS.get(task, ((3, 3, 3),) * (max(pools) + 1))
    assert full.backbone.widths == tuple(min(320, 32 * 2**i) for i in range(max(pools) + 1))


@pytest.mark.parametrize("task", FIRST)
def test_planning_starts_from_equal_sides(task: str) -> None:
    row = GOLDEN[task]
    assert v2.first_patch(row.spacing, row.size, 256) == FIRST[task]


@pytest.mark.parametrize("task", GOLDEN)
def test_a_first_look_where_a_patch_sees_less_than_a_quarter(task: str) -> None:
    plan = make_plan(fingerprint(task))
    names, full = [one.name for one in plan.configurations], plan.configuration("3d")
    looks = task in ("Liver", "Lung", "Pancreas")
    assert names == ["2d", "3d", *(["3d_low", "3d_cascade"] if looks else [])]
    assert plan.configuration("2d").batch_dice
    assert full.batch_dice == looks
    if looks:
        low, cascade = plan.configuration("3d_low"), plan.configuration("3d_cascade")
        assert not low.batch_dice
        assert low.cover >= 0.25 * 0.99  # of a rounded size
        assert prod(full.size) / prod(low.size) >= 2 * 0.99
        assert all(a >= b for a, b in zip(low.spacing, full.spacing, strict=True))
        assert cascade.backbone.in_channels == len(plan.facts.channels) + len(plan.facts.classes) - 1
        assert (cascade.after, cascade.patch, cascade.spacing) == ("3d_low", full.patch, full.spacing)


def test_the_first_plans_are_the_paper_s() -> None:
    """Planes and batches of Hippocampus, BrainTumour, Prostate, Heart; widths, pools and cascades by its rules."""
    plans = {task: make_plan(fingerprint(task), preset="msd2018") for task in GOLDEN}
    flat = {task: (plan.configuration("2d").patch, plan.configuration("2d").batch) for task, plan in plans.items()}
    assert flat["Hippocampus"] == ((56, 40), 366)
    assert flat["BrainTumour"] == ((192, 160), 89)
    assert flat["Prostate"] == ((320, 320), 26)
    assert flat["Heart"] == ((320, 256), 33)
    assert flat["Liver"] == ((512, 512), 10)
    small, cube = plans["Hippocampus"].configuration("3d"), plans["BrainTumour"].configuration("3d")
    assert (small.patch, small.batch, small.topology.pools) == ((40, 56, 40), 9, (3, 3, 3))
    assert (cube.patch, cube.batch, cube.topology.pools) == ((128,) * 3, 2, (5, 5, 5))
    for task, plan in plans.items():
        two, three = plan.configuration("2d"), plan.configuration("3d")
        assert max(two.topology.pools) <= 6
        assert max(three.topology.pools) <= 5
        assert two.backbone.widths == tuple(min(480, 30 * 2**i) for i in range(len(two.backbone.widths)))
        assert three.backbone.widths == tuple(min(320, 30 * 2**i) for i in range(len(three.backbone.widths)))
        assert prod(three.patch) <= 128**3
        cascades = "3d_low" in [one.name for one in plan.configurations]
        assert cascades == (task in ("Heart", "Liver", "Lung", "Pancreas"))
        assert cascades == (prod(three.size) > 4 * prod(three.patch))
        if cascades:
            assert plan.configuration("3d_low").cover >= 0.25


def test_presets_are_never_mixed() -> None:
    one, other = (make_plan(fingerprint("Liver"), preset=preset) for preset in ("v2", "msd2018"))
    for name in ("optimiser", "schedule", "loss", "augmentation", "resampling", "inference"):
        assert getattr(one.training, name) != getattr(other.training, name)
    assert (one.training, other.training) == (V2, MSD2018)
    assert one.configuration("3d").down == "stride"
    assert other.configuration("3d").down == "pool"
    assert other.configuration("3d").supervision == (1.0,)
    assert (V2.schedule.plateau, MSD2018.schedule.power, MSD2018.schedule.epochs) == (None, None, None)
    assert to_json(one).keys() == to_json(other).keys()
    for plan in (one, other):
        missing = [f.name for f in fields(plan) if getattr(plan, f.name) in ((), "", None)]
        assert missing == []


@pytest.mark.parametrize("preset", ["v2", "msd2018"])
@pytest.mark.parametrize("task", ["Hippocampus", "Pancreas"])
def test_json_and_back(task: str, preset: Preset) -> None:
    plan = make_plan(fingerprint(task, channel="CT"), preset=preset)
    text = plan_json(plan)
    assert from_json(Plan, json.loads(text)) == plan
    assert "hyperseg" not in text
    assert "torch" not in text


def test_json_with_a_wrong_entry_is_refused_by_name() -> None:
    data = to_json(make_plan(fingerprint("Hippocampus")))
    data["configurations"][0]["batch"] = "many"
    with pytest.raises(SettingError, match="batch"):
        from_json(Plan, data)


def test_the_order_of_cases_changes_nothing() -> None:
    cases = [((1.0, 1.0, 1.0), (40, 50, 60)), ((2.0, 1.0, 1.0), (30, 55, 60)), ((5.0, 0.8, 0.9), (10, 64, 64))]
    seen = [mixed(*zip(*order, strict=True)) for order in (cases, cases[::-1])]
    assert plan_json(make_plan(seen[0])) == plan_json(make_plan(seen[1]))
    assert plan_json(make_plan(seen[0])) == plan_json(make_plan(seen[0]))


def mixed(spacings: tuple, sizes: tuple) -> Fingerprint:  # type: ignore[type-arg]
    intensity = (Intensity(0.0, 1.0, -1.0, 1.0),)
    return Fingerprint(tuple(spacings), tuple(sizes), 1.0, ("MRI",), intensity, ("no", "yes"), (9, 9))


def test_a_coarse_and_short_axis_gets_the_tenth_percentile() -> None:
    coarse = tuple((float(z), 1.0, 1.0) for z in range(4, 15))  # median 9, tenth percentile 5
    thin, thick = ((20, 128, 128),) * 11, ((50, 128, 128),) * 11
    assert target_spacing(mixed(coarse, thin)) == (5.0, 1.0, 1.0)
    assert target_spacing(mixed(coarse, thick)) == (9.0, 1.0, 1.0)  # 3 * 50 > 128
    few = ((1.5, 1.0, 1.0),) * 5 + ((9.0, 1.0, 1.0),) * 6
    assert target_spacing(mixed(few, thin)) == (1.5, 1.0, 1.0)
    finer = ((0.5, 1.0, 1.0),) * 5 + ((9.0, 1.0, 1.0),) * 6
    assert target_spacing(mixed(finer, thin)) == (1.0 + 1e-5, 1.0, 1.0)
    assert make_plan(mixed(coarse, thin)).spacing == (5.0, 1.0, 1.0)
    assert make_plan(mixed(coarse, thin), preset="msd2018").spacing == (9.0, 1.0, 1.0)


def test_sizes_follow_the_spacing_and_the_coarsest_axis_comes_first() -> None:
    turned = mixed(((0.5, 0.5, 2.0),) * 3, ((100, 80, 20),) * 3)
    assert median_size(turned, (1.0, 1.0, 1.0)) == (50, 40, 40)
    assert axis_order((0.5, 0.5, 2.0)) == (2, 0, 1)
    plan = make_plan(turned)
    assert (plan.axes, plan.spacing, plan.size) == ((2, 0, 1), (2.0, 0.5, 0.5), (20, 100, 80))
    assert plan.configuration("2d").size == (100, 80)
    straight = mixed(((2.0, 0.5, 0.5),) * 3, ((20, 100, 80),) * 3)
    assert make_plan(straight).configurations == plan.configurations


def test_images_have_a_plan_of_one_network() -> None:
    plan = make_plan(mixed(((1.0, 1.0),) * 8, ((256, 320),) * 8))
    assert [one.name for one in plan.configurations] == ["2d"]
    assert plan.configurations[0].patch == (256, 320)
    with pytest.raises(SettingError, match="no configuration '3d', but 2d"):
        plan.configuration("3d")


def test_how_values_are_scaled() -> None:
    assert make_plan(fingerprint("Lung", channel="CT")).normalisations == (Normalisation("ct", -5.0, 30.0, 10.0, 2.0),)
    assert make_plan(fingerprint("Lung", kept=0.75)).normalisations == (Normalisation("z-score"),)
    assert make_plan(fingerprint("Lung", kept=0.74)).normalisations == (Normalisation("masked z-score"),)


def test_weights_of_deep_supervision() -> None:
    weights = supervision(5, supervised=True)
    assert [round(w, 3) for w in weights] == [0.533, 0.267, 0.133, 0.067, 0.0]
    assert sum(weights) == pytest.approx(1.0)
    assert supervision(5, supervised=False) == supervision(1, supervised=True) == (1.0,)
    assert make_plan(fingerprint("BrainTumour")).configuration("3d").supervision == weights


def test_flat_patches_turn_within_their_planes() -> None:
    assert rotation("v2", (128, 128, 128)) == (30.0, False)
    assert rotation("v2", (20, 320, 256)) == (180.0, True)
    assert rotation("v2", (320, 256)) == (180.0, False)
    assert rotation("v2", (320, 200)) == (15.0, False)
    assert rotation("msd2018", (128, 128, 128)) == (15.0, False)
    assert rotation("msd2018", (64, 192, 160)) == (180.0, True)


def test_more_memory_gives_more_and_less_gives_less() -> None:
    sizes = [make_plan(fingerprint("Liver"), gigabytes=gb).configuration("3d") for gb in (4, 8, 24)]
    values = [one.values * one.batch for one in sizes]
    assert values == sorted(values)
    assert values[0] < values[1] < values[2]
    for gb, one in zip((4, 8, 24), sizes, strict=True):
        assert one.values * 2 <= 5.6e8 * 2 * gb / 8


def test_patience_is_values_over_pace() -> None:
    seen = fingerprint("Hippocampus")
    usual, batch, patch = (make_plan(seen, patience=s, pace=1e7).configuration("3d") for s in (1e6, 8.0, 2.0))
    assert usual == make_plan(seen).configuration("3d")
    assert (batch.patch, batch.batch) == (usual.patch, 4)  # 8e7 values / 19 174 400
    assert prod(patch.patch) < prod(usual.patch)
    assert patch.batch * patch.values <= 2e7 * 1.25  # batches are rounded
    with pytest.raises(SettingError, match=r"no network fits.*more patience"):
        make_plan(seen, patience=1e-6, pace=1e7)


def test_limits_that_make_no_sense_are_refused() -> None:
    seen = fingerprint("Hippocampus")
    for wrong in ({"gigabytes": 0}, {"gigabytes": float("nan")}, {"patience": -1.0, "pace": 1.0}):
        with pytest.raises(SettingError, match="above 0"):
            make_plan(seen, **wrong)
    with pytest.raises(SettingError, match="belong together"):
        make_plan(seen, patience=3.0)
    for wrong in ({"gigabytes": 8}, {"patience": 3.0, "pace": 1.0}):
        with pytest.raises(SettingError, match="fixed sizes"):
            make_plan(seen, preset="msd2018", **wrong)
    with pytest.raises(SettingError, match="v2 or msd2018"):
        make_plan(seen, preset="v3")  # type: ignore[arg-type]


def test_a_step_sees_at_most_5_percent_but_two_patches() -> None:
    few = replace(fingerprint("Hippocampus"), spacings=((1.0,) * 3,) * 2, sizes=((36, 50, 35),) * 2)
    assert [one.batch for one in make_plan(few).configurations] == [3, 2]  # round(.05 * 2 * 63000 / 2240), 2
    assert [one.batch for one in make_plan(few, preset="msd2018").configurations] == [3, 2]
    plan = make_plan(fingerprint("Hippocampus"))
    full = plan.configuration("3d")
    assert limits_of(plan.facts, plan.limit).batch(full.topology, full.values) == (58, 9)
    assert msd2018.batch(full.topology, all_voxels=plan.facts.all_voxels) == (46, 9)


def test_a_plan_is_plain_data() -> None:
    """Nothing but numbers, texts, tuples and frozen dataclasses of them."""
    left = [make_plan(fingerprint("Liver"))]
    while left:
        value = left.pop()  # type: ignore[var-annotated]
        if is_dataclass(value):
            assert value.__dataclass_params__.frozen  # type: ignore[attr-defined]
            left += [getattr(value, f.name) for f in fields(value)]
        elif isinstance(value, tuple):
            left += value
        else:
            assert value is None or isinstance(value, str | int | float | bool)
