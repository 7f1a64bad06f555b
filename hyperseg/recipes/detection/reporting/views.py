"""Slices of a volume with boxes over them: true ones, and what was found."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from hyperseg.core.words import one_line
from hyperseg.io.write import replacing
from hyperseg.metrics.froc import Marks
from hyperseg.recipes.detection.images.volume import Volume
from hyperseg.report.charts import blank, png

if TYPE_CHECKING:
    from matplotlib.axes import Axes

TRUE, FOUND = "#56b4e9", "#e69f00"
MOST_SLICES, MOST_BOXES = 4, 12  # of a volume; of what was found, best first
RANGE = (1, 99)  # percentiles of a slice that are black and white
SIDE_IN, HEAD_IN = 2.6, 0.3  # of a panel
LONGEST = 30  # letters of a name
LEGEND = "Boxes of objects are blue; of what was found the best are orange, with their scores."


@dataclass(frozen=True)
class View:
    """A slice to draw.

    Attributes:
        name: of the case, and where the slice is.
        image: (h, w) or (h, w, 3) values.
        true, found: (M, 4) and (N, 4) boxes that cross it, (lo_y, lo_x, hi_y, hi_x); scores (N).
        aspect: height of a pixel in its widths.
    """

    name: str
    image: NDArray[Any]
    true: NDArray[np.floating]
    found: NDArray[np.floating]
    scores: NDArray[np.floating]
    aspect: float = 1.0


def views_of(
    volume: Volume, found: Marks, truth: NDArray[Any] | None = None, *, most: int = MOST_SLICES, least: float = 0.0
) -> list[View]:  # fmt: skip
    """The picture, or slices of a volume through its objects and the best of what was found; its middle where none is.

    Args:
        found, truth: boxes in voxels of the file.
        most: slices.
        least: score of what is drawn.
    """
    n = len(volume.own_size)
    keep = found.scores >= least
    boxes, scores = found.boxes[keep][:MOST_BOXES], found.scores[keep][:MOST_BOXES]
    true = np.zeros((0, 2 * n)) if truth is None else np.asarray(truth, np.float64).reshape(-1, 2 * n)
    if n == 2:
        image = np.asarray(volume.array)
        return [View(volume.name, image if image.shape[-1] == 3 else image[..., 0], true, boxes, scores)]
    axis = _across(volume)
    shown: list[int] = []
    for box in (*true, *boxes):
        at = int((box[axis] + box[n + axis]) / 2)
        if all(not _crosses(box, axis, n, other) for other in shown) and len(shown) < most:
            shown.append(min(at, volume.own_size[axis] - 1))
    shown = shown or [volume.own_size[axis] // 2]
    return [_slice(volume, axis, at, true, boxes, scores) for at in shown]


def write_view(path: Path, volume: Volume, found: Marks) -> None:
    """Write slices of a volume with what was found as PNG, whole or not at all."""
    content = views_figure([views_of(volume, found)])
    with replacing(path) as temporary:
        temporary.write_bytes(content)


def views_figure(rows: Sequence[Sequence[View]]) -> bytes:
    """A row of panels for each volume; a PNG file."""
    wide = max(map(len, rows))
    figure = blank(SIDE_IN * max(wide, 2), (SIDE_IN + HEAD_IN) * len(rows))
    panels = figure.subplots(len(rows), max(wide, 2), squeeze=False)
    for line, views in zip(panels, rows, strict=True):
        for axes, view in zip(line, (*views, *[None] * (len(line) - len(views))), strict=True):
            axes.set_axis_off()
            if view is not None:
                _draw(axes, view)
    return png(figure)


def _draw(axes: Axes, view: View) -> None:
    from matplotlib.patches import Rectangle

    if view.image.ndim == 3:
        axes.imshow(view.image, interpolation="nearest")
    else:
        low, high = np.percentile(view.image, RANGE)
        axes.imshow(
            view.image, cmap="gray", vmin=low, vmax=max(high, low + 1e-6), interpolation="nearest", aspect=view.aspect
        )
    title = axes.set_title(one_line(view.name, LONGEST + 16), fontsize=8)
    title.set_parse_math(False)
    for boxes, colour, width in ((view.true, TRUE, 2.2), (view.found, FOUND, 1.3)):
        for box in boxes:
            y, x, y2, x2 = box - 0.5  # imshow puts the middle of the first pixel at 0
            axes.add_patch(Rectangle((x, y), x2 - x, y2 - y, fill=False, edgecolor=colour, linewidth=width))
    for box, score in zip(view.found, view.scores, strict=True):
        axes.text(box[3], box[0] - 0.5, f"{score:.2f}", color=FOUND, fontsize=7, va="bottom", clip_on=True)


def _slice(
    volume: Volume, axis: int, at: int, true: NDArray[Any], boxes: NDArray[Any], scores: NDArray[Any]
) -> View:  # fmt: skip
    n = len(volume.own_size)
    others = [a for a in range(n) if a != axis]
    window = (*(slice(at, at + 1) if a == axis else slice(None) for a in range(n)), 0)
    image = np.asarray(volume.array[window]).squeeze(axis)
    columns = [*others, *(n + a for a in others)]

    def crossing(every: NDArray[Any]) -> NDArray[np.bool_]:
        return np.array([_crosses(box, axis, n, at) for box in every], bool)

    here = crossing(boxes)
    spacing = [volume.spacing[a] for a in others]
    name = f"{one_line(volume.name, LONGEST)}, slice {at}"
    return View(
        name, image, true[crossing(true)][:, columns], boxes[here][:, columns], scores[here], spacing[0] / spacing[1]
    )


def _crosses(box: NDArray[Any], axis: int, n: int, at: int) -> bool:
    return bool(box[axis] < at + 1 and at < box[n + axis])


def _across(volume: Volume) -> int:
    """The axis that slices are across: that of the longest voxels; of equal ones the last of a body, else the first."""
    longest = max(volume.spacing)
    axes = [a for a, mm in enumerate(volume.spacing) if mm >= 0.9 * longest]
    return axes[0] if volume.affine is None else axes[-1]
