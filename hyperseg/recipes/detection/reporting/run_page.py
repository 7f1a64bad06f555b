"""`write_run_page`: report.html of a run of detectors."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from hyperseg.core.sections import Figure, Section, Table
from hyperseg.core.settings import to_json
from hyperseg.core.words import counted, duration, listed, number, percent
from hyperseg.recipes.detection.folder import REPORT, DetectRun, Record
from hyperseg.recipes.detection.images.volume import Volume
from hyperseg.recipes.detection.reporting.curves import loss_figure
from hyperseg.recipes.detection.reporting.sentences import HEADS, cautions, rows, verdict
from hyperseg.recipes.detection.reporting.views import view
from hyperseg.recipes.detection.trying import Tried
from hyperseg.report.froc import CAPTION, froc_figure
from hyperseg.report.page import write_page

SHOWN = 5  # held-out cases that are drawn
RULE = (
    "A box finds an object if its centre is nearer to the object's than half of the object's mean size (the rule of "
    "LUNA16). CPM is the mean of the shares that are found at 1/8, 1/4, 1/2, 1, 2, 4 and 8 false positives per scan; "
    "mAP is the mean average precision over overlaps (IoU) of 0.1 to 0.5."
)


def write_run_page(run: DetectRun, tried: Mapping[str, Tried], volumes: Sequence[Volume]) -> Path:
    """Write RUN/report.html: what was trained, FROC curves, and held-out cases with true boxes and found ones.

    Args:
        run: trained.
        tried: scores of each detector, by name, the run's own first.
        volumes: the held-out cases.

    Returns:
        the file.
    """
    record, part = run.record, run.record.division
    own = tried.get(record.method)
    tiles = []
    if own is not None:
        tiles = [("CPM", number(own.froc.cpm, 3)), ("mAP", number(own.precision, 3))]
        tiles += [(f"CPM of {name}", number(one.froc.cpm, 3)) for name, one in tried.items() if name != record.method]
    lead = (
        f"A detector for {record.folder}: {record.method}, {counted(record.steps, 'step')}, from "
        f"{counted(len(part.labelled), 'labelled case')} and {len(part.unlabelled)} unlabelled; "
        f"{counted(len(part.held_out), 'case')} held out.",
        f"Plan: {record.plan.told()}.",
    )
    sections = [_scores(run, tried)]
    if own is not None:
        sections.append(_cases(own, volumes))
    sections += [_training(run), _made(run)]
    write_page(
        run.root / REPORT, sections, title=f"Detector {run.root.resolve().name}", lead=lead, tiles=tiles
    )  # fmt: skip
    return run.root / REPORT


def _scores(run: DetectRun, tried: Mapping[str, Tried]) -> Section:
    scores = {name: one.numbers() for name, one in tried.items()}
    if not scores:
        return Section("How good it is", cautions=cautions(run, scores))
    sentences = tuple(filter(None, (verdict(scores), RULE)))
    png = froc_figure({name: [one.froc.curve] for name, one in tried.items()})
    caption = (
        "Held-out cases; 95 %: an interval of CPM for other scans of this kind (bootstrap over scans), not for other "
        "trainings. Last columns: share of the objects that is found at so many false positives per scan."
    )
    table = Table(caption, HEADS, tuple(rows(scores)), marked=0)
    return Section("How good it is", sentences, cautions(run, scores), (Figure(png, CAPTION),), (table,))


def _cases(own: Tried, volumes: Sequence[Volume]) -> Section:
    """Slices of some cases, and a line for each."""
    least = own.threshold
    drawn = (
        f"What was found with a score of {number(least, 3)} or more, and what is there; a hit is one by the rule "
        "above. From that score on there is at most one false positive per scan. Numbers are scores."
    )
    figures = [
        Figure(view(volume, own.found[volume.name], own.truth[volume.name].boxes, least=least), caption)
        for volume, caption in zip(volumes[:SHOWN], (drawn, *[""] * SHOWN), strict=False)
    ]
    lines = []
    for volume in volumes:
        marks, true = own.found[volume.name], own.truth[volume.name].boxes
        best = number(float(marks.scores[0]), 2) if len(marks.scores) else ""
        lines.append((volume.name, str(len(true)), str(int((marks.scores >= least).sum())), best))
    table = Table(
        f"Objects, boxes with a score of {number(least, 3)} or more, and the best score, of every held-out case.",
        ("case", "objects", "boxes", "best score"), tuple(lines),
    )  # fmt: skip
    return Section("Held-out cases", figures=tuple(figures), tables=(table,))


def _training(run: DetectRun) -> Section:
    every: dict[str, Record] = {one.record.method: one.record for one in (run, *run.beside.values())}
    histories = {name: record.found["history"] for name, record in every.items() if "history" in record.found}
    lines = []
    for name, record in every.items():
        costs = record.found.get("costs", {})
        expected = record.found.get("expected_s")
        memory = costs.get("peak_bytes")
        lines.append(
            (
                name, str(record.steps), duration(expected) if expected and name == run.record.method else "",
                duration(costs["seconds"]) if costs else "", "" if memory is None else f"{memory / 1e9:.1f} GB",
            )
        )  # fmt: skip
    table = Table("What the trainings took.", ("detector", "steps", "expected", "was", "most memory"), tuple(lines))
    sentences = (
        "The twin has the same labels, first weights, labelled patches and number of steps; its steps are cheaper.",
    )
    figures = (Figure(loss_figure(histories), "Loss terms, running means."),) if histories else ()
    return Section("Training", sentences if len(every) > 1 else (), figures=figures, tables=(table,))


def _made(run: DetectRun) -> Section:
    record, part = run.record, run.record.division
    share = 100 * len(part.held_out) / max(len(part.held_out) + len(part.labelled) + len(part.unlabelled), 1)
    sentences = (
        f"Held out, drawn by seed {record.seed} ({percent(share)} of all cases): {listed(part.held_out, most=12)}.",
        f"Labelled: {listed(part.labelled, most=12)}.",
        "Each volume's values are cut to its 0.5 and 99.5 percentiles and brought to mean 0 and deviation 1, CT too. "
        "Volumes whose voxels differ by more than a tenth from the median are resampled; boxes are told in voxels of "
        "each file.",
    )
    settings = to_json(record.settings)
    lines = [(f"{group}.{name}", str(value)) for group, inner in settings.items() for name, value in inner.items()]
    versions = ", ".join(f"{name} {value}" for name, value in record.versions.items())
    return Section(
        "How it was made", (*sentences, f"Versions: {versions}."),
        tables=(Table("Settings.", ("setting", "value"), tuple(lines)),),
    )  # fmt: skip
