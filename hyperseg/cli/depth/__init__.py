"""`hyperseg depth`: pictures whose geometry is right: depth is read out of a denoiser, and guides what it draws."""

from __future__ import annotations

import click

from hyperseg.cli.main import LateGroup

STEPS = {
    "train": ("hyperseg.cli.depth.train", "train", "Train a denoiser, heads that read depth from it, and a prior."),
    "read": ("hyperseg.cli.depth.read", "read", "Read the depth of pictures out of the denoiser."),
    "sample": ("hyperseg.cli.depth.sample", "sample", "Draw pictures, guided by their own depth."),
    "score": ("hyperseg.cli.depth.score", "score", "Compare guidance with none: from the same noise, over seeds."),
}


@click.command(cls=LateGroup, table=STEPS)
def depth() -> None:
    """Pictures with depth: what a denoiser knows of geometry, and guidance by it (DAG).

    \b
    Nothing at hand, rooms:   hyperseg depth train --out rooms-run
    Your pictures and depth:  hyperseg depth train FOLDER --out my-run
    Depth of other pictures:  hyperseg depth read rooms-run PICTURE --out read
    Draw, guided by depth:    hyperseg depth sample rooms-run --out drawn
    Does guidance help:       hyperseg depth score rooms-run
    """
