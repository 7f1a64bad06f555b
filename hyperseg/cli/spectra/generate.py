"""`hyperseg generate`: new spectra and patches of the classes of a scene."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from hyperseg.cli.device import device_option
from hyperseg.cli.options import in_group
from hyperseg.cli.reading import cube_options, given_drawn, given_stated, overwrite_option, vector_options

PATH = click.Path(path_type=Path)
MADE, MODEL = "What is made", "The model"
USABLE = 0.9  # of the accuracy learned from real samples; below, a caution is said


@click.command()
@click.argument("scene")
@cube_options
@in_group(MADE, "--labels", metavar="FILE", help="Labels, as in classify; needed unless SCENE is a data set.")
@vector_options
@in_group(MADE, "--class", "only", multiple=True, metavar="CLASS", help="Of this class; repeatable.  [default: all]")
@in_group(
    MADE,
    "-n",
    "n",
    type=click.IntRange(1),
    default=100,
    show_default=True,
    help="Samples of each class. About as many more are drawn and judged beside as many real ones.",
)
@in_group(
    MADE, "--patch", type=click.IntRange(3), help="Make patches with this odd side, in pixels, not single spectra."
)
@in_group(MODEL, "--steps", type=int, help="Training steps.  [default: 1000]")
@in_group(MODEL, "--components", type=int, help="Leading principal components that are modelled.  [default: 16]")
@in_group(MODEL, "--seed", type=click.IntRange(0), default=0, show_default=True, help="Of all that is drawn.")
@device_option
@click.option("--data", "folder", type=PATH, help="Folder with a data set's own files.")
@click.option("--out", type=PATH, help="Folder for the results.  [default: SCENE-generated]")
@overwrite_option
@click.option("--quiet", is_flag=True, help="No progress bars, results only.")
@click.option("--no-pictures", is_flag=True, help="Draw nothing.")
def generate(
    scene: str, labels: str | None, only: tuple[str, ...], n: int, patch: int | None, seed: int, device: str,
    folder: Path | None, out: Path | None, overwrite: bool, quiet: bool, no_pictures: bool, **given: Any,
) -> None:  # fmt: skip
    """Make new spectra of the classes of SCENE with a diffusion model, and tell what they are worth.

    One half of the labelled pixels is learned from, the other held out. Told is the accuracy on the real half of a
    classifier trained on generated samples beside that of one trained on as many real ones, and the Frechet distance of
    both; of spectra also what a plain Gaussian for each class is worth.

    Patches take far more steps than spectra: 500 steps on three classes of Indian Pines were worth half of real ones. A
    caution is printed where samples are worth less than nine tenths of real ones.

    \b
    Examples:
      hyperseg generate indian-pines
      hyperseg generate scene.hdr --labels fields.gpkg --class maize -n 500
      hyperseg generate indian-pines --patch 9
    """
    from hyperseg.core import SettingError
    from hyperseg.io.cube_options import CubeOptions
    from hyperseg.io.labels.vectors import VectorOptions
    from hyperseg.io.open import open_scene
    from hyperseg.recipes.spectra.settings import chosen

    if patch is not None and patch % 2 == 0:
        raise SettingError(f"--patch {patch}: the side of a patch is odd, so that a pixel is in its middle.")
    settings = chosen(given, narrowed=True)
    opened = open_scene(
        scene, labels=labels, folder=folder, vectors=VectorOptions(**given_drawn(given)),
        cube=CubeOptions(**given_stated(given)),
    )  # fmt: skip
    from hyperseg.recipes.spectra.generation.generate import generate as run

    named = {"scene": scene, "labels": labels}
    done = run(
        opened, settings, out=out or Path(f"{opened.name}-generated"), n=n, only=only, patch=patch, seed=seed,
        device=device, overwrite=overwrite, quiet=quiet, pictures=not no_pictures,
        inputs={k: v for k, v in named.items() if v is not None},
    )  # fmt: skip
    scores = done.scores
    click.echo(
        f"Made:      {n} {scores['made']} of each of {len(scores['classes'])} classes, learned from half the labels"
    )
    if "trained_on_real" in scores:
        made, real = scores["trained_on_generated"], scores["trained_on_real"]
        plain = scores.get("trained_on_gaussian")
        between = "" if plain is None else f"{100 * plain['oa']:.1f} % from samples of one Gaussian a class, "
        click.echo(
            f"Accuracy:  on real held-out pixels {100 * made['oa']:.1f} % learned from generated samples, {between}"
            f"{100 * real['oa']:.1f} % from real ones ({scores['samples']} of each kind)"
        )
        if made["oa"] < USABLE * real["oa"]:
            more = "train longer (--steps)" if patch is None else "train longer (--steps), or make spectra (no --patch)"
            click.echo(f"Caution:   what is made here does not stand in for real {scores['made']}: {more}.")
    click.echo(
        f"Frechet:   {scores['frechet']:.3f} to the half held out (real ones: {scores['frechet_floor']:.3f}), in "
        "leading components"
    )
    click.echo(f"Results:   {done.root}")
