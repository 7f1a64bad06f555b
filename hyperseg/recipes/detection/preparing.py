"""Cases made ready: volumes on the grid of the run in files of their own, and boxes there."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from hyperseg.core.files import make_folder
from hyperseg.io.detections.case import BoxCase
from hyperseg.io.paths import split_key
from hyperseg.io.write import replacing
from hyperseg.recipes.detection.images.volume import Volume, open_volume
from hyperseg.recipes.detection.learning import Prepared

SIZE = 8  # bytes of a checksum
Progress = Callable[[int, int], None]


def opened(case: BoxCase, target: Sequence[float], *, channels: int | None = None, axes: int | None = None) -> Volume:
    """The volume of a case on the grid of the run, see `open_volume`."""
    return open_volume(
        case.name, case.images, spacing=tuple(case.spacing), target=tuple(target), channels=channels, axes=axes
    )


def prepare(
    cases: Sequence[BoxCase], target: Sequence[float], folder: Path, *, channels: int, axes: int, with_boxes: bool,
    progress: Progress,
) -> list[Prepared]:  # fmt: skip
    """Volumes of cases as memory maps of files in `folder`, 16 bits a value; boxes of unlabelled ones stay behind."""
    make_folder(folder)
    found = []
    for i, case in enumerate(cases):
        volume = opened(case, target, channels=channels, axes=axes)
        file = folder / f"{i}.npy"
        with replacing(file) as temporary, temporary.open("wb") as written:
            np.save(written, volume.window((0,) * axes, volume.size).astype(np.float16))
        boxes = volume.to_grid(case.boxes) if with_boxes and case.boxes is not None else np.zeros((0, 2 * axes))
        found.append(Prepared(case.name, np.load(file, mmap_mode="r"), boxes.astype(np.float32)))
        progress(i + 1, len(cases))
    return found


def prints_of(cases: Sequence[BoxCase], progress: Progress) -> dict[str, str]:
    """A checksum of each case: of what its files hold, and of its boxes."""
    digest: Callable[[Path], bytes] = cache(_digest)
    found: dict[str, str] = {}
    for case in cases:
        boxes: Any = None if case.boxes is None else np.asarray(case.boxes, np.float64).tolist()
        made = hashlib.blake2b(repr((tuple(case.spacing), boxes)).encode(), digest_size=SIZE)
        for name in case.images:
            file, key = split_key(name)
            made.update(digest(file) + (key or "").encode())
        found[case.name] = made.hexdigest()
        progress(len(found), len(cases))
    return found


def _digest(path: Path) -> bytes:
    with path.open("rb") as opened:
        return hashlib.file_digest(opened, "blake2b").digest()
