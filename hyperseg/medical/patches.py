"""Prepared cases on disk, and training patches cut from them without reading whole cases."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from hyperseg.medical.augment import Changes, change_patch, draw_changes
from hyperseg.medical.changes.first_answer import channels_of, disturb
from hyperseg.medical.configuration import Configuration
from hyperseg.medical.topology import Size
from hyperseg.medical.training import Loss, Training

MOST_VOXELS = 10_000  # of a class in a case, that patches may be laid around
IMAGE, LABELS, VOXELS, FIRST = "image.npy", "labels.npy", "voxels.npy", "first.npy"


@dataclass(frozen=True)
class StoredCase:
    """A prepared case in a folder of its own, read through memory maps.

    Attributes:
        name: of the case.
        folder: holds `IMAGE` (C, *S) float32, `LABELS` (*S) int16, `VOXELS` (n, axes) int32: where classes are.
        n_channels, shape: C and S.
        starts: (K + 1): rows `starts[k]` to `starts[k + 1]` of `VOXELS` are of class k; background has none.
        answered: there is `FIRST` (*S) int16 too: the classes that a cascade's first network found.
    """

    name: str
    folder: Path
    n_channels: int
    shape: Size
    starts: tuple[int, ...]
    answered: bool = False

    def has(self, class_: int) -> bool:
        return self.starts[class_ + 1] > self.starts[class_]

    def open(self, file: str) -> NDArray[Any]:
        """A memory map; opened anew each time, as thousands of open files are more than a system allows."""
        found: NDArray[Any] = np.load(self.folder / file, mmap_mode="r")
        return found


class Drawn(NamedTuple):
    """One patch of a batch: (C, *source) image, (*source) labels, and what is done to them.

    Of a cascade's second network also `first`, (*source): the answer of the first, disturbed already.
    """

    image: Tensor
    labels: Tensor
    changes: Changes
    first: Tensor | None = None


def store(folder: Path, name: str, image: NDArray[Any], labels: NDArray[Any], n_classes: int) -> StoredCase:
    """Write a prepared case; of each class at most `MOST_VOXELS` places are kept, evenly thinned."""
    folder.mkdir(parents=True, exist_ok=True)
    places, starts = [np.zeros((0, labels.ndim), np.int32)], [0, 0]
    for class_ in range(1, n_classes):
        found = np.argwhere(labels == class_).astype(np.int32)
        if len(found) > MOST_VOXELS:
            found = found[np.linspace(0, len(found) - 1, MOST_VOXELS).astype(np.int64)]
        places.append(found)
        starts.append(starts[-1] + len(found))
    np.save(folder / IMAGE, np.ascontiguousarray(image, np.float32))
    np.save(folder / LABELS, np.ascontiguousarray(labels, np.int16))
    np.save(folder / VOXELS, np.concatenate(places))
    return StoredCase(name, folder, len(image), tuple(labels.shape), tuple(starts))


def forced_from(batch: int, share: float) -> int:
    """The first patch of a batch that is laid around a foreground voxel: the last round(batch (1 - share)) ... are."""
    return round(batch * (1 - share))


def draw_batch(
    cases: Sequence[StoredCase], configuration: Configuration, training: Training, *, seed: int, step: int
) -> list[Drawn]:
    """The patches of a step: a pure function of (seed, step).

    All cases come once in each round, in a new order. The last third or so of a batch, or each patch with so much
    probability (`Loss.each`), is laid around a voxel of a foreground class, drawn among those that the case has; the
    others lie anywhere.

    Source: the published code of nnU-Net's second version.
    Differs: it draws cases with replacement, which in short trainings leaves some out.
    """
    drawn = []
    for index in range(configuration.batch):
        rng = np.random.default_rng([seed, step, index])
        case = cases[_turn_of(len(cases), step * configuration.batch + index, seed)]
        forced = _is_forced(index, configuration.batch, training.loss, rng)
        middle = foreground_voxel(case, rng) if forced else None
        start = place(case.shape, window(configuration, case.shape), middle, rng)
        changes = draw_changes(rng, training.augmentation, configuration, case.n_channels)
        patch = patch_at(case, configuration, start, changes)
        if patch.first is not None:
            answer = disturb(patch.first.numpy(), training.augmentation.stage1, len(case.starts) - 1, rng)
            patch = patch._replace(first=torch.from_numpy(answer))
        drawn.append(patch)
    return drawn


def _is_forced(index: int, batch: int, loss: Loss, rng: np.random.Generator) -> bool:
    """Whether a patch is laid around a foreground voxel."""
    if loss.each or batch == 1:
        return bool(rng.random() < loss.forced)
    return index >= forced_from(batch, loss.forced)


def make_batch(drawn: Sequence[Drawn], configuration: Configuration) -> tuple[Tensor, Tensor]:
    """(B, C, *patch) float32 and (B, *patch) int64, changed, where the drawn patches are.

    The second network of a cascade gets a channel for each foreground class of the first answer, behind the others.
    """
    done = [_made(one, configuration) for one in drawn]
    return torch.stack([image for image, _ in done]), torch.stack([labels for _, labels in done]).long()


def _made(one: Drawn, configuration: Configuration) -> tuple[Tensor, Tensor]:
    size, in_plane = configuration.patch, configuration.in_plane
    if one.first is None:
        return change_patch(one.image, one.labels, one.changes, size, in_plane=in_plane)
    image, maps = change_patch(
        one.image, torch.stack([one.labels, one.first]), one.changes, size, in_plane=in_plane
    )  # fmt: skip
    further = channels_of(maps[1], configuration.backbone.in_channels - len(image) + 1)
    return torch.cat([image, further]), maps[0]


def window(configuration: Configuration, shape: Size) -> Size:
    """The patch as a window of a case: a network of two axes sees one slice of a volume."""
    return (1,) * (len(shape) - configuration.n_axes) + configuration.patch


def foreground_voxel(case: StoredCase, rng: np.random.Generator) -> NDArray[Any] | None:
    """A voxel of a class that the case has, the class drawn first; None where there is nothing but background."""
    there = [class_ for class_ in range(1, len(case.starts) - 1) if case.has(class_)]
    if not there:
        return None
    class_ = there[int(rng.integers(len(there)))]
    row = int(rng.integers(case.starts[class_], case.starts[class_ + 1]))
    return np.array(case.open(VOXELS)[row])


def place(shape: Size, size: Size, middle: NDArray[Any] | None, rng: np.random.Generator) -> Size:
    """Where a window begins: around `middle` or anywhere, within the case; in the middle of a smaller case."""
    start = []
    for axis, (n, s) in enumerate(zip(shape, size, strict=True)):
        free = rng.random()  # drawn in any case, so that what follows does not depend on the place
        if n <= s:
            start.append(-((s - n) // 2))
        elif middle is None:
            start.append(int(free * (n - s + 1)))
        else:
            start.append(int(np.clip(middle[axis] - s // 2, 0, n - s)))
    return tuple(start)


def cut(array: NDArray[Any], start: Size, size: Size) -> NDArray[Any]:
    """(..., *size) from (..., *S), which may begin before it and end after it: zeros stand there."""
    shape = array.shape[array.ndim - len(size) :]
    inside = [slice(max(b, 0), max(min(b + s, n), 0)) for b, s, n in zip(start, size, shape, strict=True)]
    found = np.zeros((*array.shape[: array.ndim - len(size)], *size), array.dtype)
    target = [slice(i.start - b, max(i.stop, i.start) - b) for i, b in zip(inside, start, strict=True)]
    whole = (slice(None),) * (array.ndim - len(size))
    found[(*whole, *target)] = array[(*whole, *inside)]
    return found


def patch_at(case: StoredCase, configuration: Configuration, start: Size, changes: Changes) -> Drawn:
    """What the patch at `start` is made of: all of it that a rotation brings in."""
    flat = (1,) * (len(case.shape) - configuration.n_axes)
    size = flat + changes.source(configuration.patch)
    more = [(a - b) // 2 for a, b in zip(size, window(configuration, case.shape), strict=True)]
    shift = (0,) * (len(start) - len(changes.shift)) + changes.shift
    start = tuple(b - m + s for b, m, s in zip(start, more, shift, strict=True))
    image, labels = cut(case.open(IMAGE), start, size), cut(case.open(LABELS), start, size)
    if flat:
        image, labels = image[:, 0], labels[0]
    first = torch.from_numpy(cut(case.open(FIRST), start, size)) if case.answered and not flat else None
    return Drawn(torch.from_numpy(image), torch.from_numpy(labels), changes, first)


def _turn_of(n: int, position: int, seed: int) -> int:
    """The case at a place of an endless list in which every round of n holds each once."""
    return int(np.random.default_rng([seed, position // n]).permutation(n)[position % n])
