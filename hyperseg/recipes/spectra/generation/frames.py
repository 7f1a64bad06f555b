"""What a class is like to a Gaussian: spectra and patches are modelled as what they differ from it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Float64 = NDArray[np.float64]
Labels = NDArray[np.int64]
SHARED = 20.0  # a class trusts its own covariance as much as the pooled one when it has so many pixels
LEAST = 1e-6  # of the mean variance, added to each: a class may never differ in some direction


@dataclass(frozen=True, eq=False)
class Frames:
    """A Gaussian for each of K classes, in which components are standard.

    The roots are lower triangular: the first standard components depend on the first components alone, and the others
    are what these do not explain.

    Attributes:
        mean: (K, C').
        root: (K, C', C') Cholesky factors of the covariances, each shrunk towards what the classes have in common.
    """

    mean: Float64
    root: Float64

    def inside(self, components: Float64, labels: Labels) -> Float64:
        """(n, ..., C') components of (n,) classes -> the same as standard components of their class."""
        out = np.empty_like(components)
        for k in np.unique(labels):
            own = components[labels == k] - self.mean[k]
            flat = own.reshape(-1, own.shape[-1]).T
            out[labels == k] = np.linalg.solve(self.root[k], flat).T.reshape(own.shape)
        return out

    def outside(self, standard: Float64, labels: Labels) -> Float64:
        """The inverse of `inside`."""
        out = np.empty_like(standard)
        for k in np.unique(labels):
            out[labels == k] = standard[labels == k] @ self.root[k].T + self.mean[k]
        return out


def fit_frames(components: Float64, labels: Labels) -> Frames:
    """Learn them from (n, C') components of (n,) classes 0..K-1, all of which occur."""
    mean = np.stack([components[labels == k].mean(0) for k in range(int(labels.max()) + 1)])
    away = components - mean[labels]
    pooled = away.T @ away / len(away)
    floor = LEAST * np.trace(pooled) / len(pooled) * np.eye(len(pooled))
    roots = []
    for k in range(len(mean)):
        own = away[labels == k]
        roots.append(np.linalg.cholesky((own.T @ own + SHARED * pooled) / (len(own) + SHARED) + floor))
    return Frames(mean, np.stack(roots))
