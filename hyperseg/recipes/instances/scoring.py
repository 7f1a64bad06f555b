"""`score_instances`: maps of objects that were found against true ones."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hyperseg.core import DataFileError, LabelError
from hyperseg.core.words import counted, some
from hyperseg.io.cases import list_cases
from hyperseg.io.cases.names import LABEL_WORDS, files_in, stem_of, without_word
from hyperseg.io.instances import read_instance_boxes, read_instance_labels, read_instances
from hyperseg.metrics.instances.panoptic import panoptic
from hyperseg.metrics.instances.precision import Instances, ids_of
from hyperseg.recipes.instances.training import BOXES
from hyperseg.recipes.instances.trying import numbers_of

MAPS = (".png", ".tif", ".tiff")


@dataclass(frozen=True)
class InstanceScores:
    """What found objects are worth.

    Attributes:
        found, truth: where they came from.
        numbers: PQ and the nuclei score, and AP where every map has its scores beside it; JSON.
        cases: PQ, objects, hits, missed and false of each picture.
        notes: what one should know, a line each.
    """

    found: Path
    truth: Path
    numbers: dict[str, Any]
    cases: dict[str, dict[str, Any]]
    notes: tuple[str, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """Everything, for a file."""
        return {
            "found": str(self.found), "truth": str(self.truth), "scores": self.numbers, "cases": self.cases,
            "notes": list(self.notes),
        }  # fmt: skip


def numbers_objects(truth: Path) -> bool:
    """Whether a folder is a data set whose labels number objects, as far as its names say."""
    try:
        folder = list_cases(truth)
    except (DataFileError, LabelError):
        return False
    return folder.instances


def score_instances(
    found: Path, truth: Path, *, progress: Callable[[int, int], None] | None = None
) -> InstanceScores:  # fmt: skip
    """Score a folder of maps, as `predict_instances` writes them, against a data set or a folder of true maps.

    AP needs a score for each object: NAME.boxes.json beside NAME.png. Without them PQ and the nuclei score are told.

    Raises:
        DataFileError: no maps, or no true map of the same name.
        LabelError: maps of unlike shapes, or no numbers.
    """
    maps = _maps(found)
    known = _true(truth)
    missing = [name for name in maps if name not in known]
    if missing:
        raise DataFileError(
            f"{found / maps[missing[0]].name}: {truth} has no map of objects of that name; there are "
            f"{some(sorted(known), 3)}."
        )
    own, there, ranked, cases = [], [], list[Instances](), dict[str, dict[str, Any]]()
    for i, (name, file) in enumerate(maps.items()):
        mine, true = read_instances(file), known[name]()
        if mine.shape != true.shape:
            raise LabelError(
                f"{file}: has {'x'.join(map(str, mine.shape))} pixels, the true map {'x'.join(map(str, true.shape))}."
            )
        own.append(mine)
        there.append(true)
        if (scores := _scores(file, mine)) is not None:
            ranked.append(Instances(mine, scores))
        one = panoptic(mine, true)
        quality = None if np.isnan(one.quality) else one.quality
        cases[name] = {
            "pq": quality, "objects": one.hits + one.missed, "hits": one.hits, "missed": one.missed, "false": one.false
        }  # fmt: skip
        if progress is not None:
            progress(i + 1, len(maps))
    whole = len(ranked) == len(own)
    notes = (
        [] if whole else [f"AP is left out: {counted(len(own) - len(ranked), 'map')} has no NAME.{BOXES} with scores."]
    )
    if left := len(known) - len(maps):
        notes.append(f"Left out: {counted(left, 'true map')} of {truth} of whose name {found} has none.")
    return InstanceScores(found, truth, numbers_of(own, there, ranked if whole else None), cases, tuple(notes))


def _maps(found: Path) -> dict[str, Path]:
    """The maps of a file or folder, by name."""
    if found.is_file():
        return {_name(found): found}
    files = [path for path in files_in(found) if path.suffix.lower() in MAPS] if found.is_dir() else []
    if not files:
        raise DataFileError(f"{found}: holds no maps of objects; NAME.png or NAME.tif were expected.")
    labels = [path for path in files if without_word(path.stem, LABEL_WORDS)]
    return {_name(path): path for path in labels or files}


def _true(truth: Path) -> dict[str, Callable[[], NDArray[np.int32]]]:
    """True maps by name, read when they are asked for: of a data set, or of a folder of maps."""
    if truth.is_dir():
        try:
            folder = list_cases(truth)
        except DataFileError:
            folder = None
        if folder is not None:
            cases = [case for case in (*folder.cases, *folder.unlabelled) if case.label is not None]
            return {case.name: partial(read_instance_labels, case) for case in cases}
    return {name: partial(read_instances, path) for name, path in _maps(truth).items()}


def _name(path: Path) -> str:
    stem = stem_of(path)
    without = without_word(stem, LABEL_WORDS)
    return without[0] if without else stem


def _scores(file: Path, found: NDArray[np.int32]) -> NDArray[np.float64] | None:
    """Scores of the objects of a map in the order of their numbers; None where nothing says them.

    Raises:
        LabelError: a list of other objects.
    """
    beside = file.with_name(f"{_name(file)}.{BOXES}")
    if not beside.is_file():
        return None
    known = {one.id: one.score for one in read_instance_boxes(beside)}
    ids = [int(i) for i in ids_of(found)]
    if sorted(known) != ids:
        raise LabelError(f"{beside}: lists {counted(len(known), 'object')}, the map has {len(ids)}, or other numbers.")
    values = [known[i] for i in ids]
    return None if None in values else np.asarray(values, np.float64)
