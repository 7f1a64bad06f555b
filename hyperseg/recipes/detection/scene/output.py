"""What a search for targets leaves: a table, points on the map, score maps, a picture and a page."""

from __future__ import annotations

import csv
import io
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hyperseg.core import Scene
from hyperseg.core.sections import Figure, Section
from hyperseg.io.write import replacing
from hyperseg.io.write.files import write_text
from hyperseg.recipes.detection.scene.candidates import Candidates
from hyperseg.recipes.detection.scene.positions import Mask
from hyperseg.recipes.detection.scene.search import FILTERS
from hyperseg.report.charts import blank, png, tidy
from hyperseg.report.pictures import false_colour

MARK, TRUTH, OTHER = "#d62728", "#35e0ff", "#7f7f7f"
PICTURE_PX = 900
NUMBERED = 30  # candidates whose rank is written beside them
COLUMNS = {"ace": "ACE", "ace_signed": "ACE, signed", "matched_filter": "matched filter"}
"""Of the table, and which filter each is."""


def columns_of(found: Candidates, scores: NDArray[np.float32], scene: Scene) -> dict[str, list[Any]]:
    """The columns of the table; of a filter its highest score in the box.

    Args:
        scores: (H, W, F) of all filters.
    """
    out: dict[str, list[Any]] = {
        name: [] for name in ("row", "column", "lo_0", "lo_1", "hi_0", "hi_1", "score", *COLUMNS)
    }
    affine = scene.grid.affine
    if affine is not None:
        out |= {"x": [], "y": []}
    for box, centre, score in zip(found.boxes, found.centres, found.scores, strict=True):
        low, high = np.floor(box[:2] + 0.5).astype(int), np.ceil(box[2:] - 0.5).astype(int)
        low = np.clip(low, 0, np.array(scene.shape) - 1)
        high = np.maximum(high, low + 1)
        inside = scores[low[0] : high[0], low[1] : high[1]]
        values = {
            "row": int(np.floor(centre[0])), "column": int(np.floor(centre[1])), "score": round(float(score), 5),
            **{f"{end}_{axis}": round(float(v), 2) for end, part in (("lo", box[:2]), ("hi", box[2:]))
               for axis, v in enumerate(part)},
            **{name: _most(inside[..., FILTERS.index(which)]) for name, which in COLUMNS.items()},
        }  # fmt: skip
        if affine is not None:
            a, b, c, d, e, f = affine
            values |= {"x": a * centre[1] + b * centre[0] + c, "y": d * centre[1] + e * centre[0] + f}
        for name, value in values.items():
            out[name].append(value)
    return out


def write_table(path: Path, columns: dict[str, list[Any]]) -> None:
    """Write columns as CSV."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(columns)
    writer.writerows(zip(*columns.values(), strict=True))
    write_text(path, text.getvalue())


def write_points(path: Path, columns: dict[str, list[Any]], scene: Scene) -> None:
    """Write the candidates of a scene with map coordinates as points of a GeoPackage."""
    import pyogrio
    from shapely import points, to_wkb

    shapes = to_wkb(points(np.array(columns["x"], float), np.array(columns["y"], float)))
    kept = {name: np.array(values) for name, values in columns.items() if name not in ("x", "y")}
    with replacing(path) as temporary:
        inside = temporary.with_name(temporary.name + ".gpkg")
        try:
            pyogrio.raw.write(
                inside, np.asarray(shapes, object), list(kept.values()), list(kept), driver="GPKG", layer=path.stem,
                geometry_type="Point", crs=scene.grid.crs,
            )  # fmt: skip
            inside.replace(temporary)
        finally:
            inside.unlink(missing_ok=True)


def draw_targets(scene: Scene, scores: NDArray[np.float32], found: Candidates, truth: Mask | None) -> bytes:
    """A PNG: the scene in false colour with the candidates marked, and signed ACE beside it."""
    step = -(-max(scene.shape) // PICTURE_PX)
    rows, columns = (-(-n // step) for n in scene.shape)
    scale = 4.6 / max(rows, columns)
    figure = blank(2 * max(columns * scale, 2.4) + 1.2, max(rows * scale, 1.6) + 0.6)
    panels = figure.subplots(1, 2)
    panels[0].imshow(false_colour(scene, step=step), interpolation="nearest")
    panels[0].set_title(f"{len(found.scores)} candidates, the best ones numbered", fontsize=9.5, loc="left")
    signed = scores[::step, ::step, FILTERS.index("ACE, signed")]
    known = signed[np.isfinite(signed)]
    top = float(np.percentile(known, 99.9)) if known.size else 1.0
    shown = panels[1].imshow(signed, cmap="inferno", vmin=0, vmax=max(top, 1e-6), interpolation="nearest")
    panels[1].set_facecolor("#808080")
    figure.colorbar(shown, ax=panels[1], shrink=0.85)
    panels[1].set_title("ACE, signed: a filter without training", fontsize=9.5, loc="left")
    for axes in panels:
        axes.set_xticks([])
        axes.set_yticks([])
        if truth is not None and truth.any():
            axes.contour(truth[::step, ::step], [0.5], colors=TRUTH, linewidths=0.9)
        for i, (row, column) in enumerate((found.centres - 0.5) / step, start=1):
            axes.plot(column, row, "o", mfc="none", mec=MARK, ms=8, mew=1.2)
            if i <= NUMBERED and axes is panels[0]:
                axes.annotate(str(i), (column, row), (4, 3), textcoords="offset points", color="white", fontsize=7)
    return png(figure)


def draw_expected(shares: dict[str, list[dict[str, Any]]], *, rate: float) -> bytes:
    """A PNG: share of the implanted targets found against the share of a pixel that they cover."""
    figure = blank(6.2, 3.4)
    axes = figure.subplots()
    for (name, rows), colour in zip(shares.items(), (MARK, OTHER), strict=False):
        x = [(row["from"] + row["to"]) / 2 for row in rows]
        p, n = np.array([row["found"] for row in rows]), np.array([row["targets"] for row in rows])
        spread = 1.96 * np.sqrt(p * (1 - p) / n)
        axes.errorbar(x, 100 * p, 100 * spread, color=colour, marker="o", ms=4, lw=1.4, capsize=2, label=name)
    axes.set_xlabel("share of the target in its fullest pixel", fontsize=9)
    axes.set_ylabel(f"found (%), {rate:g} false alarms\nin 10,000 pixels", fontsize=9)
    axes.set_ylim(-3, 103)
    axes.legend(fontsize=8, frameon=False)
    tidy(axes)
    return png(figure)


def page_of(section: Section, pictures: dict[str, bytes], columns: dict[str, list[Any]]) -> list[Section]:
    """The sections of the page: what was found, then what to expect."""
    from hyperseg.core.sections import Table

    heads = [name for name in columns if not name.startswith(("lo_", "hi_"))]
    n = min(len(columns["row"]), NUMBERED)
    cells = tuple(tuple(_cell(columns[name][i]) for name in heads) for i in range(n))
    table = Table(f"The best {n} of {len(columns['row'])} candidates; rows and columns from 0.", tuple(heads), cells)
    first = Section(
        "Candidates", (), figures=(Figure(pictures["targets"], "Candidates; outlined: known to be targets."),),
        tables=(table,) if n else (),
    )  # fmt: skip
    expected = Figure(
        pictures["expected"], "Implanted targets found, by the share of a pixel that they cover; bars: 95 % of chance."
    )
    return [first, Section(section.title, section.sentences, section.cautions, (expected,), section.tables)]


def _most(values: NDArray[np.float32]) -> float | str:
    known = values[np.isfinite(values)]
    return round(float(known.max()), 5) if known.size else ""


def _cell(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)
