"""`hyperseg plan`: what would be trained on a scene, and why."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from hyperseg.cli.options import in_group
from hyperseg.cli.reading import LABELS, cube_options, overwrite_option, vector_options

if TYPE_CHECKING:
    from rich.console import Console

    from hyperseg.hsi.plan import ScenePlan

PATH = click.Path(path_type=Path)
labels, run = (partial(in_group, title) for title in (LABELS, "The plan"))


@click.command()
@click.argument("scene")
@cube_options
@labels("--labels", metavar="FILE", help="Polygons, points or a label raster, as for `hyperseg classify`.")
@vector_options
@labels(
    "--split",
    metavar="SPLIT",
    help="How labelled pixels are divided, as for `hyperseg classify`: the plan follows from training pixels alone.",
)
@run("--seed", type=click.IntRange(0), default=0, show_default=True, help="Seed of the split.")
@run("--data", "folder", type=PATH, help="Folder with a data set's own files.")
@run("--train-mask", metavar="FILE", help="Of a split of given masks: raster of training pixels, 0 = not among them.")
@run("--test-mask", metavar="FILE", help="Of a split of given masks: raster of test pixels.")
@run("--out", type=click.Path(dir_okay=False, path_type=Path), help="Write the plan to this file (JSON).")
@run("--json", "as_json", is_flag=True, help="Print the plan as JSON, and no words.")
@overwrite_option
def plan(
    scene: str, split: str | None, seed: int, folder: Path | None, out: Path | None, as_json: bool, overwrite: bool,
    **given: Any,
) -> None:  # fmt: skip
    """Plan the U-Net for SCENE, and say why it is as it is.

    What follows from the training pixels (how wide parcels are, how noisy bands are, how many pixels are labelled) is
    printed as a sentence each: the windows that are learnt, the groups of bands, the stages and feature maps of the
    network, windows in a step, and steps. Nothing is trained; `hyperseg classify SCENE --method unet` trains it.

    \b
    Examples:
      hyperseg plan indian-pines
      hyperseg plan scene.hdr --labels fields.gpkg --out plan.json
      hyperseg plan indian-pines --split random_total:200 --json
    """
    import json

    from rich.console import Console

    from hyperseg.core.settings import to_json
    from hyperseg.io.write import write_json
    from hyperseg.io.write.targets import check_targets
    from hyperseg.recipes.run.inputs import open_inputs
    from hyperseg.recipes.run.planning import plan_for
    from hyperseg.recipes.run.settings import RunSettings

    settings = RunSettings(seed=seed, repeats=1)
    settings = settings if split is None else replace(settings, split=split)
    if out is not None:
        check_targets([out], inputs=[scene, *filter(None, [given.get("labels")])], overwrite=overwrite)
    opened = open_inputs(settings, given | {"scene": scene}, folder=folder)
    made = plan_for(opened.scene, settings, opened.masks)
    if as_json:
        click.echo(json.dumps(to_json(made), indent=2, ensure_ascii=False))
    else:
        show(made, Console(highlight=False))
    if out is not None:
        write_json(out, to_json(made))
        if not as_json:
            click.echo(f"written to {out}")


def show(plan: ScenePlan, console: Console) -> None:
    """Print a sentence per choice, then the choices in a line."""
    from rich.table import Table

    from hyperseg.core.words import printable
    from hyperseg.hsi.explain import explain, table

    for sentence in explain(plan):
        console.print(printable(sentence), markup=False, soft_wrap=True)
    heads, *rows = table(plan)
    shown = Table(box=None, header_style="bold", pad_edge=False)
    for head in heads:
        shown.add_column(head, justify="right", no_wrap=True)
    for row in rows:
        shown.add_row(*row)
    console.print()
    console.print(shown)
