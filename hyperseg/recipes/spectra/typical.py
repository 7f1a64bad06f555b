"""What a model of spectra finds usual, and which bands of a strange spectrum are not."""

from __future__ import annotations

from dataclasses import dataclass, fields

import numpy as np
from numpy.typing import ArrayLike, NDArray

from hyperseg.core.parts import Arrays, prefixed, unprefixed
from hyperseg.recipes.spectra.model import SpectraModel

MOST = 2000  # spectra that say what is usual
Float32 = NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class Typical:
    """Numbers of the spectra that were learned from; each (C,), 0 for bands that are not in use.

    Attributes:
        low, middle, high: 5th, 50th and 95th percentile.
        miss: root mean square of what a spectrum differs by from what the model expects of it.
        bits: (101,) percentiles of their bits per band.
    """

    low: Float32
    middle: Float32
    high: Float32
    miss: Float32
    bits: Float32

    def to_arrays(self) -> Arrays:
        return prefixed("typical", {f.name: getattr(self, f.name) for f in fields(self)})

    @classmethod
    def from_arrays(cls, arrays: Arrays) -> Typical:
        return cls(**unprefixed("typical", arrays))


def typical_of(model: SpectraModel, spectra: Float32, *, seed: int) -> Typical:
    """What is usual among (n, C) spectra that were learned from."""
    if len(spectra) > MOST:
        spectra = spectra[np.random.default_rng(seed).choice(len(spectra), MOST, replace=False)]
    unused = ~model.whitening.preprocess.keep
    low, middle, high = np.percentile(spectra, (5, 50, 95), axis=0).astype(np.float32)
    for values in (low, middle, high):
        values[unused] = 0  # arrays of a run hold no NaN
    miss = np.sqrt(np.square(spectra - model.expected(spectra)).mean(0)).astype(np.float32)
    bits = np.percentile(model.score(spectra)[0], np.arange(101)).astype(np.float32)
    return Typical(low, middle, high, np.nan_to_num(miss), bits)


def surprise_of_bands(model: SpectraModel, typical: Typical, spectra: ArrayLike) -> Float32:
    """(n, C) by how much more than usual a band differs from what the model expects; NaN for bands not in use."""
    x = np.asarray(spectra, np.float32)
    usual = np.where(typical.miss > 0, typical.miss, np.nan)
    return ((x - model.expected(x)) / usual).astype(np.float32)
