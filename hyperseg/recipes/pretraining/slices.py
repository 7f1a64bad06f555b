"""The slices of a folder's images as the network of its plan reads them, on disk while they are learnt from."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn import functional as F

from hyperseg.io.cases import Case, CaseFolder, read_case
from hyperseg.io.paths import split_key
from hyperseg.io.write import write_json
from hyperseg.io.write.runs import seal
from hyperseg.medical.configuration import Configuration
from hyperseg.medical.patches import cut
from hyperseg.medical.plan import Plan
from hyperseg.medical.prepare import prepare

INDEX = "slices.json"  # written when all are there
Float32 = NDArray[np.float32]


@dataclass(frozen=True)
class Slices:
    """Prepared slices, volume by volume; a picture is a volume of one slice.

    Attributes:
        folder: holds 0.npy, 1.npy ... (n, C, *patch) float32, one for each volume.
        names: of the volumes.
        counts: slices of each.
        groups: a number for each; the same where they show one patient.
    """

    folder: Path
    names: tuple[str, ...]
    counts: tuple[int, ...]
    groups: tuple[int, ...]

    def read(self, volume: int, number: int) -> Float32:
        """(C, *patch); the file is opened anew each time, as thousands of open files are more than a system allows."""
        stored: Float32 = np.load(self.folder / f"{volume}.npy", mmap_mode="r")
        return np.array(stored[number])


def prepare_slices(
    folder: CaseFolder, cases: Sequence[Case], plan: Plan, configuration: Configuration, where: Path, *,
    check: Callable[[str, int], None], progress: Callable[[int, int], None],
) -> Slices:  # fmt: skip
    """Prepare the slices of every case, one case in memory at a time, or find what an earlier call has left there.

    Volumes are cut along the first axis of the plan, the coarsest. No label is read.

    Args:
        folder, cases: as `open_cases` gives them, labelled or not.
        plan, configuration: the one with two axes.
        where: they are kept.
        check: told name and number of slices of each volume; raises for one that cannot be used.
        progress: told how many cases of how many are done.

    Raises:
        SceneError, DataFileError: a case that cannot be used, by name.
    """
    head = {"plan": seal(plan), "files": [[case.name, *map(_state, case.images)] for case in cases]}
    names, of = tuple(case.name for case in cases), [case.group or case.name for case in cases]
    groups = tuple(map(sorted(set(of)).index, of))
    if (counts := _stored(where, head)) is not None:
        return Slices(where, names, counts, groups)
    shutil.rmtree(where, ignore_errors=True)
    where.mkdir(parents=True)
    found = []
    for done, case in enumerate(cases):
        scene = read_case(folder, case, labels=False)
        image = prepare(scene, plan, configuration, labels=False).image
        stack = image[:, None] if image.ndim == 3 else image
        check(case.name, stack.shape[1])
        np.save(where / f"{done}.npy", fitted(np.moveaxis(stack, 1, 0), configuration.patch))
        found.append(stack.shape[1])
        progress(done + 1, len(cases))
    write_json(where / INDEX, {**head, "counts": found})
    return Slices(where, names, tuple(found), groups)


def fitted(stack: Float32, patch: Sequence[int]) -> Float32:
    """(n, C, h, w) slices -> (n, C, *patch): larger ones are made smaller as a whole, smaller ones stand in zeros.

    Differs: the paper cuts or fills all to one size. A whole slice is what shows how high it lies in its volume.
    """
    factor = min(1.0, *(p / n for p, n in zip(patch, stack.shape[2:], strict=True)))
    if factor < 1:
        size = [max(1, min(p, round(factor * n))) for p, n in zip(patch, stack.shape[2:], strict=True)]
        given = torch.from_numpy(np.ascontiguousarray(stack))
        stack = F.interpolate(given, size, mode="bilinear", antialias=True, align_corners=False).numpy()
    start = tuple(-((p - n) // 2) for p, n in zip(patch, stack.shape[2:], strict=True))
    found: Float32 = cut(stack, start, tuple(patch))
    return found


def _state(file: Path) -> list[Any]:
    """What tells that a file is the same as before, without reading it."""
    state = Path(split_key(file)[0]).stat()
    return [str(file), state.st_size, state.st_mtime_ns]


def _stored(where: Path, head: dict[str, Any]) -> tuple[int, ...] | None:
    """Numbers of slices, where these very files have been prepared by this plan."""
    try:
        index = json.loads((where / INDEX).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    if not isinstance(index, dict) or any(index.get(key) != value for key, value in head.items()):
        return None
    return tuple(index["counts"])
