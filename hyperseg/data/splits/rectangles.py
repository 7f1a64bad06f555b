"""Patches at random places: training data come as small images, all other ground tests."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from hyperseg.core import Split, SplitError
from hyperseg.core.settings import option, settings
from hyperseg.core.words import counted, percent
from hyperseg.data.splits.drawing import Counts, Draw, Mask, held_share, hold_out, near
from hyperseg.data.splits.spelling import Splitter, described


@settings
class NalepaSettings:
    """How patches are drawn."""

    rows: int = option(12, "Rows of a patch in pixels.", low=1)
    columns: int = option(12, "Columns of a patch in pixels.", low=1)
    fraction: float = option(
        0.2,
        "Share of the labelled pixels inside patches, about: patches are drawn until they hold it.",
        above=0,
        below=1,
    )
    guard: int = option(
        0,
        "Test pixels this near to a labelled pixel of a patch are dropped, in pixels (Chebyshev distance). With 0 the "
        "windows of test pixels reach into the patches beside them.",
        low=0,
    )
    val: float = held_share("patches")


def nalepa(draw: Draw, chosen: NalepaSettings) -> Split:
    """Patches at random places train whole; labelled pixels outside all of them test.

    Every place in the scene at which a patch holds a label is equally likely; one that would overlap an earlier patch
    is passed over. Some patches are held out whole for validation, but only those whose classes remain in another.
    Nothing makes the patches meet every class: the note says how many test pixels are of a class that never trained.

    Raises:
        SplitError: a scene that is no image, all labels in one patch, or fewer than two classes to train.

    Source: Nalepa, Myller & Kawulok, "Validating Hyperspectral Image Segmentation", IEEE Geosci. Remote Sens. Lett. 16
        (2019), arXiv:1811.03707.
    Differs: patches are drawn anew with every seed and until they hold `fraction` of the labels; size and share are our
        defaults, validation patches and the guard are ours. The paper's own folds are masks for the split `fixed`.
    """
    shape, known = draw.labels.shape, draw.mask(draw.pixels)
    if len(shape) != 2:
        raise SplitError(f"patches are drawn in an image, the labels have shape {shape}: use another split.")
    number = _draw_patches(known, chosen, np.random.default_rng(int(draw.seed)))
    inside = known & (number >= 0)
    if not (known & ~inside).any():
        raise SplitError(
            f"patches of {chosen.rows} x {chosen.columns} pixels hold all labels of a scene of {shape}: nothing "
            "is left to test. Use smaller patches, or a smaller share."
        )
    patches = np.arange(int(number.max()) + 1)
    held = hold_out(draw, number, patches, inside, chosen.val)
    val, test = inside & np.isin(number, held), known & ~near(inside, chosen.guard)
    train = inside & ~val
    training = counted(patches.size - held.size, "patch trains", "patches train")
    notes = [f"{training}, {counted(held.size, 'validates', 'validate')}"]
    if chosen.guard:
        notes.append(f"the guard dropped {np.count_nonzero(known & ~inside & ~test)} pixels")
    notes += _lacking(draw, train, test)
    how = f"nalepa({described(chosen)})"
    return draw.finish(how, train=train, val=val, test=test, guard=chosen.guard, notes=notes)


NALEPA = Splitter(
    "nalepa",
    NalepaSettings,
    nalepa,
    estimates="accuracy on ground outside the training patches, also right beside them; a field may lie on both sides",
)


def _draw_patches(known: Mask, chosen: NalepaSettings, rng: np.random.Generator) -> Counts:
    """(H, W) number of the patch of every pixel in the order of drawing, -1 outside."""
    height, width = (min(side, n) for side, n in zip((chosen.rows, chosen.columns), known.shape, strict=True))
    sums = np.zeros((known.shape[0] + 1, known.shape[1] + 1), np.int64)
    sums[1:, 1:] = known.cumsum(0, dtype=np.int64).cumsum(1)
    counts = sums[height:, width:] - sums[:-height, width:] - sums[height:, :-width] + sums[:-height, :-width]
    number = np.full(known.shape, -1, np.int64)
    wanted, taken = chosen.fraction * int(sums[-1, -1]), 0
    for i, (row, column) in enumerate(_corners(counts > 0, height, width, rng)):
        number[row : row + height, column : column + width] = i
        taken += int(counts[row, column])
        if taken >= wanted:
            break
    return number


def _corners(free: Mask, height: int, width: int, rng: np.random.Generator) -> Iterator[tuple[int, int]]:
    """Upper left corners of patches that do not overlap, in random order, among those that are free."""
    free = free.copy()
    for corner in rng.permutation(np.flatnonzero(free)):
        row, column = divmod(int(corner), free.shape[1])
        if free[row, column]:
            free[max(row - height + 1, 0) : row + height, max(column - width + 1, 0) : column + width] = False
            yield row, column


def _lacking(draw: Draw, train: Mask, test: Mask) -> list[str]:
    """What the patches do not hold."""
    trained, tested = (np.bincount(draw.labels[mask], minlength=draw.n_classes) for mask in (train, test))
    lacking = (draw.sizes > 0) & (trained == 0)
    if not lacking.any():
        return []
    share = 100 * tested[lacking].sum() / max(int(tested.sum()), 1)
    labelled = counted(int(np.count_nonzero(draw.sizes)), "class", "classes")
    return [
        f"{np.count_nonzero(lacking)} of {labelled} never trained: {percent(float(share))} of the test pixels cannot "
        "be right"
    ]
