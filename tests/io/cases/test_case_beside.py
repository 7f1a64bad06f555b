"""What stands beside the files: spacings where these say none, an official split, names that differ in capitals."""

from __future__ import annotations

import json
from pathlib import Path

import h5py
import numpy as np
import pytest
from PIL import Image
from volumes import mask, oblique, picture, pictures, volume, volumes, write_nifti, write_picture

from hyperseg.core import DataFileError, SettingError
from hyperseg.io.cases import check_cases, list_cases, list_images, open_cases, read_case, survey
from hyperseg.io.cases.decode import decode_image, shape_of

SHAPE = (3, 4, 5)


def packed(root: Path, n: int = 4, **attributes: object) -> Path:
    """n files .h5 with image and label, named patient0_frame0, patient0_frame1, patient1_frame0 ..."""
    root.mkdir(parents=True, exist_ok=True)
    for i in range(n):
        with h5py.File(root / f"patient{i // 2}_frame{i % 2}.h5", "w") as file:
            file["image"] = volume(i, SHAPE).astype(np.float32)
            file["label"] = mask(shape=SHAPE)
            file["image"].attrs.update(attributes)
    return root


def spacing_in(root: Path, **options: tuple[float, ...]) -> set[tuple[tuple[float, ...], str]]:
    folder = open_cases(root, **options)
    grids = [read_case(folder, case).grid for case in folder.cases]
    return {(grid.spacing, grid.unit) for grid in grids}


def test_nothing_says_the_spacing(tmp_path: Path) -> None:
    assert spacing_in(packed(tmp_path)) == {((1.0, 1.0, 1.0), "px")}


def test_every_way_to_say_the_spacing(tmp_path: Path) -> None:
    expected = {((10.0, 1.5, 1.25), "mm")}
    assert spacing_in(packed(tmp_path / "attribute", spacing=[10, 1.5, 1.25])) == expected
    assert spacing_in(packed(tmp_path / "um", element_size_um=[1e4, 1.5e3, 1.25e3])) == expected
    assert spacing_in(packed(tmp_path / "option"), spacing=(10.0, 1.5, 1.25)) == expected
    (packed(tmp_path / "table") / "spacing.csv").write_text("name,Z,Y,X\n*,10,1.5,1.25\n")
    assert spacing_in(tmp_path / "table") == expected
    folder = open_cases(tmp_path / "table")
    assert folder.spacing == (10.0, 1.5, 1.25)
    assert "spacing, 10 x 1.5 x 1.25 mm, from spacing.csv" in folder.rule
    root = pictures(tmp_path / "raw")
    for new, old in (("imagesTr", "images"), ("labelsTr", "labels")):
        (root / old).rename(root / new)
    about = {"modality": {"0": "grey"}, "labels": {"0": "no", "1": "yes"}, "spacing": [0.5, 0.25]}
    (root / "dataset.json").write_text(json.dumps(about))
    assert spacing_in(root) == {((0.5, 0.25), "mm")}


def test_the_file_goes_first_then_the_line_of_its_name(tmp_path: Path) -> None:
    packed(tmp_path, 4)
    (tmp_path / "spacing.csv").write_text("patient0_frame0.h5,8,1,1\n*,9,1,1\n")
    with h5py.File(tmp_path / "patient1_frame1.h5", "a") as file:
        file["image"].attrs["spacing"] = [7, 1, 1]
    folder = open_cases(tmp_path)
    found = {case.name: read_case(folder, case).grid.spacing[0] for case in folder.cases}
    assert found == {"patient0_frame0": 8, "patient0_frame1": 9, "patient1_frame0": 9, "patient1_frame1": 7}


def test_a_spacing_that_would_change_nothing_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SettingError, match=r"every file in .* states its own"):
        open_cases(volumes(tmp_path), spacing=(1.0, 1.0, 1.0))


@pytest.mark.parametrize("line", ["*,1,0,1", "*,1,1", "*,a,b,c", "*,1,1,1,1", "*,1,1,inf"])
def test_a_spacing_that_is_none(tmp_path: Path, line: str) -> None:
    (packed(tmp_path) / "spacing.csv").write_text(line)
    with pytest.raises(DataFileError, match="spacing"):
        spacing_in(tmp_path)


def test_a_case_without_a_line_is_a_fault(tmp_path: Path) -> None:
    (packed(tmp_path) / "spacing.csv").write_text("patient0_frame0,8,1,1\n")
    (fault,) = [fault for fault in check_cases(list_cases(tmp_path)) if fault.kind == "no spacing"]
    assert fault.severity == "error"
    assert "3 cases" in fault.found


def test_a_run_remembers_what_was_stated(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", volume(0, SHAPE))
    (case,) = list_images(tmp_path / "a.npy", spacing=(10.0, 1.0, 1.0))
    assert case.spacing == (10.0, 1.0, 1.0)
    (tmp_path / "spacing.csv").write_text("*,5,1,1")
    (case,) = list_images(tmp_path / "a.npy", spacing=(10.0, 1.0, 1.0))
    assert case.spacing == (5.0, 1.0, 1.0)
    (case,) = list_images(write_nifti(tmp_path / "b.nii.gz", volume()), spacing=(10.0, 1.0, 1.0))
    assert case.spacing == ()


def test_test_cases_of_a_list_are_held_back(tmp_path: Path) -> None:
    packed(tmp_path, 6)
    (tmp_path / "test.list").write_text("patient2_frame0\npatient2_frame1\npatient9_frame0\n")
    (tmp_path / "train.list").write_text("patient0_frame0\npatient0_frame1\npatient1_frame0\npatient1_frame1\n")
    folder = open_cases(tmp_path)
    assert [case.group for case in folder.cases] == ["patient0", "patient0", "patient1", "patient1"]
    assert [case.name for case in folder.unlabelled] == ["patient2_frame0", "patient2_frame1"]
    assert all(case.label is not None for case in folder.unlabelled)
    assert "test.list holds 2 cases back for scores, 4 of 4 in train.list are learnt from" in folder.rule
    assert folder.faults == ()
    assert [case.name for case in list_images(tmp_path)] == ["patient2_frame0", "patient2_frame1"]


@pytest.mark.parametrize(
    ("lines", "severity", "words"),
    [
        ("patient0_frame0\n", "remark", "patient0 has cases in the list and others to learn from"),
        ("PATIENT0_frame0\n", "remark", "names no case"),
        ("patient0_frame0\npatient0_frame1\npatient1_frame0\npatient1_frame1\n", "error", "every case"),
    ],
)
def test_lists_that_cannot_be_meant(tmp_path: Path, lines: str, severity: str, words: str) -> None:
    (packed(tmp_path) / "test.txt").write_text(lines)
    (fault,) = list_cases(tmp_path).faults
    assert fault.severity == severity
    assert words in fault.found


def test_names_that_differ_in_capitals_alone(tmp_path: Path) -> None:
    write_picture(tmp_path / "images" / "Case1.png", picture())
    write_picture(tmp_path / "images" / "case2.png", picture(1))
    for name in ("case1_mask.png", "case2.png"):
        write_picture(tmp_path / "labels" / name, mask())
    (error,) = [fault for fault in list_cases(tmp_path).faults if fault.severity == "error"]
    assert error.file.endswith("case1_mask.png")
    assert "Is Case1.png meant?" in error.remedy


def test_sizes_are_told_as_a_plan_tells_them(tmp_path: Path) -> None:
    """A file whose axes run (rows, depth, columns), with 0.5, 1 and 3 mm: depth, rows, columns have 1, 0.5, 3."""
    for i in range(2):
        write_nifti(tmp_path / "images" / f"a{i}.nii.gz", volume(i, (4, 5, 6)), oblique((1, 2, 0)))
        write_nifti(tmp_path / "labels" / f"a{i}.nii.gz", mask(shape=(4, 5, 6)), oblique((1, 2, 0)))
    found = survey(open_cases(tmp_path))
    assert found.sizes[0] == (5, 4, 6)
    assert found.spacings[0] == pytest.approx((1.0, 0.5, 3.0))
    folder = open_cases(tmp_path)
    assert read_case(folder, folder.cases[0]).shape == (5, 4, 6)
    assert found.to_json()["axes"] == ("depth", "rows", "columns")


def test_headers_tell_the_shape_that_is_read(tmp_path: Path) -> None:
    pages = [Image.fromarray(picture(i)) for i in range(3)]
    pages[0].save(tmp_path / "stack.tif", save_all=True, append_images=pages[1:])
    pages[0].save(tmp_path / "page.tif")
    np.save(tmp_path / "array.npy", np.zeros((3, 4, 5, 2)))
    write_picture(tmp_path / "colours.png", picture(0, (8, 6, 3)))
    for name in ("stack.tif", "page.tif", "array.npy", "colours.png"):
        read = decode_image(tmp_path / name)
        assert shape_of(tmp_path / name) == (*read.shape, read.channels)
