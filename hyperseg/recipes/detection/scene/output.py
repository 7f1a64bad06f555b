"""What a search for targets leaves: a table, points on the map, and a page."""

from __future__ import annotations

import csv
import io
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hyperseg.core import Scene
from hyperseg.core.sections import Figure, Section
from hyperseg.core.words import counted
from hyperseg.io.write import replacing
from hyperseg.io.write.files import write_text
from hyperseg.recipes.detection.scene.candidates import Candidates, pixels_of
from hyperseg.recipes.detection.scene.positions import Mask
from hyperseg.recipes.detection.scene.search import FILTERS

TABLED = 30  # candidates on the page
COLUMNS = {
    "ace": "ACE", "ace_signed": "ACE, signed", "ace_local": "ACE, signed, local mean",
    "matched_filter": "matched filter",
}  # fmt: skip
"""Of the table, and which filter each is."""


def columns_of(
    found: Candidates, scores: NDArray[np.float32], scene: Scene, known: Mask | None = None
) -> dict[str, list[Any]]:
    """The columns of the table; of a filter its highest score in the box.

    Args:
        scores: (H, W, F) of all filters.
        known: (H, W) bool, pixels that the target's spectrum was taken from; the column `known` tells of a candidate
            whether its box has one.
    """
    out: dict[str, list[Any]] = {
        name: [] for name in ("row", "column", "lo_0", "lo_1", "hi_0", "hi_1", "score", *COLUMNS)
    }
    affine = scene.grid.affine
    if known is not None:
        out["known"] = []
    if affine is not None:
        out |= {"x": [], "y": []}
    for box, centre, score in zip(found.boxes, found.centres, found.scores, strict=True):
        place = pixels_of(box, scene.shape)
        inside = scores[place]
        values = {
            "row": int(np.floor(centre[0])), "column": int(np.floor(centre[1])), "score": round(float(score), 5),
            **{f"{end}_{axis}": round(float(v), 2) for end, part in (("lo", box[:2]), ("hi", box[2:]))
               for axis, v in enumerate(part)},
            **{name: _most(inside[..., FILTERS.index(which)]) for name, which in COLUMNS.items()},
        }  # fmt: skip
        if known is not None:
            values["known"] = "yes" if known[place].any() else "no"
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


def page_of(section: Section, pictures: dict[str, bytes], columns: dict[str, list[Any]]) -> list[Section]:
    """The sections of the page: what was found, then what to expect."""
    from hyperseg.core.sections import Table

    heads = [name for name in columns if not name.startswith(("lo_", "hi_"))]
    every = len(columns["row"])
    n = min(every, TABLED)
    cells = tuple(tuple(_cell(columns[name][i]) for name in heads) for i in range(n))
    which = f"All {n} candidates" if n == every else f"The best {n} of {every} candidates"
    known = "; known: on a pixel that the target's spectrum was taken from" if "known" in columns else ""
    table = Table(f"{which}, best first. Rows and columns are counted from 0{known}.", tuple(heads), cells)
    first = Section(
        "Candidates", (f"{counted(every, 'candidate')}." if every else "No candidate passes the threshold.",),
        figures=(Figure(pictures["targets"], "Left: the scene in false colour. Right: what made the list."),),
        tables=(table,) if n else (),
    )  # fmt: skip
    expected = Figure(
        pictures["expected"],
        "Implanted targets found, by the share of their fullest pixel that they cover; bars: 95 % interval (Wilson).",
    )
    return [first, Section(section.title, section.sentences, section.cautions, (expected,), section.tables)]


def _most(values: NDArray[np.float32]) -> float | str:
    known = values[np.isfinite(values)]
    return round(float(known.max()), 5) if known.size else ""


def _cell(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)
