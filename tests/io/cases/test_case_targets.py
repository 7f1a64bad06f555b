"""Targets: what is learnt is the labels of the folder with some classes put together, and nothing else."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from volumes import mask, picture, pictures, write_picture

from hyperseg.core import SettingError
from hyperseg.io.cases import CaseFolder, list_cases, open_cases, read_case, survey, write_prediction

NAMES = {0: "background", 1: "rim", 2: "cup", 5: "vessel"}
IGNORE = 9


def label(seed: int) -> NDArray[np.uint8]:
    """Every code of the folder somewhere."""
    return np.random.default_rng(seed).permutation(np.resize([0, 0, 1, 2, 5], 48)).reshape(8, 6).astype(np.uint8)


@pytest.fixture
def plain(tmp_path: Path) -> Path:
    """Three pictures with the codes 0, 1, 2 and 5, whose classes nothing names."""
    for i in range(3):
        write_picture(tmp_path / "images" / f"a{i}.png", picture(i))
        write_picture(tmp_path / "labels" / f"a{i}.png", label(i))
    return tmp_path


@pytest.fixture
def named(plain: Path) -> Path:
    """The same in the way of the Decathlon, with names and a code that is ignored."""
    training = [{"image": f"images/a{i}.png", "label": f"labels/a{i}.png"} for i in range(3)]
    labels = {str(code): name for code, name in NAMES.items()} | {str(IGNORE): "ignore"}
    about = {"modality": {"0": "grey"}, "labels": labels, "training": training}
    (plain / "dataset.json").write_text(json.dumps(about))
    return plain


def labels_of(folder: CaseFolder, k: int = 0) -> NDArray[np.int16]:
    return np.asarray(read_case(folder, folder.cases[k]).labels)


@pytest.mark.parametrize(
    ("target", "classes", "codes", "members"),
    [
        ("cup", ("cup",), (2,), ({2},)),
        ("2", ("cup",), (2,), ({2},)),
        ("vessel+rim", ("rim+vessel",), (1,), ({1, 5},)),
        ("rim+2", ("rim+cup",), (1,), ({1, 2},)),
        ("all", ("foreground",), (1,), ({1, 2, 5},)),
        ("disc=1+2", ("disc",), (1,), ({1, 2},)),
        ("lesion=all", ("lesion",), (1,), ({1, 2, 5},)),
        (["cup", "rim"], ("cup", "rim"), (2, 1), ({2}, {1})),
        (["vessel", "disc=rim+cup"], ("vessel", "disc"), (5, 1), ({5}, {1, 2})),
    ],
)
def test_a_target_is_its_codes_and_all_else_is_background(
    named: Path, target: str | list[str], classes: tuple[str, ...], codes: tuple[int, ...], members: tuple[set[int]]
) -> None:
    written = np.where(np.arange(48).reshape(8, 6) == 7, IGNORE, label(0))
    write_picture(named / "labels" / "a0.png", written.astype(np.uint8))
    folder = open_cases(named, target=target)
    expected = sum((k * np.isin(written, list(part)) for k, part in enumerate(members, start=1)), np.zeros((8, 6)))
    assert np.array_equal(labels_of(folder), np.where(written == IGNORE, -1, expected))
    assert (folder.classes, folder.codes) == (("background", *classes), (0, *codes))
    assert all(f"{name} (code {code} in predictions)" in folder.rule for name, code in zip(classes, codes, strict=True))


def test_every_class_for_itself_changes_nothing(named: Path) -> None:
    usual, asked = open_cases(named), open_cases(named, target=["rim", "cup", "vessel"])
    assert (asked.classes, asked.codes) == (usual.classes, usual.codes)
    assert all(np.array_equal(labels_of(asked, k), labels_of(usual, k)) for k in range(3))


def test_classes_that_nothing_names_have_codes(plain: Path) -> None:
    folder = open_cases(plain, target=["cup=2", "class 5"])
    assert (folder.classes, folder.codes) == (("background", "cup", "class 5"), (0, 2, 5))
    assert list_cases(plain, target="2").classes == ()  # labels have not been looked at
    found = survey(list_cases(plain, target="disc=1+2"))
    every = np.array([label(i) for i in range(3)])
    assert found.folder.classes == ("background", "disc")
    assert found.voxels == (np.isin(every, [0, 5]).sum(), np.isin(every, [1, 2]).sum())
    assert not found.errors


def test_a_survey_of_an_open_folder_keeps_its_targets(plain: Path) -> None:
    opened = open_cases(plain, target="2")
    assert (survey(opened).folder.classes, survey(opened).folder.merged) == (opened.classes, opened.merged)


def test_classes_outside_the_targets_may_be_in_one_case_or_none(named: Path) -> None:
    for i in range(3):
        codes = np.where(np.isin(label(i), [1, 5]), 0, label(i))
        write_picture(named / "labels" / f"a{i}.png", codes.astype(np.uint8))
    assert {fault.kind for fault in survey(list_cases(named)).errors} == {"absent class"}
    assert not survey(list_cases(named, target="cup")).errors
    (error,) = survey(list_cases(named, target="rim")).errors
    assert "class rim" in error.found


def test_masks_of_1_and_of_255_are_one_target(tmp_path: Path) -> None:
    write_picture(pictures(tmp_path) / "labels" / "a0.png", mask(255))
    folder = open_cases(tmp_path, target="lesion=foreground")
    assert folder.classes == ("background", "lesion")
    assert all(np.array_equal(labels_of(folder, k), mask()) for k in range(3))


def test_predictions_of_a_target_are_read_as_labels_again(named: Path, tmp_path: Path) -> None:
    folder = open_cases(named, target=["vessel", "rim+cup"])
    for case in folder.cases:
        made, file = np.asarray(read_case(folder, case).labels), tmp_path / f"{case.name}_again.png"
        write_prediction(file, made, like=case.images[0], codes=folder.codes)
        assert set(np.unique(np.asarray(labels_of(folder)))) == {0, 1, 2}
        (named / "labels" / f"{case.name}.png").write_bytes(file.read_bytes())
        assert np.array_equal(np.asarray(read_case(folder, case).labels), made)


@pytest.mark.parametrize(
    ("target", "words"),
    [
        ("disc", r"no class 'disc' to learn; it has rim \(code 1\), cup \(code 2\) and vessel \(code 5\)"),
        ("rim+", "no class ''"),
        ("", "no class ''"),
        ("background", "no class 'background' to learn"),
        ("0", "no class '0' to learn"),
        (["cup", "rim+cup"], "cup stands for two classes"),
        (["a=1", "a=2"], "a stands for two classes"),
        ("background=1", "background stands for two classes"),
    ],
)
def test_targets_that_are_refused(named: Path, target: str | list[str], words: str) -> None:
    with pytest.raises(SettingError, match=words):
        open_cases(named, target=target)
