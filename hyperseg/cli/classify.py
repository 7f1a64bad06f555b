"""`hyperseg classify`: the main job."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import click

from hyperseg.cli.choices import NONE, Baseline, Choice, OfScenes, asked_baselines, asked_tricks
from hyperseg.cli.device import device_option
from hyperseg.cli.options import PartsCommand, chosen_settings, in_group
from hyperseg.cli.reading import LABELS, cube_options, group_options, vector_options, weights_option
from hyperseg.cli.several import said_after, talks
from hyperseg.recipes.methods import BASELINE, METHODS
from hyperseg.recipes.refiners import REFINERS, USUAL

PATH = click.Path(path_type=Path)
SLOW_S = 0.7  # what opens faster needs no word
labels, parts, run = (partial(in_group, title) for title in (LABELS, "Parts", "The run"))


@click.command(cls=PartsCommand)
@click.argument("scene", required=False)
@cube_options
@labels(
    "--labels",
    metavar="FILE",
    help="Polygons with a class (.gpkg, .geojson, .shp, zipped or not; FILE:LAYER picks a layer), points (.csv), or a "
    "label raster, 0 = unlabelled (FILE:ARRAY picks an array).",
)
@vector_options
@group_options
@labels(
    "--split",
    metavar="SPLIT",
    help="How labelled pixels are divided, see below.  [default: parcels, which trains on 50 pixels of a class at "
    "most; parcels:cap=none on all]",
)
@parts("--method", type=Choice(OfScenes()), help=f"What makes the map.  [default: {METHODS.default}]")
@parts(
    "--trick",
    "tricks",
    multiple=True,
    metavar="NAME[:SETTING=VALUE]",
    help="Something that may make the method better, see hyperseg tricks; repeatable, in place of those of --from.  "
    "[default: none]",
)
@weights_option
@parts(
    "--refine",
    multiple=True,
    type=Choice(REFINERS, NONE),
    help="Refiner after the method; repeat it for a chain, in order. Naming one replaces the whole default chain, "
    f"{NONE} leaves the bare map.  [default: the method's own, mostly "
    f"{' + '.join(USUAL)}]",
)
@parts(
    "--baseline",
    "baselines",
    multiple=True,
    type=Baseline(),
    help='Method measured beside, and refiners after it ("lda + trees"); repeatable, in place of the default.  '
    f"[default: {BASELINE} + {REFINERS.default}]",
)
@parts(
    "--set",
    "sets",
    multiple=True,
    metavar="NAME=VALUE",
    help="Any other setting of the chosen parts: --set lr=3e-4 --set noise.gain=0.1.",
)
@run("--repeats", type=click.IntRange(1), help="Repeats with other seeds: the spread you can expect.  [default: 3]")
@run("--seed", type=click.IntRange(0), help="Seed of the first repeat.  [default: 0]")
@device_option
@run("--data", "folder", type=PATH, help="Folder with a data set's own files.")
@run("--out", type=PATH, help="Run folder.  [default: runs/SCENE-METHOD]")
@run("--resume", is_flag=True, help="Continue an interrupted run.")
@run("--from", "record", type=PATH, help="Repeat the run of a run.json; options given here win.")
@run("--quiet", is_flag=True, help="No plan and no progress, results only.")
@run("--no-pictures", is_flag=True, help="Draw nothing: no map.png, no pictures in the report.")
@click.pass_context
def classify(
    context: click.Context, scene: str | None, split: str | None, baselines: tuple[str, ...], tricks: tuple[str, ...],
    sets: tuple[str, ...], repeats: int | None, seed: int | None, device: str, folder: Path | None, out: Path | None,
    resume: bool, record: Path | None, quiet: bool, no_pictures: bool, **given: Any,
) -> None:  # fmt: skip
    """Train on SCENE and map all of it.

    SCENE is a data set (see `hyperseg datasets`), or a file: ENVI, GeoTIFF, products of EMIT, PRISMA and EnMAP, HDF5,
    Zarr, .mat, .npy, .npz (`hyperseg info FILE` tells what is understood). The result is a folder with map.tif,
    map.png, confidence.tif, entropy.tif, applicability.tif, areas.csv, the model, metrics.json and report.html. What a
    method or a refiner can be told, and a split needs, is listed with it:
    `hyperseg classify --method gan --split fixed --help`.

    \b
    Examples:
      hyperseg classify indian-pines
      hyperseg classify scene.hdr --labels fields.gpkg --out runs/field
      hyperseg classify scene.tif --labels points.shp --class-column crop --buffer-m 30
      hyperseg classify cube.mat:data --labels gt.mat --split blocks:32
      hyperseg classify indian-pines --split random_fraction:0.1 --repeats 5
      hyperseg classify indian-pines --split fixed --train-mask tr.tif --test-mask te.tif
      hyperseg classify cube.hdr --labels few.tif --method gan --pool cropland.tif
      hyperseg classify indian-pines --refine deep-crf --refine deconv
      hyperseg classify indian-pines --set lr=3e-4 --set noise.gain=0.1
      hyperseg classify --from runs/field/run.json --seed 7
      torchrun --nproc-per-node 4 -m hyperseg classify scene.hdr --labels fields.gpkg
    """
    from hyperseg.recipes.run.inputs import open_inputs

    plain = {"split": split, "baselines": asked_baselines(baselines), "repeats": repeats, "seed": seed}
    plain |= {"sure": given.pop("sure"), "tricks": asked_tricks(tricks, given.pop("weights"))}
    settings = chosen_settings(context.meta["base"], given, sets, plain)
    with_labels = f" with {given['labels']}" if given.get("labels") else ""
    with said_after(SLOW_S, f"Reading {scene or record or 'nothing'}{with_labels}", quiet=quiet or not talks()):
        opened = open_inputs(settings, given | {"scene": scene}, record=record, folder=folder)
        from hyperseg.engine import leave_processes, rank
        from hyperseg.recipes.run.classify import classify as run
        from hyperseg.report.page import print_summary

    done, metrics = run(
        opened.scene, settings, out=out, masks=opened.masks, device=device, resume=resume, quiet=quiet,
        pictures=not no_pictures, inputs=opened.named,
    )  # fmt: skip
    if rank() == 0:
        print_summary(metrics, folder=done.root)
    leave_processes()
