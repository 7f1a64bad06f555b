"""`write_run_page`: report.html of a run of Mask R-CNN."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from hyperseg.core.sections import Figure, Section, Table
from hyperseg.core.settings import to_json
from hyperseg.core.words import counted, duration, listed, number
from hyperseg.metrics.instances.panoptic import panoptic
from hyperseg.recipes.detection.reporting.curves import loss_figure
from hyperseg.recipes.instances.folder import REPORT, InstanceRun
from hyperseg.recipes.instances.pictures import Example
from hyperseg.recipes.instances.reporting.sentences import HEADS, RULE, cautions, rows, verdict
from hyperseg.recipes.instances.reporting.views import view
from hyperseg.recipes.instances.trying import BASELINE, Tried
from hyperseg.report.page import write_page

SHOWN = 6  # held-out pictures that are drawn: the worst, the best, and between


def write_run_page(run: InstanceRun, tried: Mapping[str, Tried], examples: Sequence[Example]) -> Path:
    """Write RUN/report.html: scores beside the baseline's, held-out pictures with outlines, and how it was made.

    Args:
        run: trained and scored.
        tried: of the network and the baseline, by name, the run's own first.
        examples: the held-out pictures.
    """
    record = run.record
    own = tried[record.method]
    tiles = [("AP50", number(own.numbers["ap50"], 3)), ("PQ", number(own.numbers["pq"], 3))]
    if BASELINE in tried:
        tiles.append((f"PQ of the {BASELINE}", number(tried[BASELINE].numbers["pq"], 3)))
    lead = (
        f"{record.method} for the objects of {record.folder}: {counted(record.steps, 'step')} on "
        f"{counted(len(record.learnt), 'picture')}; {len(record.held_out)} held out.",
        f"Plan: {record.plan.told()}.",
    )
    sections = [_scores(run), _pictures(own, examples), _training(run), _made(run)]
    write_page(run.root / REPORT, sections, title=f"Objects {run.root.resolve().name}", lead=lead, tiles=tiles)
    return run.root / REPORT


def _scores(run: InstanceRun) -> Section:
    caption = (
        f"Held-out pictures. The {BASELINE} is a threshold and a watershed, tuned on some of the pictures that the "
        "network learnt from; its AP ranks objects by their size."
    )
    table = Table(caption, HEADS, tuple(rows(run.scores)), marked=0)
    return Section("How good it is", (verdict(run.scores), RULE), cautions(run), tables=(table,))


def _pictures(own: Tried, examples: Sequence[Example]) -> Section:
    """Some pictures from the worst to the best, and a line for each."""
    found = []
    for one in examples:
        assert one.numbers is not None
        found.append((panoptic(own.maps[one.name], one.numbers), one))
    found.sort(key=lambda pair: pair[0].quality if pair[0].quality == pair[0].quality else 2.0)
    n = len(found)
    places = sorted({round(i * (n - 1) / max(min(SHOWN, n) - 1, 1)) for i in range(min(SHOWN, n))})
    told = "From the worst to the best by PQ: the picture, the true objects, and those that were found."
    figures = [
        Figure(
            view(one, own.maps[one.name], one.numbers), f"{told if i == places[0] else ''} PQ {number(p.quality, 3)}."
        )
        for i in places
        for p, one in (found[i],)
    ]
    lines = [
        (one.name, str(p.hits + p.missed), str(p.hits), str(p.missed), str(p.false), number(p.quality, 3))
        for p, one in found
    ]
    heads = ("picture", "objects", "hits", "missed", "false", "PQ")
    table = Table("Every held-out picture, the worst first.", heads, tuple(lines))
    return Section("Held-out pictures", figures=tuple(figures), tables=(table,))


def _training(run: InstanceRun) -> Section:
    record = run.record
    costs, expected = record.found.get("costs", {}), record.found.get("expected_s")
    memory = costs.get("peak_bytes")
    line = (
        record.method, str(record.steps), duration(expected) if expected else "",
        duration(costs["seconds"]) if costs else "", "" if memory is None else f"{memory / 1e9:.1f} GB",
    )  # fmt: skip
    table = Table("What the training took.", ("method", "steps", "expected", "was", "most memory"), (line,))
    history = record.found.get("history")
    figures = (Figure(loss_figure({record.method: history}), "Loss terms, running means."),) if history else ()
    return Section("Training", figures=figures, tables=(table,))


def _made(run: InstanceRun) -> Section:
    record = run.record
    sentences = (
        f"Held out (fold {record.fold} of five, drawn by seed {record.seed}): {listed(record.held_out, most=12)}.",
        "Each picture's values are cut to its 0.5 and 99.5 percentiles and brought to mean 0 and deviation 1.",
    )
    settings = to_json(record.settings)
    lines = [(f"{group}.{name}", str(value)) for group, inner in settings.items() for name, value in inner.items()]
    versions = ", ".join(f"{name} {value}" for name, value in record.versions.items())
    return Section(
        "How it was made", (*sentences, f"Versions: {versions}."),
        tables=(Table("Settings.", ("setting", "value"), tuple(lines)),),
    )  # fmt: skip
