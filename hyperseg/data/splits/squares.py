"""Square blocks: a spatial split that needs no parcels."""

from __future__ import annotations

import numpy as np

from hyperseg.core import Split, SplitError
from hyperseg.core.settings import option, settings
from hyperseg.data.splits.drawing import Counts, Draw, held_share, hold_out, near
from hyperseg.data.splits.spelling import Splitter, described


@settings
class BlockSettings:
    """How blocks are dealt."""

    block: int = option(32, "Side of a block in pixels; blocks at the border may be smaller.", low=1)
    fraction: float = option(0.3, "Share of the labelled blocks on the training side.", above=0, below=1)
    guard: int = option(
        8,
        "Test pixels this near to a labelled pixel of the training side are dropped, in pixels (Chebyshev distance). "
        "Patch size - 1 makes test and training patches disjoint (the default serves patches of 9); for a fully "
        "convolutional network it is the receptive field - 1.",
        low=0,
    )
    val: float = held_share("blocks")


def blocks(draw: Draw, chosen: BlockSettings) -> Split:
    """Square blocks of the scene go whole to training or to test, with a guard between them.

    Blocks that hold labels are shuffled; `fraction` of them train (at least one, never all). Some training
    blocks are held out whole for validation, but only those whose classes remain in another training block.
    Test pixels within `guard` of a labelled pixel of any training or validation block are dropped. There is
    no guard between training and validation: validation is a little optimistic.

    Raises:
        SplitError: labels in fewer than two blocks, or fewer than two classes to train.
    """
    shape, known = draw.labels.shape, draw.mask(draw.pixels)
    number = _block_numbers(shape, chosen.block)
    with_labels = np.unique(number[known])
    if with_labels.size < 2:
        raise SplitError(
            f"all labels lie in {with_labels.size} block of {chosen.block} pixels in a scene of {shape}: "
            f"a split needs at least two. Use smaller blocks."
        )
    shuffled = np.random.default_rng(int(draw.seed)).permutation(with_labels)
    n_side = min(max(int(chosen.fraction * shuffled.size + 0.5), 1), shuffled.size - 1)
    side = shuffled[:n_side]
    held = hold_out(draw, number, side, known, chosen.val)
    in_side, in_val = known & np.isin(number, side), known & np.isin(number, held)
    test = known & ~near(in_side, chosen.guard)
    dropped = int(np.count_nonzero(known & ~in_side & ~test))
    how, notes = f"blocks({described(chosen)})", [f"the guard dropped {dropped} pixels"]
    return draw.finish(how, train=in_side & ~in_val, val=in_val, test=test, guard=chosen.guard, notes=notes)


BLOCKS = Splitter(
    "blocks",
    BlockSettings,
    blocks,
    estimates="accuracy on ground outside the training blocks; a field may lie on both sides",
)


def _block_numbers(shape: tuple[int, ...], block: int) -> Counts:
    """(*S) number of the block each pixel lies in."""
    number = np.zeros((1,) * len(shape), np.int64)
    for axis, length in enumerate(shape):
        here = (np.arange(length) // block).reshape([-1 if a == axis else 1 for a in range(len(shape))])
        number = number * (-(-length // block)) + here
    return number
