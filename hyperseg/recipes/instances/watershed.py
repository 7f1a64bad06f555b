"""A baseline for objects without a network: a threshold, distances, a watershed; its few settings are learnt."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from hyperseg.core import LabelError
from hyperseg.core.settings import option, settings
from hyperseg.metrics.instances.panoptic import panoptic_of

Floats = NDArray[np.float64]
BINS = 256
ROUNDS = 2  # of all settings, one after the other
MOST_IMAGES = 24
TRIED: dict[str, tuple[Any, ...]] = {
    "objects": ("either", "bright", "dark"),
    "level": (0.6, 0.8, 1.0, 1.2),
    "smooth": (0.0, 1.0, 2.0, 3.0),
    "apart": (2, 4, 6, 9, 13),
    "least": (0, 15, 40, 100),
}  # beside the channels


@settings
class WatershedSettings:
    """What a baseline of threshold and watershed is told."""

    channel: int = option(-1, "Channel that is thresholded; -1 is the mean of all.", low=-1)
    objects: Literal["either", "bright", "dark"] = option(
        "either", "Whether objects are brighter or darker than what is around; either: fewer of them at the border."
    )
    level: float = option(1.0, "Threshold, as a multiple of Otsu's distance from the background's end.", above=0)
    smooth: float = option(1.0, "Standard deviation of the Gaussian before the threshold, in pixels.", low=0)
    apart: int = option(6, "Least distance of two objects' middles, in pixels.", low=1)
    least: int = option(15, "Least size of an object, in pixels.", low=0)


def segmented(image: NDArray[Any], chosen: WatershedSettings) -> NDArray[np.int32]:
    """(*S) objects 1..n of an image (*S, C), 0 background.

    A threshold parts foreground and background, holes are filled, and every pixel of the foreground goes to the object
    whose middle its distances to the background lead to.

    Source: Otsu, "A threshold selection method from gray-level histograms", 1979; Vincent and Soille, "Watersheds in
    digital spaces", 1991.
    Differs: distances are flooded in steps of a pixel.
    """
    return _parted(_foreground(_grey(image, chosen), chosen), chosen)


def tuned(
    images: Sequence[NDArray[Any]], maps: Sequence[NDArray[np.integer]], *, most: int = MOST_IMAGES,
    progress: Callable[[int, int], None] | None = None,
) -> WatershedSettings:  # fmt: skip
    """The settings of highest panoptic quality on training images: one setting after the other, twice.

    Args:
        images: (*S, C) each.
        maps: (*S) objects of the same images.
        most: so many of the images are looked at, evenly taken.
        progress: told how many of how many settings have been tried.

    Raises:
        LabelError: no image, or not a map for each.
    """
    if not images or len(images) != len(maps):
        raise LabelError(f"{len(images)} images and {len(maps)} maps of objects: at least one, and a map for each.")
    taken = np.unique(np.linspace(0, len(images) - 1, min(most, len(images))).round().astype(int))
    pairs = [(images[k], maps[k]) for k in taken]
    tried = {"channel": _channels(images), **TRIED}
    best = WatershedSettings()
    known: dict[WatershedSettings, float] = {}
    total, done = ROUNDS * sum(map(len, tried.values())), 0
    for _ in range(ROUNDS):
        for name, values in tried.items():
            for value in values:
                trial = replace(best, **{name: value})
                if trial not in known:
                    known[trial] = _quality(pairs, trial)
                done += 1
                if progress is not None:
                    progress(done, total)
            best = max((replace(best, **{name: value}) for value in values), key=lambda trial: known[trial])
    return best


def otsu(values: NDArray[Any]) -> float:
    """The threshold that parts numbers into two groups which differ most from each other; nan in, nan out."""
    low, high = float(values.min()), float(values.max())
    if not low < high:
        return high
    counts, edges = np.histogram(values, BINS, (low, high))
    centres = (edges[1:] + edges[:-1]) / 2
    below, sums = np.cumsum(counts), np.cumsum(counts * centres)
    above = below[-1] - below
    inside = (below > 0) & (above > 0)
    means = sums / np.maximum(below, 1) - (sums[-1] - sums) / np.maximum(above, 1)
    between = np.where(inside, below * above * means**2, -1.0)
    at = np.flatnonzero(between == between.max())  # an empty gap of the histogram is parted in its middle
    return float((edges[at[0] + 1] + edges[at[-1] + 1]) / 2)


def _channels(images: Sequence[NDArray[Any]]) -> tuple[int, ...]:
    n = min(image.shape[-1] for image in images)
    return (-1, *(range(n) if n > 1 else ()))


def _quality(pairs: Sequence[tuple[NDArray[Any], NDArray[np.integer]]], chosen: WatershedSettings) -> float:
    quality = panoptic_of((segmented(image, chosen), truth) for image, truth in pairs).quality
    return 0.0 if np.isnan(quality) else quality


def _grey(image: NDArray[Any], chosen: WatershedSettings) -> Floats:
    one = image.mean(-1) if chosen.channel < 0 else image[..., min(chosen.channel, image.shape[-1] - 1)]
    return np.asarray(ndimage.gaussian_filter(np.asarray(one, np.float64), chosen.smooth))


def _foreground(grey: Floats, chosen: WatershedSettings) -> NDArray[np.bool_]:
    bright, dark = (_above(values, chosen.level) for values in (grey, -grey))
    match chosen.objects:
        case "bright":
            found = bright
        case "dark":
            found = dark
        case _:
            found = bright if _at_border(bright) <= _at_border(dark) else dark
    return np.asarray(ndimage.binary_fill_holes(found))


def _above(values: Floats, level: float) -> NDArray[np.bool_]:
    low = float(values.min())
    return np.asarray(values > low + level * (otsu(values) - low))


def _at_border(found: NDArray[np.bool_]) -> float:
    """The share of foreground among the outermost pixels."""
    inner = found[(slice(1, -1),) * found.ndim]
    return float((found.sum() - inner.sum()) / max(1, found.size - inner.size))


def _parted(found: NDArray[np.bool_], chosen: WatershedSettings) -> NDArray[np.int32]:
    every = np.ones((3,) * found.ndim)
    # beyond the border is no background: objects that it cuts keep their middles
    distance = ndimage.distance_transform_edt(found) if not found.all() else np.ones(found.shape)
    peaks = found & (ndimage.maximum_filter(distance, 2 * chosen.apart + 1) == distance)
    parts, n_parts = ndimage.label(found, every)
    bare = np.setdiff1d(np.arange(1, n_parts + 1), parts[peaks])  # beside a larger one
    seeds, n = ndimage.label(peaks | np.isin(parts, bare), every)
    if n == 0:
        return np.zeros(found.shape, np.int32)
    depths = np.where(found, np.ceil(distance), 0).astype(np.int32)
    return _renumbered(_flooded(seeds.astype(np.int32), depths), chosen.least)


def _flooded(seeds: NDArray[np.int32], depths: NDArray[np.int32]) -> NDArray[np.int32]:
    """Seeds grown over all pixels of depth 1 and more, the deepest first; where two meet they stay apart."""
    whole, n = np.pad(seeds, 1), seeds.ndim
    flat, heights = whole.reshape(-1), np.pad(depths, 1).reshape(-1)
    steps = (np.indices((3,) * n).reshape(n, -1).T - 1) @ (np.array(whole.strides) // whole.itemsize)
    order = np.flatnonzero((heights > 0) & (flat == 0))
    order = order[np.argsort(-heights[order], kind="stable")]
    waiting = order[:0]
    for level in np.split(order, np.flatnonzero(np.diff(heights[order])) + 1):
        waiting = np.concatenate((waiting, level))
        while len(waiting):
            near = flat[waiting[:, None] + steps].max(1)
            reached = near > 0
            if not reached.any():
                break
            flat[waiting[reached]] = near[reached]
            waiting = waiting[~reached]
    return whole[(slice(1, -1),) * n]


def _renumbered(parts: NDArray[np.integer], least: int) -> NDArray[np.int32]:
    """Parts of `least` pixels or more as 1..n."""
    sizes = np.bincount(parts.ravel())
    kept = sizes >= max(1, least)
    kept[0] = False
    return np.where(kept, np.cumsum(kept), 0).astype(np.int32)[parts]
