"""`score`: the accuracy of a finished map, whoever made it, against labels on the same grid."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hyperseg.core import UNLABELLED, DataFileError, LabelError
from hyperseg.core.groups import ClassGroups
from hyperseg.core.words import distinct
from hyperseg.io.card import Card
from hyperseg.io.catalog import built_in_files, by_hand, cache_folder, locate, read_file, to_labels, verify_labels
from hyperseg.io.formats.array import FileArray
from hyperseg.io.labels.groups import groups_table
from hyperseg.io.labels.raster import Labels, labels_of
from hyperseg.io.labels.vectors import AS_DRAWN, VectorOptions, is_vector
from hyperseg.io.labels.warp import both_placed, labels_on
from hyperseg.io.open import named_card
from hyperseg.io.read import open_array, read_labels, split_key
from hyperseg.io.write import read_map
from hyperseg.io.write.groups import falls_back, groups_in
from hyperseg.io.write.map import codes_are_given
from hyperseg.metrics import Scores, boundary_accuracy, confusion, scores
from hyperseg.recipes.run.map_file import map_of
from hyperseg.recipes.scoring.areas import Reference, describe_areas
from hyperseg.recipes.scoring.groups import group_scores, told_by
from hyperseg.recipes.scoring.matching import (
    MatchedBy,
    class_keys,
    class_names,
    has_names,
    in_words,
    matched,
    named,
    translated,
    with_own_codes,
)

BORDER_PX = 2


@dataclass(frozen=True)
class MapScore:
    """How right a map is.

    Attributes:
        map, labels: what was compared, as given.
        matched_by: classes were matched by their names or by the codes in the files.
        classes: K names: those of the ground truth, then those only the map has.
        pixels: (K) scored pixels per class.
        scores: accuracies in percent.
        confusion: (K, K + 1) counts, rows true, columns predicted, the last one "no prediction".
        boundary: overall accuracy within 2 px of a border between classes, percent; NaN without borders.
        groups: which classes belong together, or None.
        areas: area of every class, see `describe_areas`; None where no labelled pixel lies on the map.
        notes: what a reader of the numbers must know.
    """

    map: str
    labels: str
    matched_by: MatchedBy
    classes: tuple[str, ...]
    pixels: tuple[int, ...]
    scores: Scores
    confusion: NDArray[np.int64]
    boundary: float
    areas: dict[str, Any] | None
    notes: tuple[str, ...]
    groups: ClassGroups | None = None

    def to_json(self) -> dict[str, Any]:
        """Everything, accuracies in percent, None where a class has none."""
        s = self.scores
        return {
            "map": self.map,
            "labels": self.labels,
            "matched_by": self.matched_by,
            "pixels": s.n,
            "OA": s.oa,
            "AA": s.aa,
            "kappa": s.kappa,
            "mean_F1": s.mean_f1,
            "mean_IoU": s.mean_iou,
            "boundary": {"within_px": BORDER_PX, "OA": self.boundary},
            "per_class": {
                name: {"recall": s.per_class[k], "F1": s.f1[k], "IoU": s.iou[k], "pixels": self.pixels[k]}
                for k, name in enumerate(self.classes)
            },
            "confusion": self.confusion,
            "areas": self.areas,
            "notes": self.notes,
        } | self.by_group()

    def by_group(self) -> dict[str, Any]:
        """{"groups": the classes of every group, and accuracies by group}; empty without groups."""
        if self.groups is None:
            return {}
        inside = {"classes": self.groups.table(self.classes)}
        return {"groups": inside | group_scores(self.confusion, self.groups)}


def score(
    map_file: str | Path,
    labels: str | Path,
    *,
    classes_from: str | Path | None = None,
    vectors: VectorOptions = AS_DRAWN,
    groups: str | Path | None = None,
) -> MapScore:
    """Score a class map against labels, which are brought onto the map's grid where they lie on another.

    Classes are matched by name where map and labels both have names, else by the codes in the files, if these are
    codes of the user's and no numbers that were given to names. Only labelled pixels are scored; a pixel the map leaves
    out counts as wrong, and so does a class it lacks.

    Args:
        map_file: a run folder, a map of this package, or any label raster ("FILE:KEY" works).
        labels: a label raster (FILE or FILE:KEY), polygons, points, a run folder, or the name of a public scene, for
            its ground truth.
        classes_from: names for codes that have none: a public scene, a raster or run with class names, a .qml, or a
            table of codes and names (.csv).
        vectors: class column, layer and the like; of labels drawn as vectors only.
        groups: a TOML file with the classes of every group; None are those that labels or map tell, if any.

    Raises:
        DataFileError: a file cannot be read.
        LabelError: other shapes or places, no class in common, or names on one side and mere codes on the other.
        RunError: a run folder without a map.
    """
    table = groups_table(groups, column=vectors.group_column)
    names = {} if classes_from is None else class_names(classes_from)
    map_file, labels = map_of(map_file), map_of(labels)
    drawn, guess = open_map(map_file, labels)
    guess, truth = named(guess, names), named(with_own_codes(open_truth(labels, drawn, vectors)), names)
    matched_by = matched(truth, guess, labels, map_file)
    ours, theirs = class_keys(truth, guess, matched_by)
    if not set(ours) & set(theirs):
        raise LabelError(
            f"{map_file} and {labels} share no class (matched by {matched_by}): the map has {in_words(guess)}; "
            f"the labels have {in_words(truth)}. Give both the same names or codes, or name the codes with "
            "--classes-from."
        )
    keys = [*ours, *(key for key in theirs if key not in ours)]
    place = {key: k for k, key in enumerate(keys)}
    predicted = translated(guess.codes, [place[key] for key in theirs])
    counts = confusion(truth.codes, predicted, len(keys))
    reference = Reference.of(truth.codes, truth.parcels, truth.codes != UNLABELLED)
    extra = [k for k, key in enumerate(theirs) if key not in ours]
    classes = distinct((*truth.classes, *(guess.classes[k] for k in extra)))
    sides = [(guess.groups, [place[key] for key in theirs]), (truth.groups, [place[key] for key in ours])]
    told = told_by(sides if vectors.group_column is None else sides[::-1], classes)
    codes = [*truth.file_codes, *(guess.file_codes[k] for k in extra)]
    if len(set(codes)) < len(codes) or max(codes) >= 2**16:  # of two files that number their classes differently
        codes = list(range(1, len(codes) + 1))
    return MapScore(
        map=str(map_file),
        labels=str(labels),
        matched_by=matched_by,
        classes=classes,
        pixels=tuple(counts.sum(1).tolist()),
        scores=scores(counts),
        confusion=counts,
        boundary=boundary_accuracy(truth.codes, predicted, within_px=BORDER_PX),
        areas=describe_areas(
            predicted, counts, classes, drawn.grid, sample="labelled", codes=codes, reference=reference
        ),
        groups=told if table is None else ClassGroups.of(table, classes, origin=groups),
        notes=(*remarks(truth, guess, ours, theirs, counts, matched_by), provenance(drawn.path)),
    )


def open_map(path: str | Path, labels: str | Path = "LABELS") -> tuple[FileArray, Labels]:
    """A map as its file and its classes: of this package with all its names, or of any other program."""
    if is_vector(path) or not (Path(split_key(path)[0]).exists() or named_card(path) is None):
        raise LabelError(
            f"{path}: {'holds vectors' if is_vector(path) else 'is a public scene'}, no map. The map comes first and "
            f"the labels second: hyperseg score {labels} {path}"
        )
    file = open_array(path, ndim=2)
    if len(file.array.shape) != 2:
        raise LabelError(
            f"{path}: a class map is (rows, columns), this array has shape {tuple(file.array.shape)}. "
            "Give the raster of class codes (map.tif), not a picture or a cube."
        )
    given = codes_are_given(path)
    try:
        found = read_map(path)
    except DataFileError:
        labelled = labels_of(file, tuple(file.array.shape))
        return file, replace(labelled, numbered=given is False)
    inside = groups_in(path, found.classes)
    read = Labels(found.labels, found.classes, found.colours, found.codes, numbered=given is False, groups=inside)
    return replace(file, grid=found.grid), read


def open_truth(labels: str | Path, drawn: FileArray, vectors: VectorOptions) -> Labels:
    """The ground truth on the grid of the map `drawn`; a file wins over a public scene of the same name."""
    shape = tuple(drawn.array.shape)
    if is_vector(labels):
        return read_labels(labels, shape, grid=drawn.grid, vectors=vectors, scene=str(drawn.path))
    vectors.refuse(labels)
    card = named_card(labels)
    if card is not None:
        check_shape(labels, card.size, drawn)
        return card_truth(card)
    given = codes_are_given(labels)
    file = open_array(labels, ndim=2, shape=shape)
    if given is not None and codes_are_given(drawn.path) is None:
        _refuse_swapped(file, labels, drawn)
    if not both_placed(file.grid, drawn.grid):
        check_shape(labels, tuple(file.array.shape), drawn)
    return replace(labels_on(file, shape, drawn.grid, scene=str(drawn.path)), numbered=given is False)


def _refuse_swapped(file: FileArray, labels: str | Path, drawn: FileArray) -> None:
    """Refuse labels that are a map of this package against a "map" that is none, and leaves most of its pixels out."""
    ours, theirs = np.asarray(drawn.array), np.asarray(file.array)
    if ours.shape == theirs.shape and 2 * np.count_nonzero(ours) < np.count_nonzero(theirs):
        raise LabelError(
            f"{labels} is a map of hyperseg, and {drawn.path} leaves most pixels unlabelled: map and labels look "
            f"swapped. The map comes first: hyperseg score {labels} {drawn.path}"
        )


def check_shape(labels: str | Path, found: tuple[int, ...], drawn: FileArray) -> None:
    """Refuse labels of another shape than the map's."""
    shape = tuple(drawn.array.shape)
    if found != shape:
        hint = "; they look transposed: swap rows and columns" if found == shape[::-1] else ""
        raise LabelError(
            f"{labels}: the labels have shape {found}, the map {drawn.path} has {shape}{hint}. Both must lie "
            "on the same grid: crop or resample the labels (nearest neighbour)."
        )


def card_truth(card: Card) -> Labels:
    """The ground truth of a public scene; its cube is not needed.

    Raises:
        DataFileError: its label files are not here, or not the published ones.
    """
    found = built_in_files(card) or locate(card)
    entries = [entry for entry in card.files if entry.role == "labels"]
    missing = [entry.name for entry in entries if entry.name not in found]
    if missing:
        where = by_hand(card, cache_folder() / card.name)
        raise DataFileError(f"{card.title}: {', '.join(missing)} not found. {where}")
    codes = to_labels(card, [np.asarray(read_file(entry, found[entry.name])) for entry in entries])
    verify_labels(card, codes)
    own = tuple(entry.code for entry in card.classes)
    return Labels(codes, card.class_names, card.colours, own, groups=card.groups)


def remarks(
    truth: Labels, guess: Labels, ours: list[str], theirs: list[str], counts: NDArray[np.int64], by: MatchedBy
) -> list[str]:
    """What the numbers hide: classes the map lacks, pixels it leaves out, matching by code."""
    notes = []
    lacking = [name for key, name in zip(ours, truth.classes, strict=True) if key not in theirs]
    if lacking:
        notes.append(f"The map has no class {', '.join(lacking)}: these pixels count as wrong.")
    left_out = int(counts[:, -1].sum())
    if left_out:
        notes.append(f"The map has no class at {left_out} labelled pixels: they count as wrong.")
    if by == "code" and has_names(guess) != has_names(truth):
        other = "the map" if has_names(truth) else "the label raster"
        pairs = zip(theirs, guess.classes, strict=True) if has_names(guess) else zip(ours, truth.classes, strict=True)
        shown = ", ".join(f"{key} = {name}" for key, name in pairs)
        notes.append(f"Matched by code, as {other} has no class names: {shown}. If that is wrong, use --classes-from.")
    return notes


def provenance(path: Path) -> str:
    """A warning about training pixels, with the split of the run the map lies in."""
    if falls_back(path):
        return "This map answers with groups where a class is a guess: the report of its run scores such answers apart."
    for name in ("metrics.json", "run.json"):
        file = path.parent / name
        try:
            record = json.loads(file.read_text(encoding="utf-8"))
            how, seed = record["split"]["how"], record["split"]["seed"]
            own = f"{float(record['map']['OA']):.2f} %" if "map" in record else "in its metrics.json"
        except (OSError, ValueError, KeyError, TypeError):
            continue
        return (
            f"The map belongs to a run with the split {how}, seed {seed}. Labels it was trained on make this "
            f"score optimistic; OA on its test pixels alone is {own}."
        )
    return "If the map was trained on some of these labels, this score is optimistic: score on other pixels."
