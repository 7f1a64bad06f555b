"""`hyperseg classify`: what it says and leaves, and how an interrupted run goes on."""

from __future__ import annotations

import errno
import json
import os
import shlex
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import halting
import numpy as np
import pytest
from running import Hyperseg

from hyperseg.cli.main import resume_command
from hyperseg.core import Grid, Scene
from hyperseg.io.write import read_map, write_map, write_raster

stop = halting.stop
Words = tuple[str, ...]
SHORT = ("--repeats", "1", "--split", "random_per_class:8", "--quiet", "--no-pictures")
PLAIN = (*SHORT, "--refine", "none")
QUICK = (*PLAIN, "--epochs", "1")
HALT = (*SHORT, "--epochs", "1", "--refine", "halt")  # can be stopped once its network is trained
SVM = (*PLAIN, "--method", "svm")


def test_a_first_map(hyperseg: Hyperseg, files: Words, tmp_path: Path) -> None:
    words = [word for word in QUICK if word != "--no-pictures"]
    answer = hyperseg("classify", *files, *words, "--out", "r")
    assert answer.code == 0, answer.err
    assert answer.err == ""  # --quiet
    assert (tmp_path / "r" / "map.png").exists()
    for said in ("24 × 21 pixels, 16 bands, 3 classes", "svm (baseline)", "cnn3d", "r/map.tif", "r/report.html"):
        assert said in answer.out
    record = json.loads((tmp_path / "r" / "run.json").read_text())
    assert record["inputs"] == {
        "scene": "cube.npy",
        "labels": "gt.npy",
        "class_groups": None,
        "train_mask": None,
        "test_mask": None,
        "pool": None,
        "folder": str(tmp_path),
    }


def test_folders_are_numbered_and_never_overwritten(hyperseg: Hyperseg, files: Words, tmp_path: Path) -> None:
    for _ in range(2):
        assert hyperseg("classify", *files, *SVM).code == 0
    assert sorted(p.name for p in (tmp_path / "runs").iterdir()) == ["cube-svm", "cube-svm-2"]
    assert not (tmp_path / "runs" / "cube-svm" / "map.png").exists()
    assert "<img" not in (tmp_path / "runs" / "cube-svm" / "report.html").read_text()
    before = (tmp_path / "runs" / "cube-svm" / "metrics.json").read_bytes()
    error = hyperseg("classify", *files, *SVM, "--out", "runs/cube-svm").error
    assert "runs/cube-svm: exists and is not empty" in error
    assert (tmp_path / "runs" / "cube-svm" / "metrics.json").read_bytes() == before
    assert "has ended" in hyperseg("classify", *files, *SVM, "--out", "runs/cube-svm", "--resume").error


def test_from_repeats_a_run(hyperseg: Hyperseg, files: Words, tmp_path: Path) -> None:
    options = ("--seed", "5", "--method", "cnn3d", "--no-flips")
    assert hyperseg("classify", *files, *QUICK, *options, "--out", "one").code == 0
    assert hyperseg("classify", "--from", "one/run.json", "--quiet", "--no-pictures", "--out", "two").code == 0
    assert hyperseg("classify", "--from", "one", "--seed", "6", "--quiet", "--no-pictures", "--out", "three").code == 0
    for name in ("map.tif", "model.safetensors", "run.json"):
        one, two, three = ((tmp_path / run / name).read_bytes() for run in ("one", "two", "three"))
        assert one == two
        assert one != three


def test_from_takes_the_masks_along(hyperseg: Hyperseg, files: Words, toy: Scene, tmp_path: Path) -> None:
    assert toy.labels is not None
    mask = np.zeros(toy.shape, np.uint8)
    mask[::2, ::3] = 1
    np.save(tmp_path / "train.npy", mask)
    fixed = ("--split", "fixed", "--train-mask", "train.npy")
    assert hyperseg("classify", *files, *SVM, *fixed, "--out", "one").code == 0
    found = json.loads((tmp_path / "one" / "metrics.json").read_text())["split"]
    assert found["train"] == np.count_nonzero((toy.labels >= 0) & (mask > 0))
    assert found["test"] == np.count_nonzero((toy.labels >= 0) & (mask == 0))
    assert hyperseg("classify", "--from", "one", "--quiet", "--no-pictures", "--out", "two").code == 0
    assert (tmp_path / "one/map.tif").read_bytes() == (tmp_path / "two/map.tif").read_bytes()
    other = ("--split", "random_per_class:8")  # leaves the masks behind
    assert hyperseg("classify", "--from", "one", "--quiet", "--no-pictures", *other, "--out", "three").code == 0


@pytest.mark.parametrize("kind", [".mat", ".tif"])
def test_other_files_give_the_same_map(hyperseg: Hyperseg, files: Words, toy: Scene, tmp_path: Path, kind: str) -> None:
    assert toy.labels is not None
    cube, labels = np.asarray(toy.cube), toy.labels + 1
    if kind == ".mat":
        from scipy.io import savemat

        savemat(tmp_path / "s.mat", {"cube": cube, "other": cube[..., ::-1], "gt": labels.astype(np.uint8)})
        words: Words = ("s.mat:cube", "--labels", "s.mat:gt")
    else:
        grid = Grid((5.0, 5.0), "m", "EPSG:32633", (5.0, 0.0, 4e5, 0.0, -5.0, 5e6))
        write_raster(tmp_path / "s.tif", cube, grid)
        names, colours = ("oak", "fir", "ash"), ((200, 0, 0), (0, 200, 0), (0, 0, 200))
        write_map(tmp_path / "gt.tif", toy.labels, classes=names, colours=colours, grid=grid)
        words = ("s.tif", "--labels", "gt.tif")
    assert hyperseg("classify", *files, *SVM, "--out", "npy").code == 0
    answer = hyperseg("classify", *words, *SVM, "--out", "other")
    assert answer.code == 0, answer.err
    expected = read_map(tmp_path / "npy" / "map.tif")
    found = read_map(tmp_path / "other" / "map.tif")
    np.testing.assert_array_equal(found[0], expected[0])
    if kind == ".tif":
        assert found[1:] == (names, colours, grid, (1, 2, 3))
    else:
        error = hyperseg("classify", "s.mat", "--labels", "s.mat:gt", *SVM, "--out", "x").error
        assert "cube (24x21x16 float32), other (24x21x16 float32)" in error
        assert "FILE:KEY" in error


def test_labels_of_ones_own_for_a_public_scene(hyperseg: Hyperseg, tmp_path: Path) -> None:
    """More classes than the card has colours."""
    codes = np.arange(145 * 145).reshape(145, 145) // 3 % 20 + 1
    np.save(tmp_path / "own.npy", codes.astype(np.uint8))
    words = ("classify", "indian-pines", "--labels", "own.npy", *PLAIN, "--method", "rf", "--baseline", "lda")
    answer = hyperseg(*words, "--out", "r")
    assert answer.code == 0, answer.err
    assert len(read_map(tmp_path / "r" / "map.tif")[1]) == 20
    np.save(tmp_path / "small.npy", codes[:10].astype(np.uint8))
    error = hyperseg("classify", "indian-pines", "--labels", "small.npy", *QUICK).error
    assert "small.npy: the labels have shape (10, 145)" in error


def test_bands_and_pixels_without_data_are_named_and_left_out(
    hyperseg: Hyperseg, files: Words, toy: Scene, tmp_path: Path
) -> None:
    cube = np.asarray(toy.cube).copy()
    cube[..., 2], cube[..., 7], cube[..., 8] = 4.0, np.nan, np.inf
    cube[20, 20] = np.nan
    np.save(tmp_path / "cube.npy", cube)
    answer = hyperseg("classify", *files, *SVM, "--out", "r")
    assert answer.code == 0, answer.err
    notes = answer.err.splitlines()
    assert all(line.startswith("Note: cube: ") for line in notes)
    assert "bands 7-8: NaN, infinite" in answer.err
    assert "band 2: constant" in answer.err
    assert read_map(tmp_path / "r" / "map.tif")[0][20, 20] == -1
    assert json.loads((tmp_path / "r" / "metrics.json").read_text())["scene"]["bands_usable"] == 13


def test_a_picture_of_four_bands_works_with_a_note(
    hyperseg: Hyperseg, files: Words, toy: Scene, tmp_path: Path
) -> None:
    np.save(tmp_path / "cube.npy", np.asarray(toy.cube)[..., ::4])
    answer = hyperseg("classify", *files, *QUICK, "--out", "r")
    assert answer.code == 0, answer.err
    assert "Note: cube.npy: not hyperspectral (4 bands)" in answer.err
    assert "at least 13 features" in hyperseg("classify", *files, *QUICK, "--method", "hybrid").error
    assert "at least 7 bands" in hyperseg("classify", *files, *QUICK, "--method", "ssrn").error


def test_a_full_disk_is_told_with_the_way_on(
    hyperseg: Hyperseg, files: Words, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plain = os.replace

    def no_room(source: Any, target: Any) -> None:
        if Path(target).name == "metrics.json":
            raise OSError(errno.ENOSPC, "No space left on device")
        plain(source, target)

    with monkeypatch.context() as patch:
        patch.setattr(os, "replace", no_room)
        error = hyperseg("classify", *files, *SVM, "--out", "r").error
    assert "r/metrics.json: cannot be written (No space left on device)" in error
    assert "--out r --resume" in error
    assert not (tmp_path / "r" / "metrics.json").exists()
    assert hyperseg("classify", *files, *SVM, "--out", "r", "--resume").code == 0


def test_a_damaged_training_state(hyperseg: Hyperseg, files: Words, stop: halting.Stop, tmp_path: Path) -> None:
    words = ("classify", *files, *HALT, "--out", "r")
    stop.at = "fit"
    assert hyperseg(*words).code == 130
    stop.at = ""
    state = tmp_path / "r" / "unfinished" / "train0-cnn3d.pt"
    os.truncate(state, 1000)
    error = hyperseg(*words, "--resume").error
    assert "train0-cnn3d.pt: not a training state" in error
    assert "Remove the file to start afresh" in error
    state.unlink()
    assert hyperseg(*words, "--resume").code == 0


def test_an_interrupted_run_says_how_to_go_on(
    hyperseg: Hyperseg, files: Words, stop: halting.Stop, tmp_path: Path
) -> None:
    words = ("classify", *files, *HALT, "--baseline", "lda")
    for out in ("my run", "runs/cube-cnn3d"):
        given = ("--out", out) if out == "my run" else ()
        stop.at = "fit"
        answer = hyperseg(*words, *given)
        stop.at = ""
        assert answer.code == 130
        told = answer.err.strip().partition("To go on: ")[2]
        assert shlex.split(told) == ["hyperseg", *words, "--out", out, "--resume"]
        assert "hyperseg: error" not in answer.err
        assert (tmp_path / out / "unfinished" / "train0-cnn3d.pt").exists()
        assert hyperseg(*shlex.split(told)[1:]).code == 0
        assert (tmp_path / out / "metrics.json").exists()


@pytest.mark.parametrize(
    "words", [["s", "--out", "a b"], ["--out=a b", "s"], ["--resume", "s"], ["--out", "--resume", "s"]]
)
def test_the_command_to_go_on(words: list[str]) -> None:
    assert resume_command(words, Path("a b")) == "hyperseg s --out 'a b' --resume"


def test_interrupted_before_a_run_began(hyperseg: Hyperseg, files: Words, stop: halting.Stop) -> None:
    stop.at = "check"
    answer = hyperseg("classify", *files, *HALT)
    assert (answer.code, answer.err.split()) == (130, ["Interrupted."])


def test_ctrl_c_in_a_terminal(hyperseg: Hyperseg, files: Words, tmp_path: Path) -> None:
    """The installed command, a real signal, and the command it prints."""
    run = Path(sys.executable).with_name("hyperseg")
    words = [word for word in PLAIN if word != "--quiet"]
    process = subprocess.Popen(
        [run, "classify", *files, *words, "--epochs", "200", "--out", "r"],
        cwd=tmp_path,
        stderr=subprocess.PIPE,
        text=True,
        # a test run in the background of a shell ignores Ctrl-C, and so would its children
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    state = tmp_path / "r" / "unfinished" / "train0-cnn3d.pt"
    for _ in range(1200):
        if state.exists() or process.poll() is not None:
            break
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=60)
    assert process.returncode == 130, said
    last = said.strip().splitlines()[-1]
    assert last.startswith("Interrupted. To go on: hyperseg classify cube.npy")
    assert not (tmp_path / "r" / "map.tif").exists()
    answer = hyperseg(*shlex.split(last.partition("hyperseg ")[2]), "--quiet")
    assert answer.code == 0, answer.err
    assert (tmp_path / "r" / "map.tif").exists()
