"""`hyperseg segment check`: what it says of a folder, its exit code, and the real data sets."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from running import Hyperseg

from hyperseg.data.cases import folds
from hyperseg.io.cases import list_cases, survey


def folder(root: Path, values: tuple[int, ...] = (0, 1)) -> Path:
    for i in range(3):
        for kind, array in (("images", np.arange(48) + i), ("labels", np.resize(values, 48))):
            (root / kind).mkdir(parents=True, exist_ok=True)
            Image.fromarray(array.reshape(8, 6).astype(np.uint8)).save(root / kind / f"[a]{i}.png")
    return root


def test_a_good_folder(hyperseg: Hyperseg, tmp_path: Path) -> None:
    answer = hyperseg("segment", "check", folder(tmp_path / "d"), "--json", "out.json")
    assert answer.code == 0, answer.err
    assert "0 errors, 0 remarks: ready to train." in answer.out
    assert "3 images and labels paired by name" in answer.out
    told = json.loads((tmp_path / "out.json").read_text(encoding="utf-8"))
    assert (told["classes"], told["voxels"], told["faults"]) == (["background", "foreground"], [72, 72], [])


def test_errors_end_with_two_and_all_are_in_the_json(hyperseg: Hyperseg, tmp_path: Path) -> None:
    root = folder(tmp_path / "d")
    for path in (root / "labels").iterdir():
        path.write_bytes(path.read_bytes()[:40])
    answer = hyperseg("segment", "check", root, "--json", "out.json")
    assert answer.code == 2
    assert "3 errors, 0 remarks: correct the errors before training." in answer.out
    assert "labels/[a]0.png" in answer.out
    assert "Traceback" not in answer.err
    faults = json.loads((tmp_path / "out.json").read_text(encoding="utf-8"))["faults"]
    assert [fault["severity"] for fault in faults] == ["error"] * 3
    assert set(faults[0]) == {"file", "found", "expected", "remedy", "severity", "kind"}


def test_no_input_is_written_over(hyperseg: Hyperseg, tmp_path: Path) -> None:
    root = folder(tmp_path / "d")
    label = root / "labels" / "[a]0.png"
    assert "is read here" in hyperseg("segment", "check", root, "--json", label, "--overwrite").error


def test_what_is_no_data_set(hyperseg: Hyperseg, tmp_path: Path) -> None:
    assert "does not exist" in hyperseg("segment", "check", "nowhere").error


def test_help_teaches_the_layouts(hyperseg: Hyperseg) -> None:
    answer = hyperseg("segment", "--help")
    assert answer.code == 0
    for word in ("dataset.json", "imagesTr", "images/a.png", "a_mask.png", "groups.csv", "check"):
        assert word in answer.out
    assert "Did you mean check?" in hyperseg("segment", "chek").err


MEDICAL = {
    "msd_task04_hippocampus": (260, 260, (15_469_502, 445_938, 410_816)),
    "acdc_h5": (12, 6, None),  # 18 more are in its test.list
    "drishti_gs1_512": (50, 50, None),
    "busi_subset": (30, 30, None),
    "dsb2018_subset": (83, 83, None),
}


@pytest.mark.shared_data
@pytest.mark.parametrize("name", MEDICAL)
def test_real_data(shared_data: Path, name: str) -> None:
    cases, groups, voxels = MEDICAL[name]
    if not (shared_data / "medical" / name).is_dir():
        pytest.skip(f"medical/{name} is not in the folder of real data")
    found = survey(list_cases(shared_data / "medical" / name))
    assert found.errors == ()
    assert len(found.folder.cases) == cases
    assert len({case.group for case in found.folder.cases}) == groups
    assert voxels in (None, found.voxels)
    parts = folds(found.folder.cases)
    assert max(map(len, parts)) - min(map(len, parts)) <= 2


@pytest.mark.shared_data
def test_the_official_test_images_are_held_back(shared_data: Path) -> None:
    for name, n in (("drishti_gs1_512", 51), ("acdc_h5", 18)):
        folder = list_cases(shared_data / "medical" / name)
        assert len(folder.unlabelled) == n
        assert all(case.label is not None for case in folder.unlabelled)
