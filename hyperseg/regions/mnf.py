"""Minimum noise fraction: the directions in which a scene differs most from its own noise."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from hyperseg.core import Scene
from hyperseg.data.preprocess import Preprocess, fit_preprocess

SMALLEST = 0.7  # share of neighbour differences taken for noise; the others may be borders
RIDGE = 1e-4  # share of the mean noise variance added to all bands, so that a band without noise divides by something
BLOCK_PX = 4_096  # read at a time
MOST_SPECTRA = 60_000  # read for the statistics; more of a large scene changes nothing
LEAST_PAIRS = 3  # per band, or the covariance of the noise is a guess


def fit_mnf(scene: Scene, n: int) -> tuple[Preprocess, NDArray[np.float64]] | None:
    """The map from raw spectra to `n` MNF components, learnt from spectra of all pixels; labels are not looked at.

    Bands are standardised. Noise is what differs between neighbours, of which the smallest differences are taken:
    large ones are borders. Components have noise of unit variance, the most signal first.

    Args:
        scene: (H, W, C); of large ones every k-th block of rows is read.
        n: components; fewer where there are fewer bands.

    Returns:
        The map, and the (n,) ratio of the variance of every component to that of its noise; None for scenes with too
        few neighbours to tell noise from signal.

    Source: Green et al. 1988, IEEE Trans. Geosci. Remote Sens. 26:65. Differs: noise from the smallest 70 % of the
        differences between neighbours, after standardisation.
    """
    blocks = list(_sampled(scene))
    spectra = np.concatenate([raw[valid] for raw, valid in blocks])
    if len(spectra) < 2:
        return None
    bands = fit_preprocess(spectra, good_bands=scene.good_bands)
    standard = [(bands(raw), valid) for raw, valid in blocks]
    values = np.concatenate([block[valid] for block, valid in standard]).astype(np.float64)
    differences = np.concatenate([part for block, valid in standard for part in _differences(block, valid)])
    size = (differences**2).sum(1)
    differences = differences[size <= np.quantile(size, SMALLEST)] if len(size) else differences
    if len(differences) < LEAST_PAIRS * bands.n_out:
        return None
    noise = differences.T @ differences / len(differences) / 2
    level = np.trace(noise) / len(noise)
    if not level > 0:
        level = 1.0
    found, vectors = np.linalg.eigh(noise + RIDGE * level * np.eye(len(noise)))
    whitening = vectors / np.sqrt(found)
    ratios, axes = np.linalg.eigh(np.atleast_2d(np.cov((values @ whitening).T)))
    order = np.argsort(-ratios, kind="stable")[:n]
    rows = (whitening @ axes[:, order]).T
    rows *= np.sign(rows[np.arange(len(rows)), np.abs(rows).argmax(1)])[:, None]  # equal data, equal components
    return replace(bands, components=rows.astype(np.float32)), np.maximum(ratios[order], 0.0)


def damped(components: NDArray[np.floating], ratios: NDArray[np.floating]) -> NDArray[np.floating]:
    """Components over the fourth root of their ratio, so that those of much signal do not decide alone. Ours."""
    n = components.shape[-1]
    return np.asarray(components / np.maximum(ratios[:n], 1.0) ** 0.25)


def _sampled(scene: Scene) -> Iterator[tuple[NDArray[np.float32], NDArray[np.bool_]]]:
    """Blocks of rows: (h, w, C) raw spectra, and (h, w) where they hold data."""
    height, width = scene.shape
    rows_each = max(2, BLOCK_PX // width)
    starts = range(0, height, rows_each)
    step = max(1, round(height * width / MOST_SPECTRA))
    for start in starts[::step]:
        rows = slice(start, min(start + rows_each, height))
        raw = np.asarray(scene.cube[rows]).astype(np.float32)
        yield raw, np.ones(raw.shape[:2], bool) if scene.valid is None else scene.valid[rows]


def _differences(block: NDArray[np.float32], valid: NDArray[np.bool_]) -> Iterator[NDArray[np.float64]]:
    """(m, C) between neighbours in a row of (h, w, C) standardised spectra, then in a column."""
    for a, b in ((np.s_[:, 1:], np.s_[:, :-1]), (np.s_[1:], np.s_[:-1])):
        yield np.subtract(block[a], block[b], dtype=np.float64)[valid[a] & valid[b]]
