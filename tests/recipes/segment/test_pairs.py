"""Pairs are compared on cases that neither network saw; what is measured with or without mirrors is predicted so."""

from __future__ import annotations

import json
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pytest

from hyperseg.backbone import seeded
from hyperseg.core import RunError
from hyperseg.core.runtime import Runtime
from hyperseg.io.cases import CaseFolder, open_cases, read_case
from hyperseg.medical.networks import build_unet
from hyperseg.medical.plan import Plan
from hyperseg.recipes.segment.checks import chosen_folds
from hyperseg.recipes.segment.choosing import case_dice
from hyperseg.recipes.segment.fold import Budget
from hyperseg.recipes.segment.folder import Record, SegmentRun, load_networks, read_run, write_fold, write_run
from hyperseg.recipes.segment.held_out.networks import evaluate, networks_of
from hyperseg.recipes.segment.held_out.pairs import compare_pairs, pair_rows
from hyperseg.recipes.segment.planning import plan_cases
from hyperseg.recipes.segment.predicting import predict_case, predict_images
from hyperseg.recipes.segment.starting import recommended
from hyperseg.recipes.segment.summing import case_of, summed
from hyperseg.recipes.segment.training import Order, train_cases

QUIET = Runtime(quiet=True)
NAMES = ("2d", "3d")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> CaseFolder:
    """Four volumes of noise with a block."""
    root = tmp_path_factory.mktemp("blocks")
    for i in range(4):
        labels = np.zeros((8, 10, 12), np.uint8)
        labels[2:6, 3:8, 2 + i : 7 + i] = 1
        image = np.random.default_rng(i).normal(0, 0.5, labels.shape) + labels
        for kind, array in (("images", image.astype(np.float32)), ("labels", labels)):
            (root / kind).mkdir(exist_ok=True)
            np.save(root / kind / f"c{i}.npy", array)
    return open_cases(root)


@pytest.fixture(scope="module")
def plan(folder: CaseFolder) -> Plan:
    made = plan_cases(folder)
    thin = (replace(c, backbone=replace(c.backbone, widths=(3,) * len(c.backbone.widths)), batch=2)
            for c in made.configurations)  # fmt: skip
    training = replace(made.training, inference=replace(made.training.inference, folds=2))
    return replace(made, configurations=tuple(thin), training=training)


@pytest.fixture
def run(folder: CaseFolder, plan: Plan, tmp_path: Path) -> SegmentRun:
    """Networks of both configurations and folds as they begin, measured on the cases of their folds."""
    made = write_run(
        tmp_path / "run", plan,
        Record("", folder.classes, folder.codes, folder.channels, 0, chosen_folds(folder, 2, 0), mirrored=False),
    )  # fmt: skip
    for name in NAMES:
        for fold, cases in enumerate(made.record.folds):
            with seeded(fold):
                net = build_unet(plan.configuration(name), 2).eval()
            rows = evaluate(made, folder, [name], {name: [net]}, cases, mirror=False, runtime=QUIET, title="")
            history = {"cases": {case: asdict(row) for case, row in rows.items()}, "mirrored": False}
            history |= {"steps": 0, "seconds": 0.0, "at": [], "losses": {}, "validated": [], "patch_dice": []}
            history["optimiser"] = "none"
            write_fold(made, name, fold, net.state_dict(), history)
    return made


def test_pairs_are_measured_on_cases_that_neither_saw(folder: CaseFolder, run: SegmentRun) -> None:
    compare_pairs(run, folder, NAMES, mirror=False, runtime=QUIET)
    rows = pair_rows(run.root, NAMES)
    assert sorted(rows) == ["c0", "c1", "c2", "c3"]
    for fold, cases in enumerate(run.record.folds):
        networks = {name: load_networks(run, name, [fold]) for name in NAMES}
        assert {name: len(nets) for name, nets in networks_of(run, NAMES, fold, QUIET).items()} == {"2d": 1, "3d": 1}
        for case in cases:
            scene = read_case(folder, folder.case(case))
            both = predict_case(scene, run.plan, networks, NAMES, mirror=False)
            assert case_of(rows[case]) == case_dice(both, np.asarray(scene.labels), 2)


def test_the_best_single_or_pair_is_chosen(folder: CaseFolder, run: SegmentRun) -> None:
    trained = {name: [0, 1] for name in NAMES}
    assert len(summed(run, trained).chosen) == 1
    compare_pairs(run, folder, NAMES, mirror=False, runtime=QUIET)
    file = run.root / "pairs" / "2d + 3d.json"
    before = file.read_bytes()
    compare_pairs(run, folder, NAMES, mirror=False, runtime=QUIET)
    assert file.read_bytes() == before
    for value, chosen in ((1.0, 2), (0.0, 1)):
        row = {way: [value] for way in ("raw", "single", "whole", "both")} | {"pieces": [1]}
        file.write_text(json.dumps({name: row for names in run.record.folds for name in names}))
        found = summed(run, trained)
        assert len(found.chosen) == chosen
        assert found.numbers["dice"]["2d + 3d"]["mean"] == value
    file.write_text(json.dumps({"c0": row}))
    assert list(summed(run, trained).numbers["dice"]) == ["2d", "3d"], "a pair that was not looked at on all cases"


def test_prediction_mirrors_where_cross_validation_did(folder: CaseFolder, run: SegmentRun, tmp_path: Path) -> None:
    image, found = folder.cases[0].images[0], {}
    for name, mirrored, asked in (("a", True, None), ("b", False, None), ("c", True, False), ("d", False, True)):
        write_run(run.root, run.plan, replace(run.record, mirrored=mirrored, chosen=("3d",)))
        (file,) = predict_images(run.root, image, out=tmp_path / name, device="cpu", mirror=asked, quiet=True)
        found[name] = np.load(file)
    assert (found["a"] == found["d"]).all()
    assert (found["b"] == found["c"]).all()
    assert (found["a"] != found["b"]).any()


def test_a_run_knows_whether_it_mirrors(folder: CaseFolder, plan: Plan, tmp_path: Path) -> None:
    order = Order(Budget(steps=1), ("2d",), 0)
    for name, mirror, expected in (("usual", None, False), ("asked", True, True)):
        train_cases(folder, plan, tmp_path / name, replace(order, mirror=mirror), QUIET)
        assert read_run(tmp_path / name).record.mirrored is expected
        history = json.loads((tmp_path / name / "2d" / "fold0" / "history.json").read_text())
        assert history["mirrored"] is expected
    train_cases(folder, plan, tmp_path / "asked", order, QUIET, resume=True)
    with pytest.raises(RunError, match="begun with mirror images"):
        train_cases(folder, plan, tmp_path / "asked", replace(order, mirror=False), QUIET, resume=True)


def test_a_network_trained_anew_forgets_the_pairs(folder: CaseFolder, run: SegmentRun) -> None:
    compare_pairs(run, folder, NAMES, mirror=False, runtime=QUIET)
    (run.root / "2d" / "fold1" / "weights.safetensors").unlink()
    other = run.root / "pairs" / "3d + 3d_low.json"
    other.write_text("{}")
    train_cases(folder, run.plan, run.root, Order(Budget(steps=1), ("2d",), 1), QUIET, resume=True)
    assert other.exists(), "nothing of it was trained"
    again = pair_rows(run.root, NAMES)
    expected = networks_of(run, NAMES, 1, QUIET)
    (case, *_) = run.record.folds[1]
    scene = read_case(folder, folder.case(case))
    both = predict_case(scene, run.plan, expected, NAMES, mirror=False)
    assert case_of(again[case]) == case_dice(both, np.asarray(scene.labels), 2)


def test_what_is_trained_where_nobody_says(plan: Plan) -> None:
    flat, whole = plan.configurations
    low, after = replace(whole, name="3d_low"), replace(whole, name="3d_cascade", after="3d_low")
    cascade = replace(plan, configurations=(flat, whole, low, after))
    long, short = (Budget(), Budget(steps=2500), Budget(60.0)), (Budget(steps=2499), Budget(59.0))
    assert {recommended(cascade, budget) for budget in long} == {("3d", "3d_cascade")}
    assert {recommended(cascade, budget) for budget in short} == {("3d",)}
    assert {recommended(plan, budget) for budget in long + short} == {("3d",)}
    assert recommended(replace(plan, configurations=(flat,)), Budget()) == ("2d",)
    thin = replace(plan, configurations=(flat, replace(whole, in_plane=True)))  # few slices, each of many pixels
    assert {recommended(thin, budget) for budget in short} == {("2d",)}
    assert {recommended(thin, budget) for budget in long} == {("3d",)}
