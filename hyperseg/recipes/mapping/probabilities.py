"""Class probabilities of a scene of any size in a Zarr store."""

from __future__ import annotations

import errno
import os
import shutil
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hyperseg.core import DataFileError, Scene, SettingError, Tile
from hyperseg.core.codes import codes_of
from hyperseg.core.files import sweep, temporary_beside
from hyperseg.recipes.mapping.resume import DONE, PLAN, PROBABILITIES
from hyperseg.recipes.run.load import LoadedRun


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

        self.target, self._path = target, folder / PROBABILITIES
        if self._path.exists() or target.exists():
            self._array: Any = zarr.open_array(self._path if self._path.exists() else target, mode="r+")
            return
        k = len(run.classes)
        begun = temporary_beside(self._path)
        zarr.create_array(
            begun, shape=(*scene.shape, k), chunks=(*(b - a for a, b in window.core), k), dtype="float32",
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
        os.rename(begun, self._path)  # where it has its name, it can be opened
        self._array = zarr.open_array(self._path, mode="r+")

    def write(self, window: Tile, probs: NDArray[np.float32]) -> None:
        """Store the probabilities of a window's core."""
        self._array[window.core_slices] = probs

    def finish(self) -> None:
        """Give the store its name, all of it or nothing; on another disk it is copied first."""
        if not self._path.exists():  # it has its name already: the process ended right after that
            return
        sweep(self.target)
        copied = temporary_beside(self.target)
        try:
            self.target.parent.mkdir(parents=True, exist_ok=True)
            try:
                os.rename(self._path, self.target)
            except OSError as error:
                if error.errno != errno.EXDEV:
                    raise
                shutil.copytree(self._path, copied)
                os.rename(copied, self.target)
        except OSError as error:
            raise DataFileError(f"{self.target}: cannot be written ({error.strerror or error}).") from error
        finally:
            shutil.rmtree(copied, ignore_errors=True)


def check_target(target: Path, unfinished: Path) -> None:
    """Refuse, before any work, a store that cannot be written.

    One that stands there while the folder `unfinished` of its map is complete but for it got its name just before the
    process ended: there is nothing left to do for it.

    Raises:
        DataFileError: something stands there already.
        SettingError: the package zarr is not installed.
    """
    from importlib.util import find_spec

    moved = (unfinished / PLAN).exists() and not (unfinished / PROBABILITIES).exists()
    if target.exists() and not (moved and 0 not in (unfinished / DONE).read_bytes()):
        raise DataFileError(f"{target}: exists; name another store for the probabilities.")
    if find_spec("zarr") is None:
        raise SettingError('probabilities are written with the package zarr: pip install "hyperseg[cluster]".')
