"""`hyperseg classify` with input it cannot use: one clear line, before any training, and nothing written."""

from __future__ import annotations

import errno
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import halting
import numpy as np
import pytest
from click.testing import CliRunner
from halting import UNTRAINED
from running import Hyperseg

from hyperseg.cli.main import group
from hyperseg.core import Scene

pytestmark = pytest.mark.usefixtures("stop")
stop = halting.stop
Words = tuple[str, ...]


def spoiled(what: str, toy: Scene, folder: Path) -> None:
    """Write a cube.npy or gt.npy that is no good."""
    assert toy.labels is not None
    cube, labels = np.asarray(toy.cube), toy.labels + 1
    match what:
        case "transposed":
            np.save(folder / "gt.npy", labels.T)
        case "other shape":
            np.save(folder / "gt.npy", labels[:-1])
        case "one class":
            np.save(folder / "gt.npy", (labels == 2).astype(np.uint8))
        case "no class":
            np.save(folder / "gt.npy", np.zeros_like(labels))
        case "fractions":
            np.save(folder / "gt.npy", labels + 0.5)
        case "labels truncated":
            os.truncate(folder / "gt.npy", 300)
        case "no data":
            np.save(folder / "cube.npy", np.full(cube.shape, np.nan))
        case "constant":
            np.save(folder / "cube.npy", np.full(cube.shape, 5, np.uint16))
        case "truncated":
            os.truncate(folder / "cube.npy", 9000)
        case "nonsense":
            (folder / "cube.npy").write_bytes(b"nonsense" * 99)
        case "empty":
            (folder / "cube.npy").write_bytes(b"")
        case "flat":
            np.save(folder / "cube.npy", cube[..., 0])
        case "few bands":
            np.save(folder / "cube.npy", cube[..., :2])


@pytest.mark.parametrize(
    ("what", "said"),
    [
        ("transposed", "gt.npy: the labels have shape (21, 24), the cube's pixels are (24, 21); it looks transposed"),
        ("other shape", "gt.npy: the labels have shape (23, 21)"),
        ("one class", "cube: 1 class is labelled (class 1), at least 2"),
        ("no class", "gt.npy: every pixel is unlabelled"),
        ("fractions", "gt.npy: holds fractions"),
        ("labels truncated", "gt.npy: has 300 bytes, but says to hold"),
        ("no data", "cube.npy: holds no data"),
        ("constant", "cube.npy: no usable band of 16"),
        ("truncated", "cube.npy: has 9000 bytes, but says to hold"),
        ("nonsense", "cube.npy: cannot be read"),
        ("empty", "cube.npy: is empty (0 bytes)"),
        ("flat", "cube.npy: a cube has three axes"),
        ("few bands", "cube.npy: 24x21 pixels with 2 bands; at least 3"),
    ],
)
def test_files_that_are_no_good(
    hyperseg: Hyperseg, files: Words, toy: Scene, tmp_path: Path, what: str, said: str
) -> None:
    spoiled(what, toy, tmp_path)
    assert said in hyperseg("classify", *files, *UNTRAINED).error
    assert sorted(p.name for p in tmp_path.iterdir()) == ["cube.npy", "gt.npy"]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("", "which scene?"),
        ("cube.npy", "cube.npy: a scene of your own needs labels: give --labels FILE"),
        ("cub.npy --labels gt.npy", "cub.npy: no such file (did you mean cube.npy?)"),
        ("away/cube.npy --labels gt.npy", "the folder away does not exist either"),
        ("cube.npy --labels gtt.npy", "gtt.npy: no such file (did you mean gt.npy?)"),
        ("indian-pine", "no data set is called 'indian-pine'. Did you mean indian-pines?"),
        (". --labels gt.npy", "is a folder, a data file was expected"),
        ("cube.npy:key --labels gt.npy", "cube.npy: a .npy file holds one array and no names; leave out 'key'"),
        ("cube.npy --labels gt.npy --split fixed", "--split fixed needs --train-mask FILE"),
        (
            "cube.npy --labels gt.npy --split parcels --train-mask gt.npy",
            "--train-mask is no option of cnn3d, trees, temperature and parcels: it belongs to the split fixed",
        ),
        ("cube.npy --labels gt.npy --split fixed --train-mask flip.npy", "flip.npy: the mask has shape (21, 24)"),
        ("cube.npy --labels gt.npy --split fixed --train-mask lost.npy", "lost.npy: no such file"),
        ("cube.npy --labels gt.npy --split fixed --train-mask gt.npy", "leaves no test pixel"),
        ("cube.npy --labels gt.npy --split fixed --train-mask gt.npy --test-mask gt.npy", "in both the training"),
        ("cube.npy --labels gt.npy --split random_total:2", "give a number from 3 (one per class)"),
        ("cube.npy --labels gt.npy --split random_fraction", "lacks fraction. It is spelled random_fraction:"),
        ("cube.npy --labels gt.npy --split patches", "unknown split 'patches': choose from parcels, blocks"),
        (
            "cube.npy --labels gt.npy --method mask-rcnn",
            "mask-rcnn takes folders, no scenes: hyperseg segment train DIR",
        ),
        ("cube.npy --labels gt.npy --method zoo:pspnett", "unknown network 'pspnett'"),
        ("cube.npy --labels gt.npy --device tpu", "device 'tpu' is unknown"),
        ("cube.npy --labels gt.npy --seed 4294967296", "the seed lies between 0 and"),
        ("cube.npy --labels gt.npy --out gt.npy", "gt.npy: exists and is not empty"),
        ("cube.npy --labels gt.npy --out gt.npy/r", "gt.npy/r: the folder cannot be created"),
        ("cube.npy --labels gt.npy --out absent --resume", "absent: nothing to resume, this run does not exist"),
        ("cube.npy --labels gt.npy --resume", "runs/cube-cnn3d: nothing to resume"),
        ("--from gt.npy", "gt.npy: not a JSON record of a run"),
        ("--from nowhere.json", "nowhere.json: No such file or directory"),
        ("--from .", "run.json: No such file or directory. Give the folder of a finished run"),
    ],
)
def test_words_that_are_no_good(hyperseg: Hyperseg, files: Words, tmp_path: Path, words: str, said: str) -> None:
    np.save(tmp_path / "flip.npy", np.ones((21, 24), np.uint8))
    before = sorted(p.name for p in tmp_path.iterdir())
    assert said in hyperseg("classify", *words.split(), *UNTRAINED).error
    assert sorted(p.name for p in tmp_path.iterdir()) == before


def test_cuda_where_there_is_none(hyperseg: Hyperseg, files: Words, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    error = hyperseg("classify", *files, *UNTRAINED, "--device", "cuda").error
    assert "sees no CUDA device: use auto or cpu" in error


def test_options_that_click_refuses() -> None:
    for words in (["--method", "resnet"], ["--repeats", "0"], ["--seed", "-1"], ["--refine", "polish"]):
        result = CliRunner().invoke(group, ["classify", "x.npy", *words])
        assert result.exit_code == 2
        assert result.output.splitlines()[-1].startswith("Error: Invalid value for")


def test_a_folder_where_nobody_may_write(
    hyperseg: Hyperseg, files: Words, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def forbidden(self: Path, *a: Any, **k: Any) -> None:
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr(Path, "mkdir", forbidden)
    assert (
        "r: the folder cannot be created (Permission denied)"
        in hyperseg("classify", *files, *UNTRAINED, "--out", "r").error
    )
    assert "runs/cube-cnn3d: the folder cannot be created" in hyperseg("classify", *files, *UNTRAINED).error


# CPU seconds since the process began: unlike the clock on the wall, other jobs do not lengthen them
COMMAND = """
import atexit, sys, time
atexit.register(lambda: print("torch" in sys.modules, time.process_time()))
from hyperseg.cli import main
main()
"""


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("classify indian-pine", "Did you mean indian-pines?"),
        ("classify cube.npy --method cnn3", "Did you mean cnn3d?"),
        ("classify cube.npy --refine deconf", "Did you mean deconv?"),
        ("classify cube.npy --baseline swm", "Did you mean svm?"),
        ("classify cube.npy --split parcel", "Did you mean parcels?"),
        ("classify cube.npy --set lrr=1", "Did you mean lr?"),
        ("classify cube.npy --set lr=-1", "lr is above 0, got -1"),
        ("classify cube.npy --window 8", "window is 1, 5, 9, 13, 17, ... pixels"),
        ("classify cube.npy --joint", "it belongs to the refiner deep-crf"),
        ("classify cube.npy --labels absent.tif", "absent.tif: no such file"),
        ("classify cube.npy --labels gt.npy --device cpuu", "device 'cpuu' is unknown"),
        ("map run indian-pine", "Did you mean indian-pines?"),
        ("map nowhere cube.npy", "nowhere: No such file or directory"),
        ("map run cube.npy --device cpuu", "device 'cpuu' is unknown"),
        ("classify --help", "--refine"),
        ("classify --method gan --help", "--conditional / --unconditional"),
    ],
)
def test_wrong_words_and_help_are_answered_without_torch(files: Words, tmp_path: Path, words: str, said: str) -> None:
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "run.json").write_text(json.dumps({"format": 3, "settings": {}}))
    done = subprocess.run(
        [sys.executable, "-c", COMMAND, *words.split()], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    *shown, last = done.stdout.splitlines()
    helped = "--help" in words
    assert done.returncode == (0 if helped else 2), done.stderr
    assert said in ("\n".join(shown) if helped else done.stderr)
    torch, seconds = last.split()
    assert torch == "False"
    assert float(seconds) < 1.0
