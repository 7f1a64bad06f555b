"""Where a map can be judged by its test pixels: the area that looks like something that was trained on.

Source: H. Meyer and E. Pebesma, Predicting into unknown space? Estimating the area of applicability of spatial
prediction models, Methods in Ecology and Evolution 12, 2021 (arXiv 2005.07939): the dissimilarity index is the distance
to the nearest training sample over the mean distance among training samples; the threshold is the largest index of
training samples, measured to those of other folds, that is no outlier (third quartile and 1.5 quartile ranges).

Differs: bands are not weighted by their importance to the model but whitened within classes, as the default network
reads them, whatever the method; of that space the principal axes are kept one by one and the rest as one number,
because in two hundred whitened bands every distance is noise. The unit is the mean of 3 x 3 pixels, so a training
sample is also left out where its square overlaps the one that is measured. Training samples beyond `MOST_SAMPLES`
are thinned.

Measured on Indian Pines (parcel splits, seeds 0-4, the network of `classify`, OA of all test pixels 51 %): share of the
scene outside, OA inside and outside, and in how many of the seeds inside was better. Rows: what one sample is; with
the own whitening, or standardised bands only; all bands, or ten axes and the rest:

    one pixel, whitened, all bands             10 %, 49, 58, few (seeds 0-3; overlaps not left out)
    one pixel, standardised, all bands          8 %, 50, 54, few (seeds 0-3; overlaps not left out)
    one pixel, whitened, ten axes              27 %, 52, 47, 3/5
    3 x 3 pixels, standardised, ten axes       10 %, 51, 50, 2/5
    3 x 3 pixels, whitened, ten axes           28 %, 55, 39, 5/5 (five axes 53, 46; twenty 53, 43)
    9 x 9 pixels, whitened, ten axes            1 %, 51, 52, 2/5

The same layer tells the errors of an SVM on standardised single pixels apart: 48 % inside, 34 % outside, 5/5; on seeds
10-19, which chose nothing, 51 and 40 %, 9/10, and those of LDA, 51 and 37 %, 10/10.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, fields, replace
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hyperseg.core import LabelError, Scene, SceneError, Split
from hyperseg.core.parts import prefixed, unprefixed
from hyperseg.data.preprocess import Preprocess, fit_preprocess, gather_spectra, row_blocks
from hyperseg.data.splits import folds
from hyperseg.io.look.valid import valid_at
from hyperseg.io.look.values import plain

Floats = NDArray[np.float64]
Mask = NDArray[np.bool_]
Each = Callable[[Callable[[int], None], Iterable[int]], Iterable[None]]

OUTSIDE = 1.0  # of a dissimilarity over its threshold: beyond it
REACH_PX = 1  # a sample is the mean of the square of this reach around a pixel
AXES = 10
FOLDS = 5
FEWEST_SAMPLES = 10
MOST_SAMPLES = 2000
STRIP_BYTES, STRIP_BYTES_ON_GPU = 4 << 20, 256 << 20  # of float32 bands, in a strip of rows
ROUNDING = 1e-12  # of a squared distance, as a share of the squared length of a sample
ARRAYS = ("axes", "centre", "samples", "threshold", "mean_distance", "own_share")


@dataclass(frozen=True, eq=False)
class Applicability:
    """Training samples, and how far from them a pixel may lie.

    Attributes:
        preprocess: bands whitened within classes, fitted on training pixels.
        axes: (P, F) orthonormal principal directions of the whitened training samples.
        centre: (F,) their mean.
        samples: (n, P + 1) training samples: along the axes, and the distance from their span.
        threshold: (1,) largest distance to the nearest sample that counts as inside.
        mean_distance: (1,) among the samples, which makes a dissimilarity index of a distance.
        own_share: (1,) share of the scene trained on that lies outside, from 0 to 1; NaN where nobody looked.
    """

    preprocess: Preprocess
    axes: Floats
    centre: Floats
    samples: Floats
    threshold: Floats
    mean_distance: Floats
    own_share: Floats

    def to_arrays(self) -> dict[str, NDArray[Any]]:
        """Named arrays for a safetensors file; `from_arrays` is the inverse."""
        return {name: getattr(self, name) for name in ARRAYS} | prefixed("preprocess", self.preprocess.to_arrays())

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, NDArray[Any]]) -> Applicability | None:
        """Rebuild from `to_arrays`; None for a run that kept none."""
        if not arrays:
            return None
        if missing := {f.name for f in fields(cls)} - {name.split(".")[0] for name in arrays}:
            raise SceneError(f"these are not the arrays of an area of applicability: {sorted(missing)} missing.")
        numbers = {name: np.asarray(arrays[name], np.float64) for name in ARRAYS}
        return cls(preprocess=Preprocess.from_arrays(unprefixed("preprocess", arrays)), **numbers)

    @property
    def index_limit(self) -> float:
        """The threshold as a dissimilarity index."""
        return float(self.threshold.item() / self.mean_distance.item())

    def over_threshold(
        self, block: NDArray[Any], valid: Mask, *, device: str = "cpu", each: Each = map
    ) -> NDArray[np.float32]:
        """(h, w) dissimilarity over its threshold: up to 1 inside, more outside, NaN without data.

        Says the same of a pixel whatever block it comes in, where that holds its square of 3 x 3 pixels.

        Args:
            block: (h, w, C) raw values.
            valid: (h, w) pixels that hold data; others count neither in their own square nor in any.
            device: where it is worked out.
            each: how strips of rows are worked through: as `map`, or several at a time.
        """
        import torch

        from hyperseg.data.dissimilarity import Dissimilarity

        out = np.full(valid.shape, np.nan, np.float32)
        measure = Dissimilarity(self._standard.on(device), *self._turned, self.samples)
        strip = STRIP_BYTES if device == "cpu" else STRIP_BYTES_ON_GPU
        rows = max(1, strip // max(1, 4 * valid.shape[1] * len(self.preprocess.mean)))

        def fill(start: int) -> None:
            part, inner = _with_halo(start, start + rows, len(valid))
            looked = valid[part][inner]
            if not looked.any():
                return
            pair: tuple[NDArray[Any], Mask] = block[part], valid[part]
            if device == "cpu":  # a GPU takes axes in any order, and turns them faster
                pair = np.ascontiguousarray(pair[0]), np.ascontiguousarray(pair[1])
            raw, there = (torch.from_numpy(plain(x)).to(device) for x in pair)
            found = measure(raw, None if valid[part].all() else there, inner).cpu().numpy()
            out[start : start + rows][looked] = found / np.float32(self.threshold.item())

        for _ in each(fill, range(0, len(valid), rows)):
            pass
        return out

    @cached_property
    def _standard(self) -> Preprocess:
        return replace(self.preprocess, components=None)

    @cached_property
    def _turned(self) -> tuple[Floats, Floats]:
        """(F, F) whitening and turn: along the axes first, then along what is left; (F,) the centre, turned."""
        assert self.preprocess.components is not None
        basis = np.linalg.qr(self.axes.T, mode="complete")[0]
        turn = np.concatenate([self.axes, basis[:, len(self.axes) :].T])
        return np.ascontiguousarray(self.preprocess.components.T.astype(np.float64) @ turn.T), turn @ self.centre


def fit_applicability(scene: Scene, split: Split) -> Applicability:
    """Learn from the training pixels of a split what may count as known.

    The threshold comes from folds of training pixels that lie apart (`hyperseg.data.splits.folds`): parcels of a class
    where there are several, strips of one where there is one.

    Raises:
        LabelError: the training pixels are too few or too much alike to tell; the message is half a sentence.
    """
    if scene.labels is None:
        raise LabelError(f"{scene.name} has no labels: what was trained on is not known.")
    chosen = thinned(scene.labels, split.train)
    n = int(chosen.sum())
    if n < FEWEST_SAMPLES:
        raise LabelError(f"{n} training pixels are too few to tell, at least {FEWEST_SAMPLES} are needed")
    preprocess = fit_preprocess(
        gather_spectra(scene, split.train), good_bands=scene.good_bands, whiten_within=scene.labels[split.train]
    )
    assert preprocess.components is not None
    standard = replace(preprocess, components=None)
    means = [square_means(standard(block), valid)[inner][at] for block, valid, inner, at in _training(scene, chosen)]
    values = np.concatenate(means) @ preprocess.components.T.astype(np.float64)
    centre = values.mean(0)
    axes = np.linalg.svd(values - centre, full_matrices=False)[2][: max(1, min(AXES, n // 4))]
    samples = _along(values - centre, axes)
    among = distances(samples, samples)
    mean = float(among.sum() / (n * (n - 1)))
    held = held_out_distances(among, _fold_numbers(scene, split)[chosen], np.argwhere(chosen))
    if len(held) < FEWEST_SAMPLES:
        raise LabelError("the training pixels lie too close together to measure some by the others")
    limit = largest_usual(held)
    if not (mean > 0 and limit > 1e-6 * mean):
        raise LabelError("the training pixels are copies of each other, so that every other pixel is unlike them")
    return Applicability(
        preprocess, axes, centre, samples, np.array([limit]), np.array([mean]), own_share=np.array([np.nan])
    )


def map_applicability(known: Applicability, scene: Scene) -> NDArray[np.float32]:
    """(H, W) dissimilarity over its threshold of a whole scene, read in blocks of rows; NaN without data."""
    found = []
    for rows in row_blocks(scene.cube):
        part, inner = _with_halo(rows.start, rows.stop, scene.shape[0])
        block = np.asarray(scene.cube[part])
        found.append(known.over_threshold(block, valid_at(scene, (part, slice(None)), block))[inner])
    return np.concatenate(found)


def square_means(values: NDArray[Any], valid: Mask) -> Floats:
    """(h, w, F) mean of (h, w, F) values over the valid pixels of each square; 0 where there is none.

    Sums run in one order, so that they do not depend on what else is in the block.
    """
    known = values if valid.all() else np.where(valid[..., None], values, 0.0)
    total = _box(known.astype(np.float64))
    return total / np.maximum(_box(valid[..., None].astype(np.float64)), 1.0)


def distances(points: Floats, samples: Floats) -> Floats:
    """(m, n) Euclidean distances; what is equal but for rounding is at distance 0."""
    square = (points**2).sum(1)[:, None]
    return _root(square + (samples**2).sum(1) - 2 * (points @ samples.T), square)


def held_out_distances(among: Floats, fold: NDArray[np.intp], places: NDArray[np.intp]) -> Floats:
    """Distance of every sample to the nearest one of another fold whose square does not overlap its own.

    Samples without any such are left out.

    Args:
        among: (n, n) distances.
        fold: (n,) number of the fold of each.
        places: (n, 2) row and column of each.
    """
    apart = np.abs(places[:, None] - places).max(-1) > 2 * REACH_PX
    found = np.where(apart & (fold[:, None] != fold), among, np.inf).min(1)
    return found[np.isfinite(found)]


def largest_usual(values: Floats) -> float:
    """The largest value that is no outlier: up to the third quartile and 1.5 times the range between quartiles."""
    low, high = np.quantile(values, (0.25, 0.75))
    return float(values[values <= high + 1.5 * (high - low)].max())


def thinned(labels: NDArray[np.int16], train: Mask, most: int = MOST_SAMPLES) -> Mask:
    """(H, W) bool: at most `most` of the training pixels, evenly spaced in reading order within each class.

    All classes give up to the same number, so that small ones keep all of theirs.
    """
    classes, counts = np.unique(labels[train], return_counts=True)
    if counts.sum() <= most:
        return train
    cap = next(c for c in range(int(counts.max()), 0, -1) if np.minimum(counts, c).sum() <= most or c == 1)
    flat = np.zeros(train.size, bool)
    for k in classes:
        members = np.flatnonzero(train & (labels == k))
        flat[members[np.linspace(0, len(members) - 1, min(cap, len(members))).astype(int)]] = True
    return flat.reshape(train.shape)


def _fold_numbers(scene: Scene, split: Split) -> NDArray[np.intp]:
    """(H, W) number of the fold of every training pixel, -1 elsewhere."""
    assert scene.labels is not None
    numbers = np.full(scene.labels.shape, -1)
    for number, part in enumerate(folds(split, scene.labels, FOLDS, parcels=scene.parcels)):
        numbers[part] = number
    return numbers


def _training(scene: Scene, chosen: Mask) -> Iterator[tuple[NDArray[Any], Mask, slice, Mask]]:
    """Blocks of rows that hold chosen pixels: values and valid pixels with a halo, rows of the core, chosen ones."""
    for rows in row_blocks(scene.cube):
        if chosen[rows].any():
            part, inner = _with_halo(rows.start, rows.stop, scene.shape[0])
            block = np.asarray(scene.cube[part])
            yield block, valid_at(scene, (part, slice(None)), block), inner, chosen[rows]


def _with_halo(start: int, stop: int, size: int) -> tuple[slice, slice]:
    """Rows to read for the rows from `start` to `stop`, and where these lie among them."""
    first, stop = max(start - REACH_PX, 0), min(stop, size)
    return slice(first, min(stop + REACH_PX, size)), slice(start - first, stop - first)


def _box(values: Floats) -> Floats:
    """(h, w, F) sums over squares of 3 x 3, those at the border over what there is."""
    down = values.copy()
    down[1:] += values[:-1]
    down[:-1] += values[1:]
    across = down.copy()
    across[:, 1:] += down[:, :-1]
    across[:, :-1] += down[:, 1:]
    return across


def _root(squared: Floats, scale: Floats) -> Floats:
    return np.sqrt(np.where(squared < ROUNDING * scale, 0.0, squared))


def _along(centred: Floats, axes: Floats) -> Floats:
    """(..., P + 1) coordinates along the axes, and the distance from their span, of (..., F) values."""
    along = centred @ axes.T
    rest = np.maximum((centred**2).sum(-1) - (along**2).sum(-1), 0.0)
    return np.concatenate([along, np.sqrt(rest)[..., None]], -1)
