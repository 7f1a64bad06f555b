"""`hyperseg segment predict`: images or volumes through the networks of a run."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from hyperseg.cli.choices import Choice
from hyperseg.cli.device import device_option
from hyperseg.cli.reading import overwrite_option
from hyperseg.cli.segment.methods import MethodsCommand, changes_of, more_tricks
from hyperseg.cli.segment.objects import predict_objects
from hyperseg.core import SettingError

FORMATS = ("png", "tif")  # of maps of objects; checked against the recipe by a test


@click.command(cls=MethodsCommand, drawn=True)
@click.argument("run", metavar="RUN", type=click.Path(path_type=Path))
@click.argument("images", metavar="IMAGES", type=click.Path(path_type=Path))
@click.option(
    "--out", required=True, metavar="DIR", type=click.Path(file_okay=False, path_type=Path),
    help="Folder for the predictions, one file per image.",
)  # fmt: skip
@device_option
@click.option(
    "--mirror/--no-mirror", default=None,
    help="Average over mirror images, or not: 4 (volumes: 8) times as long, a little better.  [default: as "
    "cross-validation did: on a GPU it mirrors, on a CPU it does not]",
)  # fmt: skip
@click.option("--folds", metavar="N,N", help="Average the networks of these folds only, as in 0,1.  [default: all]")
@click.option(
    "--region-first", is_flag=True,
    help="One network looks first, quickly; all of them predict only around what it finds, the rest is background.",
)  # fmt: skip
@click.option(
    "--set", "sets", multiple=True, metavar="NAME=VALUE",
    help="A setting of the run's method that prediction may change: --set draw.samples=25.",
)  # fmt: skip
@more_tricks
@click.option("--overlays", is_flag=True, help="Also draw middle slices with the classes over them: DIR/overlays.")
@click.option(
    "--uncertainty", is_flag=True,
    help="Also write how uncertain every pixel is, 0 to 1 (PNG: 0 to 255): DIR/uncertainty; below the overlays too.",
)  # fmt: skip
@click.option(
    "--format", "form", type=Choice(FORMATS), help="Of maps of objects, by runs that find these.  [default: png]"
)
@overwrite_option
@click.option("--quiet", is_flag=True, help="No progress bar.")
def predict(
    run: Path, images: Path, out: Path, device: str, mirror: bool | None, folds: str | None, region_first: bool,
    sets: tuple[str, ...], tricks: tuple[str, ...], overlays: bool, uncertainty: bool,
    form: str | None, overwrite: bool, quiet: bool, **given: Any,
) -> None:  # fmt: skip
    """Predict IMAGES (a file, a folder, or a data set's images without labels) with RUN, made by `segment train`.

    Windows overlap by half and are blended; networks of all folds are averaged, and mirror images where
    cross-validation did so; of classes for which it says so only the largest piece is kept. Each prediction has the
    grid, header and codes of the image: NAME.nii.gz for NIfTI, NAME.png for pictures, NAME.npy for volumes that are
    arrays. Every image's header is checked before the first one is predicted. At the end the seconds of the network
    and of everything else are told.

    Large volumes take long on a CPU: --region-first predicts only boxes around what a first look finds. What that
    misses is lost; the share of voxels that were predicted is told.

    Of a run whose method draws several masks, they are fused; --samples, --calls and others change how, and what they
    say is the same each time: noise follows from the run's seed, the number of a mask and the image's size.

    --trick adds what changes predictions alone, such as tta, to a run that was trained without it; of a trick that the
    run has it gives the settings. All other tricks are of segment train.

    --uncertainty tells how far the masks disagree (mutual information over ln K); of other methods the entropy of the
    probabilities over ln K. It holds the probabilities of a whole image in memory.

    A run of --method mask-rcnn numbers the objects of each picture in NAME.png (or .tif, --format) and lists them with
    boxes and scores in NAME.boxes.json; --set find.score=0.3 tells less sure ones too.

    \b
    Examples:
      hyperseg segment predict Task04_Hippocampus-run Task04_Hippocampus/imagesTs --out predicted
      hyperseg segment predict photos-run new_photos --out predicted --no-mirror --overlays
      hyperseg segment predict drawn-run new_photos --out predicted --samples 25 --fusion staple --uncertainty
      hyperseg segment predict photos-run new_photos --out predicted --trick tta --trick small-areas:20
    """
    from hyperseg.recipes.instances.folder import finds_objects
    from hyperseg.recipes.segment.folder import read_run
    from hyperseg.recipes.segment.predicting import parse_folds, predict_images

    if finds_objects(run):
        files = predict_objects(
            run, images, sets, out=out, form=form or FORMATS[0], overlays=overlays, device=device, overwrite=overwrite,
            quiet=quiet,
        )  # fmt: skip
        for path in files:
            click.echo(path)
        return
    if form is not None:
        raise SettingError(f"--format is of maps of objects; {run} tells classes, in files of the images' own formats.")
    settings = changes_of(read_run(run).method, given, sets, drawn=True)
    written = predict_images(
        run, images, out=out, device=device, mirror=mirror, folds=parse_folds(folds), region_first=region_first,
        overlays=overlays, uncertainty=uncertainty, settings=settings, tricks=tricks, overwrite=overwrite, quiet=quiet,
    )  # fmt: skip
    for path in written:
        click.echo(path)
