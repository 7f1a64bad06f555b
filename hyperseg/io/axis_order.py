"""Which axis of a cube holds its bands where nobody says: judged from the numbers, and only where they are clear."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from hyperseg.core import Cube
from hyperseg.io.formats.windows import LazyCube

SAMPLED = 64  # of each axis
READ_BYTES = 64 * 2**20  # of a cube that is read by window; of a larger one a block in its middle is looked at
# the axis of the bands has this share of the variance for itself, and so many times the next one's; no other spans
# clearly fewer dimensions; and in both together it is so many times ahead
LEAST_SHARE, AHEAD, NOT_BEHIND, AHEAD_IN_BOTH = 0.05, 1.5, 0.8, 4.0


def band_axis(cube: Cube, nodata: float | None = None) -> int | None:
    """The axis along which the bands seem to lie, or None where the numbers do not tell.

    Two things have to agree. All pixels share much of their spectrum (light, atmosphere), so that the mean over the
    other two axes differs most along the bands, while means of rows and of columns are much alike. And once those
    means are taken out, the spectra of a scene are mixtures of few: the slices across the bands span few dimensions,
    those across rows and columns as many as the picture has details.
    """
    sample = _sample(cube, nodata)
    if sample is None:
        return None
    means = [sample.mean(axis=tuple(a for a in range(3) if a != axis)) for axis in range(3)]
    total = sample.var()
    shares = np.array([mean.var() / total for mean in means])
    rest = sample - sample.mean()
    for axis, mean in enumerate(means):
        rest = rest - (mean - sample.mean()).reshape([-1 if a == axis else 1 for a in range(3)])
    spanned = np.array([_dimensions(np.moveaxis(rest, axis, 0)) for axis in range(3)])
    first, second = np.argsort(-shares)[:2]
    lead = shares[first] / max(shares[second], 1e-9)
    fewer = np.delete(spanned, first).min() / spanned[first]
    clear = shares[first] >= LEAST_SHARE and lead >= AHEAD and fewer >= NOT_BEHIND and lead * fewer >= AHEAD_IN_BOTH
    return int(first) if clear else None


def _sample(cube: Any, nodata: float | None) -> NDArray[np.float64] | None:
    """A part of the cube, what is missing replaced by the mean; None where there is too little or nothing in it."""
    shape = cube.shape
    if isinstance(cube, LazyCube) and cube.nbytes > READ_BYTES:
        block = cube[tuple(slice(max(0, (n - SAMPLED) // 2), (n + SAMPLED) // 2) for n in shape)]
    else:
        whole = cube[...] if isinstance(cube, LazyCube) else cube
        block = whole[tuple(slice(None, None, -(-n // SAMPLED)) for n in shape)]
    values = np.array(block, np.float64)
    known = np.isfinite(values) & (np.abs(values) < 1e20)
    if nodata is not None:
        known &= values != nodata
    if min(values.shape) < 3 or known.mean() < 0.5:
        return None
    values[~known] = values[known].mean()
    return values if values.var() > 0 else None


def _dimensions(slices: NDArray[np.float64]) -> float:
    """How many dimensions the slices along the first axis span: the exponential of the entropy of their spectrum."""
    flat = slices.reshape(len(slices), -1)
    scale = np.abs(flat).max()
    if scale == 0:
        return 1.0
    flat = flat / scale
    powers = np.clip(np.linalg.eigvalsh(flat @ flat.T), 0, None)
    shares = powers[powers > 0] / powers.sum()
    return float(np.exp(-(shares * np.log(shares)).sum()))
