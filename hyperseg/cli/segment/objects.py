"""Pictures whose labels number objects: what `segment train`, `predict` and `score` do with them."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from hyperseg.core import SettingError
from hyperseg.core.words import listed
from hyperseg.io.write.targets import RECORD
from hyperseg.recipes.methods import METHODS

if TYPE_CHECKING:
    from rich.console import Console

    from hyperseg.instances import InstanceRun, InstanceScores

TRAINED_BY = (
    "folder", "out", "method", "sets", "alone", "fold", "minutes", "steps", "seed", "device", "resume", "overwrite",
    "quiet",
)  # fmt: skip
PREDICTED_BY = ("run", "images", "out", "device", "sets", "overlays", "form", "overwrite", "quiet")
SCORED_BY = ("predictions", "labels", "out", "objects", "overwrite", "quiet")
WORST = 3  # pictures that are named


def methods_of_objects() -> list[tuple[str, Any]]:
    """Methods that find objects one by one, with their settings."""
    every = ((name, METHODS[name].on_instances) for name in METHODS)
    return [(name, on.settings()) for name, on in every if on is not None]


def method_of_objects(root: Path, name: str | None, *, resume: bool) -> str | None:
    """The method that is asked for, or that the run which goes on has, where it finds objects one by one; else None."""
    from hyperseg.recipes.instances.folder import finds_objects, read_run

    if name is None:
        return read_run(root).record.method if resume and finds_objects(root) else None
    return name if METHODS[name].on_instances is not None else None


def refuse_others(method: str, known: Collection[str]) -> None:
    """Refuse every option of this command that was given and that nobody would look at.

    Raises:
        SettingError: naming the first.
    """
    ctx = click.get_current_context()
    given = click.core.ParameterSource.COMMANDLINE
    names = {param.name: param.opts[0] for param in ctx.command.get_params(ctx) if isinstance(param, click.Option)}
    for name in ctx.params:
        if name not in known and ctx.get_parameter_source(name) is given:
            takes = listed(option for other, option in names.items() if other in known)
            raise SettingError(f"{names.get(name, name)} has no meaning for {method}, which takes {takes}.")
    if ctx.get_parameter_source("fold") is given and ctx.params.get("fold") is None:
        raise SettingError(
            f"--fold all: {method} trains one network, and one fold of five is held out; give its number."
        )


def train_objects(
    folder: Path, root: Path, method: str, sets: Sequence[str], console: Console, **asked: Any
) -> InstanceRun:  # fmt: skip
    """Train, and show what came of it."""
    from hyperseg import instances
    from hyperseg.cli.detect.train import typed

    settings = typed(tuple(sets), dict(methods_of_objects())[method])
    run = instances.train(folder, root, method=method, settings=settings, **asked)
    show_run(run, console)
    return run


def show_run(run: InstanceRun, console: Console) -> None:
    """A line for the method and one for its baseline, what to know, and how to go on."""
    from rich.table import Table
    from rich.text import Text

    from hyperseg.recipes.instances.folder import REPORT
    from hyperseg.recipes.instances.reporting.sentences import HEADS, cautions, rows, took, verdict

    table = Table(box=None, header_style="bold", pad_edge=False)
    for head in HEADS:
        table.add_column(Text(head), justify="left" if head == HEADS[0] else "right")
    for row in rows(run.scores):
        table.add_row(*map(Text, row))
    console.print(table)
    for sentence in filter(None, (verdict(run.scores), *cautions(run), took(run))):
        console.print(sentence, markup=False, soft_wrap=True)
    console.print(f"written to {run.root}; look at {run.root / REPORT}", markup=False, soft_wrap=True)
    console.print(
        f"find in new pictures: hyperseg segment predict {run.root} IMAGES --out DIR", markup=False, soft_wrap=True
    )


def predict_objects(root: Path, images: Path, sets: Sequence[str], **asked: Any) -> tuple[Path, ...]:
    """Predict by a run that finds objects; the files that were written."""
    from hyperseg import instances
    from hyperseg.cli.detect.train import typed
    from hyperseg.recipes.instances.folder import read_run

    method = read_run(root).record.method
    refuse_others(method, PREDICTED_BY)
    settings = typed(tuple(sets), dict(methods_of_objects())[method])
    return instances.predict(root, images, settings=settings, **asked).files


def are_objects(predictions: Path, asked: bool | None) -> bool:
    """Whether maps of objects are scored: where that is said, or where lists of objects lie beside the predictions."""
    from hyperseg.recipes.instances.training import BOXES

    if asked is not None or (predictions / RECORD).exists():
        return bool(asked)
    return predictions.is_dir() and any(predictions.glob(f"*.{BOXES}"))


def score_objects(predictions: Path, labels: Path, *, out: Path | None, overwrite: bool, quiet: bool) -> InstanceScores:
    """Score maps of objects, show it, and write it to a file."""
    from rich.console import Console

    from hyperseg import instances
    from hyperseg.io.write import write_json
    from hyperseg.io.write.targets import check_targets

    refuse_others("maps of objects", SCORED_BY)
    targets = [] if out is None else [out]
    check_targets(targets, inputs=[predictions, labels], overwrite=overwrite)
    found = instances.score(predictions, labels, quiet=quiet)
    show_scores(found, Console(highlight=False))
    if out is not None:
        write_json(out, found.to_json())
        click.echo(f"written to {out}")
    return found


def show_scores(found: InstanceScores, console: Console) -> None:
    """One line of numbers, the worst pictures, and what to know."""
    from rich.table import Table
    from rich.text import Text

    from hyperseg.core.words import counted, number
    from hyperseg.recipes.instances.reporting.sentences import RULE

    numbers = found.numbers
    what = (
        f"{counted(numbers['pictures'], 'picture')}, {counted(numbers['objects'], 'object')}, {numbers['found']} found"
    )
    console.print(f"{found.found} against {found.truth}: {what}", markup=False, soft_wrap=True)
    table = Table(box=None, header_style="bold", pad_edge=False)
    cells = {
        "AP50": "ap50", "AP": "ap", "PQ": "pq", "SQ": "sq", "RQ": "rq", "nuclei score": "nuclei_score",
    }  # fmt: skip
    for head in cells:
        table.add_column(Text(head), justify="right")
    table.add_row(*(Text(number(numbers.get(key), 3)) for key in cells.values()))
    console.print(table)
    ranked = sorted((one["pq"], name) for name, one in found.cases.items() if one["pq"] is not None)
    if len(ranked) > 1:
        worst = ", ".join(f"{name} {value:.3f}" for value, name in ranked[:WORST])
        console.print(f"lowest PQ: {worst}", markup=False, soft_wrap=True)
    for note in (*found.notes, RULE):
        console.print(note, markup=False, soft_wrap=True)
