"""Standardisation, band selection and PCA, learnt from (n, C) training spectra and not from scenes: nothing leaks."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, fields, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from hyperseg.core import Cube, Scene, SceneError, SettingError
from hyperseg.io.look.values import ABSURD

if TYPE_CHECKING:
    import torch

    from hyperseg.data.device_preprocess import DevicePreprocess

Float32 = NDArray[np.float32]

# Codes in `Preprocess.dropped_code`; stored with the weights, so the numbers must not change.
DROP_REASONS = {1: "marked bad", 2: "not finite on the training pixels", 3: "constant on the training pixels"}
# share of the identity; 0.03 to 0.3 made no difference beyond the spread over splits
WHITENING_SHRINKAGE = 0.1
BLOCK_BYTES = 64 << 20
_CONSTANT = 1e-6  # a spread below this share of the band's level is rounding of float32, not signal


@dataclass(frozen=True, eq=False)
class Preprocess:
    """An affine map from raw spectra to what a model reads; call it on any (..., C) array.

    Attributes:
        keep: (C,) bool, bands in use.
        mean, std: (C',) float32 of the training spectra, C' = number of bands kept.
        components: (P, C') float32 rows that turn standardised bands into principal components, or None.
        dropped_code: (C,) uint8, 0 for a kept band, else a key of `DROP_REASONS`.
    """

    keep: NDArray[np.bool_]
    mean: Float32
    std: Float32
    components: Float32 | None = None
    dropped_code: NDArray[np.uint8] = field(default_factory=lambda: np.zeros(0, np.uint8))

    def __post_init__(self) -> None:
        if not len(self.dropped_code):
            object.__setattr__(self, "dropped_code", (~self.keep).astype(np.uint8))

    @property
    def n_bands(self) -> int:
        """Bands of the raw cube, C."""
        return len(self.keep)

    @property
    def n_out(self) -> int:
        """Features per pixel after the map: C' or P."""
        return len(self.mean) if self.components is None else len(self.components)

    @property
    def dropped(self) -> dict[int, str]:
        """Band index -> why it is not used."""
        return {int(b): DROP_REASONS[int(self.dropped_code[b])] for b in np.flatnonzero(~self.keep)}

    def __call__(self, array: ArrayLike) -> Float32:
        """(..., C) raw values -> (..., n_out) float32.

        Values that are not finite, or absurdly large, become the training mean, that is 0 after standardisation: a
        broken value must not spread to the whole pixel through the components.
        """
        raw = np.asarray(array)
        self.check_bands(raw.shape[-1])
        with np.errstate(over="ignore", invalid="ignore"):
            out = (raw if self.keep.all() else raw[..., self.keep]).astype(np.float32)
            out -= self.mean
            # before they are divided: what is absurd as a reflectance may look like a number then
            if raw.dtype.kind == "f" and out.size and not max(out.max(), -out.min()) < ABSURD:
                out[~(np.abs(out) < ABSURD)] = 0.0
            if (self.std != 1).any():
                out /= self.std
            # a sum is finite only if all its terms are: one pass instead of three where nothing is broken
            if raw.dtype.kind == "f" and not np.isfinite(out.sum()):
                out[~np.isfinite(out)] = 0.0
        return out if self.components is None else out @ self.components.T

    def check_bands(self, n: int) -> None:
        """Raise for an array of another number of bands."""
        if n != self.n_bands:
            raise SceneError(
                f"the array has {n} bands, this preprocessing was fitted on {self.n_bands}. "
                "Apply a model only to scenes of the sensor and band order it was trained on."
            )

    def on(self, device: torch.device | str) -> DevicePreprocess:
        """The same map for tensors on a device."""
        from hyperseg.data.device_preprocess import DevicePreprocess

        return DevicePreprocess(self, device)

    def restore(self, features: ArrayLike) -> Float32:
        """(..., n_out) features -> (..., C) raw values; bands that are not in use are NaN.

        The inverse of calling this; exact where all components were kept, else the nearest spectrum there is.
        """
        values = np.asarray(features, np.float32)
        if self.components is not None:
            values = values @ np.linalg.pinv(self.components.astype(np.float64)).T.astype(np.float32)
        out = np.full((*values.shape[:-1], self.n_bands), np.nan, np.float32)
        out[..., self.keep] = values * self.std + self.mean
        return out

    def to_arrays(self) -> dict[str, NDArray[Any]]:
        """Named arrays for a safetensors file; `from_arrays` is the inverse."""
        return {f.name: value for f in fields(self) if (value := getattr(self, f.name)) is not None}

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, NDArray[Any]]) -> Preprocess:
        """Rebuild from `to_arrays`; further names in the mapping are ignored."""
        missing = {"keep", "mean", "std"} - set(arrays)
        if missing:
            raise SceneError(f"these are not the arrays of a Preprocess: {sorted(missing)} missing.")
        components = np.asarray(arrays["components"], np.float32) if "components" in arrays else None
        mean, std = (np.asarray(arrays[name], np.float32) for name in ("mean", "std"))
        code = np.asarray(arrays.get("dropped_code", ()), np.uint8)
        for name, values in (("mean", mean), ("std", std), ("components", components)):
            if values is not None and not (np.isfinite(values).all() and (name != "std" or (values > 0).all())):
                raise SceneError(f"the {name} of a Preprocess is not finite, or not positive.")
        return cls(np.asarray(arrays["keep"], bool), mean, std, components, code)


def fit_preprocess(
    spectra: ArrayLike,
    *,
    good_bands: NDArray[np.bool_] | None = None,
    n_components: int | None = None,
    whiten: bool = True,
    whiten_within: ArrayLike | None = None,
    averaged: int = 1,
) -> Preprocess:
    """Learn band selection, standardisation and, if asked for, PCA from training spectra.

    Args:
        spectra: (n, C) raw spectra of training pixels.
        good_bands: (C,) bool, False for bands to drop.
        n_components: P principal components of the standardised bands; None keeps the bands themselves.
        whiten: give every component unit variance; False keeps the components orthonormal.
        whiten_within: (n,) class of each spectrum. The spread *within* classes is whitened, by the symmetric inverse
            square root of its covariance: directions in which pixels of one class differ count little, and bands
            keep their places. A class with a single spectrum says nothing about spread.
        averaged: standardised bands are averaged in groups of about so many neighbours first, without `n_components`.

    Raises:
        SceneError: no band is usable.
        SettingError: more components than the training spectra can determine.
    """
    x = np.asarray(spectra)
    if x.ndim != 2 or not len(x):
        raise SceneError(f"training spectra have shape (pixels, bands) with at least 1 pixel, got {x.shape}.")
    code = np.zeros(x.shape[1], np.uint8)
    if good_bands is not None:
        if len(good_bands) != len(code):
            raise SceneError(f"{len(good_bands)} good-band flags for spectra of {len(code)} bands.")
        code[~np.asarray(good_bands, bool)] = 1
    code[(code == 0) & ~np.isfinite(x).all(0)] = 2
    usable = np.flatnonzero(code == 0)
    values = x[:, usable].astype(np.float64)
    mean, std = values.mean(0), values.std(0)
    moving = std > _CONSTANT * np.abs(mean)
    code[usable[~moving]] = 3
    keep = code == 0
    if not keep.any():
        raise SceneError(_no_band_left(code, len(x)))
    mean, std = mean[moving].astype(np.float32), std[moving].astype(np.float32)
    std = np.maximum(std, np.finfo(np.float32).tiny)  # a spread below float32's range must not divide by zero
    components = None
    if n_components is not None and (whiten_within is not None or averaged > 1):
        raise SettingError("give n_components or whiten_within, not both; and no averaged bands with components.")
    means = None if averaged == 1 else _group_means(len(mean), averaged)
    if whiten_within is not None:
        z = (values[:, moving] - mean) / std
        components = _within_class_whitening(z if means is None else z @ means.T, np.asarray(whiten_within))
    if means is not None:
        components = (means if components is None else components @ means).astype(np.float32)
    if n_components is not None:
        rows, spread = _directions((values[:, moving] - mean) / std)
        if not 1 <= n_components <= len(rows):
            raise SettingError(
                f"{n_components} principal components asked for, but {len(x)} training spectra of "
                f"{len(mean)} usable bands determine 1 to {len(rows)}. Ask for fewer or label more pixels."
            )
        components = (rows / spread[:, None] if whiten else rows)[:n_components].astype(np.float32)
    return Preprocess(keep=keep, mean=mean, std=std, components=components, dropped_code=code)


def _group_means(n: int, averaged: int) -> NDArray[np.float64]:
    """(G, n) rows that average `n` bands in groups of about `averaged` neighbours; 1 is the identity."""
    if averaged < 1:
        raise SettingError(f"bands are averaged in groups of 1 or more, got {averaged}.")
    many = max(round(n / averaged), 1)
    groups = np.array_split(np.arange(n), many)
    return np.stack([np.isin(np.arange(n), group) / len(group) for group in groups])


def _within_class_whitening(z: NDArray[np.float64], classes: NDArray[np.integer[Any]]) -> Float32:
    """(C', C') symmetric matrix W with W S W ~ identity, S the within-class covariance of (n, C') spectra.

    S is shrunk towards a multiple of the identity, because a few hundred pixels do not determine hundreds of
    bands; the result is scaled so that the transformed training spectra have unit variance overall.
    """
    if classes.shape != z.shape[:1]:
        raise SettingError(f"{classes.shape} classes for {len(z)} training spectra: give one per spectrum.")
    present, position = np.unique(classes, return_inverse=True)
    residuals = z - np.stack([z[position == k].mean(0) for k in range(len(present))])[position]
    degrees = max(len(z) - len(present), 1)
    spread = residuals.T @ residuals / degrees
    level = np.trace(spread) / len(spread)
    if not level > 0:
        return np.eye(len(spread), dtype=np.float32)
    spread = (1 - WHITENING_SHRINKAGE) * spread + WHITENING_SHRINKAGE * level * np.eye(len(spread))
    values, vectors = np.linalg.eigh(spread)
    matrix = (vectors / np.sqrt(values)) @ vectors.T
    return (matrix / np.maximum((z @ matrix).std(), np.finfo(np.float32).tiny)).astype(np.float32)


def _no_band_left(code: NDArray[np.uint8], n: int) -> str:
    why = ", ".join(f"{np.count_nonzero(code == c)} {r}" for c, r in DROP_REASONS.items() if (code == c).any())
    return (
        f"none of the {len(code)} bands is usable on the {n} training pixels: {why}. Check the good "
        "bands, mask no-data pixels with `valid`, and give at least two different training spectra."
    )


def _directions(z: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """(R, C') orthonormal principal directions of (n, C') spectra and the (R,) spread along each, R the rank.

    The sign of a direction makes its largest entry positive, so that equal data give equal components.
    """
    _, singular, rows = np.linalg.svd(z - z.mean(0), full_matrices=False)
    rank = int((singular > _CONSTANT * singular[0]).sum())
    rows, largest = rows[:rank], np.abs(rows[:rank]).argmax(1)
    return rows * np.sign(rows[np.arange(rank), largest])[:, None], singular[:rank] / np.sqrt(len(z))


def principal_components(spectra: ArrayLike, n: int = 3, *, good_bands: NDArray[np.bool_] | None = None) -> Preprocess:
    """The map to the first `n` principal components of training spectra, as a guide image for a CRF.

    All components have one scale: the first has unit variance, the others keep their ratio to it. So a distance in
    the guide is a distance between standardised spectra, and noise is not made larger. Where the spectra determine
    fewer than `n` components, there are fewer.
    """
    bands = fit_preprocess(spectra, good_bands=good_bands)
    rows, spread = _directions(bands(spectra).astype(np.float64))
    return replace(bands, components=(rows[:n] / spread[0]).astype(np.float32))


def row_blocks(cube: Cube, *, max_bytes: int = BLOCK_BYTES) -> Iterator[slice]:
    """Slices of the first axis whose float32 blocks stay below `max_bytes` (at least one row each)."""
    row_bytes = 4 * int(np.prod(cube.shape[1:], dtype=np.int64))
    rows = max(1, max_bytes // max(row_bytes, 1))
    for start in range(0, cube.shape[0], rows):
        yield slice(start, min(start + rows, cube.shape[0]))


def gather_spectra(scene: Scene, mask: NDArray[np.bool_], *, max_bytes: int = BLOCK_BYTES) -> Float32:
    """(n, C) float32 spectra of the pixels in `mask`, in row-major order.

    Works on any cube that takes slices: only blocks of rows that hold a wanted pixel are read, each of `max_bytes`
    at most as float32.
    """
    if mask.dtype != np.bool_ or mask.shape != scene.shape:
        raise SceneError(f"{scene.name}: the mask must be bool of shape {scene.shape}, got {mask.dtype} {mask.shape}.")
    out = np.empty((int(np.count_nonzero(mask)), scene.n_bands), np.float32)
    done = 0
    for rows in row_blocks(scene.cube, max_bytes=max_bytes):
        wanted = mask[rows]
        n = int(np.count_nonzero(wanted))
        if n:
            out[done : done + n] = np.asarray(scene.cube[rows])[wanted]
            done += n
    return out
