"""What a benchmark leaves to look at: tables, chart, samples and the page."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from hyperseg.core.sections import Figure, Section, Table
from hyperseg.core.words import UNKNOWN, counted, duration, listed, number
from hyperseg.io.write import replacing, write_text
from hyperseg.recipes.bench.folder import PARETO, REPORT, SAMPLES, TABLE_CSV, TABLE_MD
from hyperseg.recipes.bench.judge import as_pictures, quantiles
from hyperseg.recipes.bench.rows import Row
from hyperseg.recipes.bench.showing import table as tables
from hyperseg.recipes.bench.showing import taxonomy
from hyperseg.recipes.bench.showing.findings import findings, told_at
from hyperseg.report.generation import FRONT, Line, pareto_figure, samples_figure
from hyperseg.report.page import write_page

SHOWN_AT = 10  # calls at which samples of all methods are shown, or the nearest number that there is
TILE_NAMES = 3
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
        _quality(rows, found, pareto), _by_calls(rows, features), _samples(rows, pictures), _made(found),
        _taxonomy(speedups),
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
    """Held-out data first, then the longest run, then every method that was made at one number of calls, best first."""
    shown = [row for row in rows if row.strip is not None]
    count = len(shown[0].pictures) if shown and shown[0].pictures is not None else 10
    strips = {REAL: as_pictures(test_x[:count], spread=quantiles)}
    longest = max(shown, key=lambda row: row.asked, default=None)
    few = sorted((row for row in shown if row.asked == shown_at(shown)), key=tables.distance_of)
    for row in ([] if longest is None else [longest]) + few:
        if row.pictures is not None and row.pictures.shape == strips[REAL].shape:
            strips.setdefault(f"{row.label}, {counted(row.nfe, 'call')}", row.pictures)
    return strips


def shown_at(rows: Sequence[Row]) -> int:
    """The number of calls whose samples are shown: of those that were asked for the nearest to the usual one."""
    return min((row.asked for row in rows), key=lambda n: abs(math.log(n / SHOWN_AT)), default=SHOWN_AT)


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
    for asked, leaders in told_at(rows):
        words = "best" if len(leaders) == 1 else "equal within the spread"
        names = listed((row.label for row in leaders), most=TILE_NAMES)
        tiles.append((f"{words} at {counted(asked, 'call')}: {names}", number(leaders[0].fd, 2)))
    return [*tiles, ("held-out real data", number(found["floor"]["fd"], 2))]


def _quality(rows: Sequence[Row], found: Mapping[str, Any], png: bytes) -> Section:
    caption = (
        f"Lower is better; both axes are logarithmic. Thick grey line: {FRONT}; thin grey lines: the other methods, "
        "where there are many. Stars: steps chosen by dynamic programming. Dotted: held-out real data."
    )
    return Section(
        "Quality against network calls", tuple(findings(rows)), tuple(found["cautions"]), (Figure(png, caption),)
    )  # fmt: skip


def _by_calls(rows: Sequence[Row], features: Mapping[str, Any]) -> Section:
    made = []
    for asked, group in tables.groups(rows):
        leaders = tables.leaders_of(group)
        lines = tuple(tables.cells(row, best=row in leaders) for row in group)
        marked = 0 if len(leaders) == 1 else None
        made.append(Table(counted(asked, "call"), tables.heads(features), lines, marked=marked))
    first = "By network calls, the best first. NFE: calls that were counted. Seconds: sampling alone."
    return Section("Every cell", (first, *tables.legend(features), *tables.beside(rows)), tables=tuple(made))


def _samples(rows: Sequence[Row], png: bytes) -> Section:
    words = (
        f"Real data, the longest run, and the first samples of each method at {counted(shown_at(rows), 'call')}; the "
        "same starting noise in every row."
    )
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
