"""Every fault of a data set is found, once, with file and remedy; a good data set has none."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from volumes import RAS, mask, oblique, picture, pictures, volume, volumes, write_nifti, write_picture

from hyperseg.core import DataFileError
from hyperseg.io.cases import Fault, check_cases, list_cases, open_cases, survey

SHAPE = (5, 4, 3)
Spoil = Callable[[Path], object]


def faults_of(root: Path) -> list[Fault]:
    return check_cases(list_cases(root))


@pytest.mark.parametrize("make", [pictures, volumes])
def test_a_good_folder_has_no_faults(tmp_path: Path, make: Callable[[Path], Path]) -> None:
    found = survey(open_cases(make(tmp_path)))
    assert found.faults == ()
    assert found.folder.codes == (0, 1)
    assert sum(found.voxels) == sum(int(np.prod(size)) for size in found.sizes)


def image(root: Path) -> Path:
    return root / "images" / "a0.nii.gz"


def label(root: Path) -> Path:
    return root / "labels" / "a0.nii.gz"


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-30])


def with_nan(root: Path) -> None:
    values = volume().astype(np.float32)
    values[0, 0, 0] = np.nan
    write_nifti(image(root), values)


def same_with_other_label(root: Path) -> None:
    write_nifti(root / "images" / "b.nii.gz", volume(0))
    write_nifti(root / "labels" / "b.nii.gz", np.ascontiguousarray(mask(shape=SHAPE)[::-1]))


def same_again(root: Path) -> None:
    write_nifti(root / "images" / "b.nii.gz", volume(0))
    write_nifti(root / "labels" / "b.nii.gz", mask(shape=SHAPE))


FAR = RAS + np.array([[0, 0, 0, 9.0], *[[0] * 4] * 3])
NEAR = RAS + np.array([[0, 0, 0, 0.1], *[[0] * 4] * 3])
FLIPPED = np.diag([-1.0, 1, 1, 1])
ERRORS: dict[str, tuple[Spoil, str, str]] = {
    "label without image": (lambda r: image(r).unlink(), "label without image", "a0.nii.gz"),
    "shape": (lambda r: write_nifti(label(r), mask(shape=(5, 4, 2))), "label", "2x4x5 voxels instead of 3x4x5"),
    "spacing": (lambda r: write_nifti(label(r), mask(shape=SHAPE), np.diag([1, 1, 2.0, 1])), "label", "2 x 1 x 1 mm"),
    "orientation": (lambda r: write_nifti(label(r), mask(shape=SHAPE), FLIPPED), "label", "LAS instead of RAS"),
    "place": (lambda r: write_nifti(label(r), mask(shape=SHAPE), FAR), "label", "another place"),
    "cut image": (lambda r: cut(image(r)), "unreadable", "no whole gzip"),
    "cut label": (lambda r: cut(label(r)), "label", "no whole gzip"),
    "empty file": (lambda r: image(r).write_bytes(b""), "unreadable", "0 bytes"),
    "nan": (with_nan, "not finite", "1 voxel with NaN"),
    "4-D": (lambda r: write_nifti(image(r), np.zeros((*SHAPE, 2), np.int16)), "channels", "2 channels"),
    "fraction": (lambda r: write_nifti(label(r), np.full(SHAPE, 0.5, np.float32)), "label", "0.5"),
    "negative": (lambda r: write_nifti(label(r), np.full(SHAPE, -3, np.int16)), "unknown class", "-3"),
    "other label": (same_with_other_label, "duplicate", "with another label"),
    "picture among volumes": (
        lambda r: [write_picture(r / d / "p.png", a) for d, a in (("images", picture()), ("labels", mask()))],
        "mixed axes", "2 axes",
    ),
}  # fmt: skip
REMARKS: dict[str, tuple[Spoil, str, str]] = {
    "near": (lambda r: write_nifti(label(r), mask(shape=SHAPE), NEAR), "place", "0.1 voxels"),
    "no place": (lambda r: write_nifti(label(r), mask(shape=SHAPE), code=0), "place", "no place"),
    "empty mask": (lambda r: write_nifti(label(r), mask(0, SHAPE)), "empty mask", "all background"),
    "constant": (lambda r: write_nifti(image(r), np.full(SHAPE, 7, np.int16)), "constant", "7 everywhere"),
    "duplicate": (same_again, "duplicate", "same image as"),
    "image alone": (lambda r: label(r).unlink(), "image without label", "1 image"),
    "codes": (lambda r: [write_nifti(r / "labels" / f"a{i}.nii.gz", mask(4, SHAPE)) for i in range(3)], "codes",
              "0 and 4"),
    "rare class": (lambda r: write_nifti(label(r), np.maximum(mask(2, SHAPE), mask(1, SHAPE)[::-1])), "rare class",
                   "class 2"),
}  # fmt: skip


@pytest.mark.parametrize("name", ERRORS)
def test_errors(tmp_path: Path, name: str) -> None:
    spoil, kind, words = ERRORS[name]
    spoil(volumes(tmp_path))
    errors = [fault for fault in faults_of(tmp_path) if fault.severity == "error"]
    assert [fault.kind for fault in errors] == [kind], [str(fault) for fault in errors]
    assert words in str(errors[0])
    assert str(tmp_path) in errors[0].file
    assert all((errors[0].found, errors[0].expected, errors[0].remedy))


@pytest.mark.parametrize("name", REMARKS)
def test_remarks(tmp_path: Path, name: str) -> None:
    spoil, kind, words = REMARKS[name]
    spoil(volumes(tmp_path))
    found = faults_of(tmp_path)
    assert [(fault.severity, fault.kind) for fault in found] == [("remark", kind)], [str(fault) for fault in found]
    assert words in str(found[0])


def test_mixed_orientations_and_spacings_are_remarks(tmp_path: Path) -> None:
    volumes(volumes(tmp_path), 1, oblique((2, 1, 0), (-1, 1, 1)))
    assert {fault.kind for fault in faults_of(tmp_path)} == {"orientations", "spacings"}
    assert {fault.severity for fault in faults_of(tmp_path)} == {"remark"}


def test_one_case_only(tmp_path: Path) -> None:
    assert [fault.kind for fault in faults_of(volumes(tmp_path, 1)) if fault.severity == "error"] == ["one case"]


@pytest.mark.parametrize(
    ("values", "kind", "words"),
    [
        (picture(3, (8, 6, 3)), "label", "3 channels"),
        (np.arange(65 * 6, dtype=np.uint16).reshape(65, 6), "no classes", "instances"),
    ],
)
def test_masks_of_pictures_that_are_no_classes(tmp_path: Path, values: np.ndarray, kind: str, words: str) -> None:
    pictures(tmp_path)
    write_picture(tmp_path / "labels" / "a0.png", values)
    write_picture(tmp_path / "images" / "a0.png", picture(0, values.shape[:2]))
    errors = [fault for fault in faults_of(tmp_path) if fault.severity == "error"]
    assert [fault.kind for fault in errors] == [kind]
    assert words in str(errors[0])
    assert "a0.png" in errors[0].file


def test_jpeg_labels(tmp_path: Path) -> None:
    pictures(tmp_path)
    (tmp_path / "labels" / "a0.png").unlink()
    write_picture(tmp_path / "labels" / "a0.jpg", mask(255))
    (error,) = [fault for fault in faults_of(tmp_path) if fault.severity == "error"]
    assert "JPEG" in error.found


def test_two_spellings_of_foreground(tmp_path: Path) -> None:
    pictures(tmp_path)
    write_picture(tmp_path / "labels" / "a0.png", mask(255))
    found = survey(list_cases(tmp_path))
    assert [(fault.severity, fault.kind) for fault in found.faults] == [("remark", "two codes")]
    assert found.voxels == (3 * 42, 3 * 6)


def described(root: Path, labels: dict[str, str]) -> Path:
    names = [f"a{i}.nii.gz" for i in range(3)]
    for name in names:
        write_nifti(root / "imagesTr" / name, volume(int(name[1])))
        write_nifti(root / "labelsTr" / name, mask(shape=SHAPE))
    training = [{"image": f"./imagesTr/{name}", "label": f"./labelsTr/{name}"} for name in names]
    about = {"modality": {"0": "MRI"}, "labels": labels, "training": training}
    (root / "dataset.json").write_text(json.dumps(about), encoding="utf-8")
    return root


def test_classes_of_dataset_json(tmp_path: Path) -> None:
    described(tmp_path, {"0": "background", "1": "a", "2": "b"})
    assert [(fault.kind, "class b" in fault.found) for fault in faults_of(tmp_path)] == [("absent class", True)]
    write_nifti(tmp_path / "labelsTr" / "a0.nii.gz", mask(3, SHAPE))
    write_nifti(tmp_path / "labelsTr" / "a1.nii.gz", mask(2, SHAPE))
    errors = [fault for fault in faults_of(tmp_path) if fault.severity == "error"]
    assert [(fault.kind, Path(fault.file).name) for fault in errors] == [("unknown class", "a0.nii.gz")]
    (tmp_path / "labelsTr" / "a1.nii.gz").unlink()
    assert "missing file" in [fault.kind for fault in faults_of(tmp_path)]


def test_one_channel_of_a_case_is_missing_or_elsewhere(tmp_path: Path) -> None:
    for name in ("p", "q", "r"):
        for channel in ("t1", "flair"):
            write_nifti(tmp_path / "images" / f"{name}_{channel}.nii.gz", volume(len(name + channel)))
        write_nifti(tmp_path / "labels" / f"{name}.nii.gz", mask(shape=SHAPE))
    write_nifti(tmp_path / "images" / "p_t1.nii.gz", volume(0, (5, 4, 2)))
    (tmp_path / "images" / "q_flair.nii.gz").unlink()
    errors = {fault.kind: str(fault) for fault in faults_of(tmp_path) if fault.severity == "error"}
    assert "q has no file for the channel flair" in errors["missing channel"]
    assert "p_t1.nii.gz: has 2x4x5 voxels" in errors["unreadable"]


def test_tomograms_without_their_name(tmp_path: Path) -> None:
    volumes(tmp_path)
    for i in range(3):
        write_nifti(tmp_path / "images" / f"a{i}.nii.gz", volume(i) - np.int16(950))
    assert [fault.kind for fault in faults_of(tmp_path)] == ["modality"]


def test_nibabel_is_named_where_it_is_not_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    volumes(tmp_path)
    monkeypatch.setitem(sys.modules, "nibabel", None)
    with pytest.raises(DataFileError, match=r'pip install "hyperseg\[medical\]"'):  # once, and no file is called faulty
        faults_of(tmp_path)


def test_the_pass_is_one(tmp_path: Path) -> None:
    """Progress counts every case once."""
    told: list[tuple[int, int]] = []
    survey(list_cases(volumes(tmp_path)), progress=lambda done, total: told.append((done, total)))
    assert told == [(1, 3), (2, 3), (3, 3)]
