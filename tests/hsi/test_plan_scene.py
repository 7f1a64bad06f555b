"""Plans of scenes: golden ones, monotone rules, JSON, and that what is given wins."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from hyperseg.core import SettingError
from hyperseg.core.settings import from_json, to_json
from hyperseg.data.facts import SceneFacts, facts_of
from hyperseg.data.splits import SPLITS, make_split
from hyperseg.hsi.explain import explain, table
from hyperseg.hsi.plan import Given, ScenePlan, plan_scene
from hyperseg.io.catalog import load_card, open_card
from hyperseg.simulated.scenes import toy_scene

INDIAN_PINES = SceneFacts(145, 145, 200, 16, 666, 666 / 145**2, 7, 20, 9.74, 1.0, 0.0566)
NOISY = SceneFacts(96, 96, 120, 6, 300, 300 / 96**2, 50, 36, 11.6, 2**0.5, 0.68)
LARGE = SceneFacts(610, 340, 103, 9, 450, 450 / (610 * 340), 50, 51, 23.4, 5**0.5, 0.0238)
GOLDEN: list[tuple[SceneFacts, dict[str, int]]] = [
    (INDIAN_PINES, {"window": 9, "groups": 1, "width": 64, "depth": 2, "batch": 64, "steps": 200}),
    (NOISY, {"window": 9, "groups": 3, "width": 32, "depth": 2, "batch": 64, "steps": 200}),
    (LARGE, {"window": 25, "groups": 1, "width": 64, "depth": 4, "batch": 16, "steps": 290}),
]


@pytest.mark.parametrize(("facts", "expected"), GOLDEN, ids=["Indian Pines", "noisy", "large parcels"])
def test_golden_plans(facts: SceneFacts, expected: dict[str, int]) -> None:
    made = plan_scene(facts)
    assert {name: getattr(made, name) for name in expected} == expected
    assert made.backbone.widths == (expected["width"],) * expected["depth"]
    assert made.backbone.in_channels == expected["width"]


@pytest.mark.usefixtures("shared_data")
def test_the_facts_of_indian_pines_are_those_of_the_golden_plan() -> None:
    scene = open_card(load_card("indian-pines"))
    assert scene.labels is not None
    found = facts_of(scene, make_split(SPLITS.default, scene.labels, scene.n_classes, seed=0))
    assert found == replace(INDIAN_PINES, density=found.density)
    assert found.density == pytest.approx(INDIAN_PINES.density)


def test_a_plan_survives_json_and_tells_every_choice() -> None:
    made = plan_scene(NOISY, Given(width=48, steps=7))
    assert from_json(ScenePlan, json.loads(json.dumps(to_json(made)))) == made
    assert (made.width, made.steps) == (48, 7)
    sentences = explain(made)
    for name in ("window", "groups", "depth", "width", "batch", "steps"):
        (told,) = (line for line in sentences if line.startswith(f"{name.capitalize()} {getattr(made, name)}: "))
        assert ("given, not planned" in told) == (name in ("width", "steps"))
    assert sentences[-1] == "Given, not planned: width and steps."
    heads, row = table(made)
    assert dict(zip(heads, row, strict=True))["width"] == "48"


def test_what_is_usual_for_a_method_is_neither_planned_nor_given() -> None:
    made = plan_scene(NOISY, Given(width=48, steps=7, usual=("width",)))
    sentences = explain(made)
    assert "Width 48: usual for this method, not planned." in sentences
    assert sentences[-1] == "Given, not planned: steps."
    assert from_json(ScenePlan, to_json(made)) == made


def test_what_follows_from_a_choice_follows_from_the_given_one() -> None:
    small, large = (plan_scene(INDIAN_PINES, Given(window=side)) for side in (9, 65))
    assert small.depth < large.depth
    assert small.batch > large.batch


@pytest.mark.parametrize(
    ("changes", "rises"),
    [
        ([{"parcel_px": n} for n in (1, 4, 9, 14, 20, 40, 400)], "window"),
        ([{"noise": n} for n in (0.0, 0.1, 0.3, 0.5, 0.9)], "groups"),
        ([{"classes": n} for n in (2, 6, 9, 16, 60)], "width"),
        ([{"labels": n} for n in (10, 700, 3_000, 30_000, 10**6)], "steps"),
    ],
    ids=["parcels", "noise", "classes", "labels"],
)
def test_rules_are_monotone_and_bounded(changes: list[dict[str, Any]], rises: str) -> None:
    found = [getattr(plan_scene(replace(INDIAN_PINES, **change)), rises) for change in changes]
    assert found == sorted(found)
    assert found[0] < found[-1]


@pytest.mark.parametrize("side", [1, 2, 3, 5, 12])
def test_small_scenes_have_plans(side: int) -> None:
    made = plan_scene(replace(INDIAN_PINES, rows=side, columns=side, bands=2, labels=1, noise=0.9))
    assert made.window % 2 == 1
    assert made.window <= max(2 * side - 1, 1)
    assert made.groups == 1


@pytest.mark.parametrize(("given", "told"), [(Given(window=8), "odd"), (Given(window=9, depth=9), "halved")])
def test_what_cannot_be_built_is_refused(given: Given, told: str) -> None:
    with pytest.raises(SettingError, match=told):
        plan_scene(INDIAN_PINES, given)


def test_the_order_of_classes_changes_no_plan() -> None:
    scene = toy_scene(shape=(40, 36))
    assert scene.labels is not None
    split = make_split("random_per_class:12", scene.labels, scene.n_classes, seed=0)
    renumbered = scene.with_(labels=np.where(scene.labels < 0, scene.labels, 2 - scene.labels).astype(np.int16))
    assert plan_scene(facts_of(renumbered, split)) == plan_scene(facts_of(scene, split))
