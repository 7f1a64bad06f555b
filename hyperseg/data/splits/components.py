"""Parcels: connected fields go whole to training or to test. The honest default for an own scene."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from hyperseg.core import UNLABELLED, LabelError, Split
from hyperseg.core.settings import option, settings
from hyperseg.core.words import thousands
from hyperseg.data.splits.drawing import Draw, Labels, Mask, Parcels, Pixels, name_classes, near
from hyperseg.data.splits.spelling import Splitter, described

# a parcel above this share of its class is cut: sharing out whole parcels would starve one side
DOMINANT = 0.9
SMALL_PX = 4  # parcels below this, at the median, are points rather than fields
HELD_OUT = 0.2  # share of a class's training area held out for validation, in whole parcels


@settings
class ParcelSettings:
    """How parcels are dealt."""

    fraction: float = option(0.3, "Share of each class's area on the training side, about.", above=0, below=1)
    cap: int | None = option(50, "Training pixels per class at most; none takes all of the training parcels.", low=1)
    guard: int = option(
        4,
        "Test pixels this near to a parcel of the training side are dropped, in pixels (Chebyshev distance). r hides "
        "training pixels from a (2r+1) patch on a test pixel; 2r keeps patches disjoint.",
        low=0,
    )
    outer: float = option(
        0.35, "Share of a dominant parcel that trains when it is cut, whatever `fraction` says.", above=0, below=1
    )
    validation: Literal["parcels", "pixels"] = option(
        "parcels",
        "Where validation pixels come from: parcels held out whole, or pixels of training parcels that were not drawn.",
    )
    val_cap: int | None = option(
        None,
        "Validation pixels per class at most; none is half of `cap`, all that are held out where that is none; 0 is no "
        "validation, and then no training parcel is held out.",
        low=0,
    )


@dataclass
class _Sides:
    """The parcels of one class: kept for training, held out for validation, left for testing."""

    kept: list[Pixels]
    held: list[Pixels]
    test: list[Pixels]
    cut: bool
    units: int
    rng: np.random.Generator


def parcels(draw: Draw, chosen: ParcelSettings) -> Split:
    """Parcels go whole to the training side or to test.

    A parcel is a drawn polygon where the pixels of `draw.parcels` say so: touching polygons of a class are several,
    the pieces of one polygon are one, across gaps without data too. Elsewhere it is an 8-connected component of one
    label, which a gap without data divides.

    In random order, parcels join the training side of their class while that brings its area nearer to `fraction` of
    the class; each side gets at least one. A class with one dominant parcel (more than 90 % of its area, or its only
    one) is cut across the long axis of that parcel: one outer end trains, everything else tests. At most `cap` pixels
    per class are then drawn for training. Test pixels within `guard` of a training-side *parcel* of any class are
    dropped, drawn or not: a parcel, not a pixel, is the unit of evidence.

    Validation comes from the training side only. With "parcels", a class with several training parcels holds
    some out whole (about a fifth of the area, at least one parcel must stay), preferring pixels beyond the
    guard: this measures generalisation between parcels. A class with a single training parcel, and every
    class with "pixels", validates on pixels of its training parcels that were not drawn (with cap=none on a fifth
    of them): these are NOT independent of training and read too high. The note says which classes those are.

    Raises:
        LabelError: labels and parcels on different grids.
        SplitError: fewer than two classes to train.
    """
    cap, val_cap = chosen.cap, chosen.val_cap
    val_cap = cap // 2 if val_cap is None and cap is not None else val_cap
    hold = chosen.validation == "parcels" and val_cap != 0
    classes = [k for k, some in enumerate(draw.pixels) if some.size]
    known = draw.mask(draw.pixels)
    number = parcel_numbers(np.where(known, draw.labels, UNLABELLED), draw.parcels).reshape(-1)
    units = {k: _units(draw.pixels[k], number[draw.pixels[k]]) for k in classes}
    sides = {k: _assign(units[k], draw, chosen, hold, draw.generator(k)) for k in classes}
    kept = draw.mask(p for s in sides.values() for p in s.kept)
    held = draw.mask(p for s in sides.values() for p in s.held)
    test_side = draw.mask(p for s in sides.values() for p in s.test)
    train, val, optimistic = _draw(sides, near(kept, chosen.guard), cap, val_cap)
    test = test_side & ~near(kept | held, chosen.guard)
    dropped = int(np.count_nonzero(test_side & ~test))
    notes = [f"the guard dropped {dropped} pixels"]
    drawn = draw.parcels is not None
    if drawn:
        notes.insert(0, f"divided by drawn geometries, {sum(s.units for s in sides.values())} of them")
    if np.median([p.size for found in units.values() for p in found]) < SMALL_PX:
        notes.append(
            "its parcels are single pixels or little more: points of one field may lie on both sides, so that "
            "accuracies are those of new points, not of new fields"
        )
    notes += name_classes("one dominant parcel, cut in two", (k for k, s in sides.items() if s.cut))
    notes += name_classes("validated on their own training parcels (reads too high)", optimistic)
    n, taken = int(draw.sizes.sum()), sum(t.size for t in train)
    at_hand = sum(p.size for s in sides.values() for p in s.kept)
    if cap is not None and taken < at_hand:
        notes.append(
            f"of {thousands(n)} labelled pixels {thousands(taken)} train, as cap={cap} takes {cap} of "
            f"a class at most; parcels:cap=none takes all {thousands(at_hand)} of the training parcels"
        )
    how = f"parcels({described(chosen)}{', by=polygons' * drawn})"
    return draw.finish(how, train=draw.mask(train), val=draw.mask(val), test=test, guard=chosen.guard, notes=notes)


PARCELS = Splitter("parcels", ParcelSettings, parcels, estimates="accuracy on fields that were not trained on")


def _assign(found: list[Pixels], draw: Draw, chosen: ParcelSettings, hold: bool, rng: np.random.Generator) -> _Sides:
    """Deal the parcels of one class to its sides."""
    sizes = np.array([p.size for p in found])
    area, units = int(sizes.sum()), len(found)
    if units == 1 or sizes.max() > DOMINANT * area:
        big = int(sizes.argmax())
        end, rest = _cut(found[big], draw.labels.shape, chosen.outer, rng)
        others = [p for k, p in enumerate(found) if k != big]
        return _Sides([end], [], [*([rest] if rest.size else []), *others], rest.size > 0, units, rng)
    side, test = _share_out(found, chosen.fraction * area, rng)
    held: list[Pixels] = []
    if hold and len(side) > 1:
        held, side = _share_out(side, HELD_OUT * sum(p.size for p in side), rng)
    return _Sides(side, held, test, False, units, rng)


def parcel_numbers(labels: Labels, parcels: Parcels | None = None) -> Parcels:
    """(*S) number of the parcel of every labelled pixel, -1 elsewhere.

    A parcel is a drawn polygon where `parcels` says so, elsewhere an 8-connected component of one label (diagonal
    neighbours belong together).

    Raises:
        LabelError: labels and parcels on different grids.
    """
    from scipy.ndimage import find_objects, generate_binary_structure, label

    if parcels is not None and parcels.shape != labels.shape:
        raise LabelError(f"the parcels have shape {parcels.shape}, the labels {labels.shape}: use one grid.")
    drawn = np.zeros(labels.shape, bool) if parcels is None else parcels >= 0
    number = np.full(labels.shape, -1, np.int32)
    if parcels is not None:
        number[drawn & (labels >= 0)] = parcels[drawn & (labels >= 0)]
    found = int(number.max(initial=-1)) + 1
    loose, corners = np.where(drawn, UNLABELLED, labels), generate_binary_structure(labels.ndim, labels.ndim)
    for k, box in enumerate(find_objects(loose.astype(np.int32) + 1)):  # the part of the scene with the class, or None
        if box is not None:
            pieces, n = label(loose[box] == k, corners)
            number[box] = np.where(pieces > 0, pieces + (found - 1), number[box])
            found += n
    return number


def _units(pixels: Pixels, number: NDArray[np.int32]) -> list[Pixels]:
    """What is dealt whole of one class, by the (n) parcels of its pixels, in raster order of its first pixel."""
    order = np.argsort(number, kind="stable")
    ends = np.flatnonzero(np.diff(number[order])) + 1
    return sorted(np.split(pixels[order], ends), key=lambda some: int(some[0]))


def _share_out(found: list[Pixels], target: float, rng: np.random.Generator) -> tuple[list[Pixels], list[Pixels]]:
    """Parcels in random order join while that brings their area nearer to `target`; never none, never all."""
    area, chosen = 0, []
    for k in rng.permutation(len(found)):
        if abs(area + found[k].size - target) < abs(area - target):
            chosen.append(int(k))
            area += found[k].size
    if not chosen:
        chosen = [int(np.argmin([p.size for p in found]))]
    if len(chosen) == len(found):
        chosen.pop()
    taken = np.isin(np.arange(len(found)), chosen)
    return [found[k] for k in chosen], [p for p, t in zip(found, taken, strict=True) if not t]


def _cut(pixels: Pixels, shape: tuple[int, ...], outer: float, rng: np.random.Generator) -> tuple[Pixels, Pixels]:
    """Cut a parcel across its principal axis: (a random end holding `outer` of the pixels, the rest)."""
    if pixels.size == 1:
        return pixels, pixels[:0]
    place = np.stack(np.unravel_index(pixels, shape), 1).astype(np.float64)
    place -= place.mean(0)
    axis = np.linalg.eigh(place.T @ place)[1][:, -1]
    # the sign of an eigenvector is the library's choice; which end trains is the seed's
    axis *= np.sign(axis[np.abs(axis).argmax()])
    along = np.round(place @ axis, 6) * (1.0 if rng.random() < 0.5 else -1.0)
    order = np.argsort(along, kind="stable")
    n = min(max(int(outer * pixels.size + 0.5), 1), pixels.size - 1)
    return np.sort(pixels[order[:n]]), np.sort(pixels[order[n:]])


def _draw(
    sides: dict[int, _Sides], near_training: Mask, cap: int | None, val_cap: int | None
) -> tuple[list[Pixels], list[Pixels], list[int]]:
    """Training and validation pixels per class, and the classes validated on their own training parcels."""
    train, val, optimistic = [], [], []
    close = near_training.reshape(-1)
    for k, side in sides.items():
        shuffled = side.rng.permutation(np.sort(np.concatenate(side.kept)))
        if cap is None and not side.held:
            left = int(HELD_OUT * shuffled.size)
            ends = shuffled.size - (left if val_cap is None else min(left, val_cap))
        else:
            ends = shuffled.size if cap is None else cap
        train.append(shuffled[:ends])
        if side.held:
            pool = np.sort(np.concatenate(side.held))
            far = pool[~close[pool]]
            val.append(side.rng.permutation(far if far.size else pool)[:val_cap])
        else:
            val.append(shuffled[ends:][:val_cap])
            optimistic += [k] * bool(val[-1].size)
    return train, val, optimistic
