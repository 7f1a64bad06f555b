"""`hyperseg depth train` and `read`: from rooms to depth in files, help that teaches, one-line refusals."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import get_args

import numpy as np
import pytest
from running import Hyperseg

from hyperseg.cli.depth import STEPS
from hyperseg.cli.depth.train import UNITS
from hyperseg.io.depths import Unit

QUICK = (
    "--size", "8", "--pictures", "8", "--labelled", "3", "--steps", "3", "--set", "held_out=2", "--set",
    "denoiser.width=4", "--set", "prior.width=4", "--set", "prior.stages=2", "--set", "denoiser.batch=4",
    "--device", "cpu", "--quiet",
)  # fmt: skip


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    import torch

    from hyperseg import depth

    torch.set_num_threads(1)
    changes = {
        "size": 8,
        "pictures": 8,
        "labelled": 3,
        "held_out": 2,
        "denoiser.width": 4,
        "prior.width": 4,
        "prior.stages": 2,
    }
    root = tmp_path_factory.mktemp("depth") / "run"
    return depth.train(None, root, settings=changes, steps=3, device="cpu", quiet=True).root


def picture(file: Path, shape: tuple[int, int]) -> None:
    from PIL import Image

    Image.fromarray(np.random.default_rng(0).integers(0, 255, (*shape, 3), np.uint8)).save(file)


def test_a_run_of_rooms_tells_what_it_found_and_what_comes_next(hyperseg: Hyperseg, tmp_path: Path) -> None:
    done = hyperseg("depth", "train", *QUICK)
    assert done.code == 0, done.err
    for word in ("strong head L1", "median depth map", "readable.png", "hyperseg depth read rooms-run"):
        assert word in done.out
    record = json.loads((tmp_path / "rooms-run" / "run.json").read_text())
    assert record["kind"] == "depth"
    assert record["folder"] == "rooms"
    assert record["settings"]["denoiser"]["steps"] == 3
    assert "torch" in record["versions"]
    again = hyperseg("depth", "train", "--resume", "--quiet", "--device", "cpu")
    assert again.code == 0, again.err
    assert again.out == done.out


def test_depth_of_pictures_of_any_size(hyperseg: Hyperseg, made: Path, tmp_path: Path) -> None:
    (tmp_path / "photos").mkdir()
    picture(tmp_path / "photos" / "wide.png", (20, 33))
    picture(tmp_path / "photos" / "small.png", (5, 5))
    words = ("depth", "read", str(made), "photos", "--out", "read", "--draws", "2", "--times", "0.1,0.3", "--quiet")
    done = hyperseg(*words)
    assert done.code == 0, done.err
    y, z = (np.load(tmp_path / "read" / f"wide_{what}.npy") for what in "yz")
    assert y.shape == z.shape == (20, 33)
    assert y.min() >= 0
    assert y.max() <= 1
    np.testing.assert_allclose(1 / z, y * (1 - 0.1) + 0.1, rtol=1e-4)
    assert np.load(tmp_path / "read" / "small_spread.npy").shape == (5, 5)
    assert (tmp_path / "read" / "small.png").stat().st_size > 1000
    assert "1 near to 10 far; of photographs this run reads little" in done.out
    assert "nothing is written over" in hyperseg(*words).error


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("--set", "heads.weak=0.12,0.24,0.3,0.35,0.41"), "both read the blocks"),
        (("--size", "10"), "divisible by 8"),
        (("--labelled", "9"), "only 8 rooms are rendered"),
        (("--crops", "2"), "no folder is given"),
        (("--unit", "mm"), "--unit would change nothing"),
        (("--per-metre", "5"), "--per-metre would change nothing"),
        (("--set", "heads.hidden="), "one or more layers"),
        (("--set", "heads.latest=1e-9"), "above 0.001, got 1e-09"),
        (("--set", "labelled=2"), "by an option and by --set"),
        (("--set", "widht=2"), "Did you mean"),
        (("--set", "prior.learns=all"), "known, labelled, predicted"),
        (("--resume", "--overwrite"), "give one of them"),
        (("nowhere",), "pictures 8 would change nothing"),
    ],
)
def test_refusals(hyperseg: Hyperseg, tmp_path: Path, words: tuple[str, ...], told: str) -> None:
    assert told in hyperseg("depth", "train", "--out", "run", *QUICK, *words).error
    assert not (tmp_path / "run").exists()


def test_what_cannot_be_read_is_told_before_work(hyperseg: Hyperseg, made: Path, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "twin").mkdir()
    for name in ("a.png", "twin/a.png"):
        picture(tmp_path / name, (9, 9))
    picture(tmp_path / "long.png", (2, 90))
    (tmp_path / "text.png").write_text("no picture")
    for pictures, told in (
        (("none.png",), "does not exist"),
        (("empty",), "holds no picture"),
        (("a.png", "twin/a.png"), "name of two pictures"),
        (("a.png", "long.png"), "more than 8 times the other"),
        (("a.png", "text.png"), "text.png"),
        (("a.png", "--times", "2"), "got 2"),
        (("a.png", "--times", "early"), "--times takes numbers"),
    ):
        assert told in hyperseg("depth", "read", str(made), *pictures, "--out", "read").error
    assert not (tmp_path / "read").exists()
    assert "does not exist" in hyperseg("depth", "read", "nowhere", "a.png", "--out", "read").error
    assert "nowhere: does not exist" in hyperseg("depth", "train", "nowhere", "--quiet").error
    assert "is no run of hyperseg segment" in hyperseg("segment", "predict", str(made), "a.png", "--out", "o").error


def test_a_run_without_its_heads_says_how_to_go_on(hyperseg: Hyperseg, made: Path, tmp_path: Path) -> None:
    shutil.copytree(made, tmp_path / "half")
    (tmp_path / "half" / "heads.safetensors").unlink()
    picture(tmp_path / "a.png", (9, 9))
    assert "--resume" in hyperseg("depth", "read", "half", "a.png", "--out", "read").error


def test_help_tells_all_commands_and_units(hyperseg: Hyperseg) -> None:
    listed = hyperseg("depth", "--help").out
    assert all(name in listed for name in STEPS)
    assert get_args(Unit) == UNITS
    assert "prior.learns" in hyperseg("depth", "train", "--help").out
