"""`--spacing` of `hyperseg segment`: said in the plan, remembered by the run, and used by predictions and scores."""

from __future__ import annotations

import json
from pathlib import Path

import h5py
import numpy as np
import pytest
from running import Hyperseg


@pytest.fixture
def hearts(tmp_path: Path) -> str:
    """Four files .h5 of 4 x 16 x 16 voxels with a bright box, of which test.list holds back one."""
    (tmp_path / "hearts").mkdir()
    for i in range(4):
        labels = np.zeros((4, 16, 16), np.uint8)
        labels[1:3, 4 : 9 + i, 6:12] = 1
        with h5py.File(tmp_path / "hearts" / f"h{i}.h5", "w") as file:
            file["image"] = np.random.default_rng(i).normal(0, 0.3, labels.shape).astype(np.float32) + labels
            file["label"] = labels
    (tmp_path / "hearts" / "test.list").write_text("h3\n")
    return "hearts"


def test_a_plan_says_where_it_comes_from(hyperseg: Hyperseg, hearts: str) -> None:
    answer = hyperseg("segment", "plan", hearts, "--quiet", "--spacing", "8,1,1")
    assert "spacing, 8 x 1 x 1 mm, from --spacing" in answer.out
    assert "Axes: sizes and spacings are depth x rows x columns." in answer.out
    assert "Spacing 8 x 1 x 1 mm" in answer.out
    assert "state it by --spacing Z,Y,X" in hyperseg("segment", "plan", hearts, "--quiet").out


def test_a_run_remembers_it(hyperseg: Hyperseg, hearts: str, tmp_path: Path) -> None:
    words = ("segment", "train", hearts, "--steps", "2", "--fold", "0", "--config", "2d", "--quiet", "--device", "cpu")
    done = hyperseg(*words, "--spacing", "8,1,1")
    assert done.code == 0, done.err
    record = json.loads((tmp_path / "hearts-run" / "run.json").read_text())
    assert record["spacing"] == [8, 1, 1]
    assert sorted(name for fold in record["folds"] for name in fold) == ["h0", "h1", "h2"]
    assert hyperseg(*words, "--resume").code == 0
    assert (
        hyperseg("segment", "predict", "hearts-run", hearts, "--out", "found", "--quiet", "--device", "cpu").code == 0
    )
    assert [path.name for path in (tmp_path / "found").iterdir()] == ["h3.npy"]
    (tmp_path / "hearts" / "spacing.csv").write_text("*,8,1,1\n")
    answer = hyperseg("segment", "score", "found", hearts, "--quiet", "--out", "metrics.json")
    assert answer.code == 0, answer.err
    scored = json.loads((tmp_path / "metrics.json").read_text())
    assert (scored["unit"], list(scored["cases"])) == ("mm", ["h3"])


@pytest.mark.parametrize(("given", "told"), [("8,1", "of the axes|has the axes"), ("a,b,c", "is no spacing")])
def test_refusals(hyperseg: Hyperseg, hearts: str, given: str, told: str) -> None:
    error = hyperseg("segment", "plan", hearts, "--quiet", "--spacing", given).error
    assert any(word in error for word in told.split("|"))


def test_an_error_of_a_file_names_the_check(hyperseg: Hyperseg, hearts: str, tmp_path: Path) -> None:
    with h5py.File(tmp_path / "hearts" / "h1.h5", "a") as file:
        file["image"][0, 0, 0] = np.nan
    for command in (("plan",), ("train", "--steps", "1", "--out", "run")):
        error = hyperseg("segment", command[0], hearts, "--quiet", *command[1:]).error
        assert "h1.h5:image: holds NaN" in error
        assert error.endswith(f"`hyperseg segment check {hearts}` tells everything that is wrong there.")
    assert not (tmp_path / "run").exists()
