"""`hyperseg.segment`: what the commands do, from Python, on scans whose truth is known."""

from __future__ import annotations

import inspect
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import nibabel
import numpy as np
import pytest

from hyperseg import segment, write_toy_volumes
from hyperseg.cli.segment import STEPS, train
from hyperseg.core import DataFileError, RunError, SettingError

PACE = 1e7  # feature values a second, of a slow machine


@pytest.fixture(scope="module")
def toys(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_toy_volumes(tmp_path_factory.mktemp("toys") / "toys", 4, layout="decathlon")


@pytest.fixture(scope="module")
def trained(toys: Path, tmp_path_factory: pytest.TempPathFactory) -> segment.SegmentRun:
    out = tmp_path_factory.mktemp("runs") / "run"
    return segment.train(toys, out, steps=2, plan=narrow(toys), fold=0, device="cpu", quiet=True)


def narrow(folder: Path) -> segment.Plan:
    """A plan with networks of a few channels."""
    return segment.plan(folder, minutes=0.01, pace=PACE, device="cpu")


def test_there_is_a_function_for_every_command() -> None:
    assert set(STEPS) <= set(segment.__all__)
    assert (train.ALL, train.MINUTES) == (segment.ALL, segment.MINUTES)  # a command's module loads no torch
    assert all(inspect.getdoc(getattr(segment, name)) for name in segment.__all__)
    code = "import hyperseg, sys; print('torch' in sys.modules, callable(hyperseg.segment.train))"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.split() == ["False", "True"]


def test_toy_volumes_have_no_faults_but_their_spacings(toys: Path) -> None:
    found = segment.check(toys)
    assert not found.errors
    assert {fault.kind for fault in found.faults} == {"spacings"}
    assert len({case.group for case in found.folder.cases}) == 3


def test_minutes_make_networks_cheaper_and_change_nothing_else(toys: Path) -> None:
    cases = segment.open_cases(toys)
    usual, quick = segment.plan(cases), segment.plan(cases, minutes=0.01, pace=PACE, device="cpu")
    one, other = usual.configuration("3d"), quick.configuration("3d")
    assert quick.facts == usual.facts
    assert quick.spacing == usual.spacing
    assert other.patch == one.patch
    assert other.values < one.values
    assert usual == segment.make_plan(segment.take_fingerprint(cases))
    with pytest.raises(SettingError, match="minutes are of preset v2"):
        segment.plan(cases, minutes=1, gigabytes=4)


def test_a_plan_is_a_file(toys: Path, tmp_path: Path) -> None:
    plan = narrow(toys)
    segment.write_plan(plan, tmp_path / "plan.json")
    assert segment.read_plan(tmp_path / "plan.json") == plan
    with pytest.raises(DataFileError, match="exists"):
        segment.write_plan(plan, tmp_path / "plan.json")


def test_a_page_says_where_the_plan_was_given(trained: segment.SegmentRun) -> None:
    """It may have been made with tricks."""
    page = (trained.root / "report.html").read_text(encoding="utf-8")
    assert "without tricks, on a plan that was given." in page


def test_from_a_folder_to_scores(
    toys: Path, trained: segment.SegmentRun, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert segment.read_run(trained.root).record == trained.record
    monkeypatch.chdir(tmp_path)
    files = segment.predict(trained, toys, out="predicted", mirror=False, device="cpu", uncertainty=True, quiet=True)
    cases = segment.open_cases(toys).cases
    assert [file.name for file in files] == [f"{case.name}.nii.gz" for case in cases]
    image, doubt = (nibabel.load(file) for file in (cases[0].images[0], f"predicted/uncertainty/{files[0].name}"))
    assert doubt.get_data_dtype() == np.float32
    assert doubt.shape == image.shape[:3]
    assert np.allclose(doubt.affine, image.affine)
    assert 0 <= np.min(doubt.dataobj) < np.max(doubt.dataobj) <= 1
    found = segment.score("predicted", toys)
    assert list(found.classes.values()) == ["large organ", "small organ"]
    assert 0 <= found.mean("dice") <= 1
    assert found.unit == "mm"
    told = segment.evaluate(trained, toys, out="evaluated", mirror=False, device="cpu", quiet=True)
    assert told.unit == "mm"
    (one,) = told.networks
    assert all(one.mean(figure) == pytest.approx(found.mean(figure), nan_ok=True) for figure in ("dice", "iou", "hd95"))
    assert all(0 <= value <= 1 for value in (one.reliability.ece, one.brier / 2))
    (own,) = segment.evaluate(trained, out="held-out", device="cpu", quiet=True).networks
    assert sorted(own.worths) == sorted(trained.record.folds[0])


def test_what_contradicts_itself_is_refused_before_any_work(trained: segment.SegmentRun, toys: Path) -> None:
    with pytest.raises(SettingError, match="minutes and steps contradict"):
        segment.train(toys, "run", minutes=1, steps=1)
    with pytest.raises(RunError, match="is there already"):
        segment.train(toys, trained.root, steps=1)
    other = replace(trained.plan, facts=replace(trained.plan.facts, classes=("background", "a", "b")))
    with pytest.raises(SettingError, match="the plan is for the classes"):
        segment.train(toys, trained.root, steps=1, plan=other, resume=True)
