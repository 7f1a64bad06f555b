"""`score_cases`: predictions against labels, by case and class; files are paired by their names."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hyperseg.core import UNLABELLED, DataFileError, LabelError
from hyperseg.core.words import counted, some
from hyperseg.io.cases import CaseFolder, open_cases
from hyperseg.io.cases.decathlon import FILE
from hyperseg.io.cases.decode import decode_label
from hyperseg.io.cases.layouts import plain_layout
from hyperseg.io.cases.names import case_of_label, files_in, plain_names, stem_of
from hyperseg.io.cases.picture import Picture
from hyperseg.io.cases.read import REMEDY, classes_of, misfit, read_image, read_label
from hyperseg.metrics import mean_and_std
from hyperseg.metrics.overlap import RULE, Overlap, overlap

FIGURES = ("dice", "iou", "hd95", "assd")
Codes = NDArray[Any]
Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class Scored:
    """Predictions of a folder and how good they are.

    Attributes:
        predictions, labels: as they were named.
        classes: foreground class by its code in the files.
        cases: name of a case -> code -> scores; classes in neither file are there too, with NaN.
        unit: of distances: "mm", or "px" where a file does not say.
        notes: what to know, a sentence each.
    """

    predictions: Path
    labels: Path
    classes: dict[int, str]
    cases: dict[str, dict[int, Overlap]]
    unit: str
    notes: tuple[str, ...]

    def values(self, code: int, figure: str) -> list[float]:
        """A figure of a class in all cases that have it."""
        found = [float(getattr(case[code], figure)) for case in self.cases.values()]
        return [value for value in found if not math.isnan(value)]

    def summary(self, code: int) -> dict[str, dict[str, Any] | None]:
        """Mean, sample deviation and number of cases of each figure; None where no case has it."""
        found: dict[str, dict[str, Any] | None] = {}
        for figure in FIGURES:
            values = self.values(code, figure)
            if values:
                both = mean_and_std(values)
                found[figure] = {"mean": both["mean"], "std": both["std"], "cases": len(values)}
            else:
                found[figure] = None
        return found

    def mean(self, figure: str) -> float:
        """The mean over classes of their means over cases; NaN where no class has one."""
        means = [float(np.mean(values)) for code in self.classes if (values := self.values(code, figure))]
        return float(np.mean(means)) if means else math.nan

    def of_case(self, name: str) -> float:
        """Mean Dice of a case over the classes that are there; NaN where none is."""
        values = [one.dice for one in self.cases[name].values() if not math.isnan(one.dice)]
        return float(np.mean(values)) if values else math.nan

    def to_json(self) -> dict[str, Any]:
        """Everything, for metrics.json; what is not there is null."""
        return {
            "predictions": str(self.predictions), "labels": str(self.labels), "rule": RULE, "unit": self.unit,
            "notes": list(self.notes), "n_cases": len(self.cases),
            "mean": {figure: _number(self.mean(figure)) for figure in FIGURES},
            "classes": {name: {"code": code, **self.summary(code)} for code, name in self.classes.items()},
            "cases": {
                name: {
                    self.classes[code]: {k: _number(v) for k, v in asdict(one).items()} for code, one in case.items()
                }
                for name, case in self.cases.items()
            },
        }  # fmt: skip


def score_cases(predictions: Path, labels: Path, *, progress: Progress | None = None) -> Scored:
    """Score every prediction that has a label.

    Files have the same name, or the label's has a word such as _mask behind it, as in a data set. Where `labels` is a
    data set, its classes have names, and voxels it ignores are not scored; else code 0 is background.

    Args:
        predictions: a file, or a folder of them.
        labels: a file, a folder of label files, or a data set as `open_cases` takes it.
        progress: told how many cases of how many are done.

    Raises:
        DataFileError: nothing there, or no two names that fit.
        LabelError: a prediction on another grid than its label, or of codes that are no classes.
    """
    predicted = _files(predictions, "predictions")
    folder = _data_set(labels)
    truth: Mapping[str, Callable[[], Picture]]
    truth = _of_files(labels, predicted) if folder is None else _of_data_set(folder)
    names = sorted(predicted.keys() & truth.keys())
    if not names:
        raise DataFileError(
            f"{predictions}: no file has the name of one in {labels} ({some(sorted(predicted), 2)} against "
            f"{some(sorted(truth), 2) or 'nothing'}). Predictions and labels are paired by their names."
        )
    cases: dict[str, dict[int, Overlap]] = {}
    units, codes = set(), set() if folder is None else set(folder.codes[1:])
    for done, name in enumerate(names, start=1):
        cases[name], unit = _case(predicted[name], truth[name](), folder)
        units.add(unit)
        codes |= cases[name].keys()
        if progress is not None:
            progress(done, len(names))
    nan = math.nan
    nothing = Overlap(nan, nan, nan, nan, 0, 0)
    classes = {code: _name(code, folder) for code in sorted(codes)}
    full = {name: {code: found.get(code, nothing) for code in classes} for name, found in cases.items()}
    notes = [_left_over("label", truth.keys() - predicted.keys(), "prediction"),
             _left_over("prediction", predicted.keys() - truth.keys(), "label")]  # fmt: skip
    return Scored(
        predictions, labels, classes, full, "px" if "px" in units else "mm", tuple(filter(None, notes))
    )  # fmt: skip


def _case(file: Path, truth: Picture, folder: CaseFolder | None) -> tuple[dict[int, Overlap], str]:
    """Scores by code of all foreground classes that are in either file, and the unit of distances."""
    found = decode_label(file)
    if (why := misfit(truth, found)) is not None:
        raise LabelError(f"{file}: {why} than its label. {REMEDY}")
    expected, made = truth.array[..., 0], found.array[..., 0]
    if folder is None:
        expected, made = _one_spelling(expected, made)
        background, table = 0, None
    else:
        expected, made = classes_of(Path(f"the label of {file.name}"), expected, folder), classes_of(file, made, folder)
        made = np.where(expected == UNLABELLED, UNLABELLED, made)
        background, table = 0, folder.codes
    spacing = None if truth.place is None else truth.place.spacing
    kinds = sorted({int(k) for k in (*np.unique(expected), *np.unique(made))} - {background, UNLABELLED})
    scores = {k if table is None else table[k]: overlap(expected == k, made == k, spacing) for k in kinds}
    return scores, "px" if spacing is None else "mm"


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
    found = {stem_of(path): path for path in files_in(place)}
    if not found:
        raise DataFileError(f"{place}: holds no {what}; .nii.gz, .nii, .png, .tif, .npy were expected.")
    return found


def _data_set(labels: Path) -> CaseFolder | None:
    """The data set in a folder; None for label files alone."""
    if labels.is_dir() and ((labels / FILE).is_file() or plain_layout(labels) is not None):
        return open_cases(labels)
    return None


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


def _name(code: int, folder: CaseFolder | None) -> str:
    return f"class {code}" if folder is None else folder.classes[folder.codes.index(code)]


def _left_over(one: str, names: Iterable[str], lacking: str) -> str:
    found = sorted(names)
    if not found:
        return ""
    return f"{counted(len(found), one)} without a {lacking} ({some(found, 3)}): not scored."


def _number(value: float) -> float | None:
    return value if math.isfinite(value) else None
