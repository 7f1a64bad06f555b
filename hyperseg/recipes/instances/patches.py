"""Patches of pictures and their objects, drawn and changed at random: a pure function of seed and step."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn import functional as F

from hyperseg.io.detections.masks import boxes_of
from hyperseg.recipes.instances.pictures import Example
from hyperseg.recipes.instances.planning import Plan
from hyperseg.recipes.instances.settings import TrainingSettings
from hyperseg.zoo.instances.learning import Batch, Objects

FEWEST = 4  # pixels of an object that is seen


def batches(examples: Sequence[Example], plan: Plan, chosen: TrainingSettings, seed: int) -> Callable[[int], Batch]:
    """Step -> the patches that are learnt from in it."""

    def draw(step: int) -> Batch:
        rng = np.random.default_rng([seed, step])
        drawn = [_patch(examples[int(rng.integers(len(examples)))], plan.patch, chosen, rng) for _ in range(plan.batch)]
        images = torch.from_numpy(np.stack([image for image, _ in drawn]))
        return Batch(images, [objects_in(numbers) for _, numbers in drawn], int(rng.integers(2**62)))

    return draw


def objects_in(numbers: NDArray[np.int32]) -> Objects:
    """The objects of a map (*S) as a step learns from them, all of class 1; those that are hardly seen are left out."""
    ids, places, counts = np.unique(numbers, return_inverse=True, return_counts=True)
    kept = np.where((counts >= FEWEST) & (ids > 0), ids, 0)
    seen = kept[places].reshape(numbers.shape)
    own = kept[kept > 0]
    return Objects(
        torch.from_numpy(boxes_of(seen, instances=True).astype(np.float32)), torch.from_numpy(own.astype(np.int64)),
        torch.ones(len(own), dtype=torch.int64), torch.from_numpy(np.ascontiguousarray(seen, dtype=np.int64)),
    )  # fmt: skip


def _patch(
    one: Example, size: Sequence[int], chosen: TrainingSettings, rng: np.random.Generator
) -> tuple[NDArray[np.float32], NDArray[np.int32]]:
    """A window of a picture at a size of its own, brought to the patch's, turned, mirrored and shaken."""
    assert one.numbers is not None
    low, high = np.log(chosen.zoom)
    factor = float(np.exp(rng.uniform(low, high)))
    sides = [max(1, round(side / factor)) for side in size]
    begin = [int(rng.integers(max(n - side, 0) + 1)) for n, side in zip(one.size, sides, strict=True)]
    window = tuple(slice(b, b + side) for b, side in zip(begin, sides, strict=True))
    image, numbers = _filled(one.image[:, *window], sides), _filled(one.numbers[window], sides)
    if sides != list(size):
        image = F.interpolate(torch.from_numpy(image)[None], tuple(size), mode="bilinear", antialias=factor < 1)[
            0
        ].numpy()
        rows, columns = (((np.arange(n) + 0.5) * side / n).astype(int) for n, side in zip(size, sides, strict=True))
        numbers = numbers[rows][:, columns]
    turns, mirrored = int(rng.integers(4)), bool(rng.integers(2))
    image, numbers = np.rot90(image, turns, (1, 2)), np.rot90(numbers, turns)
    if mirrored:
        image, numbers = image[:, ::-1], numbers[::-1]
    contrast, brightness = 1 + chosen.shaken * rng.uniform(-1, 1), chosen.shaken * rng.uniform(-1, 1)
    sign = -1 if rng.random() < chosen.inverted else 1
    changed = sign * contrast * image + brightness
    return np.ascontiguousarray(changed, dtype=np.float32), np.ascontiguousarray(numbers)


def _filled(array: NDArray[Any], sides: Sequence[int]) -> NDArray[Any]:
    """Zeros behind a window that reaches beyond its picture: the mean of the picture, and no object."""
    behind = [(0, side - n) for side, n in zip(sides, array.shape[-2:], strict=True)]
    if not any(more for _, more in behind):
        return np.ascontiguousarray(array)
    return np.pad(array, [(0, 0)] * (array.ndim - 2) + behind)
