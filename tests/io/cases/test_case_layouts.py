"""Which files belong together, in each layout, and what the rule says of it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from volumes import mask, picture, pictures, volume, volumes, write_nifti, write_picture

from hyperseg.core import DataFileError, LabelError
from hyperseg.io.cases import list_cases, open_cases, read_case


def described(root: Path, about: dict[str, Any], names: tuple[str, ...], channels: int = 1) -> Path:
    for name in names:
        for c in range(channels):
            end = f"_{c:04d}" if channels > 1 or "channel_names" in about else ""
            write_nifti(root / "imagesTr" / f"{name}{end}.nii.gz", volume(c))
        write_nifti(root / "labelsTr" / f"{name}.nii.gz", mask(shape=(5, 4, 3)))
    (root / "dataset.json").write_text(json.dumps(about), encoding="utf-8")
    return root


def test_decathlon(tmp_path: Path) -> None:
    training = [{"image": f"./imagesTr/a_{i}.nii.gz", "label": f"./labelsTr/a_{i}.nii.gz"} for i in (2, 1)]
    about = {
        "modality": {"0": "CT"}, "labels": {"0": "background", "1": "liver", "2": "tumour"}, "training": training,
        "test": ["./imagesTs/a_9.nii.gz"],
    }  # fmt: skip
    write_nifti(tmp_path / "imagesTs" / "a_9.nii.gz", volume(9))
    folder = open_cases(described(tmp_path, about, ("a_1", "a_2")))
    assert [case.name for case in folder.cases] == ["a_1", "a_2"]
    assert [case.name for case in folder.unlabelled] == ["a_9"]
    assert folder.cases[0].images == (tmp_path / "imagesTr" / "a_1.nii.gz",)
    assert (folder.channels, folder.classes, folder.codes) == (("CT",), ("background", "liver", "tumour"), (0, 1, 2))
    assert "dataset.json names 2 images" in folder.rule
    assert not folder.faults


def test_a_fourth_axis_holds_the_channels_that_dataset_json_names(tmp_path: Path) -> None:
    both = np.stack([volume(0), volume(1)], -1)
    write_nifti(tmp_path / "imagesTr" / "b.nii.gz", both)
    write_nifti(tmp_path / "labelsTr" / "b.nii.gz", mask(shape=(5, 4, 3)))
    about = {
        "modality": {"1": "T2", "0": "FLAIR"}, "labels": {"0": "background", "1": "x"},
        "training": [{"image": "./imagesTr/b.nii.gz", "label": "./labelsTr/b.nii.gz"}],
    }  # fmt: skip
    (tmp_path / "dataset.json").write_text(json.dumps(about), encoding="utf-8")
    folder = open_cases(tmp_path)
    assert folder.channels == ("FLAIR", "T2")
    np.testing.assert_array_equal(read_case(folder, folder.cases[0]).cube, both.transpose(2, 1, 0, 3))


def test_raw_data_of_the_second_version(tmp_path: Path) -> None:
    about = {
        "channel_names": {"0": "T1", "1": "T2"}, "labels": {"background": 0, "core": 1, "ignore": 2},
        "numTraining": 2, "file_ending": ".nii.gz",
    }  # fmt: skip
    folder = open_cases(described(tmp_path, about, ("pat_001", "pat_002"), channels=2))
    assert [path.name for path in folder.cases[1].images] == ["pat_002_0000.nii.gz", "pat_002_0001.nii.gz"]
    assert (folder.codes, folder.ignore) == ((0, 1), 2)
    write_nifti(tmp_path / "labelsTr" / "pat_001.nii.gz", mask(2, shape=(5, 4, 3)))
    labels = read_case(folder, folder.cases[0]).labels
    assert labels is not None
    assert set(np.unique(labels)) == {-1, 0}


@pytest.mark.parametrize(
    ("about", "words"),
    [
        ("{", "no JSON"),
        ({"labels": {"0": "background", "1": "x"}}, "channels"),
        ({"modality": {"0": "CT"}, "labels": {"0": "background"}}, "classes"),
        ({"modality": {"0": "CT"}, "labels": {"background": 0, "whole": [1, 2]}}, "region"),
    ],
)
def test_a_bad_dataset_json_is_told(tmp_path: Path, about: Any, words: str) -> None:
    (tmp_path / "dataset.json").write_text(about if isinstance(about, str) else json.dumps(about), encoding="utf-8")
    with pytest.raises(DataFileError, match=words) as error:
        open_cases(tmp_path)
    assert str(tmp_path / "dataset.json") in str(error.value)


@pytest.mark.parametrize("label", ["{}", "{}_mask", "{}_label", "{}_seg", "{}-gt", "mask_{}", "{}_segmentation"])
@pytest.mark.parametrize("folders", [("images", "labels"), ("imgs", "masks"), ("imagesTr", "labelsTr")])
def test_two_folders(tmp_path: Path, folders: tuple[str, str], label: str) -> None:
    for name in ("x1", "x2"):
        write_picture(tmp_path / folders[0] / f"{name}.jpg", picture())
        write_picture(tmp_path / folders[1] / f"{label.format(name)}.png", mask())
    folder = open_cases(tmp_path)
    pairs = [(case.name, case.label and case.label.stem) for case in folder.cases]
    assert pairs == [(name, label.format(name)) for name in ("x1", "x2")]
    assert "2 images and labels paired by name" in folder.rule


def test_words_for_images_are_taken_off(tmp_path: Path) -> None:
    for n in (0, 1):
        write_nifti(tmp_path / f"volume-{n}.nii", volume(n))
        write_nifti(tmp_path / f"segmentation-{n}.nii", mask(shape=(5, 4, 3)))
    folder = open_cases(tmp_path)
    assert [(c.images[0].name, c.label and c.label.name) for c in folder.cases] == [
        ("volume-0.nii", "segmentation-0.nii"), ("volume-1.nii", "segmentation-1.nii"),
    ]  # fmt: skip


def test_channels_by_the_ends_of_names(tmp_path: Path) -> None:
    for name in ("p", "q"):
        for channel in ("t1", "flair"):
            write_nifti(tmp_path / "images" / f"{name}_{channel}.nii.gz", volume(len(channel)))
        write_nifti(tmp_path / "labels" / f"{name}_seg.nii.gz", mask(shape=(5, 4, 3)))
    folder = open_cases(tmp_path)
    assert folder.channels == ("flair", "t1")
    assert "_flair and _t1" in folder.rule
    cube = read_case(folder, folder.cases[0]).cube
    np.testing.assert_array_equal(cube[..., 0], volume(5).transpose(2, 1, 0))
    np.testing.assert_array_equal(cube[..., 1], volume(2).transpose(2, 1, 0))


def test_numbered_pictures_are_cases_not_channels(tmp_path: Path) -> None:
    for n in range(3):
        write_picture(tmp_path / "images" / f"scan_{n:04d}.png", picture(n))
        write_picture(tmp_path / "labels" / f"scan_{n:04d}.png", mask())
    assert len(open_cases(tmp_path).cases) == 3


def test_pairs_in_one_folder_and_images_alone(tmp_path: Path) -> None:
    for name in ("a", "b", "c"):
        write_picture(tmp_path / f"{name}.png", picture())
    for name in ("a", "b"):
        write_picture(tmp_path / f"{name}_mask.png", mask())
    folder = open_cases(tmp_path)
    assert [case.name for case in folder.cases] == ["a", "b"]
    assert [case.name for case in folder.unlabelled] == ["c"]
    assert [fault.severity for fault in folder.faults] == ["remark"]


def test_files_that_hold_both(tmp_path: Path) -> None:
    for name in ("one", "two"):
        with h5py.File(tmp_path / f"{name}.h5", "w") as file:
            file["image"], file["label"] = np.ones((3, 8, 9), np.float32), mask(2, (3, 8, 9))
    folder = open_cases(tmp_path)
    scene = read_case(folder, folder.cases[0])
    assert (scene.shape, scene.codes, scene.grid.unit) == ((3, 8, 9), (0, 2), "px")


@pytest.mark.parametrize("prefix", ["", "{}_"])
def test_a_folder_for_every_case(tmp_path: Path, prefix: str) -> None:
    for name in ("p1", "p2", "p3"):
        for role in ("flair", "t1", "brainmask"):
            write_nifti(tmp_path / name / f"{prefix.format(name)}{role}.nii.gz", volume(len(role)))
        if name != "p3":
            write_nifti(tmp_path / name / f"{prefix.format(name)}seg.nii.gz", mask(shape=(5, 4, 3)))
    folder = open_cases(tmp_path)
    assert ([c.name for c in folder.cases], [c.name for c in folder.unlabelled]) == (["p1", "p2"], ["p3"])
    assert folder.channels == ("flair", "t1")
    assert "brainmask is not read" in folder.rule
    np.testing.assert_array_equal(read_case(folder, folder.cases[0]).cube[..., 1], volume(2).transpose(2, 1, 0))


def test_subfolders_and_the_one_called_test(tmp_path: Path) -> None:
    for part in ("training", "test"):
        for name in ("a", "b"):
            write_picture(tmp_path / part / f"{name}.png", picture())
            write_picture(tmp_path / part / f"{name}_mask.png", mask())
    folder = open_cases(tmp_path)
    assert [case.name for case in folder.cases] == ["training_a", "training_b"]
    assert [case.name for case in folder.unlabelled] == ["test_a", "test_b"]
    assert "test/ is only predicted" in folder.rule


def test_several_masks_of_an_image_are_joined(tmp_path: Path) -> None:
    for name in ("a", "b"):
        write_picture(tmp_path / f"{name}.png", picture())
        write_picture(tmp_path / f"{name}_mask.png", mask(255))
    write_picture(tmp_path / "a_mask_1.png", np.ascontiguousarray(mask(255)[::-1]).astype(bool))
    folder = open_cases(tmp_path)
    labels = read_case(folder, folder.cases[0]).labels
    assert labels is not None
    np.testing.assert_array_equal(labels.any(1), np.arange(8) % 7 == 0)


def test_labels_of_objects_by_their_name(tmp_path: Path) -> None:
    for name in ("a", "b"):
        write_picture(tmp_path / f"{name}.png", picture())
        write_picture(tmp_path / f"{name}_inst.png", np.arange(48, dtype=np.uint16).reshape(8, 6) * 100)
    folder = open_cases(tmp_path)
    assert (folder.instances, folder.classes) == (True, ("background", "object"))
    labels = read_case(folder, folder.cases[0]).labels
    assert labels is not None
    assert labels.sum() == 47


def test_too_many_codes_are_no_classes(tmp_path: Path) -> None:
    pictures(tmp_path)
    write_picture(tmp_path / "labels" / "a1.png", picture(5, (40, 40)))
    with pytest.raises(LabelError, match=r"a1\.png.*instances"):
        open_cases(tmp_path)


def test_codes_become_classes(tmp_path: Path) -> None:
    folder = open_cases(pictures(tmp_path, full=255))
    assert (folder.classes, folder.codes) == (("background", "foreground"), (0, 255))
    assert "0 and 255 of label files are the classes 0 to 1" in folder.rule
    write_picture(tmp_path / "labels" / "a0.png", mask(1).astype(bool))
    folder = open_cases(tmp_path)
    assert folder.codes == (0, 1)
    for case in folder.cases:
        labels = read_case(folder, case).labels
        assert labels is not None
        np.testing.assert_array_equal(labels, mask(1))


def test_groups(tmp_path: Path) -> None:
    for name in ("patient001_frame01", "patient001_frame12", "patient002_frame01"):
        write_picture(tmp_path / "images" / f"{name}.png", picture())
        write_picture(tmp_path / "labels" / f"{name}.png", mask())
    folder = list_cases(tmp_path)
    assert [case.group for case in folder.cases] == ["patient001", "patient001", "patient002"]
    assert "2 groups from the beginning of names (patient001)" in folder.rule
    lines = "name,group\npatient001_frame01.png,x\npatient001_frame12,y\npatient002_frame01,x\n"
    (tmp_path / "groups.csv").write_text(lines, encoding="utf-8")
    folder = list_cases(tmp_path)
    assert [case.group for case in folder.cases] == ["x", "y", "x"]
    assert "2 groups from groups.csv" in folder.rule
    (tmp_path / "groups.csv").write_text("patient001_frame01,x\n", encoding="utf-8")
    assert [fault.kind for fault in list_cases(tmp_path).faults] == ["no group"]
    (tmp_path / "groups.csv").write_text("a,x,y\n", encoding="utf-8")
    with pytest.raises(DataFileError, match="3 columns"):
        list_cases(tmp_path)


def test_names_that_show_no_patients_are_groups_of_their_own(tmp_path: Path) -> None:
    assert [case.group for case in list_cases(volumes(tmp_path)).cases] == ["a0", "a1", "a2"]


@pytest.mark.parametrize("make", [lambda p: None, lambda p: p.mkdir(), lambda p: p.write_text("x")])
def test_what_is_no_data_set_is_told_how_one_looks(tmp_path: Path, make: Any) -> None:
    make(tmp_path / "d")
    with pytest.raises(DataFileError, match=r"dataset\.json.*images/.*X_mask"):
        open_cases(tmp_path / "d")
