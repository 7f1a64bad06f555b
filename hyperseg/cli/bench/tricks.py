"""`hyperseg bench tricks`: what each trick brings to a baseline, and what of it exceeds the noise."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from hyperseg.cli.choices import NONE
from hyperseg.cli.device import HELP, Device
from hyperseg.cli.options import setting_options
from hyperseg.cli.segment.reading import spacing_option, target_option
from hyperseg.recipes.bench.tricks.settings import MINUTES, SEEDS_OF_FOLDERS, SEEDS_OF_SCENES, TricksSettings

if TYPE_CHECKING:
    from rich.console import Console

    from hyperseg.recipes.bench.tricks.bench import TricksBenched

METAVARS = {"method": "NAME", "split": "SPLIT"}
PATH = click.Path(path_type=Path)


@click.command()
@click.argument("data", metavar="DIR|SCENE")
@click.option(
    "--trick", "tricks", multiple=True, metavar="NAME[:SETTING=VALUE]",
    help="A trick to measure, see hyperseg tricks; may be given several times.  [default: all that need nothing given]",
)  # fmt: skip
@click.option(
    "--seeds", type=int,
    help=f"Seeds of each fold, {SEEDS_OF_FOLDERS} by default; of a scene the number of splits, {SEEDS_OF_SCENES} by "
    "default.",
)  # fmt: skip
@click.option(
    "--minutes", type=click.FloatRange(0, min_open=True),
    help=f"How long all of a folder may take: the steps of every training follow from it.  [default: {MINUTES:g}]",
)  # fmt: skip
@setting_options(TricksSettings(), metavars=METAVARS)
@click.option(
    "--refine", multiple=True, metavar="NAME",
    help=f"Refiner after the method of a scene, repeatable; {NONE} leaves the bare map.  [default: the method's own]",
)  # fmt: skip
@click.option("--set", "sets", multiple=True, metavar="NAME=VALUE", help="Any other setting of the method.")
@click.option(
    "--plan", type=click.Path(dir_okay=False, path_type=Path),
    help="A plan of the folder, by hyperseg segment plan --out.  [default: one that fits the minutes]",
)  # fmt: skip
@target_option
@spacing_option
@click.option("--labels", metavar="FILE", help="Labels of a scene of your own.")
@click.option("--data", "folder", type=PATH, help="Folder with a data set's own files.")
@click.option("--jobs", type=click.IntRange(1), help="Trainings side by side, a thread each.  [default: one a core]")
@click.option("--out", type=PATH, help="Folder of the benchmark.  [default: runs/tricks-NAME]")
@click.option("--device", type=Device(), default="auto", show_default=True, help=HELP)
@click.option("--json", "as_json", is_flag=True, help="Print rows and cells as JSON instead of the table.")
@click.option("--resume", is_flag=True, help="Go on with the benchmark in --out, also with more --trick or --seeds.")
@click.option("--overwrite", is_flag=True, help="Remove the benchmark that is there first; never anything else.")
@click.option("--quiet", is_flag=True, help="No progress.")
def tricks(
    data: str, tricks: tuple[str, ...], seeds: int | None, minutes: float | None, refine: tuple[str, ...],
    sets: tuple[str, ...], plan: Path | None, target: tuple[str, ...], spacing: tuple[float, ...], labels: str | None,
    folder: Path | None, jobs: int | None, out: Path | None, device: str, as_json: bool, resume: bool, overwrite: bool,
    quiet: bool, **given: Any,
) -> None:  # fmt: skip
    """Measure what every trick alone brings to a baseline, and all that helped together.

    Of a folder of images or volumes: short trainings of a small network on the same folds and seeds for every row;
    rows are compared by the mean Dice of the held-out cases. Of a scene: the usual method on several splits, compared
    by OA on test pixels.

    A gain counts where it is larger than what other seeds alone change (the noise line) and its p-value, corrected for
    all rows by Holm's method, is below 0.05. All other tricks are listed together and not ranked.

    Ctrl-C keeps every finished cell; --resume goes on. In --out are then bench.json, cells.jsonl, table.csv, table.md,
    gains.png and report.html.

    \b
    Examples:
      hyperseg bench tricks Task04_Hippocampus --minutes 40
      hyperseg bench tricks photos --cases 60 --trick tta --trick oversampling:share=0.5
      hyperseg bench tricks indian-pines --seeds 5 --trick tta
      hyperseg bench tricks Task04_Hippocampus --seeds 5 --resume
    """
    from rich.console import Console

    from hyperseg.engine.device import choose_device
    from hyperseg.recipes.bench.tricks.bench import bench_tricks
    from hyperseg.recipes.bench.working import usual_jobs

    settings = {name: value for name, value in given.items() if value is not None}
    settings |= {name: value for name, value in (("target", target), ("spacing", spacing), ("sets", sets)) if value}
    if refine:
        settings["refine"] = tuple(name for name in refine if name != NONE)
    done = bench_tricks(
        data, out=out, tricks=tricks or None, seeds=seeds, minutes=minutes, plan=plan, labels=labels, folder=folder,
        given=settings, jobs=jobs or usual_jobs(str(choose_device(device))), device=device, resume=resume,
        overwrite=overwrite, quiet=quiet,
    )  # fmt: skip
    if as_json:
        show_json(done)
    else:
        show(done, Console(highlight=False))


def show(done: TricksBenched, console: Console) -> None:
    """The verdict, the table, and where everything is."""
    from rich.table import Table
    from rich.text import Text

    from hyperseg.recipes.bench.folder import REPORT
    from hyperseg.recipes.bench.tricks.folder import GAINS
    from hyperseg.recipes.bench.tricks.showing.table import cells, groups, heads, legend, verdicts

    for sentence in verdicts(done.result, done.measure):
        console.print(Text(f"- {sentence}"))
    console.print()
    table = Table(box=None, header_style="bold", pad_edge=False, padding=(0, 1, 0, 0))
    for number, head in enumerate(heads(done.measure)):
        table.add_column(head, justify="right" if number else "left", no_wrap=bool(number))
    for title, rows in groups(done.result):
        if title and rows[0].verdict != "together":
            table.add_row(Text(title, "dim"))
        for row in rows:
            style = "bold" if row.verdict in ("helps", "harms") else ""
            table.add_row(*map(Text, cells(row, done.measure)), style=style)
    console.print(table)
    for sentence in (*legend(done.measure, shared=done.shared), *done.found["cautions"], *done.found["left_out"]):
        console.print(Text(sentence, "dim"))
    console.print()
    console.print(f"written to {done.root}; look at {done.root / REPORT} and {done.root / GAINS}", soft_wrap=True)


def show_json(done: TricksBenched) -> None:
    """What bench.json says, rows and cells."""
    from dataclasses import asdict

    from hyperseg.io.write.files import as_json

    rows = [
        {**asdict(row), "row": row.row.key, "tricks": row.row.tricks, "phase": row.row.phase}
        for row in done.result.rows
    ]  # fmt: skip
    noise = {**asdict(done.result.noise), "line": done.result.noise.line(done.result.cells)}
    found = {**done.found, "folder": str(done.root), "noise": noise, "rows": rows}
    click.echo(as_json({**found, "cells": [asdict(cell) for cell in done.cells]}), nl=False)
