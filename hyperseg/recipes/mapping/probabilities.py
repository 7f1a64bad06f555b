"""Class probabilities of a scene of any size in a Zarr store."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hyperseg.core import DataFileError, Scene, SettingError, Tile
from hyperseg.core.codes import codes_of
from hyperseg.recipes.run.load import LoadedRun

NAME = "probabilities.zarr"


class ProbabilityWriter:
    """Writes (H, W, K) float32 probabilities in chunks of one window each; NaN where there is no data.

    Class names, colours and coordinates are attributes of the array. It is written in the folder of the unfinished
    map and moves to its place when it is whole.

    Args:
        target: the store to write; must not exist.
        folder: of the unfinished map.
        scene: what is mapped.
        run: whose classes.
        window: the first one: its size is that of a chunk.
    """

    def __init__(self, target: Path, folder: Path, scene: Scene, run: LoadedRun, window: Tile) -> None:
        import zarr

        self.target, self._path = target, folder / NAME
        if self._path.exists():
            self._array: Any = zarr.open_array(self._path, mode="r+")
            return
        k = len(run.classes)
        self._array = zarr.create_array(
            self._path, shape=(*scene.shape, k), chunks=(*(b - a for a, b in window.core), k), dtype="float32",
            fill_value=float("nan"), dimension_names=("y", "x", "class"),
            attributes={
                "classes": list(run.classes),
                "codes": list(codes_of(k, run.codes)),
                "colours": [list(c) for c in run.colours],
                "crs": scene.grid.crs,
                "affine": None if scene.grid.affine is None else list(scene.grid.affine),
                "made_by": list(run.chain),
            },
        )  # fmt: skip

    def write(self, window: Tile, probs: NDArray[np.float32]) -> None:
        """Store the probabilities of a window's core."""
        self._array[window.core_slices] = probs

    def finish(self) -> None:
        """Give the store its name."""
        try:
            self.target.parent.mkdir(parents=True, exist_ok=True)
            shutil.move(self._path, self.target)
        except OSError as error:
            raise DataFileError(
                f"{self.target}: cannot be written ({error.strerror}); the probabilities are in {self._path}."
            ) from error


def check_target(target: Path) -> None:
    """Refuse, before any work, a store that cannot be written.

    Raises:
        DataFileError: something stands there already.
        SettingError: the package zarr is not installed.
    """
    from importlib.util import find_spec

    if target.exists():
        raise DataFileError(f"{target}: exists; name another store for the probabilities, or remove it.")
    if find_spec("zarr") is None:
        raise SettingError('probabilities are written with the package zarr: pip install "hyperseg[cluster]".')
