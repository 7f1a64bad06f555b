"""What a scene and its training pixels are like, in a dozen numbers: everything that a plan of a training follows from.

Values and classes are those of training pixels alone. The numbers stay the same when classes are renumbered, and, of no
more than `MOST_PIXELS` training pixels, when the scene is turned or mirrored.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hyperseg.core import Scene, Split, SplitError
from hyperseg.data.fingerprint import band_noise, usable_bands
from hyperseg.data.preprocess import gather_spectra

MOST_PIXELS = 4_000  # training pixels whose parcels and values are looked at; more are thinned evenly
LINK = 3.0  # times the mean distance to the next training pixel of the class: what is nearer is one parcel
FEWEST = 4  # training pixels that tell the size of a parcel


@dataclass(frozen=True)
class SceneFacts:
    """What the plan of a scene follows from.

    Attributes:
        rows, columns: of the scene, in pixels.
        bands: that can be used.
        classes: that have training pixels.
        labels: training pixels.
        density: share of the valid pixels that train.
        rarest: training pixels of the class that has fewest.
        parcels: patches of training pixels of one class that lie together.
        parcel_px: median side of those with `FEWEST` pixels or more: of a square as large as the box around one.
        spacing_px: median distance from a training pixel to the next one of its class.
        noise: of a usual band, as a share of the spread of its values: 0 is none, 1 nothing but noise.
    """

    rows: int
    columns: int
    bands: int
    classes: int
    labels: int
    density: float
    rarest: int
    parcels: int
    parcel_px: float
    spacing_px: float
    noise: float


def facts_of(scene: Scene, split: Split) -> SceneFacts:
    """The facts of a scene (rows, columns, bands), of whose labels those of training pixels are read.

    Raises:
        SplitError: no training pixel.
    """
    if not split.train.any():
        raise SplitError(f"{scene.name}: the split has no training pixel, and a plan follows from them.")
    assert scene.labels is not None
    classes = scene.labels[split.train]
    bands, noise = noise_of(gather_spectra(scene, split.train), classes, good_bands=scene.good_bands)
    counts = np.unique(classes, return_counts=True)[1]
    valid = int(np.prod(scene.shape)) if scene.valid is None else int(scene.valid.sum())
    boxes, spacing = _parcels(np.argwhere(split.train), classes)
    rows, columns = scene.shape
    return SceneFacts(
        rows, columns, bands, len(counts), len(classes), len(classes) / valid, int(counts.min()),
        len(boxes), _side(boxes), spacing, noise,
    )  # fmt: skip


def noise_of(
    spectra: NDArray[np.float32], classes: NDArray[np.int16], *, good_bands: NDArray[np.bool_] | None = None
) -> tuple[int, float]:
    """Usable bands of (n, C) training spectra, and the noise of a usual one as a share of its spread, to three digits.

    The noise is that of `data.fingerprint`, an upper estimate; 0 where nothing tells it.
    """
    if not len(spectra):
        return 0, 0.0
    usable, chosen = usable_bands(spectra, good_bands), thinned(len(spectra))
    values, classes = spectra[chosen][:, usable].astype(np.float64), classes[chosen]
    found = [n for n in band_noise(values, classes) if n is not None]
    spread = values.std(0)[1:-1]
    if not found or not (spread > 0).any():
        return int(usable.sum()), 0.0
    share = np.divide(found, spread, out=np.full(len(spread), np.nan), where=spread > 0)
    return int(usable.sum()), float(f"{np.nanmedian(share):.3g}")


def thinned(n: int) -> NDArray[np.int64]:
    """Indices of n training pixels, of many evenly chosen ones."""
    return np.linspace(0, n - 1, min(n, MOST_PIXELS)).round().astype(np.int64)


def _parcels(places: NDArray[np.intp], classes: NDArray[np.int16]) -> tuple[list[tuple[int, NDArray[np.intp]]], float]:
    """(pixels, sides of the box around them) of every parcel, and the usual distance within a class."""
    from scipy.sparse.csgraph import connected_components
    from scipy.spatial import cKDTree

    everywhere = [_nearest(places[classes == k]) for k in np.unique(classes)]
    places, classes = places[thinned(len(places))], classes[thinned(len(places))]
    found = []
    for k in np.unique(classes):
        mine = places[classes == k]
        tree = cKDTree(mine)
        graph = tree.sparse_distance_matrix(tree, LINK * float(_nearest(mine).mean()) + 1e-9)
        _, part = connected_components(graph, directed=False)
        for i in np.unique(part):
            inside = mine[part == i]
            found.append((len(inside), np.ptp(inside, axis=0) + 1))
    return found, float(np.median(np.concatenate(everywhere)))


def _nearest(places: NDArray[np.intp]) -> NDArray[np.float64]:
    """(n,) distance from each of (n, 2) places to the next one; 1 where there is a single one."""
    from scipy.spatial import cKDTree

    tree = cKDTree(places)
    near: NDArray[np.float64] = tree.query(tree.data, k=2)[0][:, 1] if tree.n > 1 else np.ones(1)
    return near


def _side(boxes: list[tuple[int, NDArray[np.intp]]]) -> float:
    """Median side of the parcels that have pixels enough to tell; of all where none has."""
    told = [box for n, box in boxes if n >= FEWEST] or [box for _, box in boxes]
    return float(f"{np.median([np.sqrt(np.prod(box)) for box in told]):.3g}")
