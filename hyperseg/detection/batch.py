"""What a step of the training sees, and how it is drawn from volumes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

Floats = NDArray[np.float32]
WHOLE = 0.5  # share of a box that a patch must hold for the box to count there
TRIES = 2**62  # seeds of a step's own random numbers


class Batch(NamedTuple):
    """Patches of one step; a tree as `hyperseg.engine.fit` takes it.

    Attributes:
        images: (B, C, *S), labelled.
        boxes: of each of them its objects, (M_i, 2n) in voxels of the patch; none is (0, 2n).
        unlabelled: (U, C, *S), or None. Whether they are learnt from is said by the settings and the step.
        seed: of everything that is drawn in this step (turns, views, partners).
        step: counted from 0; the warm-up ends by it.
    """

    images: Tensor
    boxes: list[Tensor]
    unlabelled: Tensor | None
    seed: int
    step: int


def draw_batch(
    labelled: Sequence[tuple[Floats, Floats]],
    unlabelled: Sequence[Floats],
    *,
    patch: Sequence[int],
    counts: tuple[int, int],
    seed: int,
    step: int,
    with_object: float = 0.5,
) -> Batch:
    """The batch of a step, a pure function of (seed, step).

    Args:
        labelled: volumes (C, *S) and their boxes (M, 2n).
        unlabelled: volumes (C, *S); may be none.
        patch: sides in voxels. A smaller volume is continued by its last voxels.
        counts: labelled and unlabelled patches of a batch.
        with_object: share of the labelled patches that are placed so that they hold an object, where there is one. Of
            unlabelled volumes nobody knows: their patches lie anywhere.
    """
    rng = np.random.default_rng([seed, step])
    drawn = [labelled[int(i)] for i in rng.integers(len(labelled), size=counts[0])]
    pairs = [cut(volume, boxes, patch, rng, aimed=rng.random() < with_object) for volume, boxes in drawn]
    none = np.zeros((0, 2 * len(patch)), np.float32)
    others = [
        cut(unlabelled[int(i)], none, patch, rng, aimed=False)[0]
        for i in (rng.integers(len(unlabelled), size=counts[1]) if len(unlabelled) and counts[1] else ())
    ]
    return Batch(
        torch.from_numpy(np.stack([image for image, _ in pairs])),
        [torch.from_numpy(boxes) for _, boxes in pairs],
        torch.from_numpy(np.stack(others)) if others else None,
        int(rng.integers(TRIES)),
        step,
    )


def cut(
    volume: Floats, boxes: Floats, patch: Sequence[int], rng: np.random.Generator, *, aimed: bool
) -> tuple[Floats, Floats]:
    """A random patch (C, *patch) and the boxes in it; `aimed` at one of them, which it then holds if it can.

    Boxes are cut at the border of the patch; one that lies in it by less than half of its volume does not count.
    """
    n, sides = len(patch), np.asarray(patch)
    ends = np.maximum(np.asarray(volume.shape[1:]) - sides, 0)
    if aimed and len(boxes):
        box = boxes[int(rng.integers(len(boxes)))]
        low, high = np.ceil(box[n:]) - sides, np.floor(box[:n])  # the patch begins between them to hold all of it
        low, high = np.minimum(low, high), np.maximum(low, high)
        low, high = np.clip(low, 0, ends), np.clip(high, 0, ends)
        start = rng.integers(low.astype(int), high.astype(int) + 1)
    else:
        start = rng.integers(0, ends + 1)
    window = volume[(slice(None), *(slice(int(a), int(a) + s) for a, s in zip(start, patch, strict=True)))]
    short = [(0, s - w) for s, w in zip(patch, window.shape[1:], strict=True)]
    if any(after for _, after in short):
        window = np.pad(window, [(0, 0), *short], mode="edge")
    return np.ascontiguousarray(window, np.float32), _inside(boxes, start, sides)


def _inside(boxes: Floats, start: NDArray[np.int64], sides: NDArray[np.int64]) -> Floats:
    n = len(sides)
    moved = boxes.astype(np.float32) - np.tile(start, 2).astype(np.float32)
    held = np.clip(moved, 0, np.tile(sides, 2).astype(np.float32))
    volume = np.prod(moved[:, n:] - moved[:, :n], axis=1)
    kept = np.prod(held[:, n:] - held[:, :n], axis=1) >= WHOLE * volume
    return np.ascontiguousarray(held[kept], np.float32)
