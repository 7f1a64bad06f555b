"""`Instance`: an object as one line, with its box; lists of them in a JSON file."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hyperseg.core import DataFileError, LabelError
from hyperseg.core.words import one_line
from hyperseg.io.detections.masks import boxes_of
from hyperseg.io.small_tables import read_text
from hyperseg.io.write import write_json

TEACHES = (
    'A list was expected, as in [{"id": 1, "class": "object", "score": 0.98, "box": [4, 7, 9, 12], "area_px": 17}]'
)


@dataclass(frozen=True)
class Instance:
    """An object of a map.

    Attributes:
        id: its number in the map.
        name: of its class.
        score: how sure it is, 0 to 1; None where nothing is scored.
        box: (lo..., hi...) in pixels, half open, in the order of the axes.
        area_px: its pixels.
    """

    id: int
    name: str
    score: float | None
    box: tuple[int, ...]
    area_px: int


def instances_of(
    instances: NDArray[np.integer[Any]], scores: Sequence[float] | None = None, names: Sequence[str] | str = "object"
) -> tuple[Instance, ...]:
    """The objects of a map (*S) in the order of their numbers.

    Args:
        instances: 0 is background.
        scores: of the objects in this order, or None.
        names: of their classes in this order, or one for all.

    Raises:
        LabelError: not as many scores or names as objects.
    """
    ids, areas = np.unique(instances[instances > 0], return_counts=True)
    n = len(ids)
    every = [names] * n if isinstance(names, str) else list(names)
    sure = [None] * n if scores is None else [float(score) for score in scores]
    if len(every) != n or len(sure) != n:
        raise LabelError(f"{n} objects need a score and a name each, got {len(sure)} and {len(every)}.")
    boxes = boxes_of(instances, instances=True).astype(int)
    return tuple(
        Instance(int(i), name, score, tuple(map(int, box)), int(area))
        for i, name, score, box, area in zip(ids, every, sure, boxes, areas, strict=True)
    )


def write_instance_boxes(path: Path, found: Sequence[Instance]) -> None:
    """Write a JSON list, one object an entry with the keys id, class, score, box and area_px, whole or not at all.

    Raises:
        DataFileError: a place that cannot be written.
    """
    rows = []
    for each in found:
        score = {} if each.score is None else {"score": float(f"{each.score:.6g}")}
        rows.append({"id": each.id, "class": each.name, **score, "box": list(each.box), "area_px": each.area_px})
    write_json(path, rows)


def read_instance_boxes(path: Path) -> tuple[Instance, ...]:
    """What `write_instance_boxes` wrote.

    Raises:
        DataFileError: unreadable, or another build.
    """
    try:
        rows = json.loads(read_text(path, TEACHES))
        return tuple(
            Instance(
                int(row["id"]), str(row["class"]), None if row.get("score") is None else float(row["score"]),
                tuple(map(int, row["box"])), int(row["area_px"]),
            )
            for row in rows
        )  # fmt: skip
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise DataFileError(f"{path}: is no list of objects ({one_line(str(error), 80)}). {TEACHES}.") from error
