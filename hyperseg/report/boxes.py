"""Boxes over an image or over slices of a volume: what a detector is surest of, and what is there."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hyperseg.core.words import number
from hyperseg.metrics.froc import hits
from hyperseg.report.segment.slices import FEW, stretched
from hyperseg.report.sheet import Key, Picture, sheet

Boxes = NDArray[np.floating]
Pair = tuple[int, int]
FOUND, TRUE = FEW[0], FEW[1]
SIDE_PX, GAP_PX, LINE_PX, DASH_PX = 300, 6, 2, 7
AROUND = 4.0  # sides of a magnified piece in those of its box
LEAST = 24  # voxels that it has at least along its longer side
MOST_SHOWN, MOST_MISSED, MOST_DRAWN = 4, 2, 20


@dataclass(frozen=True)
class _Plane:
    """A slice with the boxes that cross it.

    Attributes:
        values: (h, w) or (h, w, 3) uint8.
        found, true: (N, 4) boxes of the plane.
        pixel: height and width of a pixel.
    """

    values: Picture
    found: Boxes
    true: Boxes
    pixel: tuple[float, float]


def draw_boxes(
    volume: NDArray[Any], boxes: Boxes, scores: NDArray[np.floating], truth: Boxes | None = None, *,
    spacing: Sequence[float] | None = None, title: str = "", upright: bool = False,
) -> bytes:  # fmt: skip
    """A PNG: the four best boxes of a case, each in its slice across the first axis and magnified below it.

    With the truth, boxes are called hits or false as the FROC curve counts them, and two objects are shown that none of
    the 20 best boxes hits. Found boxes have full lines and true ones dashed lines, so that both are seen where they
    agree. Of an image, which has no slices, all is shown once and then every piece magnified.

    Args:
        volume: (C, *S), an image or a volume; its first channel is drawn, three of an image as colours.
        boxes: (N, 2n) found, in voxels.
        scores: (N), higher is surer.
        truth: (M, 2n); None where it is not known.
        spacing: of the axes in mm; voxels are drawn in proportion.
        title: heading.
        upright: rows run from back to front, as those of volumes in millimetres: slices are turned over.
    """
    n = volume.ndim - 1
    best = np.argsort(-np.asarray(scores), kind="stable")[:MOST_DRAWN]
    drawn, true = np.asarray(boxes)[best], np.zeros((0, 2 * n)) if truth is None else np.asarray(truth)
    shown = list(_shown(drawn, np.asarray(scores)[best], true, spacing, known=truth is not None))
    pixel = (1.0, 1.0) if spacing is None else (float(spacing[-2]), float(spacing[-1]))
    panels: list[tuple[str, Picture]] = []
    if n == 2 or not shown:
        plane = _plane(volume, None if n == 2 else volume.shape[1] // 2, drawn, true, pixel)
        panels.append(("all" if n == 2 else "middle", _view(plane, upright=upright)))
    for name, box in shown:
        z = None if n == 2 else int(np.clip((box[0] + box[n]) / 2, 0, volume.shape[1] - 1))
        plane = _plane(volume, z, drawn, true, pixel)
        near = _view(plane, _window(plane, box[[n - 2, n - 1, 2 * n - 2, 2 * n - 1]]), upright=upright)
        place = "" if z is None else f", slice {z}"
        panels.append((name + place, near if z is None else _below(_view(plane, upright=upright), near)))
    told = f"found, the best {len(drawn)} of {len(boxes)}" if len(drawn) < len(boxes) else f"found, {len(boxes)}"
    keys = [Key(FOUND, told)] + ([] if truth is None else [Key(TRUE, f"true, {len(true)} (dashed)")])
    return sheet(_of_one_size(panels), keys, title=title)


def _shown(
    drawn: Boxes, scores: NDArray[np.floating], true: Boxes, spacing: Sequence[float] | None, *, known: bool
) -> Iterator[tuple[str, Boxes]]:
    """Names and boxes of the panels: the best found, then objects that were missed."""
    met = hits(drawn, true, spacing)
    for box, score, of in list(zip(drawn, scores, met, strict=True))[:MOST_SHOWN]:
        yield f"{number(float(score), 2)}{(', hit' if of.any() else ', false') if known else ''}", box
    for box in true[~met.any(0)][:MOST_MISSED]:
        yield "missed", box


def _plane(volume: NDArray[Any], z: int | None, found: Boxes, true: Boxes, pixel: tuple[float, float]) -> _Plane:
    """An image, or slice z of a volume."""
    if z is None:
        colours = len(volume) == 3
        values = np.moveaxis(volume, 0, -1) if colours else volume[0]
        return _Plane(stretched(values), found, true, pixel)
    a, b = (boxes[np.logical_and(boxes[:, 0] < z + 1, boxes[:, 3] > z)][:, [1, 2, 4, 5]] for boxes in (found, true))
    return _Plane(stretched(volume[0, z]), a, b, pixel)


def _window(plane: _Plane, box: Boxes) -> tuple[Pair, Pair]:
    """First and last row and column of a square (in mm) around a box, inside the plane as far as it is large enough."""
    pixel = np.array(plane.pixel)
    side = max(AROUND * float(((box[2:] - box[:2]) * pixel).max()), LEAST * float(pixel.min()))
    ends = []
    for k in range(2):
        n = min(max(1, round(side / pixel[k])), plane.values.shape[k])
        begin = int(np.clip(round((box[k] + box[2 + k]) / 2 - n / 2), 0, plane.values.shape[k] - n))
        ends.append((begin, begin + n))
    return ends[0], ends[1]


def _view(plane: _Plane, window: tuple[Pair, Pair] | None = None, *, upright: bool) -> Picture:
    """(h, w, 3): the window of a plane, or all of it, at most SIDE_PX long, with outlines of its boxes."""
    window = window or ((0, plane.values.shape[0]), (0, plane.values.shape[1]))
    counts = [end - begin for begin, end in window]
    lengths = [n * size for n, size in zip(counts, plane.pixel, strict=True)]
    sides = [max(1, round(SIDE_PX * length / max(lengths))) for length in lengths]
    rows, columns = (
        begin + ((np.arange(side) + 0.5) * n / side).astype(int)
        for (begin, _), n, side in zip(window, counts, sides, strict=True)
    )
    values = plane.values[rows][:, columns]
    page = np.array(values if values.ndim == 3 else np.repeat(values[..., None], 3, -1))
    origin, scale = np.array([begin for begin, _ in window]), np.array(sides) / counts
    for boxes, colour, dashed in ((plane.found, FOUND, False), (plane.true, TRUE, True)):
        for box in boxes[::-1]:  # the best lies on top
            lo, hi = (np.rint((corner - origin) * scale).astype(int) for corner in (box[:2], box[2:]))
            _outline(page, lo, hi, colour, dashed=dashed)
    return page[::-1] if upright else page


def _outline(page: Picture, lo: NDArray[np.int_], hi: NDArray[np.int_], colour: Sequence[int], *, dashed: bool) -> None:
    """A line around rows and columns lo to hi, with a thin black one around it: what is inside stays as it is."""

    def around(width: int) -> NDArray[np.bool_]:
        inside = np.zeros(page.shape[:2], bool)
        inside[tuple(slice(max(a - width, 0), max(b + width, 0)) for a, b in zip(lo, hi, strict=True))] = True
        return inside

    line = around(LINE_PX) & ~around(0)
    if dashed:
        y, x = np.indices(line.shape)
        line &= (y - lo[0] + x - lo[1]) // DASH_PX % 2 == 0
    else:
        page[around(LINE_PX + 1) & ~around(LINE_PX)] = 0
    page[line] = colour


def _below(upper: Picture, lower: Picture) -> Picture:
    width = max(upper.shape[1], lower.shape[1])
    page = np.full((upper.shape[0] + GAP_PX + lower.shape[0], width, 3), 255, np.uint8)
    page[: upper.shape[0], : upper.shape[1]] = upper
    page[upper.shape[0] + GAP_PX :, : lower.shape[1]] = lower
    return page


def _of_one_size(panels: Sequence[tuple[str, Picture]]) -> list[tuple[str, Picture]]:
    """White below and beside the smaller ones."""
    height, width = (max(picture.shape[axis] for _, picture in panels) for axis in (0, 1))
    return [
        (name, np.pad(p, ((0, height - p.shape[0]), (0, width - p.shape[1]), (0, 0)), constant_values=255))
        for name, p in panels
    ]
