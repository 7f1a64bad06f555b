"""`--target` of `hyperseg segment`: planned, remembered by the run, predicted with the folder's codes, and scored."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from running import Hyperseg

QUICK = ("--steps", "2", "--fold", "0", "--device", "cpu", "--quiet")


@pytest.fixture
def fundus(tmp_path: Path) -> str:
    """Six pictures with a rim (1) around a cup (2); one more, in test/, is held back."""
    for i in range(7):
        labels = np.zeros((20, 24), np.uint8)
        labels[4 : 10 + i, 4:16] = 1
        labels[6 : 8 + i, 7:13] = 2
        image = np.random.default_rng(i).normal(0, 0.3, labels.shape).astype(np.float32) + labels
        for kind, array in (("images", image), ("labels", labels)):
            place = tmp_path / "fundus" / ("test" if i == 6 else "training") / kind
            place.mkdir(parents=True, exist_ok=True)
            np.save(place / f"c{i}.npy", array)
    return "fundus"


def test_a_run_remembers_its_target(hyperseg: Hyperseg, fundus: str, tmp_path: Path) -> None:
    words = ("segment", "train", fundus, *QUICK)
    done = hyperseg(*words, "--target", "cup=2")
    assert done.code == 0, done.err
    record = json.loads((tmp_path / "fundus-run" / "run.json").read_text())
    assert (record["classes"], record["codes"], record["targets"]) == (["background", "cup"], [0, 2], ["cup=2"])
    assert hyperseg(*words, "--resume").code == 0
    assert "has background, class 1" in hyperseg(*words, "--resume", "--target", "1").error
    done = hyperseg("segment", "predict", "fundus-run", fundus, "--out", "found", "--device", "cpu", "--quiet")
    assert done.code == 0, done.err
    assert set(np.unique(np.asarray(Image.open(tmp_path / "found" / "c6.png")))) <= {0, 2}
    done = hyperseg("segment", "evaluate", "fundus-run", fundus, "--out", "honest", "--device", "cpu", "--quiet")
    assert done.code == 0, done.err
    words = ("segment", "score", "found", fundus, "--target", "cup=2", "--out", "scores.json", "--quiet")
    assert hyperseg(*words).code == 0
    dice = json.loads((tmp_path / "scores.json").read_text())["mean"]["dice"]
    assert f"{dice:.3f}" in done.out


def test_scores_of_a_target_are_those_of_its_mask(hyperseg: Hyperseg, fundus: str, tmp_path: Path) -> None:
    truth = np.load(tmp_path / fundus / "test" / "labels" / "c6.npy")
    disc = np.roll(truth > 0, 3, 1)
    (tmp_path / "found").mkdir()
    np.save(tmp_path / "found" / "c6.npy", disc.astype(np.uint8))
    words = ("segment", "score", "found", fundus, "--quiet", "--target", "disc=1+2", "--report", "page.html")
    answer = hyperseg(*words, "--out", "scores.json")
    assert answer.code == 0, answer.err
    scored = json.loads((tmp_path / "scores.json").read_text())
    assert scored["targets"] == ["disc=1+2"]
    assert list(scored["classes"]) == ["disc"]
    both = 2 * (disc & (truth > 0)).sum() / (disc.sum() + (truth > 0).sum())
    assert scored["mean"]["dice"] == pytest.approx(both)
    labels = f"{fundus}/test/labels"
    assert "label files alone" in hyperseg("segment", "score", "found", labels, "--target", "2", "--quiet").error


def test_a_plan_of_other_classes_is_refused(hyperseg: Hyperseg, fundus: str, tmp_path: Path) -> None:
    made = hyperseg("segment", "plan", fundus, "--target", "1+2", "--out", "plan.json", "--quiet")
    assert made.code == 0, made.err
    words = ("segment", "train", fundus, *QUICK, "--plan", "plan.json")
    for more in ((), ("--target", "2")):
        error = hyperseg(*words, *more).error
        assert "the plan is for the classes background, class 1+class 2; fundus has" in error
        assert "--target" in error
    assert not (tmp_path / "fundus-run").exists()


def test_a_class_that_is_not_there(hyperseg: Hyperseg, fundus: str, tmp_path: Path) -> None:
    for command in ("check", "plan", "train"):
        answer = hyperseg("segment", command, fundus, "--target", "cup")
        assert answer.code == 2
        assert "it has class 1 (code 1) and class 2 (code 2)" in answer.error
    assert not (tmp_path / "fundus-run").exists()
