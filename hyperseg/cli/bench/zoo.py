"""`hyperseg bench zoo`: every network of the survey by one recipe, what it scores and what it costs."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from hyperseg.cli.device import HELP, Device
from hyperseg.cli.options import setting_options
from hyperseg.cli.segment.reading import spacing_option, target_option
from hyperseg.recipes.bench.zoo.settings import MINUTES, SEEDS_OF_FOLDERS, SEEDS_OF_SCENES, ZooBenchSettings

if TYPE_CHECKING:
    from rich.console import Console

    from hyperseg.recipes.bench.zoo.bench import ZooBenched

METAVARS = {"split": "SPLIT"}
PATH = click.Path(path_type=Path)


@click.command()
@click.argument("data", metavar="DIR|SCENE", required=False)
@click.option(
    "--member", "members", multiple=True, metavar="NAME[:SETTING=VALUE]",
    help="A network to measure, or a peer (monai:UNet), see --list; may be given several times. Baselines are always "
    "rows.  [default: all]",
)  # fmt: skip
@click.option(
    "--seeds", type=int,
    help=f"Seeds of each fold, {SEEDS_OF_FOLDERS} by default; of a scene the number of splits, {SEEDS_OF_SCENES} by "
    "default.",
)  # fmt: skip
@click.option(
    "--minutes", type=click.FloatRange(0, min_open=True),
    help=f"How long all may take: the steps of every training follow from it.  [default: {MINUTES:g} at most]",
)  # fmt: skip
@setting_options(ZooBenchSettings(), metavars=METAVARS)
@target_option
@spacing_option
@click.option("--labels", metavar="FILE", help="Labels of a scene of your own.")
@click.option("--data", "folder", type=PATH, help="Folder with a data set's own files.")
@click.option("--jobs", type=click.IntRange(1), help="Trainings side by side, a thread each.  [default: one a core]")
@click.option("--out", type=PATH, help="Folder of the benchmark.  [default: runs/zoo-NAME]")
@click.option("--device", type=Device(), default="auto", show_default=True, help=HELP)
@click.option("--json", "as_json", is_flag=True, help="Print rows and cells as JSON instead of the table.")
@click.option("--resume", is_flag=True, help="Go on with the benchmark in --out, also with more --member or --seeds.")
@click.option("--overwrite", is_flag=True, help="Remove the benchmark that is there first; never anything else.")
@click.option("--list", "listing", is_flag=True, help="List what can be measured, and do nothing else.")
@click.option("--quiet", is_flag=True, help="No progress.")
def zoo(
    data: str | None, members: tuple[str, ...], seeds: int | None, minutes: float | None, target: tuple[str, ...],
    spacing: tuple[float, ...], labels: str | None, folder: Path | None, jobs: int | None, out: Path | None,
    device: str, as_json: bool, resume: bool, overwrite: bool, listing: bool, quiet: bool, **given: Any,
) -> None:  # fmt: skip
    """Measure every network of the survey by one recipe: score, size, time and memory.

    Of a folder of images or volumes: the same reduced images, folds, steps and seeds for every network; rows are
    compared by the mean Dice of the held-out cases. Of a scene: the same splits and steps, compared by OA on test
    pixels.

    Beside them are baselines that look at single pixels, and MONAI's networks by the same recipe where MONAI is
    installed. How long it will take is told after a few steps of every network.

    Ctrl-C keeps every finished cell; --resume goes on. In --out are then bench.json, cells.jsonl, table.csv, table.md,
    front.png and report.html.

    \b
    Examples:
      hyperseg bench zoo fundus
      hyperseg bench zoo photos --cases 60 --member u-net --member deeplab-v3
      hyperseg bench zoo indian-pines --split parcels:0.3
      hyperseg bench zoo fundus --seeds 3 --resume
    """
    from rich.console import Console

    from hyperseg.engine.device import choose_device
    from hyperseg.recipes.bench.working import usual_jobs
    from hyperseg.recipes.bench.zoo.bench import bench_zoo

    if listing:
        show_list()
        return
    if data is None:
        raise click.UsageError("which data? Name a folder of images or volumes, or a scene; --list needs none.")
    settings = {name: value for name, value in given.items() if value is not None}
    settings |= {name: value for name, value in (("target", target), ("spacing", spacing)) if value}
    done = bench_zoo(
        data, out=out, members=members or None, seeds=seeds, minutes=minutes, labels=labels, folder=folder,
        given=settings, jobs=jobs or usual_jobs(str(choose_device(device))), device=device, resume=resume,
        overwrite=overwrite, quiet=quiet,
    )  # fmt: skip
    if as_json:
        show_json(done)
    else:
        show(done, Console(highlight=False))


def show_list() -> None:
    """Names and one line of each."""
    from hyperseg.recipes.bench.zoo.choosing import known

    rows = known()
    wide = max(len(name) for name, _ in rows)
    for name, help in rows:
        click.echo(f"{name:<{wide}}  {help}")


def show(done: ZooBenched, console: Console) -> None:
    """What it says, the table, and where everything is."""
    from rich.table import Table
    from rich.text import Text

    from hyperseg.recipes.bench.folder import REPORT
    from hyperseg.recipes.bench.zoo.folder import FRONT
    from hyperseg.recipes.bench.zoo.showing.table import cells, heads, legend, verdicts

    reference = done.found["reference"]
    for sentence in verdicts(done.rows, done.measure, reference):
        console.print(Text(f"- {sentence}"))
    console.print()
    table = Table(box=None, header_style="bold", pad_edge=False, padding=(0, 1, 0, 0))
    for number, head in enumerate(heads(done.measure)):
        table.add_column(head, justify="right" if number else "left", no_wrap=bool(number))
    for row in done.rows:
        style = "bold" if row.fronts else "dim" if row.row.kind == "baseline" else ""
        table.add_row(*map(Text, cells(row, done.measure)), style=style)
    console.print(table)
    for sentence in (*legend(done.measure, reference), *done.found["cautions"], *done.found["left_out"]):
        console.print(Text(sentence, "dim"))
    console.print()
    console.print(f"written to {done.root}; look at {done.root / REPORT} and {done.root / FRONT}", soft_wrap=True)


def show_json(done: ZooBenched) -> None:
    """What bench.json says, rows and cells."""
    from dataclasses import asdict

    from hyperseg.io.write.files import as_json

    rows = [
        {**asdict(row), "row": row.row.key, "kind": row.row.kind, "family": row.row.family} for row in done.rows
    ]  # fmt: skip
    found = {**done.found, "folder": str(done.root), "rows": rows}
    click.echo(as_json({**found, "cells": [asdict(cell) for cell in done.cells]}), nl=False)
