"""`score_boxes`: found boxes against true ones: FROC and CPM by the rule of LUNA16, average precision, hits by case."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from hyperseg.core import DataFileError, LabelError, SettingError
from hyperseg.core.words import counted, did_you_mean, nearest, some
from hyperseg.io.detections.case import BoxCase
from hyperseg.io.detections.folder import open_boxes
from hyperseg.io.detections.table import Found, read_boxes
from hyperseg.metrics.froc import Froc, Marks, Truth, cpm_interval, froc, hits
from hyperseg.metrics.precision import OVERLAPS, average_precision

RATE = 1.0  # false positives per scan of the threshold at which hits of a case are counted
SEED = 0  # of the draws for the interval
RULE = "hit: the centre of a found box is nearer to that of an object than the object's radius, half of its mean length"


@dataclass(frozen=True)
class CaseScore:
    """One volume at the common threshold: how many objects there are, are hit, and how many false positives."""

    objects: int
    hits: int
    false_positives: int
    boxes: int


@dataclass(frozen=True)
class BoxScores:
    """What found boxes are worth.

    Attributes:
        found, truth: where they came from.
        froc: sensitivities at rates, their mean (CPM), the curve.
        interval: of the CPM for other volumes of this kind (95 %); None for one volume.
        precisions: average precision by least overlap.
        threshold: the least score at which there are at most `RATE` false positives per scan.
        cases: at this threshold, by name.
        left_out: volumes with known truth that `found` does not name and that are not scored.
        notes: what one should know, a line each.
    """

    found: Path
    truth: Path
    froc: Froc
    interval: tuple[float, float] | None
    precisions: Mapping[float, float]
    threshold: float
    cases: Mapping[str, CaseScore]
    left_out: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def mean_precision(self) -> float:
        """Mean of the average precisions."""
        return float(np.mean(list(self.precisions.values())))

    def to_json(self) -> dict[str, Any]:
        """Everything, for a file."""
        curve = self.froc.curve
        return {
            "found": str(self.found), "truth": str(self.truth), "scans": self.froc.scans, "objects": self.froc.objects,
            "cpm": self.froc.cpm, "cpm_interval": None if self.interval is None else list(self.interval),
            "sensitivity": dict(zip(map(named, self.froc.rates), self.froc.sensitivities, strict=True)),
            "map": self.mean_precision, "ap": {f"{overlap:g}": value for overlap, value in self.precisions.items()},
            "threshold": self.threshold, "threshold_rate": RATE, "rule": RULE,
            "cases": {name: asdict(one) for name, one in self.cases.items()},
            "curve": {"rates": curve.rates, "sensitivities": curve.sensitivities, "thresholds": curve.thresholds},
            "left_out": list(self.left_out), "notes": list(self.notes),
        }  # fmt: skip


def score_boxes(
    found: Path, truth: Path, *, boxes: Path | None = None, spacing: tuple[float, ...] = (), absent: bool = False,
    seed: int = SEED,
) -> BoxScores:  # fmt: skip
    """Score the boxes of a file against true ones; volumes are paired by name.

    Volumes of which the truth is not known are left out; those that `found` does not name too, as nobody looked at
    them. A file that names no volume at all says that nothing was found in any.

    Args:
        found: a .csv or .json file with scores, or a folder that holds boxes.csv or boxes.json.
        truth: such a file in voxels, or a folder as `open_boxes` reads it.
        boxes: the file of true boxes of such a folder.
        spacing: millimetres per axis, where neither files nor tables say them.
        absent: volumes that `found` does not name are scored too: nothing was found in them.
        seed: of the draws for the interval.

    Raises:
        DataFileError: a file that is missing or unreadable, no volume in both.
        LabelError: boxes that are wrong, without a score, of another number of axes; no true box at all.
        SettingError: a seed below 0.
    """
    if seed < 0:
        raise SettingError(f"seed {seed}: 0 or more was expected.")
    marks = {each.case: each for each in read_boxes(found)}
    notes: list[str] = []
    true = _truth(truth, boxes, spacing)
    names = _paired(found, marks, truth, true, notes, absent=absent)
    both = [*true.values(), *(marks[name] for name in names if name in marks)]
    axes = {each.boxes.shape[1] // 2 for each in both} - {0}  # a file without any box has no axes
    if len(axes) > 1:
        raise LabelError(f"{found}: boxes of {max(axes)} and of {min(axes)} axes were to be compared with {truth}.")
    n = axes.pop() if axes else 3
    told, there, spacings = [], [], []
    for name in names:
        mine = marks.get(name, Found(name, np.zeros((0, 2 * n)), np.zeros(0)))
        told.append(_marks(found, mine, n))
        there.append(Truth(true[name].boxes.reshape(-1, 2 * n), true[name].excluded))
        spacings.append(true[name].spacing or mine.spacing or (1.0,) * n)
        if len(true[name].boxes) and not (true[name].spacing or mine.spacing):
            notes.append(f"{name}: nothing says how large voxels are; distances are in voxels, as if these were cubes")
    if len(notes) > 4:
        notes = [*notes[:3], f"and {len(notes) - 3} more such remarks"]
    curve = froc(told, there, spacings=spacings)
    last = float(curve.curve.rates[-1])
    if last < curve.rates[-1] and curve.curve.sensitivities[-1] < 1:
        notes.append(
            f"the list ends at {last:.2g} false positives per volume; with weaker boxes (`hyperseg detect predict "
            "--threshold 0`) more objects may be hit at higher rates"
        )
    interval = cpm_interval(told, there, seed=seed, spacings=spacings) if len(names) > 1 else None
    precisions = {overlap: average_precision(told, there, overlap=overlap) for overlap in OVERLAPS}
    threshold = curve.curve.threshold(RATE)
    cases = {
        name: _of_case(one, true_one, spacing_mm, threshold)
        for name, one, true_one, spacing_mm in zip(names, told, there, spacings, strict=True)
    }
    left_out = tuple(name for name in true if name not in cases)
    return BoxScores(found, truth, curve, interval, precisions, threshold, cases, left_out, tuple(notes))


def named(rate: float) -> str:
    """A rate as a person says it: 1/8, 1, 4."""
    return f"1/{round(1 / rate)}" if 0 < rate < 1 and (1 / rate).is_integer() else f"{rate:g}"


def _truth(truth: Path, boxes: Path | None, spacing: tuple[float, ...]) -> dict[str, Found]:
    if truth.is_dir():
        folder = open_boxes(truth, boxes=boxes, spacing=spacing)
        return {case.name: _as_found(case) for case in folder.cases}
    if boxes is not None:
        raise DataFileError(f"{truth}: is no folder; --boxes names the true boxes of a folder of volumes.")
    return {each.case: replace(each, spacing=each.spacing or spacing) for each in read_boxes(truth)}


def _as_found(case: BoxCase) -> Found:
    boxes = np.zeros((0, 2 * len(case.shape))) if case.boxes is None else case.boxes
    return Found(case.name, boxes, None, case.spacing, case.affine, case.excluded)


def _paired(
    found: Path, marks: Mapping[str, Found], truth: Path, true: Mapping[str, Found], notes: list[str], *, absent: bool
) -> list[str]:
    """Names of the volumes to score; what is left out is noted.

    Raises:
        DataFileError: no volume is in both.
    """
    alone = [name for name in marks if name not in true]
    missing = [name for name in true if name not in marks]
    both = [name for name in true if absent or not marks or name in marks]
    if not true or (marks and not any(name in marks for name in true)):
        close = next((f" Is {near} meant by {name}?" for name in alone if (near := nearest(name, true))), "")
        mine, theirs = some(alone, 3) or "no volume", some(true, 3) or "none"
        raise DataFileError(f"{found}: names {mine}, and {truth} {theirs}: no volume is in both.{close}")
    if alone:
        hint = did_you_mean(alone[0], missing)
        notes.append(f"{counted(len(alone), 'volume')} without known truth left out: {some(alone, 3)}.{hint}")
    if missing and (absent or not marks):
        notes.append(
            f"{counted(len(missing), 'volume')} not named in {found.name}, as if nothing was found: {some(missing, 3)}"
        )
    return both


def _marks(path: Path, found: Found, n: int) -> Marks:
    """Boxes with scores.

    Raises:
        LabelError: boxes without a score.
    """
    if not len(found.boxes):
        return Marks(np.zeros((0, 2 * n)), np.zeros(0))
    if found.scores is None or not np.isfinite(found.scores).all():
        raise LabelError(
            f"{path}: boxes of {found.case} have no score; a column score (higher is surer) was expected, as `hyperseg "
            "detect predict` writes it."
        )
    return Marks(found.boxes, found.scores)


def _of_case(marks: Marks, truth: Truth, spacing: Sequence[float], threshold: float) -> CaseScore:
    """Counts at a threshold: objects that some box hits, and boxes that hit neither an object nor an excluded one."""
    boxes = marks.boxes[marks.scores >= threshold]
    near = hits(boxes, truth.boxes, spacing)
    beside = near.any(1)
    if truth.excluded is not None:
        beside |= hits(boxes, truth.excluded, spacing).any(1)
    return CaseScore(len(truth.boxes), int(near.any(0).sum()), int((~beside).sum()), len(boxes))
