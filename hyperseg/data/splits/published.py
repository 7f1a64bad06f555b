"""Masks somebody published: official training and test pixels."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from hyperseg.core import SettingError, Split, SplitError
from hyperseg.data.splits.drawing import (
    Labels,
    Mask,
    as_mask,
    check_range,
    check_seed,
    class_generator,
    class_pixels,
    finish,
)


def fixed(
    labels: Labels,
    n_classes: int,
    train: NDArray[Any],
    test: NDArray[Any] | None = None,
    val: NDArray[Any] | None = None,
    *,
    val_fraction: float = 0.0,
    seed: int = 0,
    valid: Mask | None = None,
) -> Split:
    """Given masks, on the pixels of the ground truth.

    Published numbers train on every published training pixel, so nothing is held out for validation unless
    asked for.

    Args:
        labels: (*S) integers, classes 0..K-1, -1 unlabelled: the ground truth that is trained and scored.
        n_classes: K.
        train: (*S) bool, or a label raster whose labelled pixels are the mask: >= 0 where the raster holds -1
            (labels as in memory), > 0 otherwise (codes as in files, 0 unlabelled). Its classes are not used.
        test: likewise; None takes every labelled pixel that is neither in `train` nor in `val`.
        val: likewise, or None.
        val_fraction: share of each class's training pixels to take *out of training* for validation; at least
            one pixel stays in training. Not together with `val`.
        seed: draws the validation pixels; without `val_fraction` it has no effect.
        valid: (*S) bool or None.

    Returns:
        The split; `note` counts given pixels that carry no label in this ground truth and were dropped.

    Raises:
        SplitError: another shape, overlapping masks, or fewer than two classes to train.
        SettingError: val_fraction outside 0..1, or given together with `val`.
    """
    check_seed(seed)
    check_range("val_fraction", val_fraction, 0, 1)
    if val is not None and val_fraction > 0:
        raise SettingError("a validation mask and val_fraction were both given: choose one.")
    pixels = class_pixels(labels, n_classes, valid)
    known = as_mask(labels.shape, pixels)
    given = {"training": _read_mask(train, labels.shape, "training")}
    given["validation"] = np.zeros_like(known) if val is None else _read_mask(val, labels.shape, "validation")
    if test is None:
        given["test"] = known & ~given["training"] & ~given["validation"]
    else:
        given["test"] = _read_mask(test, labels.shape, "test")
    _refuse_overlap(given)
    notes = []
    for name, mask in given.items():
        outside = int(np.count_nonzero(mask & ~known))
        if outside:
            notes.append(
                f"{outside} of {np.count_nonzero(mask)} given {name} pixels carry no label here: dropped"
            )
    train_, val_, test_ = (given[name] & known for name in ("training", "validation", "test"))
    if val_fraction > 0:
        val_ = _hold_out(train_, pixels, val_fraction, seed)
        train_ &= ~val_
        notes.append(f"{np.count_nonzero(val_)} pixels were taken out of training for validation")
    how = f"fixed(val_fraction={val_fraction:g})" if val_fraction > 0 else "fixed()"
    return finish(labels, n_classes, train=train_, val=val_, test=test_, how=how, seed=seed, notes=notes)


def _read_mask(raster: NDArray[Any], shape: tuple[int, ...], name: str) -> Mask:
    raster = np.asarray(raster)
    if raster.shape != shape:
        hint = " They look transposed: swap rows and columns." if raster.shape == shape[::-1] else ""
        raise SplitError(
            f"the {name} mask has shape {raster.shape}, the labels {shape}: both must lie on one grid.{hint}"
        )
    if raster.dtype == np.bool_:
        return raster.copy()
    return raster >= 0 if raster.min() < 0 else raster > 0


def _refuse_overlap(given: dict[str, Mask]) -> None:
    names = list(given)
    for k, a in enumerate(names):
        for b in names[k + 1 :]:
            shared = int(np.count_nonzero(given[a] & given[b]))
            if shared:
                raise SplitError(
                    f"{shared} pixels are in both the {a} and the {b} mask: a pixel may have one role only. "
                    f"Remove them from one of the files."
                )


def _hold_out(train: Mask, pixels: list[NDArray[np.intp]], share: float, seed: int) -> Mask:
    flat, held = train.reshape(-1), []
    for some in pixels:
        mine = some[flat[some]]
        if mine.size > 1:
            n = min(max(int(share * mine.size + 0.5), 1), mine.size - 1)
            held.append(class_generator(seed, some).permutation(mine)[:n])
    return as_mask(train.shape, held)
