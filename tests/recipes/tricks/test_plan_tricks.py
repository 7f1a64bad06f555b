"""Tricks that are numbers of a plan: each changes its own alone, against a baseline that has none of them."""

from __future__ import annotations

import json
from dataclasses import fields, is_dataclass, replace
from math import prod
from typing import Any

import numpy as np
import pytest
from planned import fingerprint

from hyperseg.core import SettingError
from hyperseg.core.settings import changed, from_json, to_json
from hyperseg.medical.explain import explain
from hyperseg.medical.fingerprint import Fingerprint, Intensity
from hyperseg.medical.plan import Plan, at_spacing, make_plan
from hyperseg.medical.prepare import normalise
from hyperseg.medical.training import MSD2018, V2
from hyperseg.medical.validity.whole import check_plan_values
from hyperseg.recipes.methods import METHODS
from hyperseg.recipes.segment.methods.chosen import case_method
from hyperseg.recipes.segment.narrowing import narrowed
from hyperseg.recipes.tricks.choosing import tricked_method

BASELINE = "plain-unet"


def pictures(channel: str = "light", unit: str = "px") -> Plan:
    seen = Intensity(10.0, 2.0, -5.0, 30.0)
    return make_plan(
        Fingerprint(
            ((1.0, 1.0),) * 40, ((120, 150),) * 40, 1.0, (channel,), (seen,), ("background", "a", "b"),
            (100,) * 3, unit,
        )
    )  # fmt: skip


PLANS = {task: make_plan(fingerprint(task)) for task in ("Hippocampus", "Heart", "Liver")} | {
    "pictures": pictures(), "first paper": make_plan(fingerprint("Heart"), preset="msd2018"),
    "narrow": narrowed(make_plan(fingerprint("Heart")), patience=1.0, pace=1e8),
}  # fmt: skip


def planned(plan: Plan, *tricks: str, method: str = BASELINE) -> Plan:
    return case_method(method, tricks=tricks).planned(plan)


def differences(a: Any, b: Any, at: str = "") -> set[str]:
    """Paths of all numbers that differ; of tuples of the same length entry by entry, all under one name."""
    if is_dataclass(a) and type(a) is type(b):
        return set().union(
            *(differences(getattr(a, f.name), getattr(b, f.name), f"{at}.{f.name}".strip(".")) for f in fields(a))
        )
    if isinstance(a, tuple) and isinstance(b, tuple) and len(a) == len(b) and a and is_dataclass(a[0]):
        return set().union(*(differences(x, y, at) for x, y in zip(a, b, strict=True)))
    return set() if a == b else {at}


AUGMENTATION, NETWORK = "training.augmentation", "configurations"
PIXELS = ("brightness", "contrast", "equalisation", "noise", "noise_within")
SHAPE = ("patch", "batch", "values", "parameters", "training_bytes", "rotation_deg", "in_plane", "supervision")
OWN = {
    "oversampling": {"training.loss.forced", "training.loss.each"},
    "resampling": {"training.resampling.keep"},
    "normalisation": {"normalisations.kind"},
    "normalisation:rule=foreground": {f"normalisations.{n}" for n in ("kind", "low", "high", "mean", "spread")},
    "pixel-augmentation": {f"{AUGMENTATION}.{n}" for n in PIXELS} | {
        f"{AUGMENTATION}.gamma.{n}" for n in ("low", "high", "p")
    },
    "spatial-augmentation:mirror=always": {f"{AUGMENTATION}.{n}" for n in (
        "rotation_p", "mirror", "shift", "quarter_turns", "scale.low", "scale.high", "scale.p"
    )} | {f"{NETWORK}.rotation_deg"},
    "patching:edge=48": {f"{NETWORK}.{n}" for n in SHAPE} | {
        f"{NETWORK}.backbone.{n}" for n in ("widths", "strides", "kernels", "depths")
    },
}  # fmt: skip


@pytest.mark.parametrize(("trick", "task"), sorted({(a, b) for a in OWN for b in PLANS} - {("resampling", "pictures")}))
def test_a_trick_changes_its_own_numbers_alone(trick: str, task: str) -> None:
    """The plan can be trained by, told and written; what is changed is what the trick is about, and something is."""
    baseline, found = planned(PLANS[task]), planned(PLANS[task], trick)
    check_plan_values(found)
    assert from_json(Plan, json.loads(json.dumps(to_json(found)))) == found
    assert explain(found) != [] != explain(baseline)
    differing = differences(baseline, found)
    assert differing
    assert differing <= OWN[trick]


@pytest.mark.parametrize("task", PLANS)
def test_the_baseline_has_nothing_and_keeps_what_was_planned(task: str) -> None:
    """Taken off once or twice it is the same; patches, widths and steps of the training are the plan's."""
    plan = PLANS[task]
    found = planned(plan)
    check_plan_values(found)
    assert planned(found) == found
    training = found.training
    assert training.augmentation.still
    assert (training.loss.forced, training.loss.supervised) == (0.0, False)
    assert training.resampling.keep == (plan.facts.unit == "mm")
    assert (training.inference.mirror, training.inference.keep_largest) == (False, "never")
    assert {how.kind for how in found.normalisations} == {"min-max"}
    assert (training.optimiser, training.schedule) == (plan.training.optimiser, plan.training.schedule)
    for one in found.configurations:
        assert one.backbone.conv.norm == "batch"
        assert one.supervision == (1.0,)
        before = plan.configuration(one.name)
        assert (one.patch, one.batch, one.spacing) == (before.patch, before.batch, before.spacing)
        assert replace(one.backbone, conv=before.backbone.conv) == before.backbone


def test_the_baseline_is_trained_by_cross_entropy_and_takes_no_scene() -> None:
    assert case_method(BASELINE).record == {"loss": "ce"}
    with pytest.raises(SettingError, match="plain-unet takes folders of images or volumes, no scenes"):
        METHODS[BASELINE].check(None, None)


def test_all_of_nnunet_s_rules_come_back() -> None:
    """Resampling and intensities of a plan, of a calibrated scale and of others, are what they were."""
    for channel in ("CT", "MRI"):
        plan = make_plan(fingerprint("Liver", channel=channel, kept=0.5))
        found = planned(plan, "normalisation", "resampling")
        assert found.normalisations == plan.normalisations
        assert found.training.resampling == plan.training.resampling


@pytest.mark.parametrize("trick", ["resampling", "normalisation"])
def test_what_the_planned_u_net_has_already_is_refused(trick: str) -> None:
    with pytest.raises(SettingError, match=f"{trick}, with the method unet: the plan has it already"):
        planned(PLANS["Heart"], trick, method="unet")


@pytest.mark.parametrize("task", ["pictures", "coarse pictures"])
def test_images_that_tell_no_spacing_have_a_common_one(task: str) -> None:
    """The plan's, which may be coarser than their pixels: there is nothing that the trick could do."""
    plan = {"pictures": PLANS["pictures"], "coarse pictures": at_spacing(PLANS["pictures"], (4.0, 4.0))}[task]
    assert planned(plan).training.resampling == plan.training.resampling
    with pytest.raises(SettingError, match="resampling, with the method plain-unet: the plan has it already"):
        planned(plan, "resampling")


def test_a_plan_that_was_written_before_reads_as_it_was() -> None:
    """Without the entries that tricks have brought; what nnU-Net does is their default."""
    for preset in (V2, MSD2018):
        assert not preset.loss.each
        assert not preset.resampling.keep
        assert not preset.augmentation.still
    plan = PLANS["Heart"]
    data = json.loads(json.dumps(to_json(plan)))
    assert "each" not in data["training"]["loss"]
    assert "keep" not in data["training"]["resampling"]
    assert not {"equalisation", "noise_within", "shift", "quarter_turns"} & set(data["training"]["augmentation"])
    assert from_json(Plan, data) == plan


def test_sides_of_a_body_stay_apart_as_short_trainings_keep_them() -> None:
    """Volumes in millimetres have no mirror images unless they are asked for; pictures and others have."""
    for task, mirrored in (("Heart", False), ("pictures", True)):
        for asked, expected in (("auto", mirrored), ("always", True), ("never", False)):
            found = planned(PLANS[task], f"spatial-augmentation:mirror={asked}").training.augmentation
            assert found.mirror == expected
            assert found.quarter_turns == (expected and task == "Heart")
    assert not planned(PLANS["Heart"], "spatial-augmentation").training.inference.mirror


def test_sides_that_classes_name_are_not_mirrored() -> None:
    plan = PLANS["pictures"]
    facts = replace(plan.facts, classes=("background", "leftKidney", "kidney right"), counts=(9, 5, 5))
    sided = replace(plan, facts=facts)
    for asked in ("auto", "never"):
        augmentation = planned(sided, f"spatial-augmentation:mirror={asked}").training.augmentation
        assert not augmentation.mirror
    with pytest.raises(SettingError, match="leftKidney looks like kidney right: give mirror=auto"):
        planned(sided, "spatial-augmentation:mirror=always")


@pytest.mark.parametrize("task", PLANS)
@pytest.mark.parametrize("edge", [0, 32, 50, 96])
def test_a_network_is_planned_for_its_patch(task: str, edge: int) -> None:
    """Patches are no larger than images grown to what the strides divide; a step keeps its feature values."""
    baseline = planned(PLANS[task])
    try:
        found = planned(PLANS[task], f"patching:edge={edge}")
    except SettingError as error:
        assert edge == 0 or task == "Hippocampus"
        assert "as large already" in str(error) or "feature values" in str(error)  # noqa: PT017
        return
    check_plan_values(found)
    for before, one in zip(baseline.configurations, found.configurations, strict=True):
        steps = [prod(stride[axis] for stride in one.backbone.strides) for axis in range(one.n_axes)]
        wanted = [min(edge or 2 * had, n) for had, n in zip(before.patch, one.size, strict=True)]
        assert one.patch == tuple(-(-n // step) * step for n, step in zip(wanted, steps, strict=True))
        assert one.backbone.widths[0] == before.backbone.widths[0]
        assert one.backbone.conv == before.backbone.conv
        assert one.batch * one.values <= before.batch * before.values + one.values or one.batch == 2
        assert one.batch >= 2


def test_patches_that_cannot_be_are_refused_before_training() -> None:
    with pytest.raises(SettingError, match="a patch of 4 x 4 voxels cannot be halved: give a larger edge"):
        planned(PLANS["pictures"], "patching:edge=4")
    with pytest.raises(SettingError, match="give a smaller edge, or plan for more gigabytes"):
        planned(PLANS["Liver"], "patching:edge=256")
    with pytest.raises(SettingError, match="give another edge"):
        planned(PLANS["pictures"], "patching")


@pytest.mark.parametrize("seed", range(3))
def test_the_smallest_value_becomes_0_and_the_largest_1(seed: int) -> None:
    values = np.random.default_rng(seed).normal(size=(5, 6, 7)).astype(np.float32) * 100 - 20
    (how,) = planned(PLANS["pictures"]).normalisations
    found = normalise(values, how)
    least, most = min(values.ravel()), max(values.ravel())
    np.testing.assert_allclose(found, [[[(v - least) / (most - least) for v in r] for r in p] for p in values], 1e-5)
    assert not normalise(np.full((3, 3), 7.0), how).any()


def test_percentiles_of_the_foreground_by_brute_force() -> None:
    """Cut, less the mean, divided by the deviation; of whatever channel."""
    (how,) = planned(PLANS["pictures"], "normalisation:rule=foreground").normalisations
    values = np.linspace(-50, 50, 11)
    expected = [(min(max(v, -5.0), 30.0) - 10.0) / 2.0 for v in values]
    np.testing.assert_allclose(normalise(values, how), expected, rtol=1e-6)


@pytest.mark.parametrize("names", [
    ("svm", "oversampling"), ("svm", "patching:edge=9"), ("rf", "pixel-augmentation"), ("lda", "normalisation"),
    ("unet", "oversampling"),
])  # fmt: skip
def test_a_method_of_scenes_without_the_setting_is_told(names: tuple[str, str]) -> None:
    method, trick = names
    with pytest.raises(SettingError, match=f"with the method {method}: (it|{method}) has no"):
        tricked_method(METHODS[method], [trick])


def test_space_and_grids_are_of_images_and_volumes() -> None:
    for trick in ("spatial-augmentation", "resampling"):
        with pytest.raises(SettingError, match="it is of images and volumes, not of scenes"):
            tricked_method(METHODS[METHODS.default], [trick])


@pytest.mark.parametrize(("trick", "expected"), [
    ("patching", {"window": 17}), ("patching:edge=5", {"window": 5}), ("oversampling", {"balanced": True}),
    ("pixel-augmentation", {"noise.gain": 0.2 / 3**0.5, "noise.offset": 0.2 / 3**0.5}),
])  # fmt: skip
def test_a_method_of_scenes_is_fitted_with_other_settings(trick: str, expected: dict[str, Any]) -> None:
    """The default network; what its settings are is seen by a fit that only notes them."""
    seen: list[Any] = []
    method = replace(METHODS[METHODS.default], fit=lambda task, settings, runtime: seen.append(settings))
    given = method.settings()
    tricked_method(method, [trick]).fit(None, given, None)
    assert seen == [changed(given, expected)]
    assert seen != [given]
