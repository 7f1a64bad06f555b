"""Whether another scene looks like what a model was trained on, before anyone trusts its map.

Standardised bands are compared, not whitened ones: a whitening that was fitted on few pixels describes those
pixels only, and up to three quarters of their own scene would lie outside.

Measured on Indian Pines (parcel split, 666 training pixels, the network of `classify`): the share of pixels
beyond the limit and the OA on the test parcels as it stands; with a gain of 2, 5 and 30 %; an offset of 30 and
300 (values lie near 2500); bands moved by 2 and 5 nm; 2 % noise:

    share outside, %     1    23   100   100    91   100     2   100    76
    OA, %               56    35    19     1    27     1    44    11    41

For all splits tried, about 1 % of the whole training scene lies outside, ground without labels included, and 0 to
2 % of any quarter of it. When only the western half is trained on, 4 to 13 % of the eastern half lie outside, which
raises no alarm, and 1 to 6 % of the western one. A shift of 2 nm is not noticed. With 60 training pixels the limits
are wide: a gain of 2 % and an offset of 30 are not noticed either, a gain of 5 % and an offset of 100 are.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from hyperseg.core import LabelError, Scene, SceneError
from hyperseg.data.bands.resampled_cube import ResampledCube
from hyperseg.data.preprocess import Preprocess, gather_spectra
from hyperseg.io.look.sample import row_spans
from hyperseg.io.look.valid import valid_at

Floats = NDArray[np.float64]
Level = Literal["none", "note", "warning"]

AXES = 10  # principal axes whose spread is modelled one by one; 5 to 20 made little difference
FOLDS = 5
FEWEST_PIXELS = 20  # a 99 % limit from fewer pixels would be the largest value and little else
LEAST = 1e-3  # below this, squared distances in units of a variance are rounding
EXPECTED = 0.01  # share of held-out training pixels beyond the limit, by construction
NOTE, WARNING = 0.1, 0.3  # share beyond that of the model's own scene
SAMPLED_PIXELS = 20000
TOLD_RATIO = 1.5


@dataclass(frozen=True, eq=False)
class DriftReference:
    """The region that standardised training spectra fill: an ellipsoid in P directions, and a distance from these.

    Attributes:
        mean: (F,) of the training features.
        axes: (P, F) orthonormal principal directions.
        variances: (P,) along them.
        rest: (1,) mean squared distance of training features from the span of the axes.
        limits: (2,) largest squared Mahalanobis distance along the axes, and largest squared distance from
            their span in units of `rest`. A pixel beyond either of them is outside.
        own_share: (1,) share of the model's own scene that is outside, from 0 to 1.
    """

    mean: Floats
    axes: Floats
    variances: Floats
    rest: Floats
    limits: Floats
    own_share: Floats

    def to_arrays(self) -> dict[str, NDArray[Any]]:
        """Named arrays for a safetensors file; `from_arrays` is the inverse."""
        return {f.name: getattr(self, f.name) for f in fields(self)}

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, NDArray[Any]]) -> DriftReference | None:
        """Rebuild from `to_arrays`; None for a run that kept no reference."""
        if not arrays:
            return None
        missing = {f.name for f in fields(cls)} - set(arrays)
        if missing:
            raise SceneError(f"these are not the arrays of a drift reference: {sorted(missing)} missing.")
        return cls(**{f.name: np.asarray(arrays[f.name], np.float64) for f in fields(cls)})


@dataclass(frozen=True)
class DriftReport:
    """How far a scene is from what a model saw.

    Attributes:
        pixels: how many were looked at.
        share: of them outside the reference, from 0 to 1.
        own_share: the same share in the model's own scene.
        bands: those that deviate most, worst first: (band, median minus training mean, in the training spread).
        ratio: median over the bands in use of this scene's median value divided by the training mean.
        level: "warning" where the map is probably wrong, "note" where it may be.
    """

    pixels: int
    share: float
    own_share: float
    bands: tuple[tuple[int, float], ...]
    ratio: float
    level: Level

    def sentence(self, wavelengths_nm: ArrayLike | None = None) -> str:
        """What to tell the user, in one line."""
        centres = None if wavelengths_nm is None else np.asarray(wavelengths_nm)
        named = ", ".join(
            f"{'band ' + str(b) if centres is None else f'{centres[b]:.0f} nm'} ({z:+.1f})" for b, z in self.bands
        )
        text = (
            f"{100 * self.share:.0f} % of the sampled pixels lie outside what the model saw "
            f"({100 * EXPECTED:.0f} % expected, {100 * self.own_share:.0f} % in its own scene)"
        )
        if self.level == "none":
            return text
        text += f"; most deviating bands, in training spreads: {named}"
        if not 1 / TOLD_RATIO < self.ratio < TOLD_RATIO:
            text += f"; values are about {self.ratio:.3g} times those trained on: check units and calibration"
        trust = "do not trust its map without checking it" if self.level == "warning" else "check its map"
        return f"{text}: {trust}"


def fit_reference(features: ArrayLike, classes: ArrayLike, *, n_axes: int = AXES) -> DriftReference | None:
    """The reference of training features, its limits set on features that were held out.

    Every class is cut into fifths in reading order, so that pixels of a fifth mostly lie apart from the others. Each
    fifth is measured against a region fitted on the other four; a limit is the 99 % quantile of these distances.
    Where the two limits together leave out more than 1 %, both are multiplied by the same factor until they do not.

    Args:
        features: (n, F) training spectra, standardised, in reading order.
        classes: (n,) class of each.
        n_axes: P; fewer where there are less than ten pixels for each.

    Returns:
        The reference with an unknown `own_share` (NaN), or None for fewer pixels than can tell.
    """
    values, present = np.asarray(features, np.float64), np.asarray(classes)
    if len(values) < FEWEST_PIXELS:
        return None
    n_axes = max(1, min(n_axes, len(values) * (FOLDS - 1) // FOLDS // 10))  # the same in every fold
    fold = np.empty(len(values), np.intp)
    for k in np.unique(present):
        members = np.flatnonzero(present == k)
        fold[members] = (np.arange(len(members)) * FOLDS // len(members) + int(k)) % FOLDS
    held = np.empty((len(values), 2))
    for f in np.unique(fold):
        held[fold == f] = _distances(_region(values[fold != f], n_axes), values[fold == f])
    limits = np.maximum(np.quantile(held, 1 - EXPECTED, axis=0), LEAST)
    limits = limits * max(1.0, float(np.quantile((held / limits).max(1), 1 - EXPECTED)))
    return DriftReference(*_region(values, n_axes), limits, np.array([np.nan]))


def scene_reference(scene: Scene, train: NDArray[np.bool_], preprocess: Preprocess) -> DriftReference | None:
    """The reference of the training pixels in the mask `train` (H, W), with the share of the whole scene outside.

    None where there are too few training pixels to tell.
    """
    if scene.labels is None:
        raise LabelError(f"{scene.name} has no labels: a reference is one of training pixels.")
    found = fit_reference(standardised(preprocess, gather_spectra(scene, train)), scene.labels[train])
    if found is None:
        return None
    own = share_outside(found, standardised(preprocess, sample_spectra(scene)))
    return replace(found, own_share=np.array([own]))


def standardised(preprocess: Preprocess, spectra: ArrayLike) -> NDArray[np.float32]:
    """(n, C') bands in use minus the training mean, in the training spread, of (n, C) spectra."""
    return replace(preprocess, components=None)(spectra)


def share_outside(reference: DriftReference, features: ArrayLike) -> float:
    """Share of (n, F) features that lie beyond either limit, from 0 to 1."""
    r = reference
    found = _distances((r.mean, r.axes, r.variances, r.rest), np.asarray(features, np.float64))
    return float((found > r.limits).any(1).mean())


def sample_spectra(scene: Scene, *, max_pixels: int = SAMPLED_PIXELS) -> NDArray[Any]:
    """(n, C) spectra of pixels that hold data, from stretches of evenly spaced rows.

    Raises:
        SceneError: no sampled pixel holds data.
    """
    stored = scene.cube
    while isinstance(stored, ResampledCube):  # how the file is laid out decides where reading is cheap
        stored = stored.cube
    found = []
    for row, span in row_spans(stored, max_pixels):
        at = slice(row, row + 1), span
        line = np.asarray(scene.cube[at])
        found.append(line[valid_at(scene, at, line)])
    spectra = np.concatenate(found)
    if not len(spectra):
        raise SceneError(f"{scene.name}: none of the sampled pixels holds data. Check the file and its no-data value.")
    return spectra


def measure_drift(reference: DriftReference, preprocess: Preprocess, scene: Scene) -> DriftReport:
    """Compare about 20 000 pixels all over a scene that has the model's bands with what the model saw."""
    spectra = sample_spectra(scene)
    share, own = share_outside(reference, standardised(preprocess, spectra)), reference.own_share.item()
    own = EXPECTED if np.isnan(own) else own
    median = np.nanmedian(spectra[:, preprocess.keep].astype(np.float64), axis=0)
    mean, spread = preprocess.mean.astype(np.float64), preprocess.std.astype(np.float64)
    shift = np.nan_to_num((median - mean) / spread)
    worst, used = np.argsort(-np.abs(shift), kind="stable")[:3], np.flatnonzero(preprocess.keep)
    ratio = np.nanmedian(median / np.where(mean == 0, np.nan, mean)) if mean.any() else np.nan
    return DriftReport(
        len(spectra), share, own, tuple((int(used[i]), float(shift[i])) for i in worst),
        1.0 if np.isnan(ratio) else float(ratio), judge(share, own),
    )  # fmt: skip


def judge(share: float, own_share: float) -> Level:
    """What a share of pixels outside means, given the share of the model's own scene that lies outside.

    A warning is due 30 % of the way from the share of the own scene to 1, a note 10 % of that way.
    """
    room = 1 - own_share
    if share > own_share + WARNING * room:
        return "warning"
    return "note" if share > own_share + NOTE * room else "none"


def _region(values: Floats, n_axes: int) -> tuple[Floats, Floats, Floats, Floats]:
    """Mean, axes, variances and rest of features; variances are those of n - 1 degrees of freedom."""
    mean = values.mean(0)
    _, singular, rows = np.linalg.svd(values - mean, full_matrices=False)
    variances = singular**2 / max(len(values) - 1, 1)
    known = int(np.count_nonzero(variances > 1e-12 * max(variances[0], np.finfo(float).tiny)))
    p = max(1, min(n_axes, known))
    floor = max(LEAST**2 * variances.sum(), np.finfo(np.float32).tiny)
    rest = np.array([max(variances[p:].sum(), floor)])
    return mean, rows[:p], np.maximum(variances[:p], floor), rest


def _distances(region: tuple[Floats, Floats, Floats, Floats], values: Floats) -> Floats:
    """(n, 2) squared Mahalanobis distance within the axes, and squared distance from their span over `rest`."""
    mean, axes, variances, rest = region
    centred = values - mean
    along = centred @ axes.T
    beyond = np.maximum((centred**2).sum(1) - (along**2).sum(1), 0.0)
    return np.stack([(along**2 / variances).sum(1), beyond / rest], 1)
