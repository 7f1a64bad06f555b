"""`hyperseg classify`: the main job."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from hyperseg.cli.vectors import given, vector_options

if TYPE_CHECKING:
    from hyperseg.recipes.run.settings import ClassifySettings

METHODS = ("cnn3d", "ssrn", "hybrid", "gan", "twin", "deep-crf", "svm", "rf")
REFINERS = ("dense-crf", "deep-crf", "deconv")
VARIANTS = ("ss", "spc", "spa", "conv")
BASELINES = ("svm", "rf", "lda")
JOINT_STEPS = 300


@click.command()
@click.argument("scene", required=False)
@click.option(
    "--labels",
    metavar="FILE",
    help="Polygons with a class (.gpkg, .geojson, .shp; FILE:LAYER picks a layer), or a label raster, 0 = unlabelled "
    "(FILE:ARRAY picks an array).",
)
@vector_options
@click.option("--method", type=click.Choice(METHODS), help="What makes the map.  [default: cnn3d]")
@click.option(
    "--split",
    metavar="SPLIT",
    help="How labelled pixels are divided: parcels, blocks[:SIZE], fixed, random_fraction:0.1, random_per_class:30, "
    "random_total:200.  [default: parcels]",
)
@click.option("--train-mask", metavar="FILE", help="For --split fixed: raster of training pixels.")
@click.option(
    "--test-mask", metavar="FILE", help="For --split fixed: raster of test pixels; default: the rest."
)
@click.option(
    "--variant",
    type=click.Choice(VARIANTS),
    help="Kernels of --method gan and twin: spectral-spatial, spectral, spatial, plain 3-D.  [default: ss]",
)
@click.option(
    "--pool",
    metavar="FILE",
    help="For --method gan: pixels to learn from without labels, raster or polygons.  [default: the whole scene]",
)
@click.option(
    "--conditional/--unconditional",
    default=None,
    help="For --method gan: tell the generator the class to make, and train on what it makes.",
)
@click.option(
    "--refine",
    multiple=True,
    type=click.Choice((*REFINERS, "none")),
    help="Refiner after the method; repeat it for a chain, in order: --refine deep-crf --refine deconv.  "
    "[default: dense-crf; of --method deep-crf: deep-crf, deconv]",
)
@click.option(
    "--groups",
    type=click.Choice(("auto", "equal", "gaps", "correlation")),
    help="How --method deep-crf and the refiner deconv cut the bands into groups: equal lengths, at gaps between "
    "wavelengths, or where neighbouring bands correlate least.  [default: auto: gaps, or equal without wavelengths]",
)
@click.option(
    "--joint/--piecewise",
    default=None,
    help="For the refiner deep-crf: also train network and potentials together, through the inference.  "
    "[default: piecewise]",
)
@click.option(
    "--crf-engine",
    type=click.Choice(("lattice", "pydensecrf")),
    help="Engine of the dense CRF.  [default: lattice]",
)
@click.option(
    "--baseline",
    "baselines",
    multiple=True,
    type=click.Choice(BASELINES),
    help="Measured beside; repeatable.  [default: svm]",
)
@click.option(
    "--repeats",
    type=click.IntRange(1),
    help="Repeats with other seeds: the spread you can expect.  [default: 3]",
)
@click.option("--seed", type=click.IntRange(0), help="Seed of the first repeat.  [default: 0]")
@click.option(
    "--window", type=int, help="Side of the window a decision looks at: 5, 9, 13, 17.  [default: 9]"
)
@click.option("--epochs", type=click.IntRange(1), help="Passes over the training pixels.")
@click.option(
    "--illumination",
    type=click.FloatRange(0, 1, max_open=True),
    help="Train under varied light, for models that will map other scenes: spread of a factor on raw values, e.g. "
    "0.05. Not for gan and twin.  [default: 0]",
)
@click.option(
    "--flips/--no-flips",
    default=None,
    help="Average over eight flips and rotations: slower, slightly better.",
)
@click.option("--device", default="auto", show_default=True, help="auto, cpu, cuda, cuda:1, ...")
@click.option("--data", "folder", type=click.Path(path_type=Path), help="Folder with a data set's own files.")
@click.option("--out", type=click.Path(path_type=Path), help="Run folder.  [default: runs/SCENE-METHOD]")
@click.option("--resume", is_flag=True, help="Continue an interrupted run.")
@click.option(
    "--from",
    "record",
    type=click.Path(exists=True, path_type=Path),
    help="Repeat the run of a run.json; options given here win.",
)
@click.option("--quiet", is_flag=True, help="No progress bars.")
def classify(
    scene: str | None, labels: str | None, train_mask: str | None, test_mask: str | None, variant: str | None,
    pool: str | None, conditional: bool | None, refine: tuple[str, ...], groups: str | None,
    joint: bool | None, window: int | None, epochs: int | None, illumination: float | None,
    device: str, folder: Path | None, out: Path | None, resume: bool, record: Path | None, quiet: bool, **chosen: Any,
) -> None:  # fmt: skip
    """Train on SCENE and map all of it.

    SCENE is a data set (see `hyperseg datasets`), or a file: ENVI, GeoTIFF, products of EMIT, PRISMA and EnMAP, HDF5,
    Zarr, .mat, .npy, .npz (`hyperseg info FILE` tells what is understood). The result is a folder with map.tif,
    map.png, confidence.tif, entropy.tif, areas.csv, the model, metrics.json and report.html.

    \b
    Examples:
      hyperseg classify indian-pines
      hyperseg classify scene.hdr --labels fields.gpkg --out runs/field
      hyperseg classify scene.tif --labels points.shp --class-column crop --buffer-m 30
      hyperseg classify cube.mat:data --labels gt.mat --split blocks:32
      hyperseg classify indian-pines --split random_fraction:0.1 --repeats 5
      hyperseg classify indian-pines --split fixed --train-mask tr.tif --test-mask te.tif
      hyperseg classify cube.hdr --labels few.tif --method gan --pool cropland.tif
      hyperseg classify indian-pines --method deep-crf
      hyperseg classify indian-pines --refine deep-crf --refine deconv
      hyperseg classify --from runs/field/run.json --seed 7
      torchrun --nproc-per-node 4 -m hyperseg classify scene.hdr --labels fields.gpkg
    """
    from hyperseg.core import SettingError
    from hyperseg.engine import leave_processes, rank
    from hyperseg.io.labels.vectors import VectorOptions
    from hyperseg.io.open import open_named, read_mask
    from hyperseg.recipes.run.classify import ClassifySettings, Masks
    from hyperseg.recipes.run.classify import classify as run
    from hyperseg.recipes.run.record import load_record
    from hyperseg.report.page import print_summary

    settings, inputs = (
        ClassifySettings(),
        {"scene": scene, "labels": labels, "train_mask": train_mask, "test_mask": test_mask, "pool": pool},
    )
    drawn = {name: chosen.pop(name) for name in given(chosen)}
    if record is not None:
        earlier = load_record(record)
        settings = ClassifySettings.from_json(earlier["settings"])
        known = earlier.get("inputs", {})
        inputs = {k: v if v is not None else known.get(k) for k, v in inputs.items()}
        drawn = drawn if labels is not None else given(known) | drawn  # they go with the labels
    if inputs["scene"] is None:
        raise SettingError("which scene? Name a data set or a file, e.g. `hyperseg classify indian-pines`.")
    changes = {k: v for k, v in chosen.items() if v not in (None, ())}
    if "none" in refine and len(refine) > 1:
        raise SettingError(f"--refine none stands alone, got {', '.join(refine)}.")
    method = changes.get("method", settings.method)
    if refine:
        changes["refine"] = () if refine == ("none",) else refine
    elif method != settings.method:  # an earlier run's refiners were chosen for its method
        changes["refine"] = None
    changes |= trained_with(
        settings,
        method=method,
        variant=variant,
        conditional=conditional,
        window=window,
        epochs=epochs,
        illumination=illumination,
    )
    if groups is not None:
        how: dict[str, Any] = {"groups": groups}
        changes |= {
            "train": replace(changes.get("train", settings.train), **how),
            "deconv": replace(settings.deconv, **how),
        }
    if joint is not None:
        steps = JOINT_STEPS if joint else 0
        changes["deep"] = replace(settings.deep, joint=replace(settings.deep.joint, steps=steps))
    settings = replace(settings, **changes)
    if groups and settings.method != "deep-crf" and "deconv" not in settings.refiners:
        raise SettingError("--groups: only with --method deep-crf or --refine deconv.")
    if joint and "deep-crf" not in settings.refiners:
        raise SettingError("--joint: only with --method deep-crf or --refine deep-crf.")
    if not settings.split.strip().lower().startswith("fixed"):  # masks of the earlier run go with its split
        inputs |= {"train_mask": train_mask, "test_mask": test_mask}
    elif inputs["train_mask"] is None:
        raise SettingError("--split fixed needs --train-mask FILE, a raster of the training pixels.")
    if settings.method != "gan":
        allowed = {} if settings.method == "twin" else {"variant": variant}
        refuse_gan_options(**allowed, pool=pool, conditional=conditional)
        inputs["pool"] = None
    inputs |= drawn
    opened = open_named(
        inputs["scene"], labels=inputs["labels"], folder=folder, vectors=VectorOptions(**drawn)
    )
    masks = Masks(*(read_mask(inputs[name], opened) for name in ("train_mask", "test_mask", "pool")))
    done, metrics = run(
        opened, settings, out=out, masks=masks, device=device, resume=resume, quiet=quiet, inputs=inputs
    )
    if rank() == 0:
        print_summary(metrics, folder=done.root)
    leave_processes()


def trained_with(
    settings: ClassifySettings,
    *,
    method: str,
    variant: str | None,
    conditional: bool | None,
    window: int | None,
    epochs: int | None,
    illumination: float | None,
) -> dict[str, Any]:
    """What the options about training change: the settings of the method that is trained, and of no other."""
    both: dict[str, Any] = {} if window is None else {"window": window}
    both |= {} if epochs is None else {"epochs": epochs, "min_steps": 1}
    if method not in ("gan", "twin"):
        both |= {} if illumination is None else {"illumination": illumination}
        return {"train": replace(settings.train, **both)}
    if illumination is not None:
        from hyperseg.core import SettingError

        raise SettingError(f"--illumination: not with --method {method}.")
    from hyperseg.recipes.training.gan import augmenting, plain

    own: dict[str, Any] = {} if variant is None else {"variant": variant}
    gan = settings.gan
    if conditional is not None:
        gan = augmenting(gan) if conditional else plain(gan)
    return {"gan": replace(gan, **both, **own)}


def refuse_gan_options(**given: Any) -> None:
    """Raise for options that only --method gan has."""
    from hyperseg.core import SettingError

    named = [f"--{name}" for name, value in given.items() if value is not None]
    if named:
        raise SettingError(f"{' and '.join(named)}: only with --method gan.")
