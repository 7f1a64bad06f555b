"""Labelled images for an evaluation, and which networks answer each of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from hyperseg.core import DataFileError, LabelError, RunError
from hyperseg.core.words import listed, some
from hyperseg.io.cases import Case, CaseFolder
from hyperseg.io.cases.classes.codes import MASKS
from hyperseg.io.cases.images import in_order
from hyperseg.recipes.segment.folder import SegmentRun, named_folds
from hyperseg.recipes.segment.planning import read_folder, refuse_faults
from hyperseg.recipes.segment.prediction.fitting import planned_image, warn_of_learnt


@dataclass(frozen=True)
class Images:
    """Images, and which networks answer them.

    Attributes:
        folder: knows the run's channels, classes and codes.
        parts: (folds whose networks are averaged, cases) each.
        how: in words.
        notes: what to know, a sentence each.
    """

    folder: CaseFolder
    parts: tuple[tuple[tuple[int, ...], tuple[Case, ...]], ...]
    how: str
    notes: tuple[str, ...] = ()

    @property
    def n(self) -> int:
        return sum(len(cases) for _, cases in self.parts)


def of_run(run: SegmentRun, folds: Sequence[int], *, asked: bool, quiet: bool) -> Images:
    """The images that a run was trained on, each to be answered by the fold that held it out.

    Args:
        folds: whose images are taken.
        asked: they are those that were asked for, not all there are: nothing is said of the others.

    Raises:
        RunError: they are not there any more.
        LabelError: their labels have other codes now.
    """
    place, record = Path(run.record.folder), run.record
    if not place.exists():
        raise RunError(
            f"{run.root}: was trained on {place}, which is not there. Put it back, or name a labelled folder."
        )
    folder = _fitted(run, read_folder(place, record.spacing, record.targets, quiet=quiet))
    there = {case.name: case for case in folder.cases}
    if gone := [name for fold in folds for name in record.folds[fold] if name not in there]:
        raise RunError(f"{run.root}: {place} does not hold the case {some(gone, 3)} any more. Put it back.")
    parts = tuple(((fold,), tuple(there[name] for name in record.folds[fold])) for fold in folds)
    left = sorted(set(range(len(record.folds))) - set(folds))
    how = "each image by the networks of the fold that never saw it"
    if asked:
        return Images(folder, parts, f"images of {named_folds(folds)}, {how}")
    notes = (f"Images of {named_folds(left)} are left out: no network that never saw them is there.",) if left else ()
    return Images(folder, parts, how, notes)


def of_folder(run: SegmentRun, data: Path, folds: Sequence[int], *, quiet: bool) -> Images:
    """The labelled images of a folder, by all these folds together; of a data set with labelled test images these.

    Raises:
        DataFileError: no image has a label.
        LabelError, SceneError: labels or images that do not fit the run.
    """
    found = read_folder(data, run.record.spacing, run.record.targets, quiet=quiet)
    folder = _fitted(run, found)
    cases = tuple(case for case in folder.unlabelled if case.label is not None) or folder.cases
    if not cases:
        raise DataFileError(
            f"{data}: no image has a label; labelled images were expected. See hyperseg segment --help."
        )
    cases = tuple(in_order(case, run.record.channels, found.channels, stated=found.stated) for case in cases)
    for case in cases:
        planned_image(run, case, Path())
    warn_of_learnt(run, cases)
    return Images(folder, ((tuple(folds), cases),), f"every image by the networks of {named_folds(folds)} together")


def _fitted(run: SegmentRun, folder: CaseFolder) -> CaseFolder:
    """The folder with channels, classes and codes of the run: a part of a data set need not hold all of them.

    Raises:
        DataFileError: a fault of the folder.
        LabelError: other classes.
    """
    refuse_faults(folder)
    record = run.record
    folder = replace(folder, channels=record.channels)
    if (folder.classes, folder.codes) == (record.classes, record.codes):
        return folder
    masks = folder.codes in MASKS and record.codes in MASKS
    if folder.stated or folder.targets or not (masks or set(folder.codes) <= set(record.codes)):
        here, there = (
            listed(f"{name} ({code})" for name, code in zip(of.classes, of.codes, strict=True))
            for of in (folder, record)
        )
        raise LabelError(f"{folder.root}: has the classes {here}; the run was trained on {there}. Name such a folder.")
    return replace(folder, classes=record.classes, codes=folder.codes if masks else record.codes)
