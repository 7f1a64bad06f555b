"""Which bands of a cube hold data, judged by a sample of its pixels."""

from __future__ import annotations

import logging

import numpy as np
from numpy.typing import NDArray

from hyperseg.core import Cube, SceneError
from hyperseg.core.words import runs
from hyperseg.io.look.sample import Sample, take_sample
from hyperseg.io.look.values import broken, holds, same

log = logging.getLogger(__name__)

Flags = NDArray[np.bool_]

# a band that is NaN, infinite or a gap at more of the pixels with data than this is dropped; below it, the pixels are
MISSING_SHARE = 0.01
# a no-data value within the data's range is a dark value: it makes a band bad only where the band has little else
DARK_SHARE = 0.95
# a no-data value so far beyond the data, in shares of their range, cannot be a measurement: a dark one is near them,
# a saturated one too
BELOW, ABOVE = 0.01, 0.1


def find_bad_bands(
    cube: Cube,
    valid: Flags | None = None,
    *,
    bbl: Flags | None = None,
    nodata: float | None = None,
    max_pixels: int = 20000,
    name: str = "cube",
) -> tuple[Flags, list[str]]:
    """As `judge_bands`, of a sample of about `max_pixels` pixels of a cube (H, W, C), lazy or not.

    `valid` (H, W) are the pixels to look at, None for all; whether the no-data value makes gaps is judged too.
    """
    sample = take_sample(cube, valid=valid, max_pixels=max_pixels)
    gaps = makes_gaps(sample, nodata, bbl=bbl)
    return judge_bands(sample, bbl=bbl, nodata=nodata, gaps=gaps, name=name)


def judge_bands(
    sample: Sample, *, bbl: Flags | None = None, nodata: float | None = None, gaps: bool = False, name: str = "cube"
) -> tuple[Flags, list[str]]:
    """Bands that carry no information on a sample of the pixels.

    A band is bad where the file says so; where more than 1 % of the sampled pixels that hold data are NaN, infinite
    or a gap in it; where it has the no-data value at nearly all of them; and where it is constant (a dead detector, or
    no-data throughout). Pixels that lack most of their bands are holes in the scene, and no evidence about its bands.

    Args:
        sample: of the cube (n, C).
        bbl: (C,) bool, the file's own list of good bands, or None.
        nodata: value that stands for "no data", or None.
        gaps: whether that value in a single band is a gap, as NaN is; see `makes_gaps`.
        name: what to call the cube in messages.

    Returns:
        good (C,) bool and, for the reader, one sentence per reason with the bands (counted from 0).

    Raises:
        SceneError: no band is left.
    """
    pixels = sample.pixels
    bands = pixels.shape[-1]
    if nodata is not None and not holds(pixels.dtype, nodata):
        log.warning("%s: its no-data value %g is none of %s; no pixel can have it", name, nodata, pixels.dtype)
    marked = np.zeros(bands, bool) if bbl is None else ~bbl
    lost, named = broken(pixels), same(pixels, nodata)
    held = ~(lost | named).all(-1)
    if not held.any():
        raise SceneError(
            f"{name}: holds no data: every sampled pixel is masked, or NaN, infinite or no-data in every band. "
            "Check the file, its mask and its no-data value; --nodata none leaves mask and value out."
        )
    pixels, lost, named = pixels[held], lost[held], named[held]
    lost = lost | named if gaps else lost
    whole = ~_holes(lost, marked)
    pixels, lost, named = pixels[whole], lost[whole], named[whole]
    missing = lost.mean(0) > MISSING_SHARE
    dark = (named & ~lost).mean(0) >= DARK_SHARE
    low = np.where(lost, np.inf, pixels).min(0)
    high = np.where(lost, -np.inf, pixels).max(0)
    constant = (low >= high) & (len(pixels) > 1)
    reasons = [
        f"{_ranges(which)} {why}"
        for which, why in (
            (marked, "marked bad in the file"),
            (missing & ~marked, "NaN, infinite or no-data at pixels that hold data in other bands"),
            (dark & ~(marked | missing | constant), "no-data at nearly all pixels that hold data in other bands"),
            (constant & ~(marked | missing), "constant"),
        )
        if which.any()
    ]
    good = ~(marked | missing | dark | constant)
    if not good.any():
        raise SceneError(f"{name}: no usable band of {bands}: {'; '.join(reasons)}. Check the file and its no-data.")
    return good, reasons


def makes_gaps(sample: Sample, nodata: float | None, *, bbl: Flags | None = None) -> bool:
    """Whether the no-data value in a single band means that this band is missing there, as NaN would.

    It does where it lies far beyond the other values. Within their range, or at its edge, it may as well be measured:
    0 is what dark water reflects in the short-wave infrared, and the largest number of a type is what saturates.
    """
    pixels = sample.pixels
    if not nodata or not holds(pixels.dtype, nodata):
        return False
    pixels = pixels if bbl is None or not bbl.any() else pixels[:, bbl]
    found = value_range(pixels, without=nodata)
    return found is not None and beyond(nodata, found)


def beyond(value: float, limits: tuple[float, float]) -> bool:
    """Whether a value lies so far outside the limits that it cannot be measured."""
    low, high = limits
    return value < low - BELOW * (high - low) or value > high + ABOVE * (high - low)


def value_range(pixels: NDArray[np.generic], *, without: float | None) -> tuple[float, float] | None:
    """Smallest and largest value of a usual band of (n, C) pixels, `without` left out; None where nothing is left."""
    absent = broken(pixels) | same(pixels, without)
    filled = ~absent.all(0)
    if not filled.any():
        return None
    low = np.where(absent, np.inf, pixels).min(0)[filled]
    high = np.where(absent, -np.inf, pixels).max(0)[filled]
    return float(np.median(low)), float(np.median(high))


def _holes(lost: Flags, marked: Flags) -> Flags:
    """(n,) bool: pixels that lack most of the bands that any pixel has; none where that would be all of them."""
    there = ~marked & (lost.mean(0) < DARK_SHARE)
    if not there.any():
        return np.zeros(len(lost), bool)
    holes: Flags = lost[:, there].mean(1) > 0.5
    return holes if not holes.all() else np.zeros(len(lost), bool)


def _ranges(which: Flags) -> str:
    """Indices as "bands 3, 7-9:"."""
    index = np.flatnonzero(which).tolist()
    return f"{'band' if len(index) == 1 else 'bands'} {runs(index)}:"
