"""Fill that no header declares: what stands in a file where the sensor saw nothing, found by how it lies and looks.

Real ground never gives the same number in every band, pixel after pixel; what a program wrote there does. A value is
believed to be fill where all good bands of a pixel share it and

- it is negative and lies below the other values by their range, or is a customary one (-9999, -32768) below them, or
  lies above them by ten times their range; wherever such pixels lie; or
- it is 0 or below all other values, or the largest number of its type with nothing near it, and these pixels lie
  together: at the border of the scene or in blocks.

One and the same spectrum of different values, or a constant one amid the others, is believed only at the border, of
ten bands or more, where hardly any other two pixels are alike. What clips at the top of a narrower range (4095 of a
camera with 12 bits) is measured, and so are zeros in some of the bands, as in dark water.

All of this is judged on a sample: fill that covers no sampled pixel is not found. The sample has the first and the last
row and the corners, where fill of turned scenes lies, and is all of a scene of up to about 20 000 pixels.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hyperseg.core import Cube
from hyperseg.core.words import counted, percent
from hyperseg.io.formats.windows import windows_of
from hyperseg.io.look.bands import ABOVE, DARK_SHARE, beyond, makes_gaps, value_range
from hyperseg.io.look.sample import Sample
from hyperseg.io.look.values import broken, holds, same

Flags = NDArray[np.bool_]

FEWEST, TOGETHER = 8, 0.8  # pixels that tell how a value lies, and the share of them at the border or in blocks
MANY, MANY_SHARE = 50, 0.02  # at the border in long runs; with as many, others elsewhere do not matter
BLOCK_RUN = 4  # pixels side by side in a row
FAR_ABOVE = 10.0  # ranges of the other values beyond the largest of them
MOST_VALUES = 8  # a scene with more constant spectra than this is no measured one: nothing follows from them
# of a spectrum that could be ground by itself
SPECTRUM_FEWEST, SPECTRUM_SHARE, SPECTRUM_BANDS, SPECTRUM_BORDER, SPECTRUM_TWINS = 20, 0.01, 10, 0.9, 0.01
FULL = (32767.0, 65535.0, 2.0**31 - 1, 2.0**32 - 1)  # largest numbers of whole types, which may have become floats
CUSTOMARY = (-9.0, -99.0, -999.0, -9999.0, -99999.0, -999999.0, -32768.0, -(2.0**31))


@dataclass(frozen=True, eq=False)
class Fill:
    """A spectrum believed to be fill.

    Attributes:
        value: that all good bands share, or None.
        bands: (B,) numbers of the bands it was judged by.
        spectrum: (B,) values in them.
        share: of the sampled pixels.
        where, why: for the reader.
    """

    value: float | None
    bands: NDArray[np.intp]
    spectrum: NDArray[Any]
    share: float
    where: str
    why: str

    def __str__(self) -> str:
        what = "one and the same spectrum" if self.value is None else f"{self.value:g} in all good bands"
        return f"{percent(100 * self.share)} of the pixels looked at hold {what}, {self.where} ({self.why})"


@dataclass(frozen=True, eq=False)
class NotFill:
    """A lazy mask (H, W) of a cube: False where a pixel is one of the `fills`, or where the mask `inner` is False."""

    cube: Cube
    fills: tuple[Fill, ...]
    inner: Cube | None = None

    @property
    def shape(self) -> tuple[int, ...]:
        return tuple(self.cube.shape[:2])

    @property
    def dtype(self) -> np.dtype[np.bool_]:
        return np.dtype(bool)

    def __getitem__(self, key: Any) -> Flags:
        block = np.asarray(self.cube[key])
        out = np.ones(block.shape[:-1], bool)
        for fill in self.fills:
            out &= (block[..., fill.bands] != fill.spectrum).any(-1)
        return out if self.inner is None else out & np.asarray(self.inner[key], bool)

    def __reduce__(self) -> tuple[Any, ...]:
        # a memory map would travel as the array it maps
        cube = windows_of(self.cube) if isinstance(self.cube, np.memmap) else self.cube
        return NotFill, (cube, self.fills, self.inner)


def find_fill(
    sample: Sample, *, bbl: Flags | None = None, nodata: float | None = None
) -> tuple[tuple[Fill, ...], tuple[str, ...]]:
    """Fill that `nodata` does not stand for already, most frequent first; and doubtful pixels that were left alone.

    Args:
        sample: of a cube, without the pixels that a mask leaves out.
        bbl: (C,) bool, the file's list of good bands, or None.
        nodata: the value that the file declares, or None.
    """
    chosen = _telling_bands(sample, bbl)
    if len(chosen) < 2 or not len(sample.pixels) or sample.pixels.dtype == np.bool_:
        return (), ()
    lost = broken(sample.pixels[:, chosen]) | same(sample.pixels[:, chosen], nodata)
    n = len(lost)  # shares are of all sampled pixels
    kept = sample.only(np.asarray(~lost.all(1)))
    pixels = kept.pixels[:, chosen]
    constant = (pixels == pixels[:, :1]).all(1)
    if constant.all():
        return (), ()
    values, counts = np.unique(pixels[constant, 0], return_counts=True)
    found, doubts = [], []
    often = np.argsort(-counts, kind="stable")[:MOST_VALUES]
    for value in dict.fromkeys([*values[often].tolist(), *values[:1].tolist(), *values[-1:].tolist()]):
        which = constant & (pixels[:, 0] == value)
        limits = value_range(np.where(pixels == value, np.nan, pixels)[~constant], without=nodata)
        if limits is None:
            continue
        verdict = _judge(value, limits, pixels.dtype, _lie(kept, which), many=len(values) > MOST_VALUES)
        if verdict is None:
            continue
        believed, why = verdict
        where = _lie(kept, which).where
        if believed:
            row = np.full(len(chosen), value, pixels.dtype)
            found.append(Fill(float(value), chosen, row, which.sum() / n, where, why))
        else:
            doubts.append(f"{counted(int(which.sum()), 'sampled pixel')} with {why}")
    left = ~(constant & np.isin(pixels[:, 0], [fill.spectrum[0] for fill in found]))
    if (alike := _one_spectrum(kept.only(left), pixels[left], chosen, n)) is not None:
        found.append(alike)
    return tuple(found), tuple(doubts)


def partial_fill(sample: Sample, *, bbl: Flags | None = None) -> tuple[float, float] | None:
    """A customary no-data value that stands in some bands of some pixels, far beyond all others, and their share.

    One detector of two saw nothing there, say. None where no such value is; the most frequent where several are.
    """
    pixels = sample.pixels
    types = [float(np.iinfo(pixels.dtype).min)] if pixels.dtype.kind == "i" else []
    found = {v: same(pixels, v).any(1).mean() for v in (*CUSTOMARY, *types) if holds(pixels.dtype, v)}
    likely = [v for v, share in found.items() if share > 0 and makes_gaps(sample, v, bbl=bbl)]
    return max(((v, float(found[v])) for v in likely), key=lambda item: item[1], default=None)


@dataclass(frozen=True)
class _Lie:
    """How pixels lie: how many, which share at the border and in blocks elsewhere, whether many frame the scene."""

    n: int
    border: float
    blocks: float
    framed: bool

    @property
    def together(self) -> bool:
        return self.n >= FEWEST and (self.framed or self.border + self.blocks >= TOGETHER)

    @property
    def where(self) -> str:
        if not self.together:
            return "scattered"
        return "at the border" if self.border >= self.blocks else "in blocks"


def _judge(
    value: float, limits: tuple[float, float], dtype: np.dtype[Any], lie: _Lie, *, many: bool
) -> tuple[bool, str] | None:
    """Whether a value that pixels have in all bands is fill, and why; None where nothing speaks for it."""
    low, high = limits
    out, span = f"outside the other values, {low:.4g} to {high:.4g}", high - low
    if value < low and (value < min(low - span, 0) or (value in CUSTOMARY and beyond(value, limits))):
        return True, out
    if value > high + FAR_ABOVE * span:
        return True, out
    full = value == (np.iinfo(dtype).max if dtype.kind in "iu" else next((f for f in FULL if f == value), None))
    if full and value > high + ABOVE * span:
        return (True, f"the largest number of its type, {out}") if lie.together else None
    if many or not (value == 0 or value <= low):
        return None
    if lie.together:
        return True, "no ground is the same in every band"
    return False, f"{value:g} in all good bands, scattered: kept as data, --nodata {value:g} leaves them out"


def _lie(sample: Sample, which: Flags) -> _Lie:
    """How the pixels of the mask (n,) lie in the scene, by runs of them side by side."""
    rows, columns = sample.shape
    n = int(which.sum())
    follows = np.zeros(len(which), bool)
    follows[1:] = (np.diff(sample.row) == 0) & (np.diff(sample.column) == 1) & which[:-1]
    run = np.cumsum(which & ~follows)[which]  # number of the run that each of these pixels belongs to
    edge = (np.isin(sample.row, (0, rows - 1)) | np.isin(sample.column, (0, columns - 1)))[which]
    length = np.bincount(run)
    touches = np.bincount(run, weights=edge) > 0
    # a column of the detector that saw nothing is one pixel wide, all the way down
    looked = np.bincount(sample.column, minlength=columns)
    stripe = (looked >= FEWEST) & (np.bincount(sample.column[which], minlength=columns) >= TOGETHER * looked)
    long = (length[run] >= BLOCK_RUN) | stripe[sample.column[which]]
    border, blocks = touches[run], ~touches[run] & long
    framed = (border & long).sum() >= max(MANY, MANY_SHARE * len(which))
    return _Lie(n, float(border.sum() / max(n, 1)), float(blocks.sum() / max(n, 1)), bool(framed))


def _one_spectrum(sample: Sample, pixels: NDArray[Any], chosen: NDArray[np.intp], n: int) -> Fill | None:
    """A spectrum that the border of the scene shares while hardly any other two pixels are alike, or None."""
    if len(chosen) < SPECTRUM_BANDS or len(pixels) < SPECTRUM_FEWEST:
        return None
    rows = np.ascontiguousarray(pixels).view(np.dtype((np.void, pixels.dtype.itemsize * pixels.shape[1]))).ravel()
    _, first, group, counts = np.unique(rows, return_index=True, return_inverse=True, return_counts=True)
    most = int(counts.argmax())
    which = group == most
    others = np.delete(counts, most)
    if counts[most] < max(SPECTRUM_FEWEST, SPECTRUM_SHARE * n) or not len(others):
        return None
    spectrum, rest = pixels[first[most]], pixels[~which]
    clipped = (spectrum >= rest.max(0)).mean() > 0.5
    lie = _lie(sample, which)
    twins = others[others > 1].sum() / others.sum()
    if broken(spectrum).any() or clipped or lie.border < SPECTRUM_BORDER or twins > SPECTRUM_TWINS:
        return None
    value = float(spectrum[0]) if (spectrum == spectrum[0]).all() else None
    why = "hardly any other two pixels are alike"
    return Fill(value, chosen, spectrum, counts[most] / n, lie.where, why)


def _telling_bands(sample: Sample, bbl: Flags | None) -> NDArray[np.intp]:
    """Bands that the file does not mark as bad, that mostly hold numbers, and of more than one value."""
    pixels = sample.pixels
    if not len(pixels):
        return np.zeros(0, np.intp)
    lost = broken(pixels)
    low, high = np.where(lost, np.inf, pixels).min(0), np.where(lost, -np.inf, pixels).max(0)
    telling = (low < high) & (lost.mean(0) < DARK_SHARE)
    return np.flatnonzero(telling if bbl is None else telling & bbl)
