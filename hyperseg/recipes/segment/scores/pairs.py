"""Which prediction belongs to which label, and both as codes on one grid."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hyperseg.core import UNLABELLED, DataFileError, LabelError, SettingError
from hyperseg.core.words import some
from hyperseg.io.cases import CaseFolder, open_cases
from hyperseg.io.cases.decathlon import FILE
from hyperseg.io.cases.decode import decode_label
from hyperseg.io.cases.layouts import plain_layout
from hyperseg.io.cases.listing import names_twice
from hyperseg.io.cases.names import case_of_label, files_in, plain_names, stem_of
from hyperseg.io.cases.picture import Picture, Place
from hyperseg.io.cases.read import REMEDY, classes_of, misfit, read_image, read_label

Codes = NDArray[Any]
OF_LABELS = ("labelstr", "labelsts", "labels")


@dataclass(frozen=True)
class Pair:
    """A prediction and its label, in the order of the axes of the label's file.

    Attributes:
        truth, found: (*S) classes: 0 is background, the others are `codes` of files; -1 is not scored.
        codes: code in files of each number there, the background's first; None where numbers are codes.
        place: of the label.
    """

    truth: Codes
    found: Codes
    codes: tuple[int, ...] | None
    place: Place | None

    def code(self, k: int) -> int:
        """The code in files of a number in `truth` and `found`."""
        return k if self.codes is None else self.codes[k]


@dataclass(frozen=True)
class Pairs:
    """Predictions and labels, paired by their names; files are read when they are asked for.

    Attributes:
        predicted: files by the names of their cases.
        truth: of the labels.
        folder: the data set that the labels are of, or None for label files alone.
    """

    predicted: Mapping[str, Path]
    truth: Mapping[str, Callable[[], Picture]]
    folder: CaseFolder | None

    @property
    def names(self) -> list[str]:
        """Of the cases that have both."""
        return sorted(self.predicted.keys() & self.truth.keys())

    def read(self, name: str) -> Pair:
        """One of them.

        Raises:
            LabelError: a prediction on another grid than its label, or of codes that are no classes.
        """
        file, truth, folder = self.predicted[name], self.truth[name](), self.folder
        found = decode_label(file)
        if (why := misfit(truth, found)) is not None:
            raise LabelError(f"{file}: {why} than its label. {REMEDY}")
        expected, made = truth.array[..., 0], found.array[..., 0]
        if folder is None:
            return Pair(*_one_spelling(expected, made), None, truth.place)
        expected = classes_of(Path(f"the label of {file.name}"), expected, folder)
        made = np.where(expected == UNLABELLED, UNLABELLED, classes_of(file, made, folder))
        return Pair(expected, made, folder.codes, truth.place)

    def image(self, name: str) -> Codes | None:
        """(*S, C) values of the case, where the labels are those of a data set."""
        try:
            return None if self.folder is None else read_image(self.folder.case(name)).array
        except KeyError:  # a label whose image is not there
            return None


def paired(predictions: Path, labels: Path, target: str | Sequence[str] = ()) -> Pairs:
    """Pair files by their names.

    Raises:
        DataFileError: nothing there, or no two names that fit.
        SettingError: a target that the data set does not have, or of labels without a data set.
    """
    predicted = _files(predictions, "predictions")
    folder = _data_set(labels, target)
    truth = _of_files(labels, predicted) if folder is None else _of_data_set(folder)
    if folder is None and (about := _above(labels)) is not None:
        folder = open_cases(about, target=target)
    if folder is None and target:
        raise SettingError(
            f"{labels}: holds label files alone; --target is of a data set, images and labels: name its folder."
        )
    found = Pairs(predicted, truth, folder)
    if not found.names:
        raise DataFileError(
            f"{predictions}: no file has the name of one in {labels} ({some(sorted(predicted), 2)} against "
            f"{some(sorted(truth), 2) or 'nothing'}). Predictions and labels are paired by their names."
        )
    return found


def _one_spelling(expected: Codes, made: Codes) -> tuple[Codes, Codes]:
    """Masks of which one says 1 and the other 255 for the only class mean the same."""
    kinds = [set(np.unique(codes).tolist()) - {0} for codes in (expected, made)]
    if {1} in kinds and {255} in kinds:
        return (expected > 0).astype(np.uint8), (made > 0).astype(np.uint8)
    return expected, made


def _files(place: Path, what: str) -> dict[str, Path]:
    """Files by the names of their cases."""
    if place.is_file():
        return {stem_of(place): place}
    if not place.is_dir():
        raise DataFileError(f"{place}: does not exist; a file or a folder of {what} was expected.")
    files = files_in(place)
    if twice := names_twice(files):
        raise DataFileError(str(twice[0]))
    found = {stem_of(path): path for path in files}
    if not found:
        raise DataFileError(f"{place}: holds no {what}; .nii.gz, .nii, .png, .tif, .npy were expected.")
    return found


def _data_set(labels: Path, target: str | Sequence[str]) -> CaseFolder | None:
    """The data set in a folder; None for label files alone."""
    if labels.is_dir() and ((labels / FILE).is_file() or plain_layout(labels) is not None):
        return open_cases(labels, target=target)
    return None


def _above(labels: Path) -> Path | None:
    """The data set whose dataset.json says what label files in its labelsTr mean; None where there is none."""
    folder = (labels.parent if labels.is_file() else labels).absolute()
    above = folder.parent
    return above if folder.name.lower() in OF_LABELS and (above / FILE).is_file() else None


def _of_data_set(folder: CaseFolder) -> dict[str, Callable[[], Picture]]:
    """The labels of a data set, read when they are asked for; those of its test cases too."""
    every = [case for case in (*folder.cases, *folder.unlabelled) if case.label is not None]
    return {case.name: lambda case=case: read_label(case, read_image(case)) for case in every}  # type: ignore[misc]


def _of_files(labels: Path, predicted: Mapping[str, Path]) -> dict[str, Callable[[], Picture]]:
    """Label files by the names of the predictions they belong to; others by their own."""
    files = _files(labels, "labels")
    if labels.is_file() and len(predicted) == 1:
        return {next(iter(predicted)): lambda: decode_label(labels)}
    plain, found = plain_names(predicted), {}
    for stem, path in files.items():
        match = case_of_label(path, predicted, plain)
        name = stem if match is None else match[0]
        if name in found:
            raise DataFileError(f"{path}: is a second label of {name}; one of each name was expected.")
        found[name] = path
    return {name: lambda path=path: decode_label(path) for name, path in found.items()}  # type: ignore[misc]
