"""`hyperseg anomaly`: a map of spectra that a model has never seen."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from hyperseg.cli.device import device_option
from hyperseg.cli.options import in_group, setting_options
from hyperseg.cli.reading import cube_options, given_drawn, given_stated, overwrite_option, vector_options
from hyperseg.core.settings import leaves
from hyperseg.recipes.spectra.settings import SpectraSettings, chosen

if TYPE_CHECKING:
    from hyperseg.core import Scene

PATH = click.Path(path_type=Path)
PIXELS, MODEL = "What is learned from", "The model"
SHOWN = tuple(leaf for leaf in leaves(SpectraSettings()) if leaf.rule.shown)
TRAINING = ("only", "without", "mask", "drop_nm", "minutes", "seed", *(leaf.name for leaf in SHOWN))


@click.command()
@click.argument("scene")
@click.argument("other", required=False)
@cube_options
@in_group(PIXELS, "--labels", metavar="FILE", help="Labels, as in classify; needed where classes are named.")
@vector_options
@in_group(
    PIXELS, "--only", multiple=True, metavar="CLASS", help="Learn from labelled pixels of this class; repeatable."
)
@in_group(
    PIXELS, "--without", multiple=True, metavar="CLASS",
    help="Learn from half of the labelled pixels of all other classes; this class against the other half is the truth. "
    "Repeatable.",
)  # fmt: skip
@in_group(
    PIXELS, "--mask", metavar="FILE", help="Learn from these pixels only: a raster, 0 = not among them, or polygons."
)
@in_group(
    PIXELS, "--drop-nm", metavar="SPANS",
    help="Leave out the bands at these wavelengths in nm, such as 1350-1450,2450: for scenes that lack them.",
)  # fmt: skip
@in_group(
    PIXELS,
    "--truth",
    metavar="FILE",
    help="Pixels known to be strange, a raster or polygons: the score is held against them.",
)
@in_group(
    MODEL, "--minutes", type=click.FloatRange(0, min_open=True), help="Train so long, instead of a number of steps."
)
@setting_options(SpectraSettings(), title=MODEL)
@in_group(MODEL, "--seed", type=click.IntRange(0), help="Of weights, batches and noise.  [default: 0]")
@device_option
@click.option("--data", "folder", type=PATH, help="Folder with a data set's own files.")
@click.option("--out", type=PATH, help="Folder for the results.  [default: SCENE-anomaly]")
@overwrite_option
@click.option("--side", type=click.IntRange(1), help="Side of a window in pixels.  [default: what takes 128 MiB]")
@click.option("--quiet", is_flag=True, help="No progress bars, results only.")
@click.option("--no-pictures", is_flag=True, help="Draw nothing.")
def anomaly(
    scene: str, other: str | None, labels: str | None, truth: str | None, device: str, folder: Path | None,
    out: Path | None, overwrite: bool, side: int | None, quiet: bool, no_pictures: bool, **given: Any,
) -> None:  # fmt: skip
    """Map what is unlike the rest of SCENE, or, with a model made before, unlike the scene it was learned from.

    A diffusion model learns which spectra there are; the map says in bits per band how little it expects the spectrum
    of each pixel. Beside it always stands the control, Reed-Xiaoli's distance on the same pixels.

    Writes anomaly.tif, rx.tif, anomaly.png, spectra.png (the strangest pixels and their bands), anomaly.json, and the
    model (run.json, model.safetensors). Memory does not grow with the scene.

    \b
    Examples:
      hyperseg anomaly scene.hdr
      hyperseg anomaly scene.hdr --truth known-targets.tif
      hyperseg anomaly indian-pines --without Corn
      hyperseg anomaly field.hdr --mask healthy.gpkg --minutes 2
      hyperseg anomaly field-anomaly next-year.hdr      the model of the first, on another scene
    """
    if other is not None:
        _apply(
            Path(scene), other, given, labels=labels, truth=truth, folder=folder, out=out, overwrite=overwrite,
            device=device, side=side, quiet=quiet, pictures=not no_pictures,
        )  # fmt: skip
        return
    from hyperseg.core import SettingError
    from hyperseg.io.open import read_mask
    from hyperseg.io.write.targets import RECORD
    from hyperseg.recipes.spectra.pixels import choose_pixels, drop_bands

    if (Path(scene) / RECORD).is_file():
        raise SettingError(f"{scene} is a run: name the scene to map after it, hyperseg anomaly {scene} SCENE.")
    narrowed = bool(given["only"] or given["without"] or given["mask"])
    settings = chosen(given, narrowed=narrowed)
    classes = bool(given["only"] or given["without"] or labels)
    opened = _opened(scene, given, labels=labels, folder=folder, need_labels=classes)
    if given["drop_nm"] is not None:
        opened = drop_bands(opened, given["drop_nm"])
    mask, known = (
        None if found is None else found != 0 for found in (read_mask(given["mask"], opened), read_mask(truth, opened))
    )
    seed = given["seed"] or 0
    choice = choose_pixels(opened, only=given["only"], without=given["without"], mask=mask, truth=known, seed=seed)
    from hyperseg.recipes.spectra.anomaly import learn_and_map

    inputs = {"scene": scene, "labels": labels, "mask": given["mask"], "truth": truth}
    done = learn_and_map(
        opened, choice, settings, out=out or Path(f"{opened.name}-anomaly"), seed=seed, minutes=given["minutes"],
        device=device, overwrite=overwrite, quiet=quiet, pictures=not no_pictures, side=side,
        inputs={k: v for k, v in inputs.items() if v is not None},
    )  # fmt: skip
    _tell(done)


def _apply(
    run: Path, scene: str, given: dict[str, Any], *, labels: str | None, truth: str | None, folder: Path | None,
    out: Path | None, **how: Any,
) -> None:  # fmt: skip
    from hyperseg.core import SettingError
    from hyperseg.io.open import read_mask
    from hyperseg.recipes.spectra.record import check_kind

    if extra := [name for name in TRAINING if given[name]]:
        raise SettingError(
            f"--{extra[0].replace('_', '-')} belongs to learning, and {run} was learned already: leave it out."
        )
    if labels is not None:
        raise SettingError("--labels belongs to learning; strange pixels of another scene are named by --truth.")
    check_kind(run)
    opened = _opened(scene, given, labels=None, folder=folder, need_labels=False)
    known = read_mask(truth, opened)
    from hyperseg.recipes.spectra.anomaly import apply_and_map

    target = out or Path(f"{opened.name}-anomaly")
    _tell(apply_and_map(run, opened, out=target, truth=None if known is None else (known != 0).astype("int8"), **how))


def _opened(scene: str, given: dict[str, Any], *, labels: str | None, folder: Path | None, need_labels: bool) -> Scene:
    from hyperseg.io.cube_options import CubeOptions
    from hyperseg.io.labels.vectors import VectorOptions
    from hyperseg.io.open import open_scene

    return open_scene(
        scene, labels=labels, folder=folder, need_labels=need_labels, vectors=VectorOptions(**given_drawn(given)),
        cube=CubeOptions(**given_stated(given)),
    )  # fmt: skip


def _tell(done: Any) -> None:
    scores = done.scores
    click.echo(f"Learned:    {scores['learned_from']} of {scores['of']}")
    if (bits := scores["bits_per_band"]) is not None:
        click.echo(
            f"Score:      1 % of the learned pixels score above {scores['usual_up_to']:.2f} bits per band; in this "
            f"scene {100 * scores['beyond_usual']:.1f} % do (median {bits['median']:.2f}, highest {bits['most']:.2f})."
        )
        click.echo("            Only differences matter: negative values are usual (a density).")
    if (shares := scores["share_of_score"]) is not None:
        click.echo(
            f"Made up of: {100 * shares['gaussian']:.0f} % the Gaussian that Reed-Xiaoli is, "
            f"{100 * shares['network']:.0f} % the network (of the score's variance over pixels)"
        )
    for i, pixel in enumerate(scores["strangest"][:3], start=1):
        bands = ", ".join(
            f"band {b['band']}" + (f" ({b['nm']:.0f} nm)" if "nm" in b else "") for b in pixel["bands"][:3]
        )
        counted = " (all counted from 0)" if i == 1 else ""
        click.echo(f"Strange {i}:  row {pixel['row']}, column {pixel['column']}, most at {bands}{counted}")
    if "truth" in scores:
        _tell_truth(scores["truth"])
    click.echo(f"Results:    {done.root}")


def _tell_truth(truth: dict[str, Any]) -> None:
    click.echo(
        f"AUROC:      {truth['auroc']:.3f} (1: all strange pixels above all others, 0.5: chance); Reed-Xiaoli, which "
        f"takes a second, {truth['auroc_rx']:.3f}: the model says {truth['verdict']} it here "
        f"({truth['strange']} strange against {truth['ordinary']} pixels)"
    )
    click.echo(
        f"Found:      {100 * truth['found']:.1f} % of the strange pixels, Reed-Xiaoli "
        f"{100 * truth['found_rx']:.1f} %, where {1000 * truth['false_alarms']:g} in 1000 others pass too"
    )
