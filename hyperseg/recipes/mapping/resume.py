"""A map that is being made, window by window, in a folder that survives a kill at any moment.

The folder is known by what lies in it, and one process at a time works there. The layers lie there uncompressed and
are assembled into files when nothing is missing. So the finished map depends neither on the order in which windows came
nor on how often the work was interrupted.
"""

from __future__ import annotations

import json
import os
import re
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hyperseg.core import DataFileError, RunError, Tile
from hyperseg.core.files import TEMPORARY, sweep
from hyperseg.core.lock import LOCK, Lock, take
from hyperseg.core.words import some
from hyperseg.io.write import write_json
from hyperseg.recipes.mapping.layers import LAYERS

PLAN, DONE, PROBABILITIES = "plan.json", "windows.done", "probabilities.zarr"
OURS = re.compile(
    rf"{re.escape(LOCK)}|{PLAN}|{DONE}|{PROBABILITIES}|codes|confidence|{'|'.join(LAYERS)}|{TEMPORARY.pattern}"
)


@dataclass(frozen=True)
class UnfinishedMap:
    """Layers of a scene's size, and which windows they hold.

    Attributes:
        root: the folder.
        shape: (H, W).
        layers: name -> dtype of each layer.
        n_windows: how many windows there are.
        lock: what keeps other processes out.
    """

    root: Path
    shape: tuple[int, ...]
    layers: Mapping[str, str]
    n_windows: int
    lock: Lock

    def missing(self) -> list[int]:
        """Numbers of the windows that are not there yet."""
        return np.flatnonzero(np.fromfile(self.root / DONE, np.uint8) == 0).tolist()

    def write(self, number: int, window: Tile, values: Mapping[str, NDArray[Any]]) -> None:
        """Store a window; it counts as there only after all of it is in the files."""
        for name, dtype in self.layers.items():
            layer = np.memmap(self.root / name, dtype, "r+", shape=self.shape)
            layer[window.core_slices] = values[name]
            layer.flush()
        done = np.memmap(self.root / DONE, np.uint8, "r+")
        done[number] = 1
        done.flush()

    def read(self, name: str, rows: slice) -> NDArray[Any]:
        """(h, W) rows of a layer."""
        return np.array(np.memmap(self.root / name, self.layers[name], "r", shape=self.shape)[rows])

    def remove(self) -> None:
        shutil.rmtree(self.root, ignore_errors=True)
        self.lock.release()


def open_unfinished(
    root: Path,
    shape: tuple[int, ...],
    layers: Mapping[str, str],
    windows: Sequence[Tile],
    plan: Mapping[str, Any],
    *,
    resume: bool,
) -> UnfinishedMap:
    """Begin a map in the folder `root`, or go on with the one begun there.

    Args:
        root: the folder; its parent exists.
        shape: (H, W) of the scene.
        layers: name -> dtype.
        windows: all of them.
        plan: JSON, everything that decides the result; a map is only resumed with an equal plan.
        resume: go on. A folder that is not there, or was left before anything was planned, begins anew.

    Raises:
        RunError: there is an unfinished map and `resume` is False, it was begun with another plan, another process is
            at work in it, or the folder is no unfinished map.
        DataFileError: the folder cannot be written, or the disk has no room.
    """
    try:
        root.mkdir(exist_ok=True)
        names = [p.name for p in root.iterdir()]
        known = not root.is_symlink() and (not names or PLAN in names or LOCK in names)
        if others := [name for name in names if not (known and OURS.fullmatch(name))]:
            raise RunError(
                f"{root}: is no unfinished map, it holds {some(others, 3)}. Unfinished windows would go here: move it "
                "away, or choose another --out."
            )
        lock = take(root)
    except OSError as error:
        raise DataFileError(
            f"{root}: cannot be used for the unfinished map ({error.strerror}). Choose another --out."
        ) from error
    store = UnfinishedMap(root, tuple(shape), dict(layers), len(windows), lock)
    try:
        sweep(root)
        _begin(store, json.loads(json.dumps({**plan, "windows": [list(map(list, w.core)) for w in windows]})), resume)
    except BaseException:
        lock.release()
        raise
    return store


def _begin(store: UnfinishedMap, plan: dict[str, Any], resume: bool) -> None:
    """Go on with what is there, or make room for all layers."""
    root, layers = store.root, store.layers
    if (root / PLAN).exists():
        if not resume:
            raise RunError(
                f"{root}: an unfinished map lies here. Go on with --resume, or remove the folder to start over."
            )
        return _check_plan(store, plan)
    for stale in root.iterdir():  # left before anything was planned
        if stale.name != LOCK:
            shutil.rmtree(stale) if stale.is_dir() else stale.unlink()
    try:
        for name, dtype in layers.items():
            _reserve(root / name, int(np.prod(store.shape)) * np.dtype(dtype).itemsize)
        (root / DONE).write_bytes(bytes(store.n_windows))
        write_json(root / PLAN, plan)  # last: a folder with a plan is whole
    except OSError as error:
        store.remove()
        needed = sum(np.dtype(dtype).itemsize for dtype in layers.values()) * int(np.prod(store.shape)) / 1e6
        raise DataFileError(
            f"{root}: cannot be written ({error.strerror}); the unfinished map takes {needed:.0f} MB there. Make room, "
            "or choose another --out."
        ) from error


def _check_plan(store: UnfinishedMap, plan: Mapping[str, Any]) -> None:
    """Refuse what was begun with another plan, or is damaged."""
    file = store.root / PLAN
    try:
        before = json.loads(file.read_text(encoding="utf-8"))
        if not isinstance(before, dict):
            raise ValueError("no mapping")
        sizes = {DONE: store.n_windows}
        sizes |= {n: int(np.prod(store.shape)) * np.dtype(t).itemsize for n, t in store.layers.items()}
        changed = sorted(k for k in {*before, *plan} if before.get(k) != plan.get(k))
        if not changed and (cut := [n for n, size in sizes.items() if (store.root / n).stat().st_size != size]):
            raise ValueError(f"{cut[0]} is of another size")
    except (OSError, ValueError) as error:
        raise RunError(f"{file}: damaged ({error}). Remove the folder to start over.") from error
    if changed:
        raise RunError(
            f"{store.root}: this map was begun with another {', '.join(changed)}. Resume it with the same run, scene "
            "and options, or remove the folder to start over."
        )


def _reserve(path: Path, size: int) -> None:
    """A file of zeros whose place on the disk is certain: a full disk must not be met through a memory map."""
    with path.open("wb") as file:
        if hasattr(os, "posix_fallocate"):
            os.posix_fallocate(file.fileno(), 0, size)
        else:
            file.truncate(size)
