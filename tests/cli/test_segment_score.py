"""`hyperseg segment score`: hand-counted cases, pairing by name, what is refused."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from running import Hyperseg


def row(*codes: int) -> np.ndarray:
    return np.array([codes], np.uint8)


@pytest.fixture
def files(tmp_path: Path) -> Path:
    """Three pictures of a row each, counted by hand below."""
    for name in ("pred", "truth"):
        (tmp_path / name).mkdir()
    for name, made, truth in (
        ("a", row(0, 1, 1, 0, 0, 2), row(0, 1, 1, 1, 0, 2)),  # 1: 2 of 2 and 3; 2: all
        ("b", row(1, 0, 0, 0, 0, 0), row(1, 0, 0, 0, 2, 2)),  # 1: all; 2: missed
        ("c", row(0, 0, 0, 0, 0, 0), row(0, 0, 0, 0, 0, 0)),  # nothing
    ):
        np.save(tmp_path / "pred" / f"{name}.npy", made)
        np.save(tmp_path / "truth" / f"{name}_mask.npy", truth)
    return tmp_path


def test_counted_by_hand(hyperseg: Hyperseg, files: Path) -> None:
    answer = hyperseg("segment", "score", "pred", "truth", "--out", "metrics.json")
    assert answer.code == 0, answer.err
    found = json.loads((files / "metrics.json").read_text())
    one, two = found["classes"]["class 1"], found["classes"]["class 2"]
    assert one["dice"]["mean"] == pytest.approx((0.8 + 1) / 2)
    assert one["dice"]["cases"] == two["dice"]["cases"] == 2
    assert one["iou"]["mean"] == pytest.approx((2 / 3 + 1) / 2)
    assert one["assd"]["mean"] == pytest.approx((1 / 5 + 0) / 2)
    assert one["dice"]["std"] == pytest.approx(np.std([0.8, 1], ddof=1))
    assert two["dice"]["mean"] == pytest.approx(0.5)
    assert two["hd95"] == {"mean": 0, "std": 0, "cases": 1}
    assert found["mean"]["dice"] == pytest.approx(0.7)
    assert found["unit"] == "px"
    assert found["cases"]["b"]["class 2"]["hd95"] is None
    assert found["cases"]["c"]["class 1"]["dice"] is None
    assert "0.900" in answer.out
    assert "lowest mean Dice: b 0.500, a 0.900" in answer.out
    assert "not scored there" in answer.out
    again = hyperseg("segment", "score", "pred", "truth", "--out", "metrics.json")
    assert "--overwrite" in again.error


def test_a_data_set_gives_names_and_what_is_ignored(hyperseg: Hyperseg, files: Path) -> None:
    for folder in ("imagesTr", "labelsTr"):
        (files / "set" / folder).mkdir(parents=True)
    for name in "ab":
        truth = np.load(files / "truth" / f"{name}_mask.npy")
        if name == "b":
            truth[0, 4:] = 3
        np.save(files / "set" / "labelsTr" / f"{name}.npy", truth)
        np.save(files / "set" / "imagesTr" / f"{name}_0000.npy", truth.astype(np.float32))
    (files / "set" / "dataset.json").write_text(json.dumps({
        "channel_names": {"0": "T1"}, "labels": {"background": 0, "tumour": 1, "core": 2, "ignore": 3},
        "file_ending": ".npy", "numTraining": 2,
    }))  # fmt: skip
    answer = hyperseg("segment", "score", "pred", "set", "--out", "metrics.json")
    assert answer.code == 0, answer.err
    found = json.loads((files / "metrics.json").read_text())
    assert list(found["classes"]) == ["tumour", "core"]
    assert found["classes"]["core"]["dice"] == {"mean": 1, "std": 0, "cases": 1}
    assert "1 prediction without a label (c): not scored." in found["notes"]
    answer = hyperseg("segment", "score", "pred", "set/labelsTr", "--out", "again.json")
    assert answer.code == 0, answer.err
    again = json.loads((files / "again.json").read_text())
    assert [again[key] for key in ("classes", "cases", "mean")] == [found[key] for key in ("classes", "cases", "mean")]


def test_distances_are_in_millimetres_of_the_file(hyperseg: Hyperseg, tmp_path: Path) -> None:
    nibabel = pytest.importorskip("nibabel")
    made, truth = np.zeros((2, 6, 5, 4), np.uint8)
    truth[1], made[3] = 1, 1
    for name, array in (("p", made), ("t", truth)):
        image = nibabel.Nifti1Image(array, np.diag([2.5, 1, 1, 1]))
        nibabel.save(image, tmp_path / f"{name}.nii.gz")
    answer = hyperseg("segment", "score", "p.nii.gz", "t.nii.gz", "--out", "metrics.json")
    assert answer.code == 0, answer.err
    found = json.loads((tmp_path / "metrics.json").read_text())
    assert found["unit"] == "mm"
    assert (found["mean"]["hd95"], found["mean"]["assd"], found["mean"]["dice"]) == (5, 5, 0)
    nibabel.save(nibabel.Nifti1Image(made, np.eye(4)), tmp_path / "p.nii.gz")
    assert "another spacing than its label" in hyperseg("segment", "score", "p.nii.gz", "t.nii.gz").error


def test_masks_of_1_and_of_255_are_the_same(hyperseg: Hyperseg, tmp_path: Path) -> None:
    np.save(tmp_path / "p.npy", row(0, 1, 1))
    np.save(tmp_path / "t.npy", row(0, 255, 255))
    answer = hyperseg("segment", "score", "p.npy", "t.npy")
    assert "1.000" in answer.out


def test_refusals(hyperseg: Hyperseg, files: Path) -> None:
    (files / "none").mkdir()
    assert "does not exist" in hyperseg("segment", "score", "nowhere", "truth").error
    assert "does not exist" in hyperseg("segment", "score", "pred", "nowhere").error
    assert "holds no predictions" in hyperseg("segment", "score", "none", "truth").error
    np.save(files / "none" / "z.npy", row(1))
    assert "paired by their names" in hyperseg("segment", "score", "none", "truth").error
    np.save(files / "none" / "a.npy", row(1, 0))
    assert "another shape" in hyperseg("segment", "score", "none", "truth").error
    np.save(files / "truth" / "a_seg.npy", row(1))
    assert "second label of a" in hyperseg("segment", "score", "pred", "truth").error
