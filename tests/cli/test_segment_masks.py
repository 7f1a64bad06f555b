"""Masks that cannot be learnt from are refused in one line, before anything is written."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from running import Hyperseg

SHAPE = (20, 24)
QUICK = ("--steps", "2", "--fold", "0", "--device", "cpu", "--quiet", "--out", "run")


def write(path: Path, array: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(array.astype(np.uint8)).save(path)


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """Six pictures with a bright box of class 1."""
    root = tmp_path / "photos"
    for i in range(6):
        mask = np.zeros(SHAPE)
        mask[4 : 9 + i, 6:14] = 1
        write(root / "images" / f"c{i}.png", np.random.default_rng(i).integers(0, 100, SHAPE) + 100 * mask)
        write(root / "labels" / f"c{i}.png", mask)
    return root


def masks(root: Path) -> list[Path]:
    return sorted((root / "labels").iterdir())


def empty(root: Path) -> None:
    for path in masks(root):
        write(path, np.zeros(SHAPE))


def without_masks(root: Path) -> None:
    for path in masks(root):
        path.unlink()


def of_other_names(root: Path) -> None:
    for path in masks(root):
        path.rename(path.with_name(f"x{path.name}"))


def alone(root: Path) -> None:
    for path in (*masks(root)[1:], *sorted((root / "images").iterdir())[1:]):
        path.unlink()


def naming_no_case(root: Path) -> None:
    about = {"modality": {"0": "grey"}, "labels": {"0": "background", "1": "box"}, "training": []}
    (root / "dataset.json").write_text(json.dumps(about))


FAULTS: dict[str, tuple[Callable[[Path], object], str]] = {
    "smaller": (lambda r: write(masks(r)[2], np.zeros((10, 24))), "c2.png: has 10x24 voxels instead of 20x24"),
    "turned": (lambda r: write(masks(r)[2], np.zeros((24, 20))), "c2.png: has 24x20 voxels instead of 20x24"),
    "colours": (lambda r: write(masks(r)[2], np.eye(3)[np.eye(*SHAPE, dtype=int)]), "c2.png: has 3 channels"),
    "smoothed": (lambda r: write(masks(r)[2], np.arange(480).reshape(SHAPE) % 200), "c2.png: with it labels hold 200"),
    "all empty": (empty, "photos: labels hold background alone"),
    "no masks": (without_masks, "photos: 6 images in images/, but no labels were found beside them"),
    "other names": (of_other_names, "xc0.png: belongs to no image"),
    "one case": (alone, "photos: 1 labelled case, two groups at least"),
    "no case": (naming_no_case, "without a labelled case"),
}  # fmt: skip


@pytest.mark.parametrize("name", FAULTS)
def test_refused_before_any_work(hyperseg: Hyperseg, photos: Path, tmp_path: Path, name: str) -> None:
    spoil, told = FAULTS[name]
    spoil(photos)
    before = {path: path.read_bytes() for path in photos.rglob("*.png")}
    assert told in hyperseg("segment", "train", "photos", *QUICK).error
    assert not (tmp_path / "run").exists()
    assert {path: path.read_bytes() for path in photos.rglob("*.png")} == before


def test_another_class_than_was_planned(hyperseg: Hyperseg, photos: Path, tmp_path: Path) -> None:
    assert hyperseg("segment", "plan", "photos", "--out", "plan.json", "--quiet").code == 0
    plan = (tmp_path / "plan.json").read_bytes()
    write(masks(photos)[2], np.arange(480).reshape(SHAPE) % 3)
    error = hyperseg("segment", "train", "photos", *QUICK, "--plan", "plan.json").error
    assert "the plan is for the classes background, foreground; photos has background, class 1, class 2" in error
    assert not (tmp_path / "run").exists()
    assert (tmp_path / "plan.json").read_bytes() == plan


def test_a_run_that_is_there_outlives_bad_masks(hyperseg: Hyperseg, photos: Path, tmp_path: Path) -> None:
    """Of its cases one has an empty mask, and there are fewer of them than folds: both are fine."""
    write(masks(photos)[0], np.zeros(SHAPE))
    for i in (4, 5):
        for kind in ("images", "labels"):
            (photos / kind / f"c{i}.png").unlink()
    done = hyperseg("segment", "train", "photos", *QUICK)
    assert done.code == 0, done.err
    assert len(json.loads((tmp_path / "run" / "run.json").read_text())["folds"]) == 4
    before = {path: path.read_bytes() for path in (tmp_path / "run").rglob("*") if path.is_file()}
    for spoil in (lambda: write(masks(photos)[2], np.zeros((10, 24))), lambda: empty(photos)):
        spoil()
        for again in ("--resume", "--overwrite"):
            assert hyperseg("segment", "train", "photos", *QUICK, again).error
            assert {path: path.read_bytes() for path in before} == before
