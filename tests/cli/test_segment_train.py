"""`hyperseg segment train`: from a folder to a run with one command, and what it refuses at once."""

from __future__ import annotations

import json
from pathlib import Path
from typing import get_args

import numpy as np
import pytest
from running import Hyperseg

from hyperseg.cli.segment.train import CONFIGURATIONS
from hyperseg.medical.configuration import Name


@pytest.fixture
def pictures(tmp_path: Path) -> str:
    """Six pictures of 20 x 24 pixels with a bright square, in the working folder."""
    for i in range(6):
        labels = np.zeros((20, 24), np.uint8)
        labels[4 : 9 + i, 6:14] = 1
        image = np.random.default_rng(i).normal(0, 0.3, labels.shape) + labels
        for kind, array in (("images", image.astype(np.float32)), ("labels", labels)):
            (tmp_path / "data" / kind).mkdir(parents=True, exist_ok=True)
            np.save(tmp_path / "data" / kind / f"c{i}.npy", array)
    return "data"


def test_one_command_trains_all_folds(hyperseg: Hyperseg, pictures: str, tmp_path: Path) -> None:
    words = ("segment", "train", pictures, "--steps", "3", "--device", "cpu", "--quiet")
    done = hyperseg(*words)
    assert done.code == 0, done.err
    assert "0-4" in done.out
    assert "written to data-run" in done.out
    record = json.loads((tmp_path / "data-run" / "run.json").read_text())
    assert record["trained"] == {"2d": [0, 1, 2, 3, 4]}
    assert record["chosen"] == ["2d"]
    assert record["found"]["dice"]["2d"]["cases"] == 6
    assert "--resume" in hyperseg(*words).error
    assert hyperseg(*words, "--resume").code == 0


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("--minutes", "1", "--steps", "3"), "contradict each other"),
        (("--fold", "one"), "is no fold"),
        (("--steps", "3", "--fold", "9"), "fold 9 is unknown"),
        (("--resume", "--overwrite"), "give one of them"),
        (("--device", "abacus"), "device"),
        (("--watts", "nan"), "watts"),
        (("--watts", "inf"), "watts"),
    ],
)
def test_refusals(hyperseg: Hyperseg, pictures: str, tmp_path: Path, words: tuple[str, ...], told: str) -> None:
    done = hyperseg("segment", "train", pictures, "--out", "run", "--quiet", *words)
    assert done.code == 2
    assert told in done.error
    assert not (tmp_path / "run").exists()


def test_a_plan_that_makes_no_sense_is_refused_before_any_work(
    hyperseg: Hyperseg, pictures: str, tmp_path: Path
) -> None:
    """By its file and its entry; the folder is not to blame."""
    assert hyperseg("segment", "plan", pictures, "--out", "plan.json").code == 0
    good = (tmp_path / "plan.json").read_text()
    words = ("segment", "train", pictures, "--plan", "plan.json", "--out", "run", "--steps", "3", "--quiet")
    for part, entry, value, told in (
        ("optimiser", "lr", -1.0, "training.optimiser.lr"), ("inference", "step", 0.25, "inference.step"),
    ):  # fmt: skip
        data = json.loads(good)
        data["training"][part][entry] = value
        (tmp_path / "plan.json").write_text(json.dumps(data))
        done = hyperseg(*words)
        assert done.code == 2
        assert told in done.error
        assert "segment check" not in done.error
        assert not (tmp_path / "run").exists()


def test_mirrors_that_were_not_learnt_are_remarked(hyperseg: Hyperseg, pictures: str, tmp_path: Path) -> None:
    assert hyperseg("segment", "plan", pictures, "--out", "plan.json").code == 0
    data = json.loads((tmp_path / "plan.json").read_text())
    data["training"]["augmentation"]["mirror"] = False
    (tmp_path / "plan.json").write_text(json.dumps(data))
    words = ("segment", "train", pictures, "--plan", "plan.json", "--fold", "0", "--steps", "1", "--device", "cpu")
    note = "have not learnt mirror images"
    assert hyperseg(*words, "--out", "run", "--mirror").err.count(note) == 1
    predict = ("segment", "predict", "run", f"{pictures}/images/c0.npy", "--device", "cpu")
    assert hyperseg(*predict, "--out", "p1").err.count(note) == 0
    assert hyperseg(*predict, "--out", "p2", "--mirror").err.count(note) == 1


def test_configurations_are_those_of_a_plan() -> None:
    assert set(CONFIGURATIONS) - {"auto", "all"} == set(get_args(Name))
