"""Small cubes around pixels, and the 3-D denoiser that learns them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import torch
from numpy.typing import NDArray

from hyperseg.core import Scene, SettingError, around
from hyperseg.core.runtime import Runtime
from hyperseg.dpm.model import DiffusionModel
from hyperseg.dpm.network import denoiser_spec
from hyperseg.dpm.training import train_diffusion
from hyperseg.recipes.spectra.model import how
from hyperseg.recipes.spectra.settings import SpectraSettings

WIDTHS, BATCH = (16, 32), 16


def cut_patches(scene: Scene, places: NDArray[np.int64], side: int) -> Iterator[NDArray[np.float32]]:
    """(side, side, C) raw patches around row-major indices, reflected at the border; read one by one.

    Raises:
        SettingError: an even side, or one larger than the scene.
    """
    if side < 3 or side % 2 == 0 or side > min(scene.shape):
        raise SettingError(f"{scene.name}: the side of a patch is odd, 3 to {min(scene.shape)} pixels, got {side}.")
    for row, column in zip(*np.unravel_index(places, scene.shape), strict=True):
        core = ((int(row), int(row) + 1), (int(column), int(column) + 1))
        tile = around(core, scene.shape, halo=side // 2)
        block = np.asarray(scene.cube[tile.read_slices], np.float32)
        yield np.pad(block, (*tile.pad, (0, 0)), mode="reflect") if any(map(any, tile.pad)) else block


def fit_patches(
    cubes: NDArray[np.float64],
    labels: NDArray[np.int64],
    settings: SpectraSettings,
    runtime: Runtime,
    *,
    n_classes: int,
) -> DiffusionModel:
    """A 3-D denoiser of (n, 1, depth, h, w) whitened cubes that is told their (n,) classes."""
    spec = denoiser_spec(1, 3, widths=WIDTHS, cond_dim=64, n_classes=n_classes)
    return train_diffusion(
        torch.from_numpy(cubes.astype(np.float32)), spec, replace(how(settings), batch=min(settings.batch, BATCH)),
        runtime, labels=torch.from_numpy(labels), name="patches", title="denoiser of patches",
    )  # fmt: skip
