"""What a class looks like, band by band: mean spectra with low-rank variability, measured or made up."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike, NDArray

from hyperseg.core import DataFileError, LabelError, SceneError, SettingError

Float32 = NDArray[np.float32]

PAVIA_CLASSES = (
    "Asphalt", "Meadows", "Gravel", "Trees", "Painted metal sheets", "Bare Soil", "Bitumen", "Self-Blocking Bricks",
    "Shadows",
)  # fmt: skip
# A class is as sure of its own covariance as of the pooled one when it has this many pixels.
_PRIOR_PIXELS = 10.0


@dataclass(frozen=True, eq=False)
class ClassSpectra:
    """Gaussian classes: a spectrum is mean + coefficients @ factors + residual_std * white noise.

    Attributes:
        names: K class names.
        wavelengths_nm: (L,) band centres.
        mean: (K, L) float32 mean spectra, in the unit of the scene they came from.
        factors: (K, R, L) float32; the coefficients of the R factors are standard normal.
        residual_std: (K, L) float32 spread that the factors leave, independent from band to band.
        source: where the spectra come from.
    """

    names: tuple[str, ...]
    wavelengths_nm: NDArray[np.float64]
    mean: Float32
    factors: Float32
    residual_std: Float32
    source: str = ""

    def __post_init__(self) -> None:
        k, bands = self.mean.shape
        expected = {"names": (k,), "wavelengths_nm": (bands,), "residual_std": (k, bands)}
        given = {n: np.shape(getattr(self, n)) for n in expected}
        if given != expected or self.factors.shape[::2] != (k, bands) or self.factors.ndim != 3:
            raise SceneError(
                f"class spectra do not fit together: mean (K, L) = {self.mean.shape}, factors (K, R, L) = "
                f"{self.factors.shape}, {given}."
            )

    @property
    def n_classes(self) -> int:
        return len(self.names)

    @property
    def n_bands(self) -> int:
        return self.mean.shape[1]

    def covariance(self) -> NDArray[np.float64]:
        """(K, L, L) covariance of every class."""
        f = self.factors.astype(np.float64)
        diagonal = self.residual_std.astype(np.float64) ** 2
        return np.einsum("krl,krm->klm", f, f) + diagonal[:, :, None] * np.eye(self.n_bands)

    def with_background(self) -> ClassSpectra:
        """One more material, "background": the mean of the class means, as variable as these differ."""
        mean, rank = self.mean.mean(0), self.factors.shape[1]
        _, size, rows = np.linalg.svd(self.mean - mean, full_matrices=False)
        factors = np.zeros((rank, self.n_bands), np.float32)
        n = min(rank, len(size))
        factors[:n] = size[:n, None] * rows[:n] / np.sqrt(self.n_classes)
        return replace(
            self,
            names=(*self.names, "background"),
            mean=np.vstack([self.mean, mean]),
            factors=np.concatenate([self.factors, factors[None]]),
            residual_std=np.vstack([self.residual_std, self.residual_std.mean(0)]),
        )


def fit_class_spectra(
    spectra: ArrayLike, labels: ArrayLike, *, names: tuple[str, ...], wavelengths_nm: ArrayLike,
    weights: ArrayLike | None = None, rank: int = 6, source: str = "",
) -> ClassSpectra:  # fmt: skip
    """Mean, low-rank factors and residual spread of every class from labelled pixels.

    The covariance of a class is shrunk towards what all classes share: the pooled covariance of the
    deviations relative to the class mean, scaled back by that mean. The fewer pixels, the stronger; one pixel
    is enough for a mean, and such a class takes all its variability from the others.

    Args:
        spectra: (n, L) spectra of positive quantities (radiance, reflectance).
        labels: (n,) classes 0..K-1; other values are left out.
        names: K class names.
        wavelengths_nm: (L,) band centres.
        weights: (n,) weights of the pixels in the class means, e.g. their purity; None weighs all alike.
        rank: R, number of factors.

    Raises:
        LabelError: a class without a pixel.
        SettingError: a rank that is not between 1 and L.
    """
    x, y = np.asarray(spectra, np.float64), np.asarray(labels)
    w = np.ones(len(x)) if weights is None else np.asarray(weights, np.float64)
    if not 1 <= rank <= x.shape[1]:
        raise SettingError(f"rank {rank} for spectra of {x.shape[1]} bands: it must be 1 to {x.shape[1]}.")
    absent = [name for k, name in enumerate(names) if not w[y == k].any()]
    if absent:
        raise LabelError(f"no pixel to fit the spectra of {', '.join(absent)}: add pixels or leave the class out.")
    members = [np.flatnonzero(y == k) for k in range(len(names))]
    mean = np.stack([np.average(x[m], axis=0, weights=w[m]) for m in members])
    level = np.maximum(mean, 1e-3 * np.abs(mean).max())  # a band near zero must not blow up its ratio
    deviation = [x[m] - x[m].mean(0) for m in members]
    relative = np.concatenate([d / s for d, s in zip(deviation, level, strict=True)])
    pooled = relative.T @ relative / max(len(relative) - len(names), 1)
    factors, residual = [], []
    for d, s in zip(deviation, level, strict=True):
        own = d.T @ d / max(len(d) - 1, 1)
        trust = (len(d) - 1) / (len(d) - 1 + _PRIOR_PIXELS)
        covariance = trust * own + (1 - trust) * pooled * np.outer(s, s)
        value, vector = np.linalg.eigh(covariance)
        top = vector[:, ::-1][:, :rank] * np.sqrt(np.maximum(value[::-1][:rank], 0))
        factors.append(top.T)
        residual.append(np.sqrt(np.maximum(np.diag(covariance) - (top**2).sum(1), 0)))
    return ClassSpectra(
        names=tuple(names),
        wavelengths_nm=np.asarray(wavelengths_nm, np.float64),
        mean=mean.astype(np.float32),
        factors=np.stack(factors).astype(np.float32),
        residual_std=np.stack(residual).astype(np.float32),
        source=source,
    )


def snr_profile(wavelengths_nm: ArrayLike, *, peak: float = 60.0, edge: float = 0.25) -> NDArray[np.float64]:
    """(L,) signal-to-noise ratio that is `peak` in mid-range and falls to `edge` of it at both ends."""
    nm = np.asarray(wavelengths_nm, np.float64)
    half = max(np.ptp(nm) / 2, 1e-9)
    return peak * (1 - (1 - edge) * ((nm - (nm.min() + half)) / half) ** 2)


def make_up_spectra(n_classes: int, n_bands: int, *, seed: int, rank: int = 3, spread: float = 0.06) -> ClassSpectra:
    """Smooth invented spectra around 0.3 (as reflectance), needing no data at all.

    Every class is a shared continuum plus three bumps of its own; its factors are an overall brightness, a
    slope and further smooth curves, of relative size `spread`.
    """
    if n_classes < 1 or n_bands < 1 or rank < 1:
        raise SettingError(f"{n_classes} classes, {n_bands} bands and rank {rank} must all be at least 1.")
    rng = np.random.default_rng(seed)
    t = np.linspace(0, 1, n_bands)
    centre, width = rng.uniform(0, 1, (n_classes, 3, 1)), rng.uniform(0.08, 0.3, (n_classes, 3, 1))
    height = rng.uniform(-0.12, 0.12, (n_classes, 3, 1))
    mean = 0.25 + 0.1 * t + (height * np.exp(-(((t - centre) / width) ** 2) / 2)).sum(1)
    mean = np.maximum(mean, 0.05)
    curves = np.stack([np.cos(np.pi * r * t) / (1 + r) for r in range(rank)])
    return ClassSpectra(
        names=tuple(f"class {k + 1}" for k in range(n_classes)),
        wavelengths_nm=np.linspace(430.0, 860.0, n_bands),
        mean=mean.astype(np.float32),
        factors=(spread * mean[:, None, :] * curves).astype(np.float32),
        residual_std=(0.2 * spread * mean).astype(np.float32),
        source="made-up smooth spectra",
    )


def pavia_spectra(file: Path) -> ClassSpectra:
    """Spectra of the nine Pavia University classes from the 80 x 50 x 103 low-resolution cube.

    Means of all but shadows: the pixels projected onto the class (0.60 and more of their area), weighted by the fourth
    power of that share. 71, 103, 9, 2, 48, 243, 51 and 3 pixels: gravel, trees and bricks rest on very few, and up to a
    third of what they saw is their surroundings. Shadows: no pixel is projected onto them; mean of the 10 pixels with
    the largest shadow share (above 0.35, at most 0.60), halved, because their surroundings are much brighter. The
    factor is our guess. Covariances: within-class, shrunk (`fit_class_spectra`); those of the small classes come mostly
    from the large ones. A low-resolution pixel averages many real ones, so the spread is too small.

    Plain least squares on the area fractions was tried and not used: "background" is not one material, and
    the estimates of trees and shadows became zero or negative over most of the visible range.
    """
    with np.load(file) as stored:
        cube, gt, share = (stored[n].astype(np.float64) for n in ("cube", "gt", "fractions"))
        wavelengths_nm = 1000.0 * stored["wavelength_um"]
    if share.shape != (*gt.shape, 10) or cube.shape[:2] != gt.shape:
        raise DataFileError(f"{file}: cube {cube.shape}, gt {gt.shape} and fractions {share.shape} do not fit.")
    labels = gt.astype(np.int64) - 1
    purity = np.take_along_axis(share, gt.astype(np.int64)[..., None], -1)[..., 0]
    shadow = (labels < 0) & (share[..., 9] > 0.35)
    labels[shadow], purity[shadow] = 8, share[shadow][:, 9]
    cube[shadow] *= 0.5
    known = labels >= 0
    source = f"class spectra reconstructed from {file.name} (low-resolution cube, no licence stated)"
    return fit_class_spectra(
        cube[known], labels[known], names=PAVIA_CLASSES, wavelengths_nm=wavelengths_nm, weights=purity[known] ** 4,
        source=source,
    )  # fmt: skip
