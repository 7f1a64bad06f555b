"""Pixels a map did not know: what refiners learn from that must not take what was learnt by heart for knowledge."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from hyperseg.core import UNLABELLED, HypersegError, SegmentationMap, Split
from hyperseg.core.parts import Context
from hyperseg.core.task import Task

Mask = NDArray[np.bool_]
Parcels = NDArray[np.int32]
Kind = Literal["whole", "strips", "single"]
CLOSE_PX = 9  # side of the square in which a training pixel is close by
WHOLE_PX = 20  # pixels of a parcel that counts as one observation; our choice
Held = list[tuple[Mask, SegmentationMap]]


@dataclass(frozen=True)
class HeldOut:
    """What a map says of pixels it did not know.

    Attributes:
        probs: (n, K) its probabilities there.
        truth: (n) their classes.
        unit: (n) the parcel of each; pixels of one are right or wrong together. Where pixels were held out one by
            one, each its own.
        by: what was held out: whole parcels, strips of them, or single pixels.
        trainings: how often the method was fitted again for them.
    """

    probs: NDArray[np.float32]
    truth: NDArray[np.int16]
    unit: NDArray[np.int64]
    by: Kind
    trainings: int

    @property
    def units(self) -> int:
        return len(np.unique(self.unit))

    def weights(self) -> NDArray[np.float64]:
        """(n) of every pixel: those of one parcel count as one observation, of a small one as less: all is border."""
        _, which, size = np.unique(self.unit, return_inverse=True, return_counts=True)
        return np.asarray(1.0 / np.maximum(size, 1 if self.by == "single" else WHOLE_PX)[which])


def held_out(map: SegmentationMap, task: Task, context: Context, *, retrain: bool = True) -> HeldOut:
    """Training-side pixels that are as new to a map as the test pixels are.

    Where most test pixels lie among training pixels, these are validation pixels or, without any, training pixels
    held out at random. Else only a parcel no pixel of which trained is like a new field: pixels of one field are so
    alike that a method is right and sure on all of them. Validation parcels are such, and cost nothing; for as many
    again the method is trained once more with the validation and the training parcels of their classes exchanged.
    Without validation parcels, half of the training parcels is held out, then the other half, of classes that have
    several. Where no class has, strips of their parcels are. All keep the guard of the split from what trains.

    Args:
        map: what the method, and the refiners so far, made.
        task, context: of the refiner; no test label is read.
        retrain: False is validation pixels alone.

    Returns:
        What was found; n may be 0.
    """
    scene, split = task.scene, task.split
    assert scene.labels is not None
    labels = np.where(split.test, np.int16(UNLABELLED), scene.labels)
    if lies_among(split, context):
        if split.val.any() or not retrain:
            return _gathered([(split.val, map)], labels, None, "single", 0)
        parts = _without_parts(task, context, labels, guard_px=0)
        return _gathered(parts, labels, None, "single", len(parts))
    from hyperseg.data.splits.components import parcel_numbers

    number = parcel_numbers(labels, scene.parcels)
    found = [(_elsewhere(split.val, split, number), map)]
    for other in _exchanged(split, found[0][0], labels, number) if retrain else ():
        part = _elsewhere(split.train & ~other.train, other, number)
        if part.any() and (made := _tried(context, other, f"exchanged{len(found)}")) is not None:
            found.append((part, made))
    if retrain and not any(part.any() for part, _ in found):
        strips = _without_parts(task, context, labels, guard_px=split.guard_px)
        return _gathered(strips, labels, None, "strips", len(strips))
    return _gathered(found, labels, number, "whole", len(found) - 1)


def cross_fitted(task: Task, context: Context, parts: int) -> Held:
    """All of `cross_fitting`."""
    return list(cross_fitting(task, context, parts))


def cross_fitting(task: Task, context: Context, parts: int) -> Iterator[tuple[Mask, SegmentationMap]]:
    """(training pixels, map made by method and refiners without them), one after the other; together all of them.

    A method knows its training pixels better than any others: what learns from its map has to learn from pixels it
    did not know. Where most test pixels lie among training pixels (a leak above one half), so do those held out.
    """
    from hyperseg.data.splits.folds import folds, without

    scene, split = task.scene, task.split
    assert scene.labels is not None
    apart = not lies_among(split, context)
    for i, part in enumerate(folds(split, scene.labels, parts, apart=apart, parcels=scene.parcels)):
        if part.any():
            runtime = context.runtime.within(f"without part {i + 1}/{parts}", f"without{i}")
            yield part, context.again(without(split, part), runtime)


def lies_among(split: Split, context: Context) -> bool:
    """Whether most test pixels have a training pixel in the window that decides on them or, without a guard, close by.

    A method of single spectra sees no neighbour, but those of neighbours are alike.
    """
    from hyperseg.data.leak import leak

    least = 1 if split.guard_px else CLOSE_PX
    return not leak(split, window=max(2 * context.model.margin_px + 1, least)).a < 0.5


def _exchanged(split: Split, far: Mask, labels: NDArray[np.int16], number: Parcels) -> Iterator[Split]:
    """Splits that train without some of the training parcels: with validation parcels in their place, or with half."""
    from hyperseg.data.splits.folds import without

    if far.any():
        part = split.train & np.isin(labels, np.unique(labels[far]))
        yield replace(split, train=split.train & ~part | far, val=split.val & ~far | part, note="")
        return
    half = np.zeros((2, *labels.shape), bool)
    for k in np.unique(labels[split.train]):
        mine = split.train & (labels == k)
        parcels, sizes = np.unique(number[mine], return_counts=True)
        filled = [0, 0]
        for i in np.argsort(-sizes, kind="stable") if len(parcels) > 1 else ():
            side = int(filled[1] < filled[0])
            filled[side] += sizes[i]
            half[side] |= mine & (number == parcels[i])
    yield from (without(split, part) for part in half if part.any())


def _tried(context: Context, other: Split, name: str) -> SegmentationMap | None:
    """The map fitted on the other split; None where too little is left of a class for this method."""
    try:
        return context.again(other, context.runtime.within("on other parcels", name))
    except HypersegError:
        return None


def _without_parts(task: Task, context: Context, labels: NDArray[np.int16], *, guard_px: int) -> Held:
    """Halves of the training pixels with the maps made without them: pixels beyond the guard, of classes that stay."""
    train = task.split.train
    try:
        found = cross_fitted(task, context, 2)
    except HypersegError:
        return []
    rest = [train & ~part for part, _ in found]
    kept = [part & np.isin(labels, labels[left]) for (part, _), left in zip(found, rest, strict=True)]
    if guard_px:
        kept = [_beyond(part, left, guard_px) for part, left in zip(kept, rest, strict=True)]
    return [(part, map) for part, (_, map) in zip(kept, found, strict=True)]


def _elsewhere(mask: Mask, split: Split, number: Parcels) -> Mask:
    """The pixels in parcels without a training pixel, beyond the guard."""
    return _beyond(mask & ~np.isin(number, number[split.train]), split.train, split.guard_px)


def _beyond(mask: Mask, train: Mask, guard_px: int) -> Mask:
    from hyperseg.data.splits.drawing import near

    return mask & ~near(train, guard_px)


def _gathered(found: Held, labels: NDArray[np.int16], number: Parcels | None, by: Kind, trainings: int) -> HeldOut:
    """What the maps say of their pixels."""
    if not any(part.any() for part, _ in found):
        return HeldOut(np.empty((0, 1), np.float32), np.empty(0, np.int16), np.empty(0, np.int64), by, trainings)
    probs = np.concatenate([map.probs[part] for part, map in found])
    truth = np.concatenate([labels[part] for part, _ in found])
    of = np.arange(labels.size).reshape(labels.shape) if number is None else number
    unit = np.concatenate([of[part] for part, _ in found]).astype(np.int64)
    return HeldOut(probs, truth, unit, by, trainings)
