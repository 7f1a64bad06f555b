"""Folders of small pictures with bright discs, plain or numbered, and tiny networks for them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from hyperseg.core.settings import to_json
from hyperseg.io.write import write_json
from hyperseg.medical.configuration import Configuration
from hyperseg.recipes.segment.planning import plan_cases, read_folder


def write_discs(folder: Path, n: int, side: int = 32) -> None:
    """Images and labels c0.npy, c1.npy, ..."""
    for seed in range(n):
        rng = np.random.default_rng(seed)
        middle, radius = rng.integers(side // 3, side - side // 3, 2), rng.integers(side // 6, side // 4)
        labels = ((np.stack(np.indices((side, side)), -1) - middle) ** 2).sum(-1) < radius**2
        image = labels + 0.3 * rng.normal(size=labels.shape)
        for kind, array in (("images", image.astype(np.float32)), ("labels", labels.astype(np.uint8))):
            (folder / kind).mkdir(parents=True, exist_ok=True)
            np.save(folder / kind / f"c{seed}.npy", array)


def write_small_plan(folder: Path, file: Path) -> None:
    """A plan of the folder with networks of a few channels and batches of two."""
    made = plan_cases(read_folder(folder, quiet=True))

    def smaller(one: Configuration) -> Configuration:
        widths = (4, 8, 16, 16, 16, 16, 16, 16)[: len(one.backbone.widths)]
        return replace(one, backbone=replace(one.backbone, widths=widths), batch=2)

    write_json(file, to_json(replace(made, configurations=tuple(map(smaller, made.configurations)))))


SIDE = 40  # of pictures with numbered discs
TINY: dict[str, Any] = {
    "network.widths": (8, 16), "network.levels": (0, 1), "network.neck_width": 16, "network.hidden": 32,
    "network.mask_depth": 1, "network.mask_bins": 7, "training.patch": 40, "training.zoom": (1.0, 1.0),
    "training.lr": 5e-3, "lesson.proposals": 50, "lesson.boxes_drawn": 32, "lesson.masks_drawn": 8,
    "training.average": 0.9,
}  # fmt: skip
"""Settings of a Mask R-CNN that learns such discs in seconds."""


def numbered_discs(rng: np.random.Generator) -> tuple[NDArray[np.uint8], NDArray[np.uint16]]:
    """A picture of three bright discs that may touch, and their numbers."""
    numbers, places = np.zeros((SIDE, SIDE), np.uint16), np.indices((SIDE, SIDE))
    while numbers.max() < 3:
        middle, radius = rng.integers(5, SIDE - 5, 2), rng.integers(4, 7)
        inside = ((places - middle[:, None, None]) ** 2).sum(0) < radius**2
        if not numbers[inside].any():
            numbers[inside] = numbers.max() + 1
    image = np.where(numbers > 0, 180, 40) + rng.normal(0, 10, numbers.shape)
    return image.clip(0, 255).astype(np.uint8), numbers


def write_numbered(folder: Path, n: int, label: str = "inst", seed: int = 0) -> Path:
    """Pictures p0.png and maps p0_inst.png, ...; the folder."""
    folder.mkdir(parents=True)
    rng = np.random.default_rng(seed)
    for i in range(n):
        image, numbers = numbered_discs(rng)
        Image.fromarray(image).save(folder / f"p{i}.png")
        Image.fromarray(numbers).save(folder / f"p{i}_{label}.png")
    return folder
