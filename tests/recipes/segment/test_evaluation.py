"""From a run to an evaluation: methods whose answers are known, by folds and on other folders; what is refused."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from drawing import known, pictures, trained
from running import Hyperseg

from hyperseg import segment
from hyperseg.cli.segment.evaluate import evaluate
from hyperseg.core import SettingError
from hyperseg.recipes.segment.evaluation.answers import alike, answered, drawing_of, masks_of, redrawn, sizes
from hyperseg.recipes.segment.evaluation.running import CURVE, about_pairs
from hyperseg.recipes.segment.folder import load_networks
from hyperseg.recipes.segment.methods.chosen import case_method
from hyperseg.recipes.segment.prediction.cost import Cost
from hyperseg.recipes.segment.prediction.one_case import Work


@pytest.fixture(autouse=True)
def methods(monkeypatch: pytest.MonkeyPatch) -> None:
    known(monkeypatch)


@pytest.fixture
def run(tmp_path: Path) -> segment.SegmentRun:
    """One that draws, and beside it one that does not."""
    data = pictures(tmp_path / "data")
    found = trained(tmp_path / "run", data)
    trained(tmp_path / "run" / "beside" / "once", data, "once")
    return found


def test_known_answers_have_known_figures(run: segment.SegmentRun, tmp_path: Path) -> None:
    """Three masks of which the second is a pixel to the side; one call a mask finds nothing."""
    found = segment.evaluate(run, out=tmp_path / "out", curve=(1,), device="cpu", quiet=True)
    first, twin = found.networks
    assert (first.name, twin.name) == ("draws", "once")
    assert first.mean("dice") == twin.mean("dice") == 1
    assert first.mean("hd95") == 0
    assert set(first.worths) == {"c0", "c1", "c2", "c3"}
    assert first.compared["samples"] == {"1": 1, "2": pytest.approx(1, abs=0.1), "3": 1}
    assert first.compared["calls"] == {"1": 0, "2": 1}
    assert set(first.compared["fusion"]) == {"majority", "mean", "staple", "staple-all", "steps"}
    assert first.distance > 0
    assert first.diversity > 0
    assert twin.compared == {}
    assert twin.reliability.ece == pytest.approx(0.1, abs=1e-5)  # always right, says 0.9
    assert twin.brier == pytest.approx(2 * 0.1**2, abs=1e-5)
    assert (first.calls, twin.calls) == (6, 1)
    told = json.loads((tmp_path / "out" / "metrics.json").read_text())
    assert told["networks"]["draws"]["dice_by"]["calls"]["1"] == 0
    assert told["networks"]["draws"]["drawn"]["samples"] == 3
    assert told["networks"]["once"]["drawn"] is None
    assert "never saw" in told["how"]
    assert {file.name for file in (tmp_path / "out").iterdir()} == {"metrics.json", "evaluation.png", "report.html"}


def test_the_disagreement_is_where_masks_differ(run: segment.SegmentRun, tmp_path: Path) -> None:
    found = segment.evaluate(run, out=tmp_path / "out", curve=(), device="cpu", quiet=True)
    assert "calls" not in found.networks[0].compared or found.networks[0].compared["calls"] == {"2": 1}
    assert "steps" not in found.networks[0].compared["fusion"], "nothing is drawn anew"
    one = next(one for one in found.slices if one.name == "c0")
    assert found.doubt == "disagreement"
    assert set(np.flatnonzero(one.doubt.any(0))) == {6, 14}, "columns at both sides"


def test_other_folders_are_answered_by_all_folds(run: segment.SegmentRun, tmp_path: Path) -> None:
    data = pictures(tmp_path / "upside", right=False)
    found = segment.evaluate(run, data, out=tmp_path / "out", settings={"samples": 1}, device="cpu", quiet=True)
    assert found.networks[0].mean("dice") < 1
    assert found.networks[0].calls == 2 * 1 * 2
    assert "folds 0-1 together" in found.how
    assert found.networks[1].auroc == {"1 - confidence": 0.5, "entropy": 0.5}, "one doubt everywhere"


def test_folds_that_are_not_there_leave_their_images_out(tmp_path: Path) -> None:
    run = trained(tmp_path / "run", pictures(tmp_path / "data"), folds=(1,))
    found = segment.evaluate(run, out=tmp_path / "out", device="cpu", quiet=True)
    assert set(found.networks[0].worths) == {"c1", "c3"}
    assert "fold 0" in found.notes[0]


def test_folds_that_are_asked_for_are_no_surprise(run: segment.SegmentRun, tmp_path: Path) -> None:
    found = segment.evaluate(run, out=tmp_path / "out", curve=(), folds=[0], device="cpu", quiet=True)
    assert found.notes == ()
    assert found.how.startswith("images of fold 0, each")


@pytest.mark.parametrize(("curve", "masks"), [((), 3), ((1,), 9), ((1, 2, 5), 12)])
def test_a_bar_moves_with_every_mask(run: segment.SegmentRun, curve: tuple[int, ...], masks: int) -> None:
    """Three, again for each other number of calls, and for the rule that is at work while they are drawn."""
    (name,) = run.chosen
    work = Work(run.plan, {name: load_networks(run, name)}, run.method, False, torch.device("cpu"), 0, Cost())
    folder, told = segment.open_cases(run.record.folder), []
    answered(segment.read_case(folder, folder.cases[0]), work, [name], (), curve=curve, tell=lambda: told.append(1))
    assert len(told) == masks_of(run.method, curve, drawn=True) == masks


@pytest.mark.parametrize("out", ["run/2d", "data", "data/images/new"])
def test_nothing_is_written_among_what_is_read(run: segment.SegmentRun, tmp_path: Path, out: str) -> None:
    """Pictures of an evaluation would be taken for images, or go with the run."""
    with pytest.raises(SettingError, match="outside of it"):
        segment.evaluate(run, out=tmp_path / out, device="cpu", quiet=True)
    assert not (tmp_path / "data" / "images" / "new").exists()


@pytest.mark.parametrize("file", ["run.json", "2d/fold1/weights.safetensors"])
def test_a_method_beside_that_is_damaged_is_left_out_with_a_word(
    run: segment.SegmentRun, tmp_path: Path, caplog: pytest.LogCaptureFixture, file: str
) -> None:
    twin = run.root / "beside" / "once"
    (twin / file).write_bytes(b"garbage")
    found = segment.evaluate(run, out=tmp_path / "out", curve=(), device="cpu", quiet=True)
    assert [one.name for one in found.networks] == ["draws"]
    assert f"remove {twin}" in (*found.notes, caplog.text)[0]


def test_calls_are_those_that_are_made() -> None:
    """Heun's method pays two calls a step and one for the last: of two it makes one."""
    method = case_method("medsegdiff")
    assert method.on.looks(method.settings, 2, False) == 30
    heun = method.drawing({"sampler": "heun", "calls": 2, "samples": 4})
    assert heun.on.looks(heun.settings, 2, False) == 4


def test_rules_fuse_the_masks_that_they_are_for() -> None:
    """Means over the calls of each mask are another drawing than final masks, whichever is the default."""
    method = case_method("medsegdiff")
    finals = ("majority", "mean", "staple", "staple-all")
    assert alike(method, "steps") == ("steps",)
    assert alike(method, "mean") == finals
    usual = drawing_of(method)["calls"]
    assert redrawn(method, (1, usual)) == [("calls", 1), ("fusion", "majority")]
    assert redrawn(method.drawing({"fusion": "mean"}), (1, usual)) == [("calls", 1), ("fusion", "steps")]
    assert redrawn(method, ()) == []


def test_of_two_configurations_it_says_that_nothing_is_told_of_samples(run: segment.SegmentRun) -> None:
    assert about_pairs(run) == ()
    both = replace(run, record=replace(run.record, chosen=("2d", "3d")))
    assert "2d and 3d predict together" in about_pairs(both)[0]
    once = run.beside["once"]
    assert about_pairs(replace(once, record=replace(once.record, chosen=("2d", "3d")))) == ()


def test_sizes_of_ensembles_end_with_all() -> None:
    assert [sizes(n) for n in (1, 2, 3, 10, 25)] == [[1], [1, 2], [1, 2, 3], [1, 2, 5, 10], [1, 2, 5, 10, 20, 25]]


def test_the_command(hyperseg: Hyperseg, run: segment.SegmentRun, tmp_path: Path) -> None:
    assert next(one for one in evaluate.params if one.name == "curve").default == ",".join(map(str, CURVE))
    words = ("segment", "evaluate", "run", "--out", "out", "--device", "cpu", "--quiet", "--samples", "2")
    answer = hyperseg(*words)
    assert answer.code == 0, answer.err
    assert "draws" in answer.out
    assert "1.000" in answer.out
    assert "draws is ahead in ECE (0.00 % against 10.00 %)" in answer.out
    assert "1-conf." in answer.out
    assert "exists" in hyperseg(*words).error
    assert hyperseg(*words, "--overwrite", "--curve", "none").code == 0
    told = hyperseg("segment", "evaluate", "run", "data", "--out", "own", "--device", "cpu", "--quiet")
    assert "4 of 4 images were learnt from" in told.err


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("data",), "is no run"),
        (("run", "nowhere"), "nowhere"),
        (("run", "data/images"), "label"),
        (("run", "others"), "has the classes"),
        (("run", "--curve", "1,x"), "numbers of network calls"),
        (("run", "--set", "draw.fusion=quarrel"), "majority"),
        (("run", "--folds", "7"), "no trained network"),
        (("once", "--samples", "3"), "is no option of once"),
    ],
)
def test_refusals(
    hyperseg: Hyperseg, run: segment.SegmentRun, tmp_path: Path, words: tuple[str, ...], told: str
) -> None:
    trained(tmp_path / "once", tmp_path / "data", "once")
    np.save(pictures(tmp_path / "others") / "labels" / "c0.npy", np.full((20, 24), 7, np.uint8))
    answer = hyperseg("segment", "evaluate", *words, "--out", "out", "--quiet", "--device", "cpu")
    assert told in answer.error
    assert not (tmp_path / "out").exists()


def test_settings_of_drawing_are_of_methods_that_draw(run: segment.SegmentRun, tmp_path: Path) -> None:
    other = trained(tmp_path / "once", tmp_path / "data", "once")
    with pytest.raises(SettingError, match="once draws no masks"):
        segment.evaluate(other, out=tmp_path / "out", settings={"samples": 3}, device="cpu", quiet=True)
    with pytest.raises(SettingError, match="no setting named sample"):
        segment.evaluate(run, out=tmp_path / "out", settings={"sample": 3}, device="cpu", quiet=True)
    assert not (tmp_path / "out").exists()


def test_a_run_whose_images_have_gone_is_told(hyperseg: Hyperseg, run: segment.SegmentRun, tmp_path: Path) -> None:
    (tmp_path / "data").rename(tmp_path / "moved")
    words = ("segment", "evaluate", "run", "--out", "out", "--quiet", "--device", "cpu")
    assert "is not there" in hyperseg(*words).error
    assert hyperseg(*words[:3], "moved", *words[3:]).code == 0


def test_masks_of_255_are_those_of_1(run: segment.SegmentRun, tmp_path: Path) -> None:
    data = pictures(tmp_path / "bytes")
    for file in (data / "labels").iterdir():
        np.save(file, 255 * np.load(file))
    found = segment.evaluate(run, data, out=tmp_path / "out", curve=(), device="cpu", quiet=True)
    assert found.networks[0].mean("dice") == 1
