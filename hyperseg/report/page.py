"""The report of a run: one self-contained HTML file, and a short table on the screen."""

from __future__ import annotations

import base64
import os
from collections.abc import Mapping, Sequence
from functools import partial
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hyperseg.core import RunError, replaced
from hyperseg.core.sections import Section
from hyperseg.core.words import NARROW, duration, number, thousands
from hyperseg.metrics import area_table
from hyperseg.report import findings
from hyperseg.report.findings import Metrics, Row
from hyperseg.report.groups import groups_line, groups_section

if TYPE_CHECKING:
    from jinja2 import Environment
    from rich.console import Console

WITH_THE_MAP = ("map", "groups", "errors", "confidence", "applicability")
CAPTIONS = {
    "map": "The scene in false colour, the ground truth where there is any, and the map. "
    "Percentages are shares of the mapped area.",
    "groups": "What map-groups.tif answers: the class, the group where the class is a guess, or nothing (unsure).",
    "errors": "Test pixels: blue where the map is right, orange where it is wrong; yellow: training pixels.",
    "confidence": "Probability of the mapped class as the method states it, not calibrated; it is not an accuracy.",
    "applicability": "Hatched: pixels unlike anything trained on (after Meyer & Pebesma 2021); the accuracies above "
    "say little about them.",
    "confusion": "Rows: what the test pixels are. Columns: what they were mapped as, in percent of the row.",
    "training": "Loss terms (pale: as logged; strong: running mean) and the score on validation pixels.",
    "spectra": "Training spectra of every class: mean and standard deviation; grey: the other classes.",
}
CALIBRATED = (
    "Probability of the mapped class, calibrated on pixels held out from training: of pixels with 70 %, about 70 % "
    "should be right."
)


def write_report(
    path: str | os.PathLike[str],
    metrics: Metrics,
    *,
    figures: Mapping[str, bytes],
    sections: Sequence[Section],
    title: str,
) -> None:
    """Write the report as one HTML file that loads nothing from anywhere.

    Args:
        path: file to write; it appears whole or not at all.
        metrics: as in `metrics.json`, see `hyperseg.report.findings`. What is missing or None, but for "chain",
            "steps" and "final", is left out; an optional "settings" mapping is shown with how the map was made.
        figures: PNG files by name: "map", "errors", "confidence", "applicability", "confusion", "training",
            "spectra"; others are shown after the map with their name as caption.
        sections: what parts of the run show of themselves, in this order; their cautions stand with the accuracies.
        title: heading.

    Raises:
        RunError: the file cannot be written.
    """
    _write(Path(path), render_report(metrics, figures=figures, sections=sections, title=title))


def write_page(
    path: str | os.PathLike[str], sections: Sequence[Section], *, title: str, lead: Sequence[str] = (),
    tiles: Sequence[tuple[str, str]] = (),
) -> None:  # fmt: skip
    """Write sections alone as one HTML file that loads nothing from anywhere.

    Args:
        path: file to write; it appears whole or not at all.
        sections: in this order; the cautions of all of them stand above the first.
        title: heading.
        lead: paragraphs below it.
        tiles: name and value of the figures that matter most.

    Raises:
        RunError: the file cannot be written.
    """
    cautions = [sentence for section in sections for sentence in section.cautions]
    page = _environment().get_template("sections.html.j2")
    _write(Path(path), page.render(title=title, sections=sections, lead=lead, tiles=tiles, cautions=cautions))


def _write(target: Path, page: str) -> None:
    try:
        with replaced(target) as temporary:
            temporary.write_text(page, encoding="utf-8", newline="\n")
    except OSError as error:
        reason = error.strerror or type(error).__name__
        raise RunError(
            f"{target}: the report could not be written ({reason}). Make sure the folder exists, you may "
            "write there and the disk has room."
        ) from error


def render_report(metrics: Metrics, *, figures: Mapping[str, bytes], sections: Sequence[Section], title: str) -> str:
    """The HTML text of `write_report`."""
    repeats = int(metrics.get("repeats") or 1)
    environment = _environment()
    environment.filters |= {
        "number": number,
        "spread": lambda value, digits=2: findings.spread(value, repeats, digits),
        "count": partial(thousands, space=NARROW),
        "seconds": _seconds,
    }
    table = findings.rows(metrics)
    return environment.get_template("report.html.j2").render(
        title=title,
        metrics=metrics,
        scene=metrics.get("scene") or {},
        split=metrics.get("split") or {},
        sections=sections,
        cautions=findings.cautions(metrics, sections),
        training=metrics.get("training"),
        classes=_classes(metrics, table),
        rows=table,
        final=next(row for row in table if row.final),
        repeats=repeats,
        says=findings,
        areas=metrics.get("areas"),
        says_areas=area_table,
        groups=groups_section(metrics),
        pictures=figures,
        captions=CAPTIONS
        | ({"confidence": CALIBRATED} if metrics.get("calibrated") else {})
        | ({"confusion": f"{CAPTIONS['confusion']} Summed over {repeats} repeats."} if repeats > 1 else {}),
        with_the_map=[n for n in WITH_THE_MAP if n in figures] + [n for n in figures if n not in CAPTIONS],
        extra={k: metrics[k] for k in ("settings", "versions", "times_s") if metrics.get(k)},
    )


def _environment() -> Environment:
    """Templates of this package; what they show is escaped."""
    from jinja2 import Environment, FunctionLoader, StrictUndefined

    def source(name: str) -> str:
        return resources.files("hyperseg.report").joinpath(name).read_text(encoding="utf-8")

    made = Environment(
        loader=FunctionLoader(source), autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    made.filters |= {
        "setting": findings.setting,
        "data_url": lambda png: f"data:image/png;base64,{base64.b64encode(png).decode('ascii')}",
    }
    return made


def print_summary(metrics: Metrics, *, folder: str | os.PathLike[str], console: Console | None = None) -> None:
    """Print what a run found: split and leak, a table of accuracies, and where in its folder map and report are.

    Args:
        metrics: as in `metrics.json`.
        folder: the run's.
        console: where to print; by default standard output, plain where that is no terminal.
    """
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    out = Console(highlight=False) if console is None else console
    repeats = int(metrics.get("repeats") or 1)

    def say(text: str, style: str = "", *, whole: bool = False) -> None:
        out.print(Text(_printable(text, out.encoding), style), soft_wrap=whole, highlight=False)

    split = metrics.get("split") or {}
    name = (metrics.get("scene") or {}).get("name", "scene")
    say(f"{name}: {findings.scene_sentence(metrics)}", "bold")
    if split:
        say(findings.split_sentence(split, repeats))
    if said := findings.estimate_sentence(split):
        say(said)
    if split.get("leak"):
        say(findings.leak_sentence(split["leak"]))
    table = Table(box=None, pad_edge=False, header_style="bold", padding=(0, 2, 0, 0))
    table.add_column("percent, on test pixels", overflow="fold")
    for column in (*findings.SCORED, "leak (px)"):
        table.add_column(column, justify="right", no_wrap=True)
    for row in findings.rows(metrics):
        tags: list[str] = [row.role] if row.role in ("baseline", "control") else []
        tags += filter(None, [findings.left_alone(row, metrics)])
        label = row.title + (f" ({'; '.join(tags)})" if tags else "")
        cells = [label, *(findings.spread(row.scores.get(key), repeats) for key in findings.SCORED)]
        cells.append(findings.leak_cell(row))
        table.add_row(*(Text(_printable(c, out.encoding)) for c in cells), style="bold" if row.final else "")
    out.print()
    out.print(table, highlight=False)
    of = f"mean ± sd over {repeats} repeats; " if repeats > 1 else ""
    say(f"{of}leak: % of test pixels with a training pixel in the window looked at (its side) + in its region", "dim")
    if own := findings.map_sentence(metrics):
        say(own)
    if by_group := groups_line(metrics):
        say(by_group)
    if area := findings.applicability_sentence(metrics):
        say(area)
    out.print()
    for sentence in findings.cautions(metrics):
        say(f"- {sentence}")
    out.print()
    if metrics.get("areas"):
        say(area_table.area_line(metrics["areas"], of=" of this map" if repeats > 1 else ""))
        say(" ".join(filter(None, [metrics["areas"]["sample"], area_table.design_sentence(metrics["areas"])])))
        out.print()
    picture = " (picture: map.png)" if (Path(folder) / "map.png").exists() else ""
    say(f"Map:    {Path(folder) / 'map.tif'}{picture}", whole=True)
    say(f"Report: {Path(folder) / 'report.html'}", whole=True)


def _classes(metrics: Metrics, table: list[Row]) -> list[dict[str, Any]]:
    """Per class: pixels in every part of the split and the accuracy of every step."""
    parts = (metrics.get("split") or {}).get("per_class") or {}
    names = list(parts) or list((table[-1].scores.get("per_class")) or {})
    return [
        {"name": n, "pixels": parts.get(n, {}), "steps": [(row.scores.get("per_class") or {}).get(n) for row in table]}
        for n in names
    ]


def _seconds(value: Any) -> str:
    """A duration as a person says it."""
    return duration(findings.mean(value))


def _printable(text: str, encoding: str) -> str:
    """The text in characters that the terminal has: a finished run must not end in an encoding error."""
    try:
        text.encode(encoding)
    except UnicodeEncodeError:
        plain = text.translate({ord("±"): "+-", ord("×"): "x", ord("–"): "-", ord(NARROW): " "})
        return plain.encode(encoding, "replace").decode(encoding)
    return text
