"""`hyperseg detect simulate`: a folder to try everything on."""

from __future__ import annotations

from pathlib import Path

import click

FEW = 5  # labelled volumes that are learnt from in the command that is told, where there are twice as many or more
FEWEST = 3  # labelled volumes of which two can be held out


@click.command()
@click.argument("out", metavar="OUT", type=click.Path(path_type=Path))
@click.option("--n", "n", type=click.IntRange(1), default=60, show_default=True, metavar="N", help="Volumes to write.")
@click.option(
    "--labelled", type=click.IntRange(1), metavar="N",
    help="Volumes whose boxes boxes.csv tells.  [default: a third of all]",
)  # fmt: skip
@click.option(
    "--side",
    type=click.IntRange(1),
    default=64,
    show_default=True,
    metavar="VOXELS",
    help="Length of each of the three axes.",
)
@click.option("--seed", type=click.IntRange(0), default=0, show_default=True, help="Same seed, same files.")
@click.option(
    "--real", metavar="FOLDER", type=click.Path(path_type=Path),
    help="Paste real nodules into real volumes: FOLDER holds nodules32_trainval.npz (crops and masks) and full100/.",
)  # fmt: skip
@click.option("--quiet", is_flag=True, help="No progress bar.")
def simulate(out: Path, n: int, labelled: int | None, side: int, seed: int, real: Path | None, quiet: bool) -> None:
    """Write a new folder OUT of volumes with made-up nodules, to try `detect` on in a minute.

    Nodules are soft ellipsoids, 3 to 12 voxels wide, in textured noise; tubes and bodies that are too long are as
    bright, and are none. Some volumes hold no nodule. OUT/boxes.csv tells the boxes of some volumes, the others are
    unlabelled; OUT/truth.csv tells all of them, for scores alone.

    With --real, volumes are windows of few real ones, whose own nodules count too. OUT/groups.csv says which windows
    are of one volume, so that `detect train` never learns from what it holds out; each crop is pasted into windows of
    one volume only. Two folders from one FOLDER share its volumes, whatever the seed: never train on one and score on
    the other.

    \b
    Examples:
      hyperseg detect simulate nodules
      hyperseg detect simulate hard --n 100 --labelled 5 --side 96 --seed 1
      hyperseg detect simulate pasted --real lung_nodules_m3dv
    """
    from hyperseg.core.words import counted
    from hyperseg.engine.progress import counted_progress
    from hyperseg.simulated.nodule_folder import EVERY, GROUPS, LABELLED, real_pieces, write_nodules

    pieces = None if real is None else real_pieces(real)
    with counted_progress(f"Writing {out}", unit="volumes", quiet=quiet) as progress:
        made = write_nodules(out, n, labelled=labelled, side=side, seed=seed, real=pieces, progress=progress)
    known, every = made.objects
    click.echo(f"{counted(made.volumes, 'volume')} of {side} x {side} x {side} voxels in {out}, {made.ending}")
    rest = made.volumes - made.labelled
    where = f"in {made.labelled} of them, the others are unlabelled" if rest else "in all of them"
    click.echo(f"{LABELLED}: {counted(known, 'box', 'boxes')} {where}")
    click.echo(f"{EVERY}: all {counted(every, 'box', 'boxes')}, for scores alone")
    if made.groups:
        click.echo(f"{GROUPS}: windows of {counted(made.groups, 'real volume')}, which stay together in `detect train`")
    if made.ending == ".npy":
        click.echo('nibabel is not installed, so these are arrays; for NIfTI files: pip install "hyperseg[medical]"')
    if made.labelled >= FEWEST + (rest == 0):
        few = f" --labelled {FEW if made.labelled >= 2 * FEW else 1}" if made.labelled >= 2 * FEW or not rest else ""
        click.echo(f"to learn from them:     hyperseg detect train {out}{few}")
    click.echo(f"to try a detector RUN:  hyperseg detect predict RUN {out} --threshold 0 --out found")
    click.echo(f"                        hyperseg detect score found {out / EVERY}")
