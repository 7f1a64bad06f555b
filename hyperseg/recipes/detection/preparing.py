"""Cases made ready: volumes on the grid of the run in files of their own, and boxes there."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from hyperseg.core.files import make_folder
from hyperseg.core.words import counted
from hyperseg.engine.progress import say
from hyperseg.io.detections.case import BoxCase
from hyperseg.io.paths import split_key
from hyperseg.io.write import replacing
from hyperseg.recipes.detection.images.volume import Volume, open_volume
from hyperseg.recipes.detection.learning import Prepared
from hyperseg.recipes.detection.planning import Plan

SIZE = 8  # bytes of a checksum
SHOWN = 3  # remarks
Progress = Callable[[int, int], None]


def opened(case: BoxCase, target: Sequence[float], *, channels: int | None = None, axes: int | None = None) -> Volume:
    """The volume of a case on the grid of the run, see `open_volume`."""
    return open_volume(
        case.name, case.images, spacing=tuple(case.spacing), target=tuple(target), channels=channels, axes=axes
    )


def look_at(cases: Sequence[BoxCase], plan: Plan, progress: Progress) -> list[str]:
    """Open every case before any work, so that one of which nothing can be seen stops none later; what to know of them.

    Raises:
        DataFileError: see `open_volume`.
    """
    found: list[str] = []
    for i, case in enumerate(cases):
        found += opened(case, plan.spacing, channels=plan.spec.channels, axes=plan.spec.n_axes).remarks
        progress(i + 1, len(cases))
    return found


def say_remarks(remarks: Sequence[str], *, quiet: bool) -> None:
    """The first remarks, a line each, and how many more there are."""
    for remark in remarks[:SHOWN]:
        say(remark, quiet=quiet)
    if len(remarks) > SHOWN:
        say(f"and {counted(len(remarks) - SHOWN, 'such remark')} more", quiet=quiet)


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
        found.append(Prepared(case.name, np.load(file, mmap_mode="r"), boxes.astype(np.float32), volume.remarks))
        progress(i + 1, len(cases))
    return found


def contents_of(cases: Sequence[BoxCase], progress: Progress) -> dict[str, bytes]:
    """A checksum of what the files of each case hold, whatever they are called."""
    digest: Callable[[Path], bytes] = cache(_digest)
    found: dict[str, bytes] = {}
    for case in cases:
        parts = [split_key(name) for name in case.images]
        found[case.name] = b"".join(digest(file) + (key or "").encode() for file, key in parts)
        progress(len(found), len(cases))
    return found


def prints_of(cases: Sequence[BoxCase], contents: Mapping[str, bytes]) -> dict[str, str]:
    """A checksum of each case: of what its files hold, and of its boxes."""
    found: dict[str, str] = {}
    for case in cases:
        boxes: Any = None if case.boxes is None else np.asarray(case.boxes, np.float64).tolist()
        made = hashlib.blake2b(repr((tuple(case.spacing), boxes)).encode(), digest_size=SIZE)
        made.update(contents[case.name])
        found[case.name] = made.hexdigest()
    return found


def _digest(path: Path) -> bytes:
    with path.open("rb") as opened:
        return hashlib.file_digest(opened, "blake2b").digest()
