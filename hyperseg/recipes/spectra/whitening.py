"""The Gaussian that spectra are measured against: whitening, Mahalanobis distance, and a density in bits per band."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from hyperseg.core import SceneError
from hyperseg.core.parts import Arrays, prefixed, unprefixed
from hyperseg.data.preprocess import Preprocess, fit_preprocess

Float64 = NDArray[np.float64]
FLOOR = 1e-6  # of the mean variance: what directions have at least in which the pixels never differ


@dataclass(frozen=True, eq=False)
class Whitening:
    """Spectra as principal components of unit variance, all of them, and back.

    Attributes:
        preprocess: standardises the bands in use.
        mean: (C',) of the standardised bands.
        axes: (C', C') orthonormal rows, by falling variance.
        spread: (C',) standard deviation along each.
    """

    preprocess: Preprocess
    mean: Float64
    axes: Float64
    spread: Float64

    @property
    def n_used(self) -> int:
        """C', the number of bands in use."""
        return len(self.mean)

    def __call__(self, spectra: ArrayLike) -> Float64:
        """(..., C) raw spectra -> (..., C') whitened components."""
        return (self.preprocess(spectra).astype(np.float64) - self.mean) @ self.axes.T / self.spread

    def restore(self, components: ArrayLike) -> NDArray[np.float32]:
        """(..., C') whitened components -> (..., C) raw spectra; bands that are not in use are NaN."""
        return self.preprocess.restore((np.asarray(components) * self.spread) @ self.axes + self.mean)

    @cached_property
    def constant(self) -> float:
        """Nats that a Gaussian's density has beside half the distance: of standardised bands."""
        return float(np.log(self.spread).sum()) + self.n_used / 2 * math.log(2 * math.pi)

    def bits(self, nats: ArrayLike) -> Float64:
        """Nats of whole spectra (without `constant`) as bits per band."""
        return (np.asarray(nats) + self.constant) / (self.n_used * math.log(2))

    def to_arrays(self) -> Arrays:
        """Named arrays; `from_arrays` is the inverse."""
        own = {"mean": self.mean, "axes": self.axes, "spread": self.spread}
        return prefixed("whitening", own) | prefixed("preprocess", self.preprocess.to_arrays())

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, NDArray[Any]]) -> Whitening:
        """Rebuild from `to_arrays`; further names are ignored."""
        own = unprefixed("whitening", arrays)
        return cls(Preprocess.from_arrays(unprefixed("preprocess", arrays)), own["mean"], own["axes"], own["spread"])


def fit_whitening(spectra: ArrayLike, *, good_bands: NDArray[np.bool_] | None = None) -> Whitening:
    """Learn the Gaussian from (n, C) raw spectra.

    Raises:
        SceneError: fewer than two spectra, or no band is usable.
    """
    x = np.asarray(spectra)
    if len(x) < 2:
        raise SceneError(f"a spread of spectra is learned from 2 or more, got {len(x)}.")
    preprocess = fit_preprocess(x, good_bands=good_bands)
    z = preprocess(x).astype(np.float64)
    mean = z.mean(0)
    values, vectors = np.linalg.eigh((z - mean).T @ (z - mean) / len(z))
    values = np.maximum(values, FLOOR * values.mean())[::-1]
    axes = vectors.T[::-1]
    # the sign of a direction makes its largest entry positive, so that equal data give equal components
    axes = axes * np.sign(axes[np.arange(len(axes)), np.abs(axes).argmax(1)])[:, None]
    return Whitening(preprocess, mean, axes, np.sqrt(values))


def reed_xiaoli(whitened: ArrayLike) -> Float64:
    """(..., C') whitened spectra -> (...) squared Mahalanobis distance.

    Source: Reed & Yu, "Adaptive multiple-band CFAR detection of an optical pattern with unknown spectral
        distribution", IEEE Trans. ASSP 38(10), 1990; here with mean and covariance of all learned pixels (global).
    """
    return np.square(np.asarray(whitened, np.float64)).sum(-1)
