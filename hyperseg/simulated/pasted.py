"""Real crops of objects pasted into real backgrounds: `Real` is what is handed in, `pasted` one volume of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import binary_dilation, find_objects, gaussian_filter, label

from hyperseg.core import SettingError

Floats = NDArray[np.float64]
MARGIN_VX = 1  # around the mask that is pasted whole
EDGE_VX = 1.0  # of the blend behind it: width of the Gaussian
REACH = 2.0  # where the Gaussian ends, in its widths
GAP_VX = 3  # as far as a paste reaches: objects never blend into each other
TRIES = 24


@dataclass(frozen=True, eq=False)
class Real:
    """Pieces of real volumes, all of one scale of values and one width of voxels.

    Attributes:
        crops: (*s) each, with an object about the middle.
        masks: bool, of the object in each crop; of several parts the largest is meant.
        backgrounds: (*S) each, at least as large as the volumes that are asked for.
        known: masks of objects that the backgrounds hold already; they are objects of the result too. Empty: none.
        names: of the backgrounds, to group what is made of one; empty: their numbers.
    """

    crops: tuple[NDArray[Any], ...]
    masks: tuple[NDArray[Any], ...]
    backgrounds: tuple[NDArray[Any], ...]
    known: tuple[NDArray[Any], ...] = ()
    names: tuple[str, ...] = ()


def usable(real: Real, shape: tuple[int, ...]) -> Real:
    """What can be pasted: the largest part of each mask, where it is whole (it touches no face of its crop) and at most
    half as wide as the volume; and backgrounds that are large enough, no more of them than crops: see `pasted`.

    Raises:
        SettingError: unlike numbers or shapes of crops and masks, or nothing is left.
    """
    many = len(real.backgrounds)
    if len(real.crops) != len(real.masks) or {len(real.known), len(real.names)} - {0, many}:
        raise SettingError(
            f"{len(real.crops)} crops, {len(real.masks)} masks, {many} backgrounds, {len(real.known)} masks of them "
            f"and {len(real.names)} names: expected a mask for each."
        )
    pairs = [*zip(real.crops, real.masks, strict=True), *zip(real.backgrounds, real.known, strict=bool(real.known))]
    for image, mask in pairs:
        if image.shape != mask.shape or image.ndim != len(shape):
            raise SettingError(
                f"a piece has the shape {image.shape} and its mask {mask.shape}, for volumes of {shape}."
            )
    crops, masks = [], []
    for crop, mask in zip(real.crops, real.masks, strict=True):
        parts, k = label(mask)
        if k == 0:
            continue
        largest = parts == 1 + np.argmax(np.bincount(parts.ravel())[1:])
        box = _bounds(largest)
        whole = (box[: len(shape)] > 0).all() and (box[len(shape) :] < crop.shape).all()
        if whole and (2 * (box[len(shape) :] - box[: len(shape)]) <= shape).all():
            crops.append(crop)
            masks.append(largest)
    large = [i for i, each in enumerate(real.backgrounds) if (np.array(each.shape) >= shape).all()]
    if not crops or not large:
        raise SettingError(
            f"{len(crops)} of {len(real.crops)} crops hold an object that is whole and fits into {shape}, and "
            f"{len(large)} of {many} backgrounds are as large as that: one of each is needed."
        )
    large = large[: len(crops)]
    return Real(
        tuple(crops), tuple(masks), tuple(real.backgrounds[i] for i in large),
        tuple(real.known[i] for i in large) if real.known else (),
        tuple(real.names[i] if real.names else f"background_{i + 1}" for i in large),
    )  # fmt: skip


def pasted(
    real: Real, shape: tuple[int, ...], many: int, rng: np.random.Generator
) -> tuple[NDArray[np.float32], Floats, str]:
    """A window (*S) float32 of a background with up to `many` crops pasted in, the boxes of all objects, and the
    background's name.

    Volumes of one background share its voxels and objects, so they are a group, and every crop belongs to one
    background: two groups have nothing in common.

    A crop is mirrored by chance, and laid where the background is most like what stood around its object, of some
    places that are free. The voxels of its mask and those around them are the crop's, and a Gaussian edge blends them
    in. An object of the background that the window cuts gives the box of what is left of it.
    """
    n, groups = len(shape), len(real.backgrounds)
    which = int(rng.integers(groups))
    background = real.backgrounds[which]
    corner = [int(rng.integers(have - want + 1)) for have, want in zip(background.shape, shape, strict=True)]
    window = tuple(slice(a, a + k) for a, k in zip(corner, shape, strict=True))
    volume = np.array(background[window], np.float64)
    boxes = _objects(real.known[which][window]) if real.known else []
    for _ in range(many):
        k = int(rng.choice(np.arange(which, len(real.crops), groups)))
        flip = tuple(slice(None, None, -1 if rng.random() < 0.5 else 1) for _ in shape)
        crop, mask = real.crops[k][flip].astype(np.float64), real.masks[k][flip]
        box = _bounds(mask)
        size = (box[n:] - box[:n]).astype(int)
        around = float(crop[binary_dilation(mask, iterations=1 + GAP_VX) & ~mask].mean())
        best: tuple[float, NDArray[Any]] | None = None
        for _ in range(TRIES):
            low = np.array([int(rng.integers(0, have - want + 1)) for have, want in zip(shape, size, strict=True)])
            if any(((low - GAP_VX < b[n:]) & (b[:n] < low + size + GAP_VX)).all() for b in boxes):
                continue
            there = tuple(slice(a, a + k) for a, k in zip(low, size, strict=True))
            unlike = abs(float(volume[there].mean()) - around)
            if best is None or unlike < best[0]:
                best = unlike, low
        if best is not None:
            _paste(volume, crop, mask, best[1] - box[:n].astype(int))
            boxes.append(np.concatenate([best[1], best[1] + size]).astype(np.float64))
    return volume.astype(np.float32), np.array(boxes, np.float64).reshape(-1, 2 * n), real.names[which]


def _paste(volume: Floats, crop: Floats, mask: NDArray[Any], corner: NDArray[Any]) -> None:
    """Blend a crop into the volume, its first voxel at `corner`; what stands out of the volume is cut."""
    whole = binary_dilation(mask, iterations=MARGIN_VX)
    share = np.maximum(
        whole, np.clip(2 * gaussian_filter(whole.astype(np.float64), EDGE_VX, mode="constant", truncate=REACH), 0, 1)
    )
    low, high = np.maximum(corner, 0), np.minimum(corner + crop.shape, volume.shape)
    there = tuple(slice(a, b) for a, b in zip(low, high, strict=True))
    here = tuple(slice(a - c, b - c) for a, b, c in zip(low, high, corner, strict=True))
    volume[there] += share[here] * (crop[here] - volume[there])


def _bounds(mask: NDArray[Any]) -> Floats:
    """The box (2n,) of a mask that is not empty."""
    places = np.argwhere(mask)
    return np.concatenate([places.min(0), places.max(0) + 1]).astype(np.float64)


def _objects(mask: NDArray[Any]) -> list[Floats]:
    """The box of each connected part (also over corners)."""
    parts, _ = label(mask, np.ones((3,) * mask.ndim))
    found = [part for part in find_objects(parts) if part is not None]
    return [np.array([*(s.start for s in part), *(s.stop for s in part)], np.float64) for part in found]
