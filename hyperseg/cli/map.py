"""`hyperseg map`: a trained run on another scene."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from hyperseg.cli.device import device_option
from hyperseg.cli.reading import cube_options, given_stated, group_options, overwrite_option


@click.command("map")
@click.argument("run", type=click.Path(path_type=Path))
@click.argument("scene")
@cube_options
@click.option("--out", type=click.Path(path_type=Path), help="Where the map goes.  [default: SCENE-map.tif]")
@click.option(
    "--refine/--no-refine",
    default=True,
    help="Apply the run's refiners, in each window and a halo around it, or not: the map of the method alone. After a "
    "dense CRF the map can differ a little where windows meet.  [default: refine]",
)
@click.option("--entropy", is_flag=True, help="Also write OUT-entropy.tif: 0 (certain) to 1 (no idea).")
@group_options
@click.option(
    "--probabilities",
    metavar="STORE",
    type=click.Path(path_type=Path),
    help="Also write the probabilities of all classes to this Zarr store.",
)
@click.option("--resume", is_flag=True, help="Go on with an interrupted map; the result is the same, byte for byte.")
@overwrite_option
@click.option(
    "--workers",
    type=click.IntRange(1),
    help='Map windows in this many processes (needs "hyperseg[cluster]"), on GPUs one each; same map.',
)
@click.option(
    "--dask",
    metavar="ADDRESS",
    help="Map windows on the workers of this Dask scheduler, e.g. tcp://10.0.0.1:8786. They must see run and scene "
    "under the same names.",
)
@click.option(
    "--side",
    type=click.IntRange(1),
    help="Side of a window in pixels.  [default: what takes 128 MiB, 256 MiB with refiners]",
)
@device_option
@click.option("--data", "folder", type=click.Path(path_type=Path), help="Folder with a data set's own files.")
@click.option("--quiet", is_flag=True, help="No progress bar.")
def map_scene(
    run: Path, scene: str, out: Path | None, refine: bool, entropy: bool, class_groups: str | None, sure: float | None,
    probabilities: Path | None, resume: bool, overwrite: bool, workers: int | None, dask: str | None, side: int | None,
    device: str, folder: Path | None, quiet: bool, **stated: Any,
) -> None:  # fmt: skip
    """Apply the model of RUN (a folder made by classify) to SCENE, window by window.

    The map is refined, and its confidence calibrated, as the run's own. Memory does not grow with the scene: while a
    window is computed, the next one is read and the last one stored. A map that was interrupted, even by a
    crash, goes on with --resume. Writes a GeoTIFF with palette and class names, its confidence and its area of
    applicability (above 1: unlike anything trained on) beside it, and a .qml for QGIS; of a method that answers more
    than once also how far its answers disagree; where classes have groups, also a map that falls back to the group.

    \b
    Examples:
      hyperseg map runs/indian-pines-cnn3d other.hdr
      hyperseg map runs/field flightline.tif --out maps/flightline.tif --device cuda
      hyperseg map runs/field flightline.hdr --out maps/flightline.tif --resume
      hyperseg map runs/field huge.hdr --workers 8 --probabilities huge.zarr
    """
    from hyperseg.core import SettingError
    from hyperseg.io.cube_options import CubeOptions
    from hyperseg.io.open import open_scene
    from hyperseg.io.write.targets import RECORD
    from hyperseg.recipes.run.record import load_record

    if workers is not None and dask is not None:
        raise SettingError("--workers starts processes here, --dask uses those of a scheduler: give one of them.")
    if not run.is_dir() and (Path(scene) / RECORD).is_file():
        raise SettingError(f"the run comes first, then the scene: hyperseg map {scene} {run}.")
    load_record(run)  # a run and a scene that are not there are told before torch is loaded
    opened = open_scene(scene, folder=folder, need_labels=False, cube=CubeOptions(**given_stated(stated)))
    from hyperseg.recipes.mapping.apply import Cluster, apply_run

    cluster = None if workers is None and dask is None else Cluster(dask, workers or 1)
    target = out or Path(f"{opened.name}-map.tif")
    written = apply_run(
        run, opened, out=target, refine=refine, entropy=entropy, groups=class_groups, sure=sure,
        probabilities=probabilities, cluster=cluster, side=side, resume=resume, overwrite=overwrite, device=device,
        quiet=quiet,
    )  # fmt: skip
    click.echo(f"Map:        {written}")
    click.echo(f"Confidence: {written.with_name(written.stem + '-confidence.tif')}")
    if (applicable := written.with_name(written.stem + "-applicability.tif")).is_file():
        click.echo(f"Applicable: {applicable}")
    if (disagreement := written.with_name(written.stem + "-disagreement.tif")).is_file():
        click.echo(f"Disagreement: {disagreement}")
    if entropy:
        click.echo(f"Entropy:    {written.with_name(written.stem + '-entropy.tif')}")
    if (answers := written.with_name(written.stem + "-groups.tif")).exists():
        click.echo(f"Groups:     {answers}")
    if probabilities is not None:
        click.echo(f"All classes: {probabilities}")
