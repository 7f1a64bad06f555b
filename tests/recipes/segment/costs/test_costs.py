"""What training takes: estimated from a pace, tried on this machine, compared with what it was."""

from __future__ import annotations

import json
from dataclasses import asdict, replace
from pathlib import Path
from shutil import rmtree
from time import sleep
from typing import Any

import numpy as np
import pytest
from planned import fingerprint

from hyperseg.core.runtime import Runtime
from hyperseg.core.settings import from_json, to_json
from hyperseg.io.cases import CaseFolder, open_cases
from hyperseg.medical.plan import Plan, make_plan
from hyperseg.medical.v2 import FIRST_WIDTH
from hyperseg.recipes.segment.costs.estimate import Estimate, estimate
from hyperseg.recipes.segment.costs.pace import Pace, values_pace
from hyperseg.recipes.segment.costs.record import COSTS
from hyperseg.recipes.segment.costs.sentences import HEADS, expected, how_measured, planned, rows
from hyperseg.recipes.segment.costs.trials import middling
from hyperseg.recipes.segment.fold import Budget
from hyperseg.recipes.segment.folder import SegmentRun, fold_folder, read_run
from hyperseg.recipes.segment.methods.chosen import case_method
from hyperseg.recipes.segment.planning import plan_cases
from hyperseg.recipes.segment.starting import plan_of
from hyperseg.recipes.segment.training import Order, train_cases

QUIET = Runtime(quiet=True)
PLAN = make_plan(fingerprint("Hippocampus"))
ONE = PLAN.configuration("3d")
PACE = Pace("cpu", 2, False, 0.0, 0.1, 3.0, 0.5, 1.0, 0.25, 2.0, 9, 10**9, 2 * 10**8, 36.0, "given")


def of(budget: Budget, pace: Pace = PACE, *, mirror: bool = False) -> Estimate:
    return estimate(PLAN, ONE, pace, budget, n_cases=260, n_folds=5, mirror=mirror)


def test_counted_by_hand() -> None:
    found = of(Budget(steps=100))
    assert found.preparing_s == 260 * 0.1
    assert found.training_s == pytest.approx(100 * 3 + 10 * 9 * 0.5)  # ten looks at nine patches
    assert found.case_s == 0.25 + 2 * 1
    assert found.mirrored_s == 0.25 + 2 * 1 * 8 * 5
    assert found.validation_s == 52 * found.case_s  # without mirror images
    assert found.seconds(5) == pytest.approx(26 + 5 * (345 + 117))
    assert found.watt_hours(5) == pytest.approx(found.seconds(5) * 36 / 3600)
    assert found.training_bytes == 10**9
    assert found.step_madds == pytest.approx(9 * 3 * found.window_madds, rel=0.01)
    assert from_json(Estimate, json.loads(json.dumps(to_json(found)))) == found


def test_minutes_and_the_plans_own_steps() -> None:
    found = of(Budget(minutes=10))
    assert found.steps == (600 - 45) // 3
    assert found.training_s == 600
    assert of(Budget(minutes=10), replace(PACE, waiting=0.5)).steps == (300 - 45) // 3
    assert found.by_clock
    assert of(Budget(minutes=1e-3)).steps == 10
    assert of(Budget()).steps == 250_000


def test_a_batch_that_was_too_long_to_try_takes_more_memory_than_its_first_patch() -> None:
    tried_whole, tried_one = (of(Budget(steps=1), replace(PACE, patches=n)) for n in (9, 1))
    more = tried_one.training_bytes - tried_whole.training_bytes
    assert more == pytest.approx(ONE.training_bytes - replace_batch(1), rel=1e-6)


def replace_batch(n: int) -> float:
    """Bytes of the plan's step with so many patches: all but the weights' part is shared among them."""
    weights = 16 * ONE.parameters
    return (ONE.training_bytes - weights) * n / ONE.batch + weights


def test_folds_that_are_validated_with_mirror_images() -> None:
    found = of(Budget(steps=1), mirror=True)
    assert found.validation_s == pytest.approx(52 * (0.25 + 2 * 8))


def test_sentences() -> None:
    told = expected("3d", of(Budget(steps=100)), 5)
    assert "38 min 56 s for 5 folds" in told
    assert "at 36 W, as given by --watts" in told
    assert "waited" not in told
    waiting = expected("3d", of(Budget(steps=100), replace(PACE, waiting=0.5)), 1)
    assert "50.0 % of their time" in waiting
    assert "2.0 times as long" in waiting
    assert "1 000 steps 50 min 00 s" in planned("3d", of(Budget(steps=1)))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> CaseFolder:
    """Six pictures with a bright disc, of three sizes, in two groups."""
    root = tmp_path_factory.mktemp("discs")
    for i in range(6):
        rng, side = np.random.default_rng(i), 32 + 16 * (i % 3)
        far = np.hypot(*(np.indices((side, side)) - rng.integers(12, side - 12, 2)[:, None, None]))
        labels = (far < 9).astype(np.uint8)
        for kind, array in (("images", labels + rng.normal(0, 0.4, labels.shape)), ("labels", labels)):
            (root / kind).mkdir(exist_ok=True)
            np.save(root / kind / f"{'ab'[i % 2]}{i}.npy", array.astype(np.float32 if kind == "images" else np.uint8))
    found = open_cases(root)
    return replace(found, cases=tuple(replace(case, group=case.name[0]) for case in found.cases))


@pytest.fixture(scope="module")
def plan(folder: CaseFolder) -> Plan:
    made = plan_cases(folder)
    (one,) = made.configurations
    spec = replace(one.backbone, widths=tuple(8 * 2 ** min(i, 2) for i in range(len(one.backbone.widths))))
    return replace(made, configurations=(replace(one, backbone=spec, batch=4),))


@pytest.fixture(scope="module")
def run(folder: CaseFolder, plan: Plan, tmp_path_factory: pytest.TempPathFactory) -> SegmentRun:
    root = tmp_path_factory.mktemp("runs") / "run"
    return train_cases(folder, plan, root, Order(Budget(steps=20), watts=50.0), QUIET)


def test_a_run_is_compared_with_its_estimate(run: SegmentRun) -> None:
    """Everything compared is what was measured; and the estimate is not far off, whatever else the machine does."""
    assert read_run(run.root).record.found["costs"] == json.loads(json.dumps(run.record.found["costs"]))
    costs = run.record.found["costs"]["2d"]
    used = [json.loads((fold_folder(run.root, "2d", k) / "history.json").read_text()) for k in (0, 1)]
    training = [one["used"]["training"] for one in used]
    assert [one["seconds"] for one in used] == [one["seconds"] for one in training]
    row = costs["rows"]["training_s"]
    assert row["measured"] == pytest.approx(np.mean([one["seconds"] for one in training]))
    worked = np.mean([one["seconds"] - one["waited_s"] for one in training])
    assert row["ratio"] == pytest.approx(worked / row["estimated"])
    assert costs["rows"]["steps"] == {"estimated": 20, "measured": 20, "ratio": 1}
    parts = [costs["rows"][what]["measured"] for what in ("training_s", "validation_s")]
    assert costs["rows"]["total_s"]["measured"] == pytest.approx(
        costs["rows"]["preparing_s"]["measured"] + 2 * sum(parts)
    )
    for what in ("training_s", "total_s"):
        assert 0.2 < costs["rows"][what]["ratio"] < 5, what
    for what in ("training_bytes", "prediction_bytes"):
        if costs["rows"][what]["measured"]:
            assert 0.5 < costs["rows"][what]["ratio"] < 2, what


def test_energy_is_watts_times_seconds_where_no_counter_is(run: SegmentRun) -> None:
    costs = run.record.found["costs"]["2d"]
    row, total = costs["rows"]["watt_hours"], costs["rows"]["total_s"]
    assert row["estimated"] == pytest.approx(50 * total["estimated"] / 3600)
    told = how_measured(run.record.found["costs"])
    if costs["energy"] == "estimated":
        assert row["measured"] == pytest.approx(50 * (total["measured"] - total["waited"]) / 3600)
        assert "tells no energy" in told
    else:
        assert "counted by the machine" in told


def test_rows_say_what_run_json_says(run: SegmentRun) -> None:
    found = rows(run.record.found["costs"])
    assert all(len(row) == len(HEADS) for row in found)
    assert found[0] == ("2d: steps of a fold", "20", "20", "", "1.00")
    assert len(found) == len(run.record.found["costs"]["2d"]["rows"])


def test_another_budget_is_estimated_anew_and_a_finished_run_is_not_tried(
    folder: CaseFolder, plan: Plan, run: SegmentRun, tmp_path: Path
) -> None:
    def kept(root: Path) -> dict[str, Any]:
        found: dict[str, Any] = json.loads((root / "2d" / COSTS).read_text())
        return found

    before = kept(run.root)
    again = train_cases(folder, plan, run.root, Order(Budget(steps=20)), QUIET, resume=True)
    assert kept(run.root) == before
    assert again.record == run.record
    first = train_cases(folder, plan, tmp_path / "run", Order(Budget(steps=1), fold=0), QUIET)
    assert kept(first.root)["budget"] == asdict(Budget(steps=1))
    rmtree(first.root / "2d" / "fold0")  # folds of one configuration are of one budget
    train_cases(folder, plan, tmp_path / "run", Order(Budget(steps=2), fold=1), QUIET, resume=True)
    assert kept(first.root)["estimate"]["steps"] == 2
    assert kept(first.root)["preparing"]["seconds"] > 0


def test_cases_that_are_tried_begin_with_the_one_in_the_middle(folder: CaseFolder) -> None:
    sizes = [np.load(case.images[0]).shape[0] for case in middling(folder)]
    assert sizes[0] == 48
    assert sorted(sizes) == [32, 32, 48, 48, 64, 64]
    assert len(middling(folder, most=1)) == 1
    assert np.load(middling(folder, most=1)[0].images[0]).shape[0] == 48


def test_the_pace_of_the_planned_network(folder: CaseFolder, plan: Plan) -> None:
    one = plan.configurations[0]
    assert 1e4 < values_pace(folder, plan, one, QUIET) < 1e12


def test_the_pace_is_that_of_the_methods_own_steps(folder: CaseFolder, plan: Plan, tmp_path: Path) -> None:
    """Steps that take 0.1 s at least: no more values than so many patches have get through in that time."""
    usual = case_method()

    def slow(*given: Any) -> Any:
        phases, averages = usual.on.lesson(*given)

        def waiting(batch: Any) -> Any:
            sleep(0.1)
            return phases[0].loss(batch)

        return [replace(phases[0], loss=waiting)], averages

    method = replace(usual, on=replace(usual.on, lesson=slow))
    one = plan.configurations[0]
    most = one.batch * one.values / 0.1 * one.backbone.widths[0] / FIRST_WIDTH
    assert values_pace(folder, plan, one, QUIET, method=method) <= 1.05 * most
    made = plan_of(folder, tmp_path / "none", Budget(minutes=0.5), device="cpu", method=method)
    assert made.limit.pace <= 10 * max(c.values for c in made.configurations) * one.batch
