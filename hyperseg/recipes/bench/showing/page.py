"""What a benchmark leaves to look at: tables, chart, samples and the page."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from hyperseg.core.sections import Figure, Section, Table
from hyperseg.core.words import UNKNOWN, duration, number
from hyperseg.io.write import replacing, write_text
from hyperseg.recipes.bench.folder import PARETO, REPORT, SAMPLES, TABLE_CSV, TABLE_MD
from hyperseg.recipes.bench.judge import as_pictures, quantiles
from hyperseg.recipes.bench.rows import Row
from hyperseg.recipes.bench.showing import table as tables
from hyperseg.recipes.bench.showing import taxonomy
from hyperseg.recipes.bench.showing.findings import findings
from hyperseg.report.generation import Line, pareto_figure, samples_figure
from hyperseg.report.page import write_page

SHOWN_AT = 10  # calls at which samples of all methods are shown
REAL = "real, held out"


def write_results(root: Path, rows: Sequence[Row], found: Mapping[str, Any], test_x: Any, speedups: Any) -> None:
    """Write tables, pictures and page of a benchmark into its folder.

    Args:
        rows: finished cells.
        found: as in bench.json.
        test_x: (m, C, *S) held-out data, shown beside samples.
        speedups: the table of methods that train, for the taxonomy.
    """
    features = found["features"]
    told = f"{features['name']} {features['key']}"
    write_text(root / TABLE_CSV, tables.as_csv(rows, features=told, reference=features["reference"]))
    write_text(root / TABLE_MD, tables.as_markdown(rows, features))
    pareto = pareto_figure(lines_of(rows), unit=features["distance"], floor=found["floor"]["fd"])
    pictures = samples_figure(strips_of(rows, test_x))
    for name, png in ((PARETO, pareto), (SAMPLES, pictures)):
        with replacing(root / name) as temporary:
            temporary.write_bytes(png)
    sections = [
        _quality(rows, found, pareto), _by_calls(rows, features), _samples(pictures), _made(found), _taxonomy(speedups),
    ]  # fmt: skip
    write_page(
        root / REPORT, sections, title=f"Samplers on {found['data']['name']}", lead=lead_of(found),
        tiles=_tiles(rows, found),
    )  # fmt: skip


def lines_of(rows: Sequence[Row]) -> list[Line]:
    """Every method as a line of the chart, by family."""
    found: dict[tuple[str, str, bool], list[tuple[float, float]]] = {}
    for row in rows:
        if row.fd is not None and row.fd > 0:
            points = found.setdefault((row.family, row.label, row.kind == "chosen"), [])
            points.append((float(row.nfe), row.fd))
    lines = [Line(label, family, tuple(sorted(at)), chosen) for (family, label, chosen), at in found.items()]
    return sorted(lines, key=lambda line: line.family)


def strips_of(rows: Sequence[Row], test_x: Any) -> dict[str, Any]:
    """Held-out data first, then the longest run, then every method at so many calls, best first."""
    shown = [row for row in rows if row.strip is not None]
    count = len(shown[0].pictures) if shown and shown[0].pictures is not None else 10
    strips = {REAL: as_pictures(test_x[:count], spread=quantiles)}
    longest = max(shown, key=lambda row: row.asked, default=None)
    few = sorted((row for row in shown if row.asked == SHOWN_AT or _only(row, shown)), key=_rank)
    for row in ([] if longest is None else [longest]) + few:
        if row.pictures is not None and row.pictures.shape == strips[REAL].shape:
            strips.setdefault(f"{row.label}, {row.nfe} calls", row.pictures)
    return strips


def _only(row: Row, rows: Sequence[Row]) -> bool:
    """Of a method that is not there at the usual number of calls the most calls."""
    own = [other.asked for other in rows if other.label == row.label]
    return SHOWN_AT not in own and row.asked == max(own)


def lead_of(found: Mapping[str, Any]) -> tuple[str, ...]:
    """What was compared, in sentences."""
    features, floor = found["features"], found["floor"]
    nll = found.get("nll")
    flow = "" if nll is None else (
        f" Likelihood of the flow that every sampler without noise follows: {nll['flow']:.2f} bits/dim "
        f"({nll['flow_calls']} calls, {nll['n']} samples)."
    )  # fmt: skip
    return (
        f"{found['data']['note']} One network for all rows but those of methods that train one of their own, the same "
        f"starting noise in each; {found['samples']} samples a row against {found['data']['n_train']} of training.",
        f"{features['distance']} and {features['score']} are in these features: {features['note']} Held-out real data "
        f"({found['data']['n_test']} samples) have {features['distance']} {floor['fd']:.2f}, precision "
        f"{floor['precision']:.3f} and recall {floor['recall']:.3f}.{flow}",
    )


def _tiles(rows: Sequence[Row], found: Mapping[str, Any]) -> list[tuple[str, str]]:
    tiles = []
    for asked, group in tables.groups(rows):
        best = tables.best_of(group)
        if best is not None and asked in (max(r.asked for r in rows), 20, 10, 4):
            tiles.append((f"best at {asked} calls: {best.label}", number(best.fd, 2)))
    return [*tiles, ("held-out real data", number(found["floor"]["fd"], 2))]


def _quality(rows: Sequence[Row], found: Mapping[str, Any], png: bytes) -> Section:
    caption = (
        "Both axes are logarithmic. Black: no method is better with as few calls. Stars: steps chosen by dynamic "
        "programming. Dotted: held-out real data."
    )
    return Section(
        "Quality against network calls", tuple(findings(rows)), tuple(found["cautions"]), (Figure(png, caption),)
    )  # fmt: skip


def _by_calls(rows: Sequence[Row], features: Mapping[str, Any]) -> Section:
    made = []
    for asked, group in tables.groups(rows):
        best = tables.best_of(group)
        lines = tuple(tables.cells(row) for row in group)
        caption = f"{asked} calls" if asked > 1 else "1 call"
        made.append(Table(caption, tables.heads(features), lines, marked=None if best is None else 0))
    sentence = (
        "By network calls, the best first. NFE: calls that were counted. After ±: the spread of the distance when "
        "samples are drawn again from those that were made. NLL: bits per dimension of held-out data under the "
        "method's own steps and variances, where it has a likelihood. Seconds: sampling alone."
    )
    return Section("Every cell", (sentence,), tables=tuple(made))


def _samples(png: bytes) -> Section:
    words = f"The first samples of each method at {SHOWN_AT} calls, or its most; the same starting noise in every row."
    return Section("Samples", figures=(Figure(png, words),))


def _made(found: Mapping[str, Any]) -> Section:
    rows = [(name, str(value)) for name, value in found["settings"].items() if value not in ("", None)]
    rows += [(f"network, {name}", str(value)) for name, value in found["network"].items()]
    rows += [(name, str(value)) for name, value in found["versions"].items()]
    rows += [(f"{name}, time", duration(seconds)) for name, seconds in found["seconds"].items()]
    facts = Table("Settings, versions and times; all of it is in bench.json.", (), tuple(rows))
    return Section("How it was made", tuple(found["left_out"]), tables=(facts,))


def _taxonomy(speedups: Any) -> Section:
    rows = tuple(taxonomy.taxonomy(speedups))
    words = f"Family, method, and where it is in the code. {UNKNOWN}: none."
    return Section("Taxonomy", tables=(Table(words, taxonomy.HEADS, rows),))


def _rank(row: Row) -> float:
    return float("inf") if row.fd is None else row.fd
