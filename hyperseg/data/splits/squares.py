"""Square blocks: a spatial split that needs no parcels."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from hyperseg.core import Split, SplitError
from hyperseg.data.splits.drawing import (
    Labels,
    Mask,
    as_mask,
    check_range,
    check_seed,
    class_pixels,
    finish,
    near,
)


def blocks(
    labels: Labels,
    n_classes: int,
    *,
    block: int = 32,
    fraction: float = 0.3,
    guard: int = 8,
    val: float = 0.1,
    seed: int,
    valid: Mask | None = None,
) -> Split:
    """Square blocks of the scene go whole to training or to test, with a guard between them.

    Blocks that hold labels are shuffled; `fraction` of them train (at least one, never all). Some training
    blocks are held out whole for validation, but only those whose classes remain in another training block.
    Test pixels within `guard` of a labelled pixel of any training or validation block are dropped. There is
    no guard between training and validation: validation is a little optimistic.

    Args:
        labels: (*S) integers, classes 0..K-1, -1 unlabelled.
        n_classes: K.
        block: side of a block in pixels; border blocks may be smaller.
        fraction: share of the labelled blocks on the training side.
        guard: Chebyshev distance in pixels. patch - 1 makes test and training patches disjoint (the default
            serves patches of 9); for a fully convolutional network it is the receptive field - 1.
        val: share of the training blocks to hold out for validation (at least one where possible); 0 for
            none.
        seed: same seed, same masks.
        valid: (*S) bool or None.

    Raises:
        SettingError: an option outside its range.
        SplitError: labels in fewer than two blocks, or fewer than two classes to train.
    """
    check_seed(seed)
    check_range("block", block, 1, np.inf)
    check_range("fraction", fraction, 0, 1, open_ends=True)
    check_range("guard", guard, 0, np.inf)
    check_range("val", val, 0, 1)
    known = as_mask(labels.shape, class_pixels(labels, n_classes, valid))
    number = _block_numbers(labels.shape, block)
    with_labels = np.unique(number[known])
    if with_labels.size < 2:
        raise SplitError(
            f"all labels lie in {with_labels.size} block of {block} pixels in a scene of {labels.shape}: "
            f"a split needs at least two. Use smaller blocks."
        )
    rng = np.random.default_rng(int(seed))
    shuffled = rng.permutation(with_labels)
    n_side = min(max(int(fraction * shuffled.size + 0.5), 1), shuffled.size - 1)
    side = shuffled[:n_side]
    held = _held_out(labels, number, side, known, n_classes, val) if val > 0 else side[:0]
    in_side, in_val = known & np.isin(number, side), known & np.isin(number, held)
    test = known & ~near(in_side, guard)
    how = f"blocks(block={block}, fraction={fraction:g}, guard={guard}, val={val:g})"
    dropped = int(np.count_nonzero(known & ~in_side & ~test))
    return finish(
        labels,
        n_classes,
        train=in_side & ~in_val,
        val=in_val,
        test=test,
        how=how,
        seed=seed,
        guard=guard,
        notes=[f"the guard dropped {dropped} pixels"],
    )


def _block_numbers(shape: tuple[int, ...], block: int) -> NDArray[np.int64]:
    """(*S) number of the block each pixel lies in."""
    number = np.zeros((1,) * len(shape), np.int64)
    for axis, length in enumerate(shape):
        here = (np.arange(length) // block).reshape([-1 if a == axis else 1 for a in range(len(shape))])
        number = number * (-(-length // block)) + here
    return number


def _held_out(
    labels: Labels,
    number: NDArray[np.int64],
    side: NDArray[np.int64],
    known: Mask,
    n_classes: int,
    share: float,
) -> NDArray[np.int64]:
    """Training blocks for validation: no class may lose its last training block."""
    wanted = max(int(share * side.size + 0.5), 1)
    mine = known & np.isin(number, side)
    order = np.argsort(side)
    row = order[np.searchsorted(side, number[mine], sorter=order)]
    cells = np.bincount(row * n_classes + labels[mine], minlength=side.size * n_classes)
    counts = cells.reshape(side.size, n_classes) > 0
    blocks_of_class = counts.sum(0)
    held: list[int] = []
    for k, b in enumerate(side):
        if len(held) < wanted and np.all(blocks_of_class[counts[k]] > 1):
            held.append(int(b))
            blocks_of_class = blocks_of_class - counts[k]
    return np.array(held, np.int64)
