"""A folder of small pictures with a bright disc each, and a plan of a tiny network for it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np

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
