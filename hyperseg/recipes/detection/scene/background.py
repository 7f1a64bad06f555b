"""What a scene looks like without targets, and what is read from it: ACE, the matched filter, a detector's channels."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from hyperseg.core import Scene, SceneError
from hyperseg.core.words import counted
from hyperseg.recipes.detection.scene.positions import Mask
from hyperseg.recipes.detection.scene.spectrum import Target
from hyperseg.recipes.spectra.pixels import learning_spectra
from hyperseg.recipes.spectra.whitening import Whitening, fit_whitening

Float32 = NDArray[np.float32]
Float64 = NDArray[np.float64]

PIXELS = 20000  # that the covariance is learned from, at most
FEW = 3  # pixels per band, below which the covariance is poorly known
HIDDEN = 2.0  # standard deviations of the background that a whole pixel of the target stands out by, at least


@dataclass(frozen=True, eq=False)
class Background:
    """A Gaussian of a scene's spectra, and the target in it.

    Attributes:
        whitening: of pixels from all over the scene; where they are known, without those of the target.
        target: (C,) spectrum in the scene's units.
        components: (P,) which whitened components are a detector's channels.
        n_pixels: that the Gaussian was learned from.
    """

    whitening: Whitening
    target: Float64
    components: NDArray[np.int64]
    n_pixels: int

    @cached_property
    def whitened_target(self) -> Float64:
        """(C',) whitened difference of the target to the background's mean."""
        return self.whitening(self.target)

    @property
    def contrast(self) -> float:
        """Standard deviations of the background that a pixel full of the target stands out by."""
        return float(np.linalg.norm(self.whitened_target))

    @property
    def held(self) -> float:
        """Share of the squared contrast that a detector's channels hold."""
        whole = np.square(self.whitened_target)
        return float(whole[self.components].sum() / whole.sum())

    @cached_property
    def _package(self) -> tuple[Any, Any]:
        """ACE and matched filter of the package spectral."""
        from spectral import GaussianStats
        from spectral.algorithms.detectors import ACE, MatchedFilter

        w = self.whitening
        cov = (w.axes.T * np.square(w.spread)) @ w.axes
        stats = GaussianStats(mean=w.mean, cov=cov, nsamples=self.n_pixels)
        sought = w.preprocess(self.target).astype(np.float64)
        return ACE(sought, background=stats), MatchedFilter(stats, sought)

    def ace(self, spectra: ArrayLike) -> Float32:
        """(..., C) raw spectra -> (...) ACE, 0 to 1: squared cosine to the target in whitened space.

        Source: Kraut & Scharf, "The CFAR adaptive subspace detector is a scale-invariant GLRT", IEEE Trans. Signal
            Processing 47(9), 1999; computed by the package spectral.
        """
        return self._by(self._package[0], spectra)

    def matched(self, spectra: ArrayLike) -> Float32:
        """(..., C) raw spectra -> (...) matched filter: 0 for the mean of the background, 1 for the target."""
        return self._by(self._package[1], spectra)

    def signed_ace(self, spectra: ArrayLike) -> Float32:
        """(..., C) raw spectra -> (...) ACE with the sign of the matched filter: the opposite of the target is low."""
        return self.ace(spectra) * np.sign(self.matched(spectra))

    def channels(self, spectra: ArrayLike, *, with_ace: bool) -> Float32:
        """(..., C) raw spectra -> (..., P [+ 1]) what a detector reads.

        Whitened components, squeezed by arcsinh as single pixels stand far out; and, where asked for, the signed cosine
        of ACE in units of its spread over noise.
        """
        y = self.whitening(spectra)
        out = np.arcsinh(y[..., self.components])
        if with_ace:
            norm = np.linalg.norm(y, axis=-1) * max(self.contrast, 1e-12)
            cosine = (y @ self.whitened_target) / np.where(norm > 0, norm, 1)
            out = np.concatenate([out, np.arcsinh(np.sqrt(self.whitening.n_used) * cosine)[..., None]], -1)
        return out.astype(np.float32)

    def _by(self, filter_: Any, spectra: ArrayLike) -> Float32:
        z = self.whitening.preprocess(spectra).astype(np.float64)
        rows = z.reshape(-1, z.shape[-1])
        with np.errstate(divide="ignore", invalid="ignore"):
            out = np.asarray(filter_(rows), np.float64).reshape(z.shape[:-1])
        return np.where(np.isfinite(out), out, 0).astype(np.float32)


def fit_background(scene: Scene, target: Target, *, components: int, seed: int = 0) -> Background:
    """Learn the Gaussian of a scene's spectra.

    A detector's channels are the whitened components in which the target stands out most. A Gaussian of all pixels
    knows nothing of where targets are, known ones are left out: all methods are given the same.

    Args:
        components: P, at most.

    Raises:
        SceneError: too few pixels for the bands.
    """
    good = target.covered if scene.good_bands is None else target.covered & scene.good_bands
    clean = scene.with_(good_bands=good)
    learn: Mask | None = None if target.known is None else ~target.known
    spectra = learning_spectra(clean, learn, most=PIXELS, seed=seed)
    n = int(good.sum())
    if len(spectra) < n + 2:
        raise SceneError(
            f"{scene.name}: {counted(len(spectra), 'pixel')} with data for {n} bands; the background of a scene is "
            "learned from more pixels than bands. Give a larger scene, or one of fewer bands."
        )
    whitening = fit_whitening(spectra, good_bands=good)
    made = whitening(target.spectrum)
    order = np.argsort(-np.abs(made), kind="stable")[:components]
    return Background(whitening, target.spectrum, np.sort(order), len(spectra))


def background_cautions(background: Background, scene: Scene) -> list[str]:
    """What speaks against believing in any of the scores."""
    out = []
    if background.contrast < HIDDEN:
        out.append(
            f"A whole pixel of the target stands out by {background.contrast:.1f} standard deviations of the "
            "background: it looks like the background, and neither ACE nor any detector can tell them apart."
        )
    n = background.whitening.n_used
    if background.n_pixels < FEW * n:
        out.append(
            f"The background of {n} bands was learned from {background.n_pixels} pixels: fewer than {FEW} for each "
            f"band, so {scene.name} looks better separated to itself than a new scene would."
        )
    return out
