"""`hyperseg segment plan`: what would be trained on a folder of images or volumes, and why."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from hyperseg.cli.choices import Choice
from hyperseg.cli.reading import overwrite_option
from hyperseg.cli.segment.check import plain
from hyperseg.cli.segment.costs import show_planned, watts_option
from hyperseg.cli.segment.reading import spacing_option, target_option

if TYPE_CHECKING:
    from rich.console import Console

    from hyperseg.medical.plan import Plan
    from hyperseg.medical.training import Preset

PRESETS = ("v2", "msd2018")  # checked against `Preset` by a test: its module would load torch


@click.command()
@click.argument("folder", metavar="DIR", type=click.Path(path_type=Path))
@click.option(
    "--preset",
    type=Choice(PRESETS),
    default="v2",
    show_default=True,
    help="Whose rules: v2 fills the memory of a card; msd2018 has the fixed sizes of the first nnU-Net.",
)
@click.option(
    "--gigabytes",
    type=click.FloatRange(0, min_open=True),
    help="Memory of the card that is trained on; of v2.  [default: 8]",
)
@click.option(
    "--patience",
    metavar="SECONDS",
    type=click.FloatRange(0, min_open=True),
    help="How long a training step may take on this machine's CPU: batches, then patches become smaller; of v2. The "
    "machine's pace is tried, and time, memory and energy of training and predicting are told.",
)
@watts_option
@click.option("--out", type=click.Path(dir_okay=False, path_type=Path), help="Write the plan to this file (JSON).")
@click.option("--json", "as_json", is_flag=True, help="Print the plan as JSON, and no words.")
@spacing_option
@target_option
@overwrite_option
@click.option("--quiet", is_flag=True, help="No progress bar.")
def plan(
    folder: Path, preset: Preset, gigabytes: float | None, patience: float | None, watts: float | None,
    out: Path | None, as_json: bool, spacing: tuple[float, ...], target: tuple[str, ...], overwrite: bool,
    quiet: bool,
) -> None:  # fmt: skip
    """Plan the networks for the images or volumes in DIR, and say why they are as they are.

    Every labelled case is looked at once: its size, spacing and values. What follows from them by the rules of nnU-Net
    (spacing, scaling of values, patch, batch and shape of each network) is printed as a sentence each. Nothing is
    trained. `hyperseg segment check DIR` tells what is wrong with the files: begin with it.

    \b
    Examples:
      hyperseg segment plan Task04_Hippocampus
      hyperseg segment plan Task04_Hippocampus --gigabytes 24 --out plan.json
      hyperseg segment plan Task04_Hippocampus --patience 5
      hyperseg segment plan hearts --spacing 10,1.4,1.4
    """
    import json

    from rich.console import Console

    from hyperseg.core.settings import to_json
    from hyperseg.engine.progress import counted_progress
    from hyperseg.io.write import write_json
    from hyperseg.io.write.targets import check_targets
    from hyperseg.medical.plan import limit_of
    from hyperseg.recipes.segment.planning import plan_cases, pointing_to_check, read_folder

    if out is not None:
        check_targets([out], inputs=[folder], overwrite=overwrite)
    limit_of(preset, gigabytes, patience, None if patience is None else 1.0)
    cases = read_folder(folder, spacing, target, quiet=quiet)
    with pointing_to_check(folder), counted_progress(f"Looking at {folder}", unit="cases", quiet=quiet) as progress:
        made = plan_cases(cases, preset=preset, gigabytes=gigabytes, patience=patience, progress=progress)
    if as_json:
        click.echo(json.dumps(to_json(made), indent=2, ensure_ascii=False))
    else:
        console = Console(highlight=False)
        plain(console, f"Folder: {cases.layout}; {cases.rule}")
        show(made, console)
        if patience is not None:
            show_planned(cases, made, console, watts=watts, quiet=quiet)
    if out is not None:
        write_json(out, to_json(made))
        if not as_json:
            click.echo(f"written to {out}")


def show(plan: Plan, console: Console) -> None:
    """Print a sentence per choice, then a line per network."""
    from rich.table import Table
    from rich.text import Text

    from hyperseg.core.words import printable
    from hyperseg.medical.explain import explain, table

    for sentence in explain(plan):
        console.print(printable(sentence), markup=False, soft_wrap=True)
    heads, *rows = table(plan)
    shown = Table(box=None, header_style="bold", pad_edge=False)
    for head in heads:
        shown.add_column(head, justify="left" if head == heads[0] else "right", no_wrap=True)
    for row in rows:
        shown.add_row(*map(Text, row))
    console.print()
    console.print(shown)
