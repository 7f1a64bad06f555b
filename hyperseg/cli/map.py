"""`hyperseg map`: a trained run on another scene."""

from __future__ import annotations

from pathlib import Path

import click


@click.command("map")
@click.argument("run", type=click.Path(path_type=Path))
@click.argument("scene")
@click.option("--out", type=click.Path(path_type=Path), help="Where the map goes.  [default: SCENE-map.tif]")
@click.option(
    "--refine/--no-refine",
    default=False,
    help="Also apply the run's refiners (holds the probabilities in memory).",
)
@click.option("--device", default="auto", show_default=True, help="auto, cpu, cuda, ...")
@click.option("--data", "folder", type=click.Path(path_type=Path), help="Folder with a data set's own files.")
@click.option("--quiet", is_flag=True, help="No progress bar.")
def map_scene(
    run: Path, scene: str, out: Path | None, refine: bool, device: str, folder: Path | None, quiet: bool
) -> None:
    """Apply the model of RUN (a folder made by classify) to SCENE, window by window.

    Memory does not grow with the scene. Writes a GeoTIFF with palette and class names, its confidence beside
    it, and a .qml for QGIS.

    \b
    Examples:
      hyperseg map runs/indian-pines-cnn3d other.hdr
      hyperseg map runs/field flightline.tif --out maps/flightline.tif --device cuda
    """
    from hyperseg.recipes.apply import apply_run
    from hyperseg.recipes.open import open_named

    opened = open_named(scene, folder=folder, need_labels=False)
    target = out or Path(f"{opened.name}-map.tif")
    written = apply_run(run, opened, out=target, refine=refine, device=device, quiet=quiet)
    click.echo(f"Map:        {written}")
    click.echo(f"Confidence: {written.with_name(written.stem + '-confidence.tif')}")
