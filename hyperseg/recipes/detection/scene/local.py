"""ACE against the surroundings of each pixel: the classical answer to backgrounds that differ from place to place."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import ndimage

from hyperseg.core import Scene
from hyperseg.recipes.detection.scene.background import Background, Float32, Float64
from hyperseg.recipes.mapping.windows import plan_windows

INNER, OUTER = 5, 21  # sides in pixels of the square that is left out, and of the one whose mean is the background
WINDOWS, SIDE = 16, 64  # that the spread about local means is learned from
FLOOR = 1e-6


@dataclass(frozen=True, eq=False)
class LocalBackground:
    """The spread of a scene's spectra about the mean of their surroundings.

    Attributes:
        background: of the whole scene; it whitens first.
        matrix: (C', C') that whitens differences to local means, by its rows.
    """

    background: Background
    matrix: Float64

    def signed_ace(self, spectra: ArrayLike) -> Float32:
        """(h, w, C) raw spectra of a window -> (h, w) ACE against local means, with the sign of the local filter.

        Source: Kraut & Scharf 1999; the mean from a ring around the pixel, the covariance about such means from all of
            the scene.
        Differs: near the border the window's own pixels are mirrored.
        """
        y = self.background.whitening(spectra)
        mean = ring_mean(y)
        pixel, target = (y - mean) @ self.matrix.T, (self.background.whitened_target - mean) @ self.matrix.T
        product = (pixel * target).sum(-1)
        norm = np.square(pixel).sum(-1) * np.square(target).sum(-1)
        return (np.sign(product) * np.square(product) / np.where(norm > 0, norm, 1)).astype(np.float32)


def fit_local(scene: Scene, background: Background) -> LocalBackground:
    """Learn how spectra differ from their surroundings, from some windows all over a scene."""
    windows = plan_windows(scene, halo_px=0, side=SIDE)
    chosen = np.unique(np.linspace(0, len(windows) - 1, WINDOWS).astype(int))
    rows = []
    for i in chosen:
        y = background.whitening(np.asarray(scene.cube[windows[i].core_slices]))
        rows.append((y - ring_mean(y)).reshape(-1, y.shape[-1]))
    differences = np.concatenate(rows)
    values, vectors = np.linalg.eigh(differences.T @ differences / len(differences))
    values = np.maximum(values, FLOOR * values.mean())
    return LocalBackground(background, vectors.T / np.sqrt(values)[:, None])


def ring_mean(values: NDArray[np.float64]) -> Float64:
    """(h, w, C') mean of the pixels around each one: a square of 21 pixels without the inner square of 5."""
    outer, inner = (ndimage.uniform_filter(values, (side, side, 1), mode="mirror") * side**2 for side in (OUTER, INNER))
    return np.asarray((outer - inner) / (OUTER**2 - INNER**2))
