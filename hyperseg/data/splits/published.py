"""Masks somebody published: official training and test pixels."""

from __future__ import annotations

from itertools import combinations
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hyperseg.core import SettingError, Split, SplitError
from hyperseg.core.settings import option, settings
from hyperseg.data.splits.drawing import Draw, Mask
from hyperseg.data.splits.spelling import Splitter, described


@settings
class FixedSettings:
    """What is changed about published masks."""

    val_fraction: float = option(
        0.0,
        "Share of each class's training pixels to take out of training for validation; one at least stays in "
        "training. Published numbers train on every published training pixel.",
        low=0,
        high=1,
    )


def fixed(draw: Draw, chosen: FixedSettings) -> Split:
    """Given masks, on the pixels of the ground truth; the seed draws validation pixels, where they are asked for.

    A mask is bool, or a label raster whose labelled pixels are the mask: >= 0 where the raster holds -1 (labels as in
    memory), > 0 otherwise (codes as in files, 0 unlabelled). Its classes are not used. Without a test mask all other
    labelled pixels test. `note` counts given pixels that carry no label in this ground truth and were dropped.

    Raises:
        SplitError: a mask of another shape, overlapping masks, or fewer than two classes to train.
        SettingError: `val_fraction` together with a validation mask.
    """
    if draw.val_mask is not None and chosen.val_fraction > 0:
        raise SettingError("a validation mask and val_fraction were both given: choose one.")
    known = draw.mask(draw.pixels)
    masks = {"training": draw.train_mask, "validation": draw.val_mask, "test": draw.test_mask}
    given = {name: _read_mask(mask, known, name) for name, mask in masks.items()}
    if draw.test_mask is None:
        given["test"] = known & ~given["training"] & ~given["validation"]
    _refuse_overlap(given)
    notes = []
    for name, mask in given.items():
        if outside := int(np.count_nonzero(mask & ~known)):
            notes.append(f"{outside} of {np.count_nonzero(mask)} given {name} pixels carry no label here: dropped")
    train, val, test = (mask & known for mask in given.values())
    share = chosen.val_fraction
    if share > 0:
        val = _hold_out(draw, train, share)
        train &= ~val
        notes.append(f"{np.count_nonzero(val)} pixels were taken out of training for validation")
    how = f"fixed({described(chosen) if share > 0 else ''})"
    return draw.finish(how, train=train, val=val, test=test, notes=notes)


FIXED = Splitter(
    "fixed",
    FixedSettings,
    fixed,
    needs_masks=True,
    estimates="accuracy on the published test pixels; for other ground it depends on how these were chosen",
)


def _read_mask(given: NDArray[Any] | None, known: Mask, name: str) -> Mask:
    if given is None:
        return np.zeros_like(known)
    raster, shape = np.asarray(given), known.shape
    if raster.shape != shape:
        hint = " They look transposed: swap rows and columns." if raster.shape == shape[::-1] else ""
        raise SplitError(
            f"the {name} mask has shape {raster.shape}, the labels {shape}: both must lie on one grid.{hint}"
        )
    if raster.dtype == np.bool_:
        return raster.copy()
    return raster >= 0 if raster.min() < 0 else raster > 0


def _refuse_overlap(given: dict[str, Mask]) -> None:
    for a, b in combinations(given, 2):
        if shared := int(np.count_nonzero(given[a] & given[b])):
            raise SplitError(
                f"{shared} pixels are in both the {a} and the {b} mask: a pixel may have one role only. "
                f"Remove them from one of the files."
            )


def _hold_out(draw: Draw, train: Mask, share: float) -> Mask:
    flat, held = train.reshape(-1), []
    for some in draw.pixels:
        mine = some[flat[some]]
        if mine.size > 1:
            n = min(max(int(share * mine.size + 0.5), 1), mine.size - 1)
            # seeded by a training pixel: the first pixel of the class may be one of the test's
            held.append(np.random.default_rng([int(draw.seed), int(mine.min())]).permutation(mine)[:n])
    return draw.mask(held)
