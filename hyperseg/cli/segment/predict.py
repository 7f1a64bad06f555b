"""`hyperseg segment predict`: images or volumes through the networks of a run."""

from __future__ import annotations

from pathlib import Path

import click

from hyperseg.cli.device import device_option
from hyperseg.cli.reading import overwrite_option


@click.command()
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
@click.option("--overlays", is_flag=True, help="Also draw middle slices with the classes over them: DIR/overlays.")
@overwrite_option
@click.option("--quiet", is_flag=True, help="No progress bar.")
def predict(
    run: Path, images: Path, out: Path, device: str, mirror: bool | None, folds: str | None, overlays: bool,
    overwrite: bool, quiet: bool,
) -> None:  # fmt: skip
    """Predict IMAGES (a file, a folder, or a data set's images without labels) with RUN, made by `segment train`.

    Windows overlap by half and are blended; networks of all folds are averaged, and mirror images where
    cross-validation did so; of classes for which it says so only the largest piece is kept. Each prediction has the
    grid, header and codes of the image: NAME.nii.gz for NIfTI, NAME.png for pictures, NAME.npy for volumes that are
    arrays. Every image's header is checked before the first one is predicted.

    \b
    Examples:
      hyperseg segment predict Task04_Hippocampus-run Task04_Hippocampus/imagesTs --out predicted
      hyperseg segment predict photos-run new_photos --out predicted --no-mirror --overlays
    """
    from hyperseg.recipes.segment.predicting import parse_folds, predict_images

    written = predict_images(
        run, images, out=out, device=device, mirror=mirror, folds=parse_folds(folds), overlays=overlays,
        overwrite=overwrite, quiet=quiet,
    )  # fmt: skip
    for path in written:
        click.echo(path)
