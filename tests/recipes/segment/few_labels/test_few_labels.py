"""A few labelled cases for each fold: which are drawn, that no other is learnt from, and what is told."""

from __future__ import annotations

import logging
import shutil
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from safetensors.torch import load_file
from small_cases import QUIET, boxes, order, stopped_at, tiny_plan

from hyperseg import segment
from hyperseg.backbone.pretrained import save_pretrained
from hyperseg.core import RunError, SettingError, SplitError
from hyperseg.core.settings import to_json
from hyperseg.io.cases import Case, CaseFolder, open_cases
from hyperseg.medical.networks import build_unet
from hyperseg.medical.plan import Plan
from hyperseg.recipes.segment.few_labels.drawing import draw_labelled
from hyperseg.recipes.segment.few_labels.weights import about_seen, plan_within, seen_by
from hyperseg.recipes.segment.folder import Record, SegmentRun, fold_folder, read_run
from hyperseg.recipes.segment.reporting.run_page import write_run_page
from hyperseg.recipes.segment.resuming.files import image_prints
from hyperseg.recipes.segment.training import Order, train_cases


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> CaseFolder:
    return boxes(tmp_path_factory.mktemp("boxes"))


@pytest.fixture(scope="module")
def plan(folder: CaseFolder) -> Plan:
    return tiny_plan(folder)


def few(n: int | None, *tricks: str) -> Order:
    return replace(order(2, *tricks), labelled=n)


@pytest.fixture(scope="module")
def run(folder: CaseFolder, plan: Plan, tmp_path_factory: pytest.TempPathFactory) -> SegmentRun:
    return train_cases(folder, plan, tmp_path_factory.mktemp("runs") / "few", few(2), QUIET)


def patients(n: int, visits: int) -> list[Case]:
    return [Case(f"p{i}_v{j}", (), group=f"p{i}") for i in range(n) for j in range(visits)]


def test_cases_are_drawn_of_different_patients_and_more_are_those_of_fewer() -> None:
    cases = patients(5, 3)
    folds = (("p0_v0", "p0_v1", "p0_v2"), ("p4_v0", "p4_v1", "p4_v2"))
    by_size = [draw_labelled(cases, folds, n, 7) for n in range(1, 13)]
    for n, drawn in enumerate(by_size, start=1):
        for names, held in zip(drawn, folds, strict=True):
            assert len(names) == n == len(set(names))
            assert not set(names) & set(held)
            visits = [sum(name.startswith(f"p{i}_") for name in names) for i in range(5) if f"p{i}_v0" not in held]
            assert max(visits) - min(visits) <= 1
    for one, other in pairwise(by_size):
        assert all(set(a) < set(b) for a, b in zip(one, other, strict=True))
    assert draw_labelled(cases[::-1], folds, 3, 7) == by_size[2]
    assert len({draw_labelled(cases, folds, 2, seed) for seed in range(8)}) > 1


def test_more_than_there_are_is_an_error() -> None:
    with pytest.raises(SplitError, match="--labelled 5: fold 0 has 4 training cases"):
        draw_labelled(patients(3, 2), (("p0_v0", "p0_v1"),), 5, 0)


def test_nothing_but_the_drawn_cases_is_learnt_from(
    folder: CaseFolder, plan: Plan, run: SegmentRun, tmp_path: Path
) -> None:
    """Other images and labels of all other training cases: the same weights."""
    drawn, held = run.record.labelled[0], run.record.folds[0]
    assert len(drawn) == 2
    other = tmp_path / "boxes"
    shutil.copytree(folder.root, other)
    for case in folder.cases:
        if case.name not in (*drawn, *held):
            for kind in ("images", "labels"):
                file = other / kind / f"{case.name}.npy"
                np.save(file, np.load(file)[::-1].copy())
    again = train_cases(open_cases(other), plan, tmp_path / "run", few(2), QUIET)
    one, two = (load_file(fold_folder(root, "2d", 0) / "weights.safetensors") for root in (run.root, again.root))
    assert all(np.array_equal(value, two[name]) for name, value in one.items())
    whole = train_cases(folder, plan, tmp_path / "whole", few(None), QUIET)
    assert whole.record.labelled == ()
    every = load_file(fold_folder(whole.root, "2d", 0) / "weights.safetensors")
    assert not all(np.array_equal(value, every[name]) for name, value in one.items())


def test_it_is_told_and_read_again(run: SegmentRun) -> None:
    assert read_run(run.root).record.labelled == run.record.labelled
    page = write_run_page(run).read_text(encoding="utf-8")
    assert "Each fold learns from 2 labelled cases alone" in page
    assert ", ".join(run.record.labelled[0]) in page


def test_runs_of_earlier_versions_know_nothing_of_it(run: SegmentRun) -> None:
    record = to_json(replace(run.record, labelled=()))
    assert "labelled" not in record
    assert Record.__dataclass_fields__["labelled"].default == ()


def test_it_goes_on_with_the_same_cases(folder: CaseFolder, plan: Plan, run: SegmentRun, tmp_path: Path) -> None:
    root = tmp_path / "run"
    with pytest.raises(KeyboardInterrupt):
        train_cases(folder, plan, root, few(2), stopped_at(1, "fold 0"))
    with pytest.raises(RunError, match="other labelled"):
        train_cases(folder, plan, root, few(3), QUIET, resume=True)
    done = train_cases(folder, plan, root, few(None), QUIET, resume=True)
    assert done.record.labelled == run.record.labelled
    one, two = (load_file(fold_folder(at, "2d", 0) / "weights.safetensors") for at in (root, run.root))
    assert all(np.array_equal(value, two[name]) for name, value in one.items())


def test_a_class_that_none_of_them_has_is_told(plan: Plan, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    folder = boxes(tmp_path / "boxes")
    for case in folder.cases[1:]:
        assert case.label is not None
        np.save(case.label, np.zeros_like(np.load(case.label)))
    with caplog.at_level(logging.WARNING):
        made = train_cases(folder, plan, tmp_path / "run", few(1), QUIET)
    drawn = made.record.labelled[0]
    lacking = folder.cases[0].name not in drawn
    told = [record for record in caplog.records if "1 case, has no foreground" in record.getMessage()]
    assert len(told) == lacking


def pretrained(folder: CaseFolder, planned: Plan, at: Path, **more: object) -> Path:
    """A file of weights as `hyperseg pretrain` writes it."""
    one = planned.configurations[0]
    seen = folder.cases[:3]
    about = {
        "from": folder.root.name, "cases": [case.name for case in seen], "kind": "folder",
        "prints": image_prints(folder, seen, quiet=True),
        "plan": to_json(planned), "configuration": one.name,
    } | more  # fmt: skip
    save_pretrained(at, build_unet(one, len(planned.facts.classes)), ["encoder", "decoder.merges.0"], about)
    return at


def test_the_plan_of_the_weights_is_the_plan_of_the_run(folder: CaseFolder, plan: Plan, tmp_path: Path) -> None:
    file = pretrained(folder, plan, tmp_path / "w.safetensors")
    made = segment.train(
        folder, tmp_path / "run", weights=file, labelled=2, steps=2, fold=0, device="cpu", quiet=True
    )  # fmt: skip
    assert made.plan == plan
    assert made.record.tricks == (f"given-weights:file={file}",)
    seen = made.record.found["seen_without_labels"]
    assert seen == seen_by(made.record.tricks, made.record.folds, folder, quiet=True)
    page = (made.root / "report.html").read_text(encoding="utf-8")
    assert ("Transductive: images of" in page) == ("0" in seen)
    file.unlink()
    again = segment.train(folder, made.root, fold=0, device="cpu", quiet=True, resume=True)
    assert again.record.labelled == made.record.labelled


def test_what_was_seen_is_told_by_fold(folder: CaseFolder, plan: Plan, tmp_path: Path) -> None:
    file = pretrained(folder, plan, tmp_path / "w.safetensors")
    tricks, folds = (f"given-weights:file={file}",), (("c0", "c5"), ("c4",), ("c1", "c2"))
    seen = seen_by(tricks, folds, folder, quiet=True)
    assert seen == {"0": ["c0"], "2": ["c1", "c2"]}
    assert about_seen(seen, [1]) == ""
    assert about_seen(seen, [0, 1, 2]).startswith("Transductive: images of 3 held-out cases (c0, c1, c2)")
    assert seen_by((), folds, folder, quiet=True) == {}
    copy = tmp_path / "elsewhere"
    shutil.copytree(folder.root, copy)
    assert seen_by(tricks, folds, open_cases(copy), quiet=True) == seen
    (one,) = next(case for case in open_cases(copy).cases if case.name == "c1").images
    np.save(one, np.load(one)[::-1])
    assert seen_by(tricks, folds, open_cases(copy), quiet=True) == {"0": ["c0"], "2": ["c2"]}


def test_weights_of_something_else_are_refused(folder: CaseFolder, plan: Plan, tmp_path: Path) -> None:
    one = tmp_path / "w.safetensors"
    other = replace(plan, facts=replace(plan.facts, channels=("CT", "PET")))
    with pytest.raises(SettingError, match="learnt by a plan for the channels CT and PET"):
        plan_within(pretrained(folder, other, one), folder)
    named = replace(plan.facts, classes=("background", "a", "b"))
    with pytest.raises(SettingError, match="classes background, a and b"):
        plan_within(pretrained(folder, replace(plan, facts=named), one), folder)
    with pytest.raises(RunError, match="hyperseg classify"):
        plan_within(pretrained(folder, plan, one, kind="scene"), folder)
    with pytest.raises(RunError, match="cannot be read"):
        plan_within(pretrained(folder, plan, one, plan={"axes": 3}), folder)
    assert plan_within(pretrained(folder, plan, one, plan=None), folder) is None
    pretrained(folder, plan, one)
    with pytest.raises(SettingError, match="give one of them"):
        segment.train(folder, tmp_path / "r", weights=one, tricks=["given-weights:file=x"], quiet=True)
    wide = tiny_plan(folder, (5, 6))
    with pytest.raises(RunError, match="does not fit the network"):
        segment.train(folder, tmp_path / "r", weights=one, plan=wide, steps=1, fold=0, device="cpu", quiet=True)
    assert not (tmp_path / "r").exists()
