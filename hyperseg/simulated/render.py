"""Simulated scenes whose labels and abundances are known exactly.

label map -> one-hot abundances -> point-spread function -> class spectra drawn per pixel and mixed -> illumination per
parcel -> sensor noise -> water bands. Every stage has a random stream of its own, so switching one off leaves the
others as they were. A simulated scene says so in its name and its source.
"""

from __future__ import annotations

import colorsys
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import ndimage

from hyperseg.core import UNLABELLED, LabelError, Scene, SettingError
from hyperseg.simulated.spectra import ClassSpectra

Float32 = NDArray[np.float32]
Colours = tuple[tuple[int, int, int], ...]

_PIXELS_AT_ONCE = 1 << 16  # bounds the memory of one draw of spectra
_WATER_SIGNAL, _WATER_NOISE = 0.01, 0.02  # shares of the band's level: signal-to-noise ratio 0.5


@dataclass(frozen=True, eq=False)
class Simulated:
    """A simulated scene with the truth behind it.

    Attributes:
        scene: the scene; its labels are the label map it was made from.
        abundances: (H, W, M) float32 area share of every material, after the point-spread function.
        materials: M names: the classes, and "background" where that was asked for.
        parcels: (H, W) int32 index of the parcel every pixel belongs to (unlabelled ones: the nearest).
        illumination: (H, W) float32 factor on the spectra.
        noise_std: (L,) float32 noise of every band.
    """

    scene: Scene
    abundances: Float32
    materials: tuple[str, ...]
    parcels: NDArray[np.int32]
    illumination: Float32
    noise_std: Float32


def simulate(
    label_map: ArrayLike,
    spectra: ClassSpectra,
    *,
    seed: int,
    psf_sigma_px: float = 0.7,
    variability: float = 1.0,
    parcel_share: float = 0.3,
    smooth_share: float = 0.4,
    smooth_px: float = 6.0,
    illumination_std: float = 0.1,
    gradient_std: float = 0.03,
    noise_snr: ArrayLike = 50.0,
    water_bands: NDArray[np.bool_] | None = None,
    water: Literal["noise", "nan"] = "noise",
    background: Literal["nearest", "mixed"] = "nearest",
    colours: Colours | None = None,
    name: str = "scene",
    source: str = "",
) -> Simulated:
    """Simulate a scene from a label map and class spectra.

    Args:
        label_map: (H, W) integer classes 0..K-1, -1 = unlabelled.
        spectra: what the K classes look like.
        seed: same seed, same bytes.
        psf_sigma_px: sigma of the Gaussian point-spread function, cut at 3 sigma (rounded to pixels).
        variability: factor on the spread of the classes; 0 gives every class its mean.
        parcel_share, smooth_share: shares of the variance of a class that are common to a parcel, and that
            vary smoothly with a length of `smooth_px` pixels; the rest is independent from pixel to pixel.
        illumination_std: spread of the logarithm of the brightness between parcels.
        gradient_std: spread of the logarithm of the brightness within a parcel (length 4 `smooth_px`).
        noise_snr: mean signal over noise, one number or (L,), `numpy.inf` for none.
        water_bands: (L,) bool, bands in which water vapour leaves almost no signal; False in `good_bands`.
        water: what the water bands hold: "noise" (signal-to-noise ratio about 0.5) or "nan".
        background: what covers unlabelled pixels: the "nearest" class, or a "mixed" material of its own with
            the mean of the class means and their spread.

    Raises:
        LabelError: labels that do not fit the spectra, or none at all.
        SettingError: an option outside its range.
    """
    labels = _checked_labels(label_map, spectra)
    snr = np.broadcast_to(np.asarray(noise_snr, np.float64), (spectra.n_bands,))
    if min(psf_sigma_px, variability, parcel_share, smooth_share, 1 - parcel_share - smooth_share) < 0:
        raise SettingError("psf, variability and shares must be 0 or more, and the two shares 1 or less together.")
    if (snr <= 0).any():
        raise SettingError("noise_snr must be positive (numpy.inf for no noise).")
    cover, parcels, materials = _cover(labels, spectra, background)
    streams = [np.random.default_rng(s) for s in np.random.SeedSequence(seed).spawn(4)]
    abundances = _blur(cover, materials.n_classes, psf_sigma_px)
    shares = (parcel_share, smooth_share, 1 - parcel_share - smooth_share)
    cube = _mix(abundances, materials, parcels, variability, shares, smooth_px, streams[:2])
    light = _illumination(parcels, illumination_std, gradient_std, 4 * smooth_px, streams[2])
    cube *= light[..., None]
    level = cube.mean((0, 1), dtype=np.float64)
    noise_std = (level / snr).astype(np.float32)
    wet = np.zeros(len(snr), bool) if water_bands is None else np.asarray(water_bands, bool)
    noise_std[wet] = _WATER_NOISE * level[wet]
    _add_noise(cube, noise_std, wet, water, streams[3])
    scene = Scene(
        cube,
        labels=labels,
        classes=spectra.names,
        colours=colours or _palette(spectra.n_classes),
        wavelengths_nm=spectra.wavelengths_nm,
        good_bands=~wet if wet.any() else None,
        name=name if name.startswith("simulated-") else f"simulated-{name}",
        source=f"simulated from {source + ', ' if source else ''}{spectra.source or 'given class spectra'}",
    )
    return Simulated(scene, abundances, materials.names, parcels, light, noise_std)


def _checked_labels(label_map: ArrayLike, spectra: ClassSpectra) -> NDArray[np.int16]:
    given = np.asarray(label_map)
    if given.ndim != 2 or given.dtype.kind not in "iu" or not given.size:
        raise LabelError(f"a label map is a (rows, columns) integer array, got {given.dtype} {given.shape}.")
    if given.min() < UNLABELLED or given.max() >= spectra.n_classes or (given == UNLABELLED).all():
        raise LabelError(
            f"labels run from {given.min()} to {given.max()}; expected -1 (unlabelled) or classes "
            f"0..{spectra.n_classes - 1} of the spectra, and at least one labelled pixel."
        )
    return given.astype(np.int16)


def _cover(
    labels: NDArray[np.int16], spectra: ClassSpectra, background: Literal["nearest", "mixed"]
) -> tuple[NDArray[np.int16], NDArray[np.int32], ClassSpectra]:
    """A material and a parcel (8-connected component) for every pixel, and the materials' spectra."""
    parcels, count = np.zeros(labels.shape, np.int32), 0
    for k in np.unique(labels[labels != UNLABELLED]):
        found, n = ndimage.label(labels == k, structure=np.ones((3, 3)))
        parcels += np.where(found > 0, found + count, 0).astype(np.int32)
        count += n
    bare = labels == UNLABELLED
    rows, columns = ndimage.distance_transform_edt(bare, return_distances=False, return_indices=True)
    parcels = parcels[rows, columns] - 1
    match background:
        case "nearest":
            return labels[rows, columns], parcels, spectra
        case "mixed":
            return np.where(bare, np.int16(spectra.n_classes), labels), parcels, spectra.with_background()
        case _:
            raise SettingError(f'background {background!r}: expected "nearest" or "mixed".')


def _blur(cover: NDArray[np.int16], n: int, sigma_px: float) -> Float32:
    """(H, W, n) abundances: one-hot cover through the point-spread function; borders mirror, mass stays."""
    pure = (cover[..., None] == np.arange(n)).astype(np.float32)
    if sigma_px == 0:
        return pure
    mixed = ndimage.gaussian_filter(pure, (sigma_px, sigma_px, 0), mode="reflect", truncate=3.0)
    mixed /= mixed.sum(-1, keepdims=True)
    return mixed


def smooth_fields(n: int, shape: tuple[int, ...], length_px: float, rng: np.random.Generator) -> Float32:
    """(n, H, W) Gaussian fields of zero mean and unit variance, correlated over about `length_px` pixels."""
    rows, columns = np.fft.fftfreq(shape[0])[:, None], np.fft.rfftfreq(shape[1])
    gain = np.exp(-2 * (np.pi * length_px) ** 2 * (rows**2 + columns**2))
    whole = np.exp(-2 * (np.pi * length_px) ** 2 * (rows**2 + np.fft.fftfreq(shape[1]) ** 2))
    gain /= np.sqrt((whole**2).mean())
    fields = np.empty((n, *shape), np.float32)
    for field in fields:
        field[:] = np.fft.irfft2(np.fft.rfft2(rng.standard_normal(shape, np.float32)) * gain, s=shape)
    return fields


def _mix(
    abundances: Float32,
    materials: ClassSpectra,
    parcels: NDArray[np.int32],
    variability: float,
    shares: tuple[float, float, float],
    smooth_px: float,
    streams: list[np.random.Generator],
) -> Float32:
    """(H, W, L) abundance-weighted sum of one draw per material and pixel, negative draws cut at 0."""
    shape, rank = parcels.shape, materials.factors.shape[1]
    of_parcel, smooth, white = np.sqrt(shares)
    for_fields, for_pixels = streams
    cube = np.zeros((parcels.size, materials.n_bands), np.float32)
    common = for_fields.standard_normal((int(parcels.max()) + 1, rank), np.float32)
    for k in range(materials.n_classes):
        share = abundances[..., k].ravel()
        wanted = np.flatnonzero(share)
        if not len(wanted):
            continue
        fields = smooth_fields(rank, shape, smooth_px, for_fields).reshape(rank, -1) if variability else None
        for start in range(0, len(wanted), _PIXELS_AT_ONCE):
            at = wanted[start : start + _PIXELS_AT_ONCE]
            spectrum = np.broadcast_to(materials.mean[k], (len(at), materials.n_bands))
            if fields is not None:
                z = of_parcel * common[parcels.ravel()[at]] + smooth * fields[:, at].T
                z += white * for_pixels.standard_normal(z.shape, np.float32)
                spectrum = spectrum + variability * (z.astype(np.float32) @ materials.factors[k])
                rest = for_pixels.standard_normal(spectrum.shape, np.float32)
                rest *= np.float32(variability) * materials.residual_std[k]
                spectrum += rest
                np.maximum(spectrum, 0, out=spectrum)
            cube[at] += share[at, None] * spectrum
    return cube.reshape(*shape, -1)


def _illumination(
    parcels: NDArray[np.int32], std: float, gradient_std: float, length_px: float, rng: np.random.Generator
) -> Float32:
    """(H, W) brightness: one lognormal factor per parcel times a mild smooth field."""
    light = np.float32(std) * rng.standard_normal(int(parcels.max()) + 1, np.float32)[parcels]
    if gradient_std:
        light += np.float32(gradient_std) * smooth_fields(1, parcels.shape, length_px, rng)[0]
    return np.exp(light)


def _add_noise(
    cube: Float32, noise_std: Float32, wet: NDArray[np.bool_], water: Literal["noise", "nan"], rng: np.random.Generator
) -> None:
    """Add the noise in place, row block by row block, and take the signal out of the water bands."""
    cube[..., wet] *= _WATER_SIGNAL
    rows = max(1, _PIXELS_AT_ONCE // cube.shape[1])
    if noise_std.any():
        for start in range(0, len(cube), rows):
            noise = rng.standard_normal(cube[start : start + rows].shape, np.float32)
            noise *= noise_std
            cube[start : start + rows] += noise
    match water:
        case "noise":
            pass
        case "nan":
            cube[..., wet] = np.nan
        case _:
            raise SettingError(f'water {water!r}: expected "noise" or "nan".')


def _palette(n: int) -> Colours:
    """Colours of evenly spaced hue."""
    rgb = [colorsys.hsv_to_rgb(k / n, 0.75, 0.9 if k % 2 else 0.65) for k in range(n)]
    return tuple((round(255 * r), round(255 * g), round(255 * b)) for r, g, b in rgb)
