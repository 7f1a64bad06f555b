"""`hyperseg detect`: objects as boxes, in volumes, images and scenes."""

from __future__ import annotations

import click

from hyperseg.cli.main import LateGroup

COMMANDS = {
    "train": ("hyperseg.cli.detect.train", "train", "Train a detector on a folder, also on volumes without boxes."),
    "predict": ("hyperseg.cli.detect.predict", "predict", "Find objects in new volumes or images."),
    "score": ("hyperseg.cli.detect.score", "score", "Score boxes against true ones: FROC, CPM, mAP."),
    "simulate": ("hyperseg.cli.detect.simulate", "simulate", "Write a folder of volumes with made-up nodules, to try."),
    "scene": ("hyperseg.cli.detect.scene", "scene", "Find targets smaller than a few pixels in a scene."),
}


@click.command(cls=LateGroup, table=COMMANDS)
def detect() -> None:
    """Objects as boxes: nodules in volumes, cells in images, small targets in a scene.

    \b
    Something to try it on:   hyperseg detect simulate nodules
    Train on few labels:      hyperseg detect train nodules --labelled 5
    Find them elsewhere:      hyperseg detect predict nodules-run NEW --out found --threshold 0
    How good is it:           hyperseg detect score found NEW/truth.csv
    """
