"""A run goes on with the cases, the plan and the length that it was begun with, and with networks that are whole."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load

from hyperseg.core import RunError
from hyperseg.core.runtime import Runtime
from hyperseg.core.settings import to_json
from hyperseg.io.cases import CaseFolder, open_cases
from hyperseg.medical.plan import Plan
from hyperseg.recipes.segment.fold import STEPS, Budget
from hyperseg.recipes.segment.folder import fold_folder, load_networks, read_run
from hyperseg.recipes.segment.planning import plan_cases
from hyperseg.recipes.segment.reporting.run_page import write_run_page
from hyperseg.recipes.segment.resuming.files import prints_of
from hyperseg.recipes.segment.training import Order, train_cases

QUIET = Runtime(quiet=True)
ORDER = Order(Budget(steps=2), ("2d",), 0)


def square(i: int) -> tuple[np.ndarray, np.ndarray]:
    labels = np.zeros((16, 16), np.uint8)
    labels[3 : 8 + i, 4:11] = 1
    return (labels + np.random.default_rng(i).normal(0, 0.3, labels.shape)).astype(np.float32), labels


def write(root: Path, i: int, image: np.ndarray, labels: np.ndarray) -> None:
    for kind, array in (("images", image), ("labels", labels)):
        (root / kind).mkdir(parents=True, exist_ok=True)
        np.save(root / kind / f"c{i}.npy", array)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with "data" of four pictures and a "run" of one fold."""
    base = tmp_path_factory.mktemp("whole")
    for i in range(4):
        write(base / "data", i, *square(i))
    folder = open_cases(base / "data")
    plan = plan_cases(folder)
    (one,) = plan.configurations
    spec = replace(one.backbone, widths=tuple(4 for _ in one.backbone.widths))
    plan = replace(plan, configurations=(replace(one, backbone=spec, batch=2),))
    train_cases(folder, plan, base / "run", ORDER, QUIET)
    return base


@pytest.fixture
def base(whole: Path, tmp_path: Path) -> Path:
    """A copy of it, dates and all other than they were."""
    for name in ("data", "run"):
        shutil.copytree(whole / name, tmp_path / name, copy_function=shutil.copy)
    return tmp_path


def resume(base: Path, order: Order = ORDER, runtime: Runtime = QUIET) -> None:
    run = base / "run"
    train_cases(open_cases(base / "data"), read_run(run).plan, run, order, runtime, resume=True)


def steps_done(base: Path, order: Order = ORDER) -> list[str]:
    told: list[str] = []
    resume(base, order, replace(QUIET, on_step=lambda title, done: told.append(title)))
    return told


def test_a_copy_of_a_data_set_is_the_same_one(base: Path) -> None:
    assert steps_done(base) == []
    record = read_run(base / "run").record
    assert record.prints == prints_of(open_cases(base / "data"), quiet=True)
    assert len(set(record.prints.values())) == 4


@pytest.mark.parametrize("kind", ["images", "labels"])
def test_changed_files_are_told_by_name(base: Path, kind: str) -> None:
    image, labels = square(2)
    write(base / "data", 2, image + (kind == "images"), labels[::-1] if kind == "labels" else labels)
    with pytest.raises(RunError, match=r"case c2 has other values since .*--overwrite"):
        resume(base, replace(ORDER, fold=1))
    file = base / "run" / "run.json"
    old = json.loads(file.read_text())
    del old["prints"]
    file.write_text(json.dumps(old))
    resume(base, replace(ORDER, fold=1))  # a run of an earlier version says nothing of its cases
    assert read_run(base / "run").record.trained == {"2d": [0, 1]}


def test_cases_that_come_and_go_are_told_by_name(base: Path) -> None:
    write(base / "data", 4, *square(4))
    with pytest.raises(RunError, match="case c4 is new"):
        resume(base)
    for i in (1, 4):
        for kind in ("images", "labels"):
            (base / "data" / kind / f"c{i}.npy").unlink()
    with pytest.raises(RunError, match="case c1 is gone"):
        resume(base)


def test_folds_of_one_configuration_have_one_length(base: Path) -> None:
    for other, fold in ((Budget(steps=3), 1), (Budget(minutes=1.0), 1), (Budget(steps=3), 0)):
        with pytest.raises(RunError, match=r"2d was begun with --steps 2. Resume with the same or with neither"):
            resume(base, replace(ORDER, budget=other, fold=fold))
    assert len(steps_done(base, Order(Budget(minutes=30.0), ("2d",), 1, as_begun=True))) == 2
    for fold in (0, 1):
        assert json.loads((fold_folder(base / "run", "2d", fold) / "history.json").read_text())["steps"] == 2


def edit_plan(base: Path) -> None:
    plan: Plan = read_run(base / "run").plan
    training = replace(plan.training, loss=replace(plan.training.loss, smooth=0.5))
    (base / "run" / "plan.json").write_text(json.dumps(to_json(replace(plan, training=training))))


def test_a_plan_changed_by_hand_is_not_gone_on_with(base: Path) -> None:
    edit_plan(base)
    with pytest.raises(RunError, match=r"weights.safetensors: was trained with another plan than .*plan.json is now"):
        resume(base, replace(ORDER, fold=1))


def test_nor_is_an_unfinished_network(base: Path) -> None:
    def stop(title: str, done: int) -> None:
        raise KeyboardInterrupt

    shutil.rmtree(fold_folder(base / "run", "2d", 0))
    with pytest.raises(KeyboardInterrupt):
        resume(base, runtime=replace(QUIET, on_step=stop))
    assert (fold_folder(base / "run", "2d", 0) / STEPS).exists()
    edit_plan(base)
    with pytest.raises(RunError, match=r"fold0: was trained with another plan"):
        resume(base)


@pytest.mark.parametrize("kept", [0, 5, 200, -1])
def test_damaged_weights_are_trained_again(base: Path, kept: int, caplog: pytest.LogCaptureFixture) -> None:
    file = fold_folder(base / "run", "2d", 0) / "weights.safetensors"
    before = load(file.read_bytes())
    file.write_bytes(file.read_bytes()[:kept])
    assert len(steps_done(base)) == 2
    assert "damaged" in caplog.text
    assert "fold 0 of 2d is to be trained again" in caplog.text
    after = load(file.read_bytes())
    assert all(torch.equal(after[name], before[name]) for name in before)
    load_networks(read_run(base / "run"), "2d")


@pytest.mark.parametrize("harm", [None, "", "[]", "{}", '{"steps": 2', "\x00"])
def test_damaged_histories_are_refused_by_name(base: Path, harm: str | None) -> None:
    file = fold_folder(base / "run", "2d", 0) / "history.json"
    if harm is None:
        file.unlink()
    else:
        file.write_text(harm)
    actions: tuple[Callable[[], object], ...] = (lambda: resume(base), lambda: write_run_page(read_run(base / "run")))
    for act in actions:
        with pytest.raises(RunError, match=r"history.json: missing, damaged, .* Train this fold again"):
            act()
    shutil.rmtree(file.parent)
    assert len(steps_done(base)) == 2


def test_dataset_options_belong_to_the_cases(base: Path) -> None:
    folder: CaseFolder = open_cases(base / "data")
    assert prints_of(replace(folder, ignore=1), quiet=True) != prints_of(folder, quiet=True)
