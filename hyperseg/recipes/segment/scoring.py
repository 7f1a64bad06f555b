"""`score_cases`: predictions against labels, by case and class; files are paired by their names."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hyperseg.core import UNLABELLED
from hyperseg.core.words import counted, some
from hyperseg.io.cases import CaseFolder
from hyperseg.io.cases.picture import spacing_of, turned
from hyperseg.metrics import mean_and_std
from hyperseg.metrics.overlap import RULE, Overlap, overlap
from hyperseg.recipes.segment.scores.pairs import Pair, Pairs, paired
from hyperseg.report.segment.slices import Slice, slice_of

FIGURES = ("dice", "iou", "hd95", "assd")
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
        targets: what was scored, as it was asked for; empty for every class.
    """

    predictions: Path
    labels: Path
    classes: dict[int, str]
    cases: dict[str, dict[int, Overlap]]
    unit: str
    notes: tuple[str, ...]
    targets: tuple[str, ...] = ()

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
            "notes": list(self.notes), "targets": list(self.targets), "n_cases": len(self.cases),
            "mean": {figure: _number(self.mean(figure)) for figure in FIGURES},
            "classes": {name: {"code": code, **self.summary(code)} for code, name in self.classes.items()},
            "cases": {
                name: {
                    self.classes[code]: {k: _number(v) for k, v in asdict(one).items()} for code, one in case.items()
                }
                for name, case in self.cases.items()
            },
        }  # fmt: skip


def score_cases(
    predictions: Path, labels: Path, *, target: str | Sequence[str] = (), progress: Progress | None = None
) -> Scored:  # fmt: skip
    """Score every prediction that has a label.

    Files have the same name, or the label's has a word such as _mask behind it, as in a data set. Where `labels` is a
    data set, or labelsTr/ or labels/ of one with a dataset.json, its classes have names, and voxels it ignores are not
    scored; else code 0 is background.

    Args:
        predictions: a file, or a folder of them.
        labels: a file, a folder of label files, or a data set as `open_cases` takes it.
        target: of a data set, what to score, as it was learnt; all else is background in both files.
        progress: told how many cases of how many are done.

    Raises:
        DataFileError: nothing there, or no two names that fit.
        LabelError: a prediction on another grid than its label, or of codes that are no classes.
        SettingError: a target that is no class, or of label files without a data set.
    """
    pairs = paired(predictions, labels, target)
    folder, names = pairs.folder, pairs.names
    cases: dict[str, dict[int, Overlap]] = {}
    units, codes = set(), set() if folder is None else set(folder.codes[1:])
    for done, name in enumerate(names, start=1):
        cases[name], unit = _case(pairs.read(name))
        units.add(unit)
        codes |= cases[name].keys()
        if progress is not None:
            progress(done, len(names))
    nan = math.nan
    nothing = Overlap(nan, nan, nan, nan, 0, 0)
    classes = {code: _name(code, folder) for code in sorted(codes)}
    full = {name: {code: found.get(code, nothing) for code in classes} for name, found in cases.items()}
    notes = [_left_over("label", pairs.truth.keys() - pairs.predicted.keys(), "prediction"),
             _left_over("prediction", pairs.predicted.keys() - pairs.truth.keys(), "label")]  # fmt: skip
    return Scored(
        predictions, labels, classes, full, "px" if "px" in units else "mm", tuple(filter(None, notes)),
        () if folder is None else folder.targets,
    )  # fmt: skip


def examples(found: Scored, names: Sequence[str]) -> list[Slice]:
    """Slices of cases that were scored, read once more; numbers are places in `found.classes`, from 1."""
    pairs = paired(found.predictions, found.labels, found.targets)
    return [_example(found, pairs, name) for name in names]


def _example(found: Scored, pairs: Pairs, name: str) -> Slice:
    pair, place = pairs.read(name), {code: k for k, code in enumerate(found.classes, start=1)}
    cube, spacing = pairs.image(name), spacing_of(pair.place, pair.truth.ndim)

    def numbered(labels: NDArray[Any]) -> NDArray[np.int16]:
        shown = np.where(labels < 0, UNLABELLED, 0).astype(np.int16)
        for k in np.unique(labels[labels > 0]):
            shown[labels == k] = place[pair.code(int(k))]
        return turned(shown, pair.place)

    return slice_of(
        name, found.of_case(name), numbered(pair.truth), numbered(pair.found),
        cube=None if cube is None else turned(cube, pair.place), spacing=spacing, upright=pair.place is not None,
    )  # fmt: skip


def _case(pair: Pair) -> tuple[dict[int, Overlap], str]:
    """Scores by code of all foreground classes that are in either file, and the unit of distances."""
    spacing = None if pair.place is None else pair.place.spacing
    kinds = sorted({int(k) for k in (*np.unique(pair.truth), *np.unique(pair.found))} - {0, UNLABELLED})
    scores = {pair.code(k): overlap(pair.truth == k, pair.found == k, spacing) for k in kinds}
    return scores, "px" if spacing is None else "mm"


def _name(code: int, folder: CaseFolder | None) -> str:
    return f"class {code}" if folder is None else folder.classes[folder.codes.index(code)]


def _left_over(one: str, names: Iterable[str], lacking: str) -> str:
    found = sorted(names)
    if not found:
        return ""
    return f"{counted(len(found), one)} without a {lacking} ({some(found, 3)}): not scored."


def _number(value: float) -> float | None:
    return value if math.isfinite(value) else None
