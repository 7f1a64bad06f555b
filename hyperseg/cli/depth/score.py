"""`hyperseg depth score`: does guidance help? The same noise with and without it, over several seeds."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from hyperseg.cli.bench.samplers import MOST, Names
from hyperseg.cli.depth.sample import SampleCommand, sampling_of
from hyperseg.cli.device import HELP, Device
from hyperseg.cli.options import setting_options
from hyperseg.core import SettingError
from hyperseg.recipes.depth.settings import CHOICES, SampleSettings

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

    from hyperseg.recipes.depth.scores.scoring import Scored

PATH = click.Path(path_type=Path)
SEEDS, NUMBER = 5, 500  # checked against the recipe by a test


@click.command(cls=SampleCommand)
@click.argument("run", metavar="RUN", type=PATH)
@click.option("--seeds", type=click.IntRange(1), default=SEEDS, show_default=True, help="Seeds of noise.")
@click.option(
    "-n", "--number", type=click.IntRange(2), default=NUMBER, show_default=True, help="Pictures of each row and seed."
)  # fmt: skip
@click.option("--rows", type=Names(), default=None, help=f"What guides, beside none.  [default: {','.join(CHOICES)}]")
@setting_options(SampleSettings(), title="Sampling")
@click.option(
    "--set", "sets", multiple=True, metavar="NAME=VALUE", help="Any setting listed below: --set latest=0.6."
)  # fmt: skip
@click.option("--judge-steps", type=click.IntRange(1), help="Training steps of the judge, where there is none yet.")
@click.option("--judge-pictures", type=click.IntRange(16), help="Rooms that it learns from.")
@click.option("--out", type=PATH, help="Folder for the results.  [default: RUN]")
@click.option("--device", type=Device(), default="auto", show_default=True, help=HELP)
@click.option("--json", "as_json", is_flag=True, help="Print the cells as JSON instead of the table.")
@click.option("--resume", is_flag=True, help="Go on with scores that are there, or add rows and seeds.")
@click.option("--overwrite", is_flag=True, help="Remove the scores that are there first; never anything else.")
@click.option("--quiet", is_flag=True, help="No progress.")
def score(
    run: Path, seeds: int, number: int, rows: tuple[str, ...] | None, sets: tuple[str, ...], judge_steps: int | None,
    judge_pictures: int | None, out: Path | None, device: str, as_json: bool, resume: bool, overwrite: bool,
    quiet: bool, **given: Any,
) -> None:  # fmt: skip
    """Compare guidance with none on a RUN of hyperseg depth train, from the same noise, over several seeds.

    A judge is trained once, a depth network that shares no weights and no pictures with the heads; it must be right
    about 95 % of the pixels of pictures that it has not seen, or nothing is judged. It looks at the samples of every
    row and at real pictures: dFD_pool8 and dFD_net are Frechet distances between their depth maps (no FID), RGB
    distance is one between the pictures themselves. Real pictures beside other real ones give the floor. Each row is
    compared with none seed by seed (exact sign test); a tie or a loss is printed as such. In the row control each
    picture follows the gradient of another one: what is gained so does not come from a picture's own depth.

    Ctrl-C and worse keep every finished part; --resume goes on, or adds rows and seeds. In --out are then table.csv,
    table.md, metrics.json, samples.png, report.html, and the samples in scores/.

    \b
    Examples:
      hyperseg depth score rooms-run
      hyperseg depth score rooms-run --seeds 2 -n 100 --out quick
      hyperseg depth score rooms-run --consistency 0.002 --prior 0.007 --out weaker
      hyperseg depth score rooms-run --resume
    """
    from hyperseg import depth

    settings = sampling_of(given, sets)
    if settings.guidance != SampleSettings().guidance:
        raise SettingError("--set guidance: the rows say what guides, give --rows.")
    judge = {"steps": judge_steps, "pictures": judge_pictures}
    done = depth.score(
        run, seeds=seeds, number=number, rows=rows or (), out=out, settings=settings,
        judge={name: value for name, value in judge.items() if value is not None}, device=device, resume=resume,
        overwrite=overwrite, quiet=quiet,
    )  # fmt: skip
    if as_json:
        show_json(done)
        return
    from rich.console import Console

    show(done, Console(highlight=False))


score.params = [param for param in score.params if param.name != "guidance"]  # --rows says it


def show(done: Scored, console: Console) -> None:
    """The table, what it says, and where everything is."""
    from rich.text import Text

    from hyperseg.recipes.depth.folder import PICTURE, REPORT
    from hyperseg.recipes.depth.reporting.page import cautions, compared, how
    from hyperseg.recipes.depth.reporting.words import heads, lines, marks, sentences

    found = compared(done)
    console.print(Text(how(done)))
    console.print()
    rows: list[tuple[str, ...]] = [heads(), *lines(found, done.cells, done.floors)]
    table = _table(rows)
    if console.measure(table, options=console.options.update(width=MOST)).maximum > console.width:
        for row in rows[1:]:  # a narrow terminal: a block of lines for each row
            console.print(Text(row[0], "bold"))
            for head, cell in zip(rows[0][1:], row[1:], strict=True):
                if cell:
                    console.print(Text(f"  {head:<16}{cell}"))
    else:
        console.print(table)
    console.print()
    for sentence in (*sentences(found, done.cells), *cautions(done), *marks()):
        console.print(Text(f"- {sentence}"))
    console.print()
    console.print(f"written to {done.root}; look at {done.root / REPORT} and {done.root / PICTURE}", soft_wrap=True)


def _table(rows: Sequence[tuple[str, ...]]) -> Table:
    """The first row are its heads."""
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, header_style="bold", pad_edge=False, padding=(0, 1, 0, 0))
    for place, head in enumerate(rows[0]):
        table.add_column(Text(head), justify="right" if place else "left", no_wrap=True)
    for row in rows[1:]:
        table.add_row(*map(Text, row))
    return table


def show_json(done: Scored) -> None:
    """What was asked for, the floors, and every cell."""
    from dataclasses import asdict

    from hyperseg.io.write.files import as_json

    cells = [asdict(cell) for cell in done.cells]
    click.echo(as_json({**done.found, "folder": str(done.root), "floors": done.floors, "cells": cells}), nl=False)
