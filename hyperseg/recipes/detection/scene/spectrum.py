"""The spectrum of a target, in the bands and the units of a scene."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hyperseg.core import DataFileError, LabelError, Scene, SettingError
from hyperseg.core.words import counted, did_you_mean, listed
from hyperseg.data.bands.resampling import local_spacing
from hyperseg.data.preprocess import gather_spectra
from hyperseg.io.look.values import valid_in
from hyperseg.io.small_tables import read_text
from hyperseg.recipes.detection.scene.positions import Mask
from hyperseg.simulated.usgs import library_spectrum

Float64 = NDArray[np.float64]
MICROMETRES = 100.0  # wavelengths below this are in µm
COVERED = 0.5  # of the good bands, that a spectrum must cover at least
UNITS = 5.0  # times that a spectrum is brighter or darker than all of the scene, where it is in other units
UNLIT = 1e-6


@dataclass(frozen=True, eq=False)
class Target:
    """What is sought.

    Attributes:
        spectrum: (C,) in the scene's units; NaN in bands that it does not cover.
        words: where it comes from.
        known: (H, W) bool of pixels that are known to be the target, or None: they are neither learned nor scored.
        cautions: what a reader must know of it.
    """

    spectrum: Float64
    words: str
    known: Mask | None = None
    cautions: tuple[str, ...] = ()

    @property
    def covered(self) -> NDArray[np.bool_]:
        """(C,) bands that it is known in."""
        return np.isfinite(self.spectrum)


def target_from_file(text: str, scene: Scene) -> Target:
    """A target's spectrum from a text or .npy file, or of a library.

    Args:
        text: FILE with wavelength and value in two columns, or one value per band; or LIBRARY.npz:NAME of the USGS
            library.

    Raises:
        DataFileError: the file is missing or holds no such numbers.
        SettingError: the wrong number of bands, or wavelengths that do not cover the scene's.
    """
    nm, values = _read(text)
    words = f"the spectrum {Path(text).name}"
    if nm is None:
        if len(values) != scene.n_bands:
            raise SettingError(
                f"{text}: {counted(len(values), 'value')}, and {scene.name} has {scene.n_bands} bands. Give one value "
                "per band, bad bands included, or wavelength and value in two columns."
            )
        return _in_units(values, scene, words)
    if scene.wavelengths_nm is None:
        raise SettingError(
            f"{text} holds wavelengths, and {scene.name} knows none to bring it to. Give one value per band "
            f"({scene.n_bands}), or --target-pixels."
        )
    spectrum = to_bands(nm, values, np.asarray(scene.wavelengths_nm, np.float64))
    good = np.ones(scene.n_bands, bool) if scene.good_bands is None else scene.good_bands
    share = float(np.isfinite(spectrum)[good].mean())
    if share < COVERED:
        raise SettingError(
            f"{text}: covers {nm.min():.0f} to {nm.max():.0f} nm, which is {100 * share:.0f} % of the good bands of "
            f"{scene.name}; at least {100 * COVERED:.0f} % are needed. Wavelengths below {MICROMETRES:g} count as µm."
        )
    return _in_units(spectrum, scene, words)


def target_from_pixels(mask: Mask, scene: Scene, *, words: str = "the mean of the target pixels") -> Target:
    """A target's spectrum as the mean of pixels of the scene.

    Raises:
        LabelError: none of them holds data.
    """
    inside = mask if scene.valid is None else mask & scene.valid
    spectra = gather_spectra(scene, inside)
    whole = valid_in(spectra[:, None], good=scene.good_bands, nodata=scene.nodata, gaps=scene.gaps)[:, 0]
    if not whole.any():
        raise LabelError(f"{scene.name}: none of the target pixels holds data.")
    n = int(whole.sum())
    return Target(
        spectra[whole].astype(np.float64).mean(0), f"{words} ({counted(n, 'pixel')})", mask,
        ("The spectrum is that of a single pixel, noise included.",) if n == 1 else (),
    )  # fmt: skip


def target_from_class(name: str, scene: Scene) -> Target:
    """A target's spectrum as the mean of a labelled class.

    Raises:
        LabelError: no labels, or no such class.
    """
    if scene.labels is None:
        raise LabelError(f"{scene.name} has no labels to take the class {name!r} from: give --labels FILE.")
    folded = {known.casefold(): k for k, known in enumerate(scene.classes)}
    if name.casefold() not in folded:
        close = did_you_mean(name, scene.classes)
        raise LabelError(f"{scene.name}: no class {name!r}; there are {listed(scene.classes)}.{close}")
    k = folded[name.casefold()]
    return target_from_pixels(scene.labels == k, scene, words=f"the mean of the class {scene.classes[k]}")


def to_bands(nm: Float64, values: Float64, centres: Float64) -> Float64:
    """(C,) means of a spectrum over bands as wide as they lie apart, else linear between samples; NaN outside of it.

    Differs: bands are boxes here; a sensor's own response is not known.
    """
    order = np.argsort(nm)
    x, y = nm[order], values[order]
    width = local_spacing(centres)
    lowest, highest = x[0] - 0.5 * width, x[-1] + 0.5 * width
    out = np.where((centres >= lowest) & (centres <= highest), np.interp(centres, x, y), np.nan)
    first, last = (np.searchsorted(x, centres + side * width / 2) for side in (-1, 1))
    total = np.concatenate([[0.0], np.cumsum(y)])
    many = last - first
    means = (total[last] - total[first]) / np.maximum(many, 1)
    return np.where(np.isfinite(out) & (many > 1), means, out)


def _in_units(spectrum: Float64, scene: Scene, words: str) -> Target:
    """The spectrum in the scene's units: as it is, by the scene's scale, or, where neither fits, as bright."""
    known = np.isfinite(spectrum)
    if not known.any() or not (np.abs(spectrum[known]) > UNLIT).any():
        raise SettingError(f"{words} is 0 or no number in every band.")
    if scene.good_bands is not None:
        known &= scene.good_bands
    level, own = _level(scene, known), float(np.abs(spectrum[known]).mean())
    if scene.scale and own * scene.scale < UNITS * level and own * scene.scale > level / UNITS:
        return Target(spectrum * scene.scale, words)
    if level / UNITS <= own <= UNITS * level:
        return Target(spectrum, words)
    return Target(
        spectrum * level / own, words,
        cautions=(
            f"The spectrum is in other units than the scene (mean {own:.3g} against {level:.3g}): it was scaled to the "
            "scene's mean brightness. Give it in the scene's units where you know them.",
        ),
    )  # fmt: skip


def _level(scene: Scene, bands: NDArray[np.bool_]) -> float:
    from hyperseg.recipes.spectra.pixels import learning_spectra

    return float(np.abs(np.nanmedian(learning_spectra(scene, None, most=2000, seed=0)[:, bands], axis=0)).mean())


def _read(text: str) -> tuple[Float64 | None, Float64]:
    """Wavelengths in nm or None, and values."""
    library, colon, name = text.rpartition(":")
    if colon and library.endswith(".npz"):
        return library_spectrum(library, name)
    path = Path(text)
    if not path.is_file():
        raise DataFileError(f"{text}: no such file; a spectrum is FILE, or LIBRARY.npz:NAME of the USGS library.")
    table = _npy(path) if path.suffix.lower() == ".npy" else _table(path)
    if table.ndim == 2 and 1 in table.shape:
        table = table.ravel()
    if table.ndim == 1 and len(table):
        return None, table
    if table.ndim != 2 or table.shape[1] != 2:
        raise DataFileError(
            f"{path}: numbers of shape {table.shape}; a spectrum is one value per band, or wavelength and value in two "
            "columns."
        )
    nm = table[:, 0] * (1000.0 if table[:, 0].max() < MICROMETRES else 1.0)
    return nm, table[:, 1]


def _npy(path: Path) -> Float64:
    try:
        return np.asarray(np.load(path, allow_pickle=False), np.float64)
    except (OSError, ValueError, TypeError) as error:
        raise DataFileError(f"{path}: is no array of numbers ({error}).") from error


def _table(path: Path) -> Float64:
    """Numbers of a text file, in rows; lines of words are left out."""
    rows: list[list[float]] = []
    for line in read_text(path, "A spectrum has one or two columns of numbers").splitlines():
        cells: list[Any] = line.split("#")[0].replace(",", " ").replace(";", " ").split()
        try:
            values = [float(cell) for cell in cells]
        except ValueError:
            if rows:
                raise DataFileError(f"{path}: words among the numbers: {line[:40]!r}.") from None
            continue  # a heading
        if values:
            rows.append(values)
    if not rows or len({len(row) for row in rows}) != 1:
        raise DataFileError(f"{path}: no numbers, or rows of different length; a spectrum has one or two columns.")
    return np.array(rows, np.float64)
