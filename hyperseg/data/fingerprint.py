"""What a report says about a scene in numbers."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from hyperseg.core import UNLABELLED, Scene, Split, SplitError
from hyperseg.data.preprocess import gather_spectra


def fingerprint(scene: Scene, split: Split) -> dict[str, Any]:
    """What a report says about a scene, as JSON types; values and noise from training pixels only.

    The noise of a band is the robust spread, around the median of its class, of the difference between the
    band and the mean of its two neighbours, divided by sqrt(1.5) as if all three had the same noise. It
    contains true narrow features, so it is an upper estimate.
    """
    if not split.train.any():
        raise SplitError(f"{scene.name}: the split has no training pixel to take a fingerprint from.")
    spectra = gather_spectra(scene, split.train)
    usable = usable_bands(spectra, scene.good_bands)
    values = spectra[:, usable].astype(np.float64)
    labels = np.full(scene.shape, UNLABELLED, np.int16) if scene.labels is None else scene.labels
    counts = dict(zip(("train", "val", "test"), split.counts(labels, scene.n_classes), strict=True))
    levels = (1, 25, 50, 75, 99)
    quantiles = np.percentile(values, levels) if values.size else np.full(len(levels), np.nan)
    return {
        "name": scene.name,
        "shape": list(scene.shape),
        "bands": scene.n_bands,
        "bands_usable": int(usable.sum()),
        "dtype": str(scene.cube.dtype),
        "labelled_per_class": {
            name: {part: int(c[k]) for part, c in counts.items()} for k, name in enumerate(scene.classes)
        },
        "value_percentiles": {str(p): float(q) for p, q in zip(levels, quantiles, strict=True)},
        "band_noise": band_noise(values, labels[split.train]),
        "band_noise_index": np.flatnonzero(usable)[1:-1].tolist(),
    }


def usable_bands(spectra: NDArray[np.float32], good_bands: NDArray[np.bool_] | None) -> NDArray[np.bool_]:
    """(C,) bool: bands that are not marked bad and have a value in every one of the (n, C) spectra."""
    usable = np.asarray(np.isfinite(spectra).all(0))
    if good_bands is not None:
        usable &= good_bands
    return usable


def band_noise(values: NDArray[np.float64], labels: NDArray[np.int16]) -> list[float | None]:
    """Noise of bands 1..C-2 of (n, C) spectra; None where every class has a single pixel."""
    if values.shape[1] < 3:
        return []
    ripple = values[:, 1:-1] - (values[:, :-2] + values[:, 2:]) / 2
    parts = [ripple[labels == k] for k in np.unique(labels)]
    centred = [p - np.median(p, 0) for p in parts if len(p) > 1]
    if not centred:
        return [None] * ripple.shape[1]
    return (1.4826 * np.median(np.abs(np.concatenate(centred)), 0) / np.sqrt(1.5)).tolist()
