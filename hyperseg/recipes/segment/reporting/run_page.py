"""`write_run_page`: report.html of a run of networks, from what lies in its folder."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import isnan, nan
from pathlib import Path
from typing import Any

import numpy as np

from hyperseg.core.sections import Figure, Section, Table
from hyperseg.core.words import counted, duration, listed, number, runs, thousands
from hyperseg.medical.explain import explain, table
from hyperseg.recipes.segment.costs.sentences import HEADS, how_measured, rows
from hyperseg.recipes.segment.folder import SegmentRun, count_weights, fold_folder
from hyperseg.recipes.segment.held_out.pairs import AND
from hyperseg.recipes.segment.learning import ON_THE_WAY, SHORT_STEPS
from hyperseg.recipes.segment.methods.beside import about_folds, dice_rows, of_method
from hyperseg.recipes.segment.methods.chosen import CaseMethod
from hyperseg.recipes.segment.reporting.examples import chosen, mean_of, named, read_examples
from hyperseg.recipes.segment.resuming.history import read_history
from hyperseg.recipes.segment.starting import PLAN_GIVEN, REPORT
from hyperseg.recipes.tricks.words import with_tricks
from hyperseg.report.page import write_page
from hyperseg.report.segment.curves import Curve, dice_figure, learning_figure
from hyperseg.report.segment.slices import slices_figure

WORST, BEST = 10, 5  # cases that are listed
MOST_CLASSES = 30  # drawn


@dataclass(frozen=True)
class Scored:
    """A validation case: its fold, and Dice of each foreground class, NaN where it is in neither truth nor answer."""

    name: str
    fold: int
    dice: tuple[float, ...]

    @property
    def mean(self) -> float:
        return mean_of(self.dice)


def write_run_page(run: SegmentRun) -> Path:
    """Write RUN/report.html anew; nothing is trained or predicted for it.

    Returns:
        the file.
    """
    sections, name = run_sections(run), run.root.resolve().name
    record = run.record
    best = AND.join(record.chosen or tuple(record.trained)[:1])
    row = record.found.get("dice", {}).get(best, {})
    tiles = [("mean Dice", number(row["mean"], 3))] if row else []
    tiles += [(f"Dice, {one}", number(value, 3)) for one, value in list(row.get("classes", {}).items())[:4]]
    lead = (
        f"Networks for {record.folder}: {counted(sum(map(len, record.folds)), 'case')} in "
        f"{counted(len(record.folds), 'fold')}, classes {listed(record.classes[1:], most=8)}, by {record.method} "
        f"{with_tricks(record.tricks)}{', on a plan that was given' if record.found.get(PLAN_GIVEN) else ''}.",
        f"Figures below are of {best}: each case was predicted by the network of the fold that never saw it."
        if row else "No network has been trained yet.",
    )  # fmt: skip
    target = run.root / REPORT
    write_page(target, sections, title=f"Segmentation run {name}", lead=lead, tiles=tiles)
    return target


def run_sections(run: SegmentRun) -> list[Section]:
    """What the report of a run shows, in its order."""
    histories = _histories(run)
    own, beside = {name: _cases(folds) for name, folds in histories.items()}, run.beside
    cases = {of_method(name, run.record.method) if beside else name: scored for name, scored in own.items()}
    for method, other in beside.items():
        cases |= {of_method(name, method): _cases(folds) for name, folds in _histories(other).items()}
    shown = next((name for name in (*run.record.chosen, *run.record.trained) if own.get(name)), None)
    found = [_result(run, cases)]
    if shown is not None:
        found.append(_by_case(run, shown, own[shown]))
    draws = run.method.on.samples is not None
    found += [_curves(name, folds, draws=draws) for name, folds in histories.items() if folds]
    found += [_costs(run.record.found.get("costs") or {}), _plan(run), _made(run)]
    return [section for section in found if section.sentences or section.tables or section.figures]


def _histories(run: SegmentRun) -> dict[str, dict[int, dict[str, Any]]]:
    return {name: {fold: read_history(run, name, fold) for fold in folds} for name, folds in run.record.trained.items()}


def _cases(folds: Mapping[int, Mapping[str, Any]]) -> list[Scored]:
    return [
        Scored(name, fold, tuple(nan if value is None else value for value in row["raw"]))
        for fold, history in folds.items()
        for name, row in history["cases"].items()
    ]


def _result(run: SegmentRun, cases: Mapping[str, Sequence[Scored]]) -> Section:
    """Dice of every configuration by cross-validation, and how its cases spread."""
    record, classes = run.record, run.record.classes[1:]
    of = dice_rows(run)
    lines, cautions = [], []
    for name, row in of.items():
        spreads = np.array([(nan,) * len(classes), *(one.dice for one in cases.get(name, ()))])
        cells = [_with_spread(value, spreads[:, k]) for k, value in enumerate(row["classes"].values())]
        lines.append((name, runs(row["folds"]), thousands(row["cases"]), number(row["mean"], 3), *cells))
        if len(row["folds"]) < len(record.folds):
            cautions.append(
                f"Of {name} {counted(len(row['folds']), 'fold')} of {len(record.folds)} "
                f"{'is' if len(row['folds']) == 1 else 'are'} trained: its Dice is of {counted(row['cases'], 'case')}."
            )
    said = []
    if record.chosen:
        parts = [" and ".join(record.classes[k] for k in part) for part in record.largest]
        kept = f" The largest piece alone is kept of {listed(parts)}." if parts else " No piece is removed."
        if parts and "kept" in record.found:
            kept += f" With that, mean Dice is {number(record.found['kept']['mean'], 3)}."
        said.append(f"{listed(record.chosen)} {'predict' if len(record.chosen) > 1 else 'predicts'}.{kept}")
        cautions.append(
            "What was chosen, and which pieces are kept, was decided on the same cases as the Dice above, which is "
            "a little too good for that: a test set that had no part in it tells more."
        )
    said += about_folds(run)
    said.append("Validation cases decide no weight and no step of a training.")
    figures = []
    for name, scored in cases.items():
        drawn = {one: [case.dice[k] for case in scored] for k, one in enumerate(classes[:MOST_CLASSES])}
        if scored:
            told = f"{name}: Dice of every validation case, a point each; the line is the mean."
            figures.append(Figure(dice_figure(drawn), told))
    caption = (
        "Dice by cross-validation: the mean over cases ± their standard deviation. A class that is neither in the "
        "truth nor in the answer of a case is not counted there; where one of them has it alone, Dice is 0."
    )
    heads = ("network", "folds", "cases", "mean Dice", *classes)
    tables = (Table(caption, heads, tuple(lines)),) if lines else ()
    return Section("How good it is", tuple(said), tuple(cautions), tuple(figures), tables, {"dice": of})


def _by_case(run: SegmentRun, name: str, cases: Sequence[Scored]) -> Section:
    """The worst and the best cases, and slices of three."""
    classes = run.record.classes[1:]
    ranked = sorted((one for one in cases if not isnan(one.mean)), key=lambda one: (one.mean, one.name))
    worst = ranked[:WORST]
    best = ranked[max(WORST, len(ranked) - BEST) :]

    def lines(some: Sequence[Scored]) -> tuple[tuple[str, ...], ...]:
        return tuple((c.name, str(c.fold), number(c.mean, 3), *(number(d, 3) for d in c.dice)) for c in some)

    heads = ("case", "fold", "mean Dice", *classes)
    tables = [Table(f"{name}: the {len(worst)} cases with the lowest mean Dice, worst first.", heads, lines(worst))]
    if best:
        tables.append(Table(f"{name}: the {len(best)} with the highest.", heads, lines(best)))
    kept = [one for fold in run.record.trained[name] for one in read_examples(fold_folder(run.root, name, fold))]
    figures = []
    if kept:
        slices = named(chosen(kept))
        png = slices_figure(slices, run.record.classes, title=f"Validation cases of {name}, with mean Dice")
        about = "the worst case, one in the middle and the best of all" if len(slices) > 2 else "validation cases"
        told = (
            f"Slices of {about}: above the image, below it the truth as a line and the answer as a surface, in the "
            "colours of the classes. Of a volume: the slice with most of them."
        )
        figures.append(Figure(png, told))
    return Section("Case by case", figures=tuple(figures), tables=tuple(tables))


def _curves(name: str, folds: Mapping[int, Mapping[str, Any]], *, draws: bool) -> Section:
    """What was learnt when, by every fold; `draws`: the method's answers are drawn."""
    curves, seconds = [], []
    for fold, one in folds.items():
        minute = one["seconds"] / max(one["steps"], 1) / 60
        loss = np.sum(list(one["losses"].values()), 0)
        dice_at = [minute * step for step in one["validated"]]
        curves.append(Curve(f"fold {fold}", [minute * at for at in one["at"]], loss, dice_at, one["patch_dice"]))
        seconds.append(one["seconds"])
    first, steps = next(iter(folds.values())), sorted({one["steps"] for one in folds.values()})
    told = counted(steps[0], "step") if len(steps) == 1 else f"{thousands(steps[0])} to {thousands(steps[-1])} steps"
    said = [
        f"{name}: {told} of {counted(first['batch'], 'patch', 'patches')} "
        f"({first['optimiser']}) in {listed(map(duration, seconds), most=5)}.",
        "Minutes are those of the whole training shared among its steps.",
    ]
    if steps[0] < SHORT_STEPS and first["optimiser"].startswith("AdamW"):
        said.append(
            f"A training of fewer than {SHORT_STEPS} steps is short: the plan's optimiser and rate were not used."
        )
    caption = (
        "Left: the loss, all its terms together (pale: every step; strong: a running mean). Right: mean Dice of the "
        "same patches of validation cases each time, looked at ten times; whole cases are predicted in the end."
    )
    if draws:
        caption += f" It is {ON_THE_WAY}."
    return Section(f"Learning curves of {name}", tuple(said), figures=(Figure(learning_figure(curves), caption),))


def _costs(costs: Mapping[str, Any]) -> Section:
    """What was expected and what was."""
    if not costs:
        return Section("Expected and measured")
    caption = (
        "Expected before the run, from the plan and a few steps tried on this machine; what it was; and that "
        "divided by what was expected. Memory is the most that the process (on a GPU: the card) held meanwhile."
    )
    shown = Table(caption, HEADS, tuple(rows(costs)))
    return Section("Expected and measured", (how_measured(costs),), tables=(shown,), numbers={"costs": dict(costs)})


def _plan(run: SegmentRun) -> Section:
    """The choices of the plan, one a line, and its networks."""
    counted_of = {name: n for name in run.record.trained if (n := count_weights(run, name)) is not None}
    pairs = (sentence.partition(": ") for sentence in explain(run.plan, counted_of))
    words = tuple((head, rest[:1].upper() + rest[1:]) for head, _, rest in pairs)
    heads, *lines = table(run.plan, counted_of)
    told = "Its networks; GB: memory of a training step of the planned U-Net in 32 bits, roughly."
    tables = (
        Table(f"What was decided before training, by the rules of preset {run.plan.preset}.", (), words),
        Table(told, heads, tuple(lines)),
    )
    return Section("The plan", tables=tables)


def _made(run: SegmentRun) -> Section:
    record = run.record
    lines = [
        ("data", record.folder), ("method", _told(run.method)), ("tricks", listed(record.tricks) or "none"),
        ("channels", listed(record.channels)),
        ("classes", listed(f"{name} ({code})" for name, code in zip(record.classes, record.codes, strict=True))),
        ("seed", str(record.seed)), ("cases of each fold", listed(str(len(names)) for names in record.folds)),
        *((name, version) for name, version in record.versions.items()),
    ]  # fmt: skip
    caption = "All numbers of this page are in run.json and in the history.json of each fold, the plan in plan.json."
    return Section("How it was made", tables=(Table(caption, (), tuple(lines)),))


def _told(method: CaseMethod) -> str:
    """A method and its settings."""
    settings = ", ".join(f"{leaf.path} {leaf.value}" for leaf in method.leaves)
    return f"{method.name}: {settings}" if settings else method.name


def _with_spread(value: float | None, cases: np.ndarray) -> str:
    known = cases[np.isfinite(cases)]
    return f"{number(value, 3)} ± {known.std(ddof=1):.3f}" if len(known) > 1 else number(value, 3)
