"""Which file is which channel of a run, files that stand for the same, and channels that are no colours."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import pytest
from volumes import mask, picture, pictures, volume, volumes, write_nifti, write_picture

from hyperseg.core import DataFileError
from hyperseg.io.cases import CaseFolder, check_cases, list_cases, list_images, open_cases, read_case

RUN = ("t1", "flair", "CT")


def several(root: Path, *ends: str) -> Path:
    for k, end in enumerate(ends):
        write_nifti(root / f"q_{end}.nii.gz", volume(k))
    return root


@pytest.mark.parametrize("ends", [("flair", "T1", "ct"), ("ct", "t1", "FLAIR")])
def test_words_are_the_channels_of_the_run_in_any_order(tmp_path: Path, ends: tuple[str, ...]) -> None:
    (case,) = list_images(several(tmp_path, *ends), channels=RUN)
    assert [path.name[2:-7].lower() for path in case.images] == ["t1", "flair", "ct"]
    cube = read_case(CaseFolder(tmp_path, "", (), channels=RUN), case).cube
    place = [end.lower() for end in ends].index("flair")
    np.testing.assert_array_equal(cube[..., 1], volume(place).T)


@pytest.mark.parametrize("ends", [("flair", "pd", "t1"), ("flair", "t1"), ("t1", "t2", "flair", "ct")])
def test_other_words_are_refused(tmp_path: Path, ends: tuple[str, ...]) -> None:
    with pytest.raises(DataFileError, match=f"{', '.join(sorted(ends))}; the run .* t1, flair, CT.*0001 = flair"):
        list_images(several(tmp_path, *ends), channels=RUN)


def test_numbers_follow_the_run(tmp_path: Path) -> None:
    (case,) = list_images(several(tmp_path, "0001", "0002", "0000"), channels=RUN)
    assert [path.name for path in case.images] == [f"q_000{n}.nii.gz" for n in range(3)]


def same_pictures(root: Path) -> tuple[str, str]:
    write_picture(pictures(root) / "images" / "a0.bmp", picture(9))
    return "a0.bmp", "a0.png"


def same_volumes(root: Path) -> tuple[str, str]:
    write_nifti(volumes(root) / "images" / "a0.nii", volume(9))
    return "a0.nii", "a0.nii.gz"


def same_labels(root: Path) -> tuple[str, str]:
    write_nifti(volumes(root) / "labels" / "a0.nii", mask(shape=(5, 4, 3)))
    return "a0.nii", "a0.nii.gz"


def same_numbers(root: Path) -> tuple[str, str]:
    for name in ("imagesTr/p_0000.nii.gz", "imagesTr/p_0000.nii"):
        write_nifti(root / name, volume())
    write_nifti(root / "labelsTr" / "p.nii.gz", mask(shape=(5, 4, 3)))
    about = '{"channel_names": {"0": "T1"}, "labels": {"background": 0, "x": 1}}'
    (root / "dataset.json").write_text(about, encoding="utf-8")
    return "p_0000.nii", "p_0000.nii.gz"


def same_roles(root: Path) -> tuple[str, str]:
    for name in ("a", "b", "c"):
        write_nifti(root / name / f"{name}_t1.nii.gz", volume())
        write_nifti(root / name / f"{name}_seg.nii.gz", mask(shape=(5, 4, 3)))
    write_nifti(root / "a" / "t1.nii.gz", volume(9))
    return "a_t1.nii.gz", "t1.nii.gz"


@pytest.mark.parametrize("make", [same_pictures, same_volumes, same_labels, same_numbers, same_roles])
def test_files_that_stand_for_the_same(tmp_path: Path, make: Callable[[Path], tuple[str, str]]) -> None:
    names = make(tmp_path)
    (fault,) = (fault for fault in list_cases(tmp_path).faults if fault.severity == "error")
    assert fault.kind == "name twice"
    assert all(f"{name}" in str(fault) for name in names)
    with pytest.raises(DataFileError, match="stands for the same as"):
        list_images(tmp_path)


def test_images_alone_that_stand_for_the_same(tmp_path: Path) -> None:
    for end in ("png", "jpg"):
        write_picture(tmp_path / f"a.{end}", picture())
    with pytest.raises(DataFileError, match=r"a\.png: stands for the same as a\.jpg"):
        list_images(tmp_path)


def test_three_channels_of_a_volume_are_no_colours(tmp_path: Path) -> None:
    file = write_nifti(volumes(tmp_path) / "images" / "a0.nii.gz", np.stack([volume(k) for k in range(3)], -1))
    folder = open_cases(tmp_path)
    assert folder.channels == ("image",)
    (fault,) = check_cases(folder)
    assert (fault.file, fault.kind, fault.severity) == (str(file), "channels", "error")
    with pytest.raises(DataFileError, match="has 3 channels, 1 were expected"):
        read_case(folder, folder.case("a0"))
    equal = write_nifti(file, np.stack([volume()] * 3, -1))
    assert [fault.file for fault in check_cases(folder)] == [str(equal)]


def test_grey_pictures_among_colours_are_still_read(tmp_path: Path) -> None:
    write_picture(pictures(tmp_path) / "images" / "a0.png", picture(shape=(8, 6, 3)))
    folder = open_cases(tmp_path)
    assert [read_case(folder, case).cube.shape[-1] for case in folder.cases] == [3, 3, 3]


def test_images_were_expected(tmp_path: Path) -> None:
    with pytest.raises(DataFileError, match="does not exist; an image or a folder of images was expected"):
        list_images(tmp_path / "none")
    with pytest.raises(DataFileError, match="holds no images; images in the folder itself"):
        list_images(tmp_path)
    write_picture(tmp_path / "in" / "a.png", picture())
    with pytest.raises(DataFileError, match="There are some in in/: name one"):
        list_images(tmp_path)


def test_an_image_and_a_label_of_other_shapes_in_one_file(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["image"], file["label"] = np.ones((4, 5, 6)), np.ones((4, 5, 7), np.uint8)
    with pytest.raises(DataFileError, match=r"a\.h5 holds image of 4x5x6 and label of 4x5x7"):
        list_cases(tmp_path)


def test_an_empty_volume_is_told_what_it_should_be(tmp_path: Path) -> None:
    file = volumes(tmp_path) / "images" / "a0.nii.gz"
    file.write_bytes(b"")
    assert "a NIfTI file was expected" in str(next(f.found for f in check_cases(list_cases(tmp_path))))
