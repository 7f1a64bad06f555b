"""`hyperseg detect predict`: objects in new volumes or images, as boxes in files."""

from __future__ import annotations

from pathlib import Path

import click

from hyperseg.cli.device import device_option
from hyperseg.cli.reading import overwrite_option
from hyperseg.cli.segment.reading import spacing_option

MOST = 100  # checked against the recipe by a test


@click.command()
@click.argument("run", metavar="RUN", type=click.Path(path_type=Path))
@click.argument("images", metavar="IMAGES", type=click.Path(path_type=Path))
@click.option(
    "--out", type=click.Path(file_okay=False, path_type=Path), metavar="DIR",
    help="Folder for boxes.csv and boxes.json.  [default: the name of IMAGES and -found, here]",
)  # fmt: skip
@click.option(
    "--threshold", type=click.FloatRange(0, 1),
    help="Least score of a box, 0 to 1. To score what is found, ask for 0: FROC curves need weak boxes too.  [default: "
    "the score with one false positive per scan on the held-out cases of RUN]",
)  # fmt: skip
@click.option("--most", type=click.IntRange(1), default=MOST, show_default=True, help="Boxes of an image, at most.")
@click.option("--overlays", is_flag=True, help="Also draw slices with the boxes over them: DIR/overlays/NAME.png.")
@spacing_option
@device_option
@overwrite_option
@click.option("--quiet", is_flag=True, help="No progress.")
def predict(
    run: Path, images: Path, out: Path | None, threshold: float | None, most: int, overlays: bool,
    spacing: tuple[float, ...], device: str, overwrite: bool, quiet: bool,
) -> None:  # fmt: skip
    """Find objects in IMAGES (a file or a folder) with RUN, made by `detect train`.

    Each box has a line in boxes.csv and boxes.json: its bounds in voxels of the file (half open, in the order of the
    file's axes), a score, centre and size in millimetres where the file says how large voxels are, and for NIfTI files
    the centre in the world of the scanner. An image in which nothing is found has a line with its name alone.

    Channels, axes and values of every image are checked before the first one is looked through. Windows overlap; a
    volume is read window by window, so that memory does not grow with it beyond the file itself. RUN/beside/supervised
    is a run too: its twin's boxes.

    \b
    Examples:
      hyperseg detect simulate nodules
      hyperseg detect train nodules --labelled 5 --minutes 5
      hyperseg detect predict nodules-run new-scans --out found --overlays
      hyperseg detect predict nodules-run scan.nii.gz --threshold 0.5
    """
    from hyperseg import detect

    target = Path(f"{images.resolve().name.split('.')[0]}-found") if out is None else out
    written = detect.predict(
        run, images, out=target, threshold=threshold, most=most, overlays=overlays, spacing=spacing, device=device,
        overwrite=overwrite, quiet=quiet,
    )  # fmt: skip
    for path in written.files:
        click.echo(path)
