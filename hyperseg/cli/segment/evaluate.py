"""`hyperseg segment evaluate`: how good and how honest the networks of a run are."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from hyperseg.cli.device import device_option
from hyperseg.cli.reading import overwrite_option
from hyperseg.cli.segment.methods import MethodsCommand, changes_of, more_tricks
from hyperseg.core import SettingError

if TYPE_CHECKING:
    from rich.console import Console

    from hyperseg.recipes.segment.evaluation.found import Evaluation


class Calls(click.ParamType):
    """Numbers of network calls, as in 1,2,5; "none" is ()."""

    name = "calls"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[int, ...]:
        if isinstance(value, tuple):
            return value
        words = [] if value == "none" else str(value).split(",")
        if not all(word.strip().isdecimal() and int(word) for word in words):
            raise SettingError(f"--curve {value}: numbers of network calls were expected, as in 1,2,5, or none.")
        return tuple(sorted({int(word) for word in words}))


@click.command(cls=MethodsCommand, drawn=True)
@click.argument("run", metavar="RUN", type=click.Path(path_type=Path))
@click.argument("data", metavar="[DIR]", required=False, type=click.Path(path_type=Path))
@click.option(
    "--out", required=True, metavar="FOLDER", type=click.Path(file_okay=False, path_type=Path),
    help="Folder for metrics.json, evaluation.png and report.html.",
)  # fmt: skip
@click.option(
    "--curve", type=Calls(), default="1,2,5", show_default=True, metavar="N,N|none",
    help="Draw anew with so many network calls of a mask each, for Dice against calls; none leaves that out.",
)  # fmt: skip
@device_option
@click.option(
    "--mirror/--no-mirror", default=None,
    help="Average over mirror images, or not.  [default: as cross-validation did]",
)  # fmt: skip
@click.option("--folds", metavar="N,N", help="Networks of these folds only, as in 0,1.  [default: all]")
@click.option(
    "--set", "sets", multiple=True, metavar="NAME=VALUE",
    help="A setting of the run's method that prediction may change: --set draw.samples=25.",
)  # fmt: skip
@more_tricks
@overwrite_option
@click.option("--quiet", is_flag=True, help="No progress bar.")
def evaluate(
    run: Path, data: Path | None, out: Path, curve: tuple[int, ...], device: str, mirror: bool | None,
    folds: str | None, sets: tuple[str, ...], tricks: tuple[str, ...], overwrite: bool, quiet: bool, **given: Any,
) -> None:  # fmt: skip
    """Tell how good and how honest RUN is, made by `segment train`, and what is trained beside it.

    Without DIR every image that RUN was trained on is answered by the network of the fold that never saw it. With DIR,
    a labelled folder, its images are answered by the networks of all folds together; of a data set with test images
    these are taken.

    A row for each method: Dice, IoU and HD95 (means over images), ECE and Brier (is it right as often as it says?),
    AUROC (is it in doubt where it is wrong, by what `predict --uncertainty` writes, and by 1 - confidence?), network
    calls and seconds of an image. Methods that draw masks are also told by their samples: distance from the truth,
    diversity, Dice by number of samples, by network calls (--curve) and by every rule of fusion.
    Drawing anew takes time: --curve none leaves it out. --trick adds what changes predictions alone to all of them.

    \b
    Examples:
      hyperseg segment evaluate photos-run --out photos-evaluation
      hyperseg segment evaluate photos-run photos-test --out tested --samples 25 --curve 1,2,5,10,50
      hyperseg segment evaluate photos-run --out with-tta --trick tta
    """
    from rich.console import Console

    from hyperseg import segment
    from hyperseg.recipes.segment.folder import read_run
    from hyperseg.recipes.segment.predicting import parse_folds

    settings = changes_of(read_run(run).method, given, sets, drawn=True)
    found = segment.evaluate(
        run, data, out=out, settings=settings, tricks=tricks, curve=curve, device=device, mirror=mirror,
        folds=parse_folds(folds), overwrite=overwrite, quiet=quiet,
    )  # fmt: skip
    show(found, Console(highlight=False))
    click.echo(f"written to {out}; look at {out / 'report.html'}")


def show(found: Evaluation, console: Console) -> None:
    """A row for each network, who is ahead, and what to know."""
    from rich.table import Table
    from rich.text import Text

    from hyperseg.cli.segment.check import plain
    from hyperseg.core.words import counted
    from hyperseg.recipes.segment.reporting.evaluation_page import heads, rows, verdicts

    images = counted(len(found.networks[0].worths), "image")
    plain(console, f"{found.root} on {images} of {found.data}: {found.asked}")
    table = Table(box=None, header_style="bold", pad_edge=False)
    for head in heads(found):
        table.add_column(Text(head), justify="left" if head == "network" else "right", no_wrap=True)
    for row in rows(found):
        table.add_row(*map(Text, row))
    console.print()
    console.print(table)
    console.print()
    for note in (*verdicts(found), *found.notes):
        plain(console, note)
