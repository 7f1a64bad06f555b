"""Parcels: connected fields go whole to training or to test. The honest default for an own scene."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from scipy.ndimage import generate_binary_structure, label

from hyperseg.core import LabelError, SettingError, Split
from hyperseg.data.splits.drawing import (
    Labels,
    Mask,
    Parcels,
    Pixels,
    as_mask,
    check_range,
    check_seed,
    class_generator,
    class_pixels,
    finish,
    name_classes,
    near,
)

DOMINANT = (
    0.9  # a parcel above this share of its class is cut: sharing out whole parcels would starve one side
)
HELD_OUT = 0.2  # share of a class's training area held out for validation, in whole parcels

Validation = Literal["parcels", "pixels"]


@dataclass
class _Sides:
    """The parcels of one class: kept for training, held out for validation, left for testing."""

    kept: list[Pixels]
    held: list[Pixels]
    test: list[Pixels]
    cut: bool
    units: int
    rng: np.random.Generator


def parcels(
    labels: Labels,
    n_classes: int,
    *,
    fraction: float = 0.3,
    cap: int = 50,
    guard: int = 4,
    outer: float = 0.35,
    validation: Validation = "parcels",
    val_cap: int | None = None,
    seed: int,
    valid: Mask | None = None,
    parcels: Parcels | None = None,
) -> Split:
    """Parcels (8-connected components of one label, or drawn polygons) go whole to the training side or to test.

    In random order, parcels join the training side of their class while that brings its area nearer to
    `fraction` of the class; each side gets at least one. A class with one dominant parcel (more than 90 % of
    its area, or its only one) is cut across the long axis of that parcel: one outer end trains, everything
    else tests. At most `cap` pixels per class are then drawn for training. Test pixels within `guard` of a
    training-side *parcel* of any class are dropped, drawn or not: a parcel, not a pixel, is the unit of
    evidence.

    Validation comes from the training side only. With "parcels", a class with several training parcels holds
    some out whole (about a fifth of the area, at least one parcel must stay), preferring pixels beyond the
    guard: this measures generalisation between parcels. A class with a single training parcel, and every
    class with "pixels", validates on pixels of its training parcels that were not drawn: these are NOT
    independent of training and read too high. The note says which classes those are.

    Args:
        labels: (*S) integers, classes 0..K-1, -1 unlabelled.
        n_classes: K.
        fraction: share of each class's area on the training side, about.
        cap: training pixels per class at most.
        guard: Chebyshev distance in pixels. r hides training pixels from a (2r+1) patch on a test pixel; 2r
            keeps patches disjoint.
        outer: share of a dominant parcel that trains when it is cut, whatever `fraction` says.
        validation: where validation pixels come from, see above.
        val_cap: validation pixels per class at most; None is half of `cap`; 0 is no validation, and then no
            training parcel is held out.
        seed: same seed, same masks.
        valid: (*S) bool or None; a no-data gap separates connected parcels, a polygon stays one.
        parcels: (*S) number of the drawn polygon of every pixel, -1 none; or None. Where there is one, the polygon is
            the unit of evidence instead of the connected component: touching polygons of a class are several, the
            pieces of one polygon are one.

    Raises:
        SettingError: an option outside its range.
        LabelError: labels and parcels on different grids.
        SplitError: fewer than two classes to train.
    """
    check_seed(seed)
    check_range("fraction", fraction, 0, 1, open_ends=True)
    check_range("outer", outer, 0, 1, open_ends=True)
    check_range("cap", cap, 1, np.inf)
    check_range("guard", guard, 0, np.inf)
    val_cap = cap // 2 if val_cap is None else val_cap
    check_range("val_cap", val_cap, 0, np.inf)
    hold = _holds_parcels(validation) and val_cap > 0
    pixels = class_pixels(labels, n_classes, valid)
    sides = {
        k: _assign(
            _units(some, labels.shape, parcels),
            labels.shape,
            fraction,
            outer,
            hold,
            class_generator(seed, some),
        )
        for k, some in enumerate(pixels)
        if some.size
    }
    kept = as_mask(labels.shape, (p for s in sides.values() for p in s.kept))
    held = as_mask(labels.shape, (p for s in sides.values() for p in s.held))
    test_side = as_mask(labels.shape, (p for s in sides.values() for p in s.test))
    train, val, optimistic = _draw(sides, near(kept, guard), cap, val_cap)
    test = test_side & ~near(kept | held, guard)
    dropped = int(np.count_nonzero(test_side & ~test))
    notes = [f"the guard dropped {dropped} pixels"]
    if parcels is not None:
        notes.insert(0, f"divided by polygons, {sum(s.units for s in sides.values())} of them")
    notes += name_classes("one dominant parcel, cut in two", (k for k, s in sides.items() if s.cut))
    notes += name_classes("validated on their own training parcels (reads too high)", optimistic)
    how = f"parcels(fraction={fraction:g}, cap={cap}, guard={guard}, outer={outer:g}, "
    return finish(
        labels,
        n_classes,
        train=as_mask(labels.shape, train),
        val=as_mask(labels.shape, val),
        test=test,
        how=how + f"validation={validation}, val_cap={val_cap}{', by=polygons' * (parcels is not None)})",
        seed=seed,
        guard=guard,
        notes=notes,
    )


def _holds_parcels(validation: Validation) -> bool:
    match validation:
        case "parcels":
            return True
        case "pixels":
            return False
        case _:
            raise SettingError(f"validation {validation!r} is unknown: choose 'parcels' or 'pixels'.")


def _assign(
    found: list[Pixels],
    shape: tuple[int, ...],
    fraction: float,
    outer: float,
    hold: bool,
    rng: np.random.Generator,
) -> _Sides:
    """Deal the parcels of one class to its sides."""
    sizes = np.array([p.size for p in found])
    area, units = int(sizes.sum()), len(found)
    if units == 1 or sizes.max() > DOMINANT * area:
        big = int(sizes.argmax())
        end, rest = _cut(found[big], shape, outer, rng)
        others = [p for k, p in enumerate(found) if k != big]
        return _Sides(
            kept=[end],
            held=[],
            test=[*([rest] if rest.size else []), *others],
            cut=rest.size > 0,
            units=units,
            rng=rng,
        )
    side, test = _share_out(found, fraction * area, rng)
    held: list[Pixels] = []
    if hold and len(side) > 1:
        held, side = _share_out(side, HELD_OUT * sum(p.size for p in side), rng)
    return _Sides(kept=side, held=held, test=test, cut=False, units=units, rng=rng)


def _units(pixels: Pixels, shape: tuple[int, ...], parcels: Parcels | None) -> list[Pixels]:
    """What is dealt whole, in raster order of its first pixel: polygons, and components of what is in none."""
    if parcels is None:
        return _components(pixels, shape)
    if parcels.shape != shape:
        raise LabelError(f"the parcels have shape {parcels.shape}, the labels {shape}: use one grid.")
    number = parcels.reshape(-1)[pixels]
    drawn, loose = pixels[number >= 0], pixels[number < 0]
    order = np.argsort(number[number >= 0], kind="stable")
    ends = np.flatnonzero(np.diff(number[number >= 0][order])) + 1
    found = np.split(drawn[order], ends) if drawn.size else []
    found += _components(loose, shape) if loose.size else []
    return sorted(found, key=lambda some: int(some[0]))


def _components(pixels: Pixels, shape: tuple[int, ...]) -> list[Pixels]:
    """The 8-connected parcels of one class (diagonal neighbours belong together), in raster order."""
    number, n = label(as_mask(shape, [pixels]), generate_binary_structure(len(shape), len(shape)))
    mine = number.reshape(-1)[pixels]
    order = np.argsort(mine, kind="stable")
    return np.split(pixels[order], np.cumsum(np.bincount(mine, minlength=n + 1)[1:])[:-1])


def _share_out(
    found: list[Pixels], target: float, rng: np.random.Generator
) -> tuple[list[Pixels], list[Pixels]]:
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


def _cut(
    pixels: Pixels, shape: tuple[int, ...], outer: float, rng: np.random.Generator
) -> tuple[Pixels, Pixels]:
    """Cut a parcel across its principal axis: (a random end holding `outer` of the pixels, the rest)."""
    if pixels.size == 1:
        return pixels, pixels[:0]
    place = np.stack(np.unravel_index(pixels, shape), 1).astype(np.float64)
    place -= place.mean(0)
    axis = np.linalg.eigh(place.T @ place)[1][:, -1]
    axis *= np.sign(
        axis[np.abs(axis).argmax()]
    )  # an eigenvector's sign is the library's whim; the end is the seed's
    along = np.round(place @ axis, 6) * (1.0 if rng.random() < 0.5 else -1.0)
    order = np.argsort(along, kind="stable")
    n = min(max(int(outer * pixels.size + 0.5), 1), pixels.size - 1)
    return np.sort(pixels[order[:n]]), np.sort(pixels[order[n:]])


def _draw(
    sides: dict[int, _Sides], near_training: Mask, cap: int, val_cap: int
) -> tuple[list[Pixels], list[Pixels], list[int]]:
    """Training and validation pixels per class, and the classes validated on their own training parcels."""
    train, val, optimistic = [], [], []
    close = near_training.reshape(-1)
    for k, side in sides.items():
        shuffled = side.rng.permutation(np.sort(np.concatenate(side.kept)))
        train.append(shuffled[:cap])
        if side.held:
            pool = np.sort(np.concatenate(side.held))
            far = pool[~close[pool]]
            val.append(side.rng.permutation(far if far.size else pool)[:val_cap])
        else:
            val.append(shuffled[cap : cap + val_cap])
            optimistic += [k] * bool(val[-1].size)
    return train, val, optimistic
