"""Groups of classes in maps: the tag that tells them, and what the codes of a map of answers mean."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from hyperseg.core import HypersegError
from hyperseg.core.codes import codes_of, empty_code
from hyperseg.core.groups import ClassGroups, Fallback
from hyperseg.core.words import distinct
from hyperseg.io.formats.windows import import_rasterio
from hyperseg.io.labels.colours import VISIONS, candidates, difference, to_lab
from hyperseg.io.paths import split_key
from hyperseg.io.write.files import AnyPath
from hyperseg.io.write.style import Colours

TAG, SURE_TAG = "class_groups", "sure"  # of a map: JSON {group: its classes}; of a map of answers: the threshold
UNSURE = "unsure"
GREYS = tuple((v, v, v) for v in range(90, 241, 10))
APART = 8.0  # CIEDE2000 of a group's colour to all others, whoever looks, where there is such a colour


class Legend(NamedTuple):
    """What the labels of `Fallback.answers` mean: names, colours and codes, the classes first; as `MapWriter` has it.

    Attributes:
        classes: K class names, the groups, "unsure".
        colours: as many sRGB triples.
        codes: as many, or None where the classes have none of their own: they are 1, 2, ... then.
        tags: of the file.
    """

    classes: tuple[str, ...]
    colours: tuple[tuple[int, int, int], ...]
    codes: tuple[int, ...] | None
    tags: Mapping[str, str]


def answer_legend(fallback: Fallback, classes: Sequence[str], colours: Colours, codes: Sequence[int] | None) -> Legend:
    """The legend of a map of answers: classes as in the map itself, groups after the largest code, "unsure" last."""
    groups = fallback.groups
    names = distinct((*classes, *(f"{groups.names[g]} (group)" for g in groups.joint), UNSURE))
    inside = groups.table(classes)
    for place, g in enumerate(groups.joint, start=len(classes)):
        inside[groups.names[g]].append(names[place])  # whoever scores the file by group counts its answers as such
    tags = {TAG: json.dumps(inside, ensure_ascii=False), SURE_TAG: f"{fallback.sure:g}"}
    if codes is None:
        return Legend(names, group_colours(groups, colours), None, tags)
    known = codes_of(len(classes), codes)
    free = (code for code in range(max(known) + 1, 2**16) if code != empty_code(known))
    more = tuple(code for code, _ in zip(free, names[len(known) :], strict=False))
    return Legend(names, group_colours(groups, colours), (*known, *more), tags)


def group_colours(groups: ClassGroups, colours: Colours) -> tuple[tuple[int, int, int], ...]:
    """The colours of the classes, of the groups of two or more, and of "unsure".

    "Unsure" is the grey farthest from all classes. A group has the colour nearest to the middle of its classes' colours
    that stays apart from all others.
    """
    lattice = candidates()

    def apart(these: Any, colour: Any) -> NDArray[np.float64]:
        return np.min([difference(to_lab(these, vision=v), to_lab(colour, vision=v)) for v in VISIONS], axis=0)

    unsure = GREYS[int(np.min([apart(GREYS, colour) for colour in colours], axis=0).argmax())]
    least = np.min([apart(lattice, colour) for colour in (*colours, unsure)], axis=0)
    found: list[Any] = list(colours)
    for g in groups.joint:
        inside = [colour for colour, h in zip(colours, groups.of_class, strict=True) if h == g]
        near = difference(to_lab(lattice), to_lab(inside).mean(0))
        best = lattice[int(np.where(least >= min(APART, least.max()), near, np.inf).argmin())]
        least = np.minimum(least, apart(lattice, best))
        found.append(best)
    return tuple((int(r), int(g), int(b)) for r, g, b in (*found, unsure))


def groups_tag(groups: ClassGroups | None, classes: Sequence[str]) -> dict[str, str]:
    """The tag of a map that tells the groups of its classes; none without groups."""
    return {} if groups is None else {TAG: json.dumps(groups.table(classes), ensure_ascii=False)}


def falls_back(path: AnyPath) -> bool:
    """Whether this is a map of answers, see `Fallback`."""
    return SURE_TAG in _tags(path)


def groups_in(path: AnyPath, classes: Sequence[str]) -> ClassGroups | None:
    """The groups that a map tells of its classes, or None where it tells none, or is no raster with tags."""
    try:
        text = _tags(path).get(TAG)
        return None if text is None else ClassGroups.of(json.loads(text), classes, origin=path)
    except (HypersegError, ValueError, TypeError, AttributeError, RecursionError):
        return None


def _tags(path: AnyPath) -> dict[str, str]:
    """Those of a raster; none of what is no raster."""
    rasterio = import_rasterio()
    try:
        with rasterio.open(split_key(path)[0]) as file:
            return dict(file.tags())
    except rasterio.errors.RasterioError:
        return {}
