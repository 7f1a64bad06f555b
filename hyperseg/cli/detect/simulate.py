"""`hyperseg detect simulate`: a folder to try everything on."""

from __future__ import annotations

from pathlib import Path

import click

FEW = 10  # labelled volumes from which 5 can be learnt from while others are held out


@click.command()
@click.argument("out", metavar="OUT", type=click.Path(path_type=Path))
@click.option("--n", "n", default=60, show_default=True, metavar="N", help="Volumes to write.")
@click.option("--labelled", default=20, show_default=True, metavar="N", help="Volumes whose boxes boxes.csv tells.")
@click.option("--side", default=64, show_default=True, metavar="VOXELS", help="Length of each of the three axes.")
@click.option("--seed", default=0, show_default=True, help="Same seed, same files.")
@click.option(
    "--real", metavar="FOLDER", type=click.Path(path_type=Path),
    help="Paste real nodules into real volumes: FOLDER holds nodules32_trainval.npz (crops and masks) and full100/.",
)  # fmt: skip
@click.option("--quiet", is_flag=True, help="No progress bar.")
def simulate(out: Path, n: int, labelled: int, side: int, seed: int, real: Path | None, quiet: bool) -> None:
    """Write a new folder OUT of volumes with made-up nodules, to try `detect` on in a minute.

    Nodules are soft ellipsoids, 3 to 12 voxels wide, in textured noise; tubes and bodies that are too long are as
    bright, and are none. Some volumes hold no nodule. OUT/boxes.csv tells the boxes of some volumes, the others are
    unlabelled; OUT/truth.csv tells all of them, for scores alone.

    \b
    Examples:
      hyperseg detect simulate nodules
      hyperseg detect simulate hard --n 100 --labelled 5 --side 96 --seed 1
      hyperseg detect simulate pasted --real lung_nodules_m3dv
    """
    from hyperseg.core.words import counted
    from hyperseg.engine.progress import counted_progress
    from hyperseg.simulated.nodule_folder import EVERY, LABELLED, real_pieces, write_nodules

    pieces = None if real is None else real_pieces(real)
    with counted_progress(f"Writing {out}", unit="volumes", quiet=quiet) as progress:
        made = write_nodules(out, n, labelled=labelled, side=side, seed=seed, real=pieces, progress=progress)
    known, every = made.objects
    click.echo(f"{counted(made.volumes, 'volume')} of {side} x {side} x {side} voxels in {out}, {made.ending}")
    click.echo(f"{LABELLED}: {counted(known, 'box', 'boxes')} in {made.labelled} of them, the others are unlabelled")
    click.echo(f"{EVERY}: all {counted(every, 'box', 'boxes')}, for scores alone")
    if made.ending == ".npy":
        click.echo('nibabel is not installed, so these are arrays; for NIfTI files: pip install "hyperseg[medical]"')
    few = " --labelled 5" if made.labelled >= FEW else ""
    click.echo(f"next:  hyperseg detect train {out}{few}")
