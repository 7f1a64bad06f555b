"""What a file of arrays holds, which array to take, and how a failure to read is told."""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hyperseg.core import Cube, DataFileError, Grid, HypersegError

KNOWN = ".mat .npy .npz .h5 .hdf5 .he5 .nc .zarr, ENVI (.hdr and its data file), .tif and whatever GDAL opens"
ZARR_MARKS = ("zarr.json", ".zgroup", ".zarray")
WAVELENGTH_NAMES = ("wl", "wave", "lambda", "wavelen", "centers", "band_centers")
BBL_NAMES = ("bbl", "good_wavelengths", "good_bands", "goodbands")


class ArrayChoiceError(DataFileError):
    """A file of several arrays, of which none or more than one fits: the user has to name one."""


@dataclass(frozen=True)
class FileArray:
    """An array of a file with all that the file says about it.

    Attributes:
        array: the numbers, read or lazy.
        path, key: where they come from.
        axes_known: True where the format says which axis holds the bands (it is then the last one here).
        wavelengths_nm: band centres in nanometres, or None.
        bbl: True for good bands, or None.
        nodata: the value that stands for "no data", or None.
        grid: where pixels are.
        names, palette: class name and sRGB triple by file code, as far as the file has them.
        rgb_bands: bands of a picture, counted from 0, or None.
        scale: what to divide values by to get reflectance from 0 to 1, or None where the file does not say.
        about: what kind of file it is, in a few words.
    """

    array: Cube
    path: Path
    key: str | None = None
    axes_known: bool = False
    wavelengths_nm: NDArray[np.float64] | None = None
    bbl: NDArray[np.bool_] | None = None
    nodata: float | None = None
    grid: Grid = field(default_factory=Grid)
    names: Mapping[int, str] = field(default_factory=dict)
    palette: Mapping[int, tuple[int, int, int]] = field(default_factory=dict)
    rgb_bands: tuple[int, int, int] | None = None
    scale: float | None = None
    about: str = ""


@dataclass(frozen=True)
class Entry:
    """Shape and type of one array of a file, known without reading it."""

    shape: tuple[int, ...]
    dtype: np.dtype[Any]

    def __str__(self) -> str:
        return f"{'x'.join(map(str, self.shape)) or 'scalar'} {self.dtype}"


@contextmanager
def reading(path: Path, expected: str) -> Iterator[None]:
    """Turn whatever a foreign reader throws into one line that names the file and the remedy."""
    try:
        yield
    except HypersegError:
        raise
    except ImportError as error:
        raise DataFileError(
            f"{path}: reading {expected} needs the package {error.name!r}, which is not installed: "
            f"pip install {error.name}, or convert the file to .npy."
        ) from error
    except PermissionError as error:
        raise DataFileError(
            f"{path}: no permission to read this file; change its rights or copy it."
        ) from error
    except Exception as error:
        found = " ".join(str(error).split()) or type(error).__name__
        raise DataFileError(
            f"{path}: cannot be read as {expected} ({found[:200]}; the file has {_size(path)}). "
            "It may be truncated or of another format: copy or download it again, or convert it."
        ) from error


def check_file(path: Path) -> None:
    """Refuse what is no readable file before any reader sees it."""
    if is_zarr(path):
        return
    if path.is_dir():
        inside = sorted(p.name for p in path.iterdir() if p.is_file())[:5]
        hint = f"; it holds {', '.join(inside)}" if inside else "; it is empty"
        raise DataFileError(f"{path}: is a folder, a data file was expected{hint}. Name one file.")
    if not path.exists():
        siblings = [p.name for p in path.parent.iterdir()] if path.parent.is_dir() else []
        close = difflib.get_close_matches(path.name, siblings, n=1)
        if not path.parent.is_dir():
            hint = f"the folder {path.parent} does not exist either"
        else:
            hint = f"did you mean {close[0]}?" if close else f"check the spelling; {path.parent} exists"
        raise DataFileError(f"{path}: no such file ({hint}).")
    if path.is_file() and path.stat().st_size == 0:
        raise DataFileError(f"{path}: is empty (0 bytes), expected {KNOWN}. Copy or download it again.")


def is_zarr(path: Path) -> bool:
    """True for a folder that is a Zarr array or group, version 2 or 3."""
    return path.is_dir() and any((path / mark).is_file() for mark in ZARR_MARKS)


def choose_key(
    path: Path,
    entries: Mapping[str, Entry],
    *,
    key: str | None,
    ndim: int | None,
    shape: tuple[int, ...] | None = None,
) -> str:
    """The array to take from a file of several.

    Args:
        path: the file, for messages.
        entries: every array of the file.
        key: the user's choice, or None to take the only one that fits.
        ndim: number of axes wanted, or None for any.
        shape: shape wanted; prefers, but does not insist.

    Raises:
        DataFileError: no array or more than one fits; the message lists them with shapes and types.
    """
    numeric = {k: e for k, e in entries.items() if e.dtype.kind in "biuf"}
    if key is not None:
        for candidate in (key, key.strip("/")):
            if candidate in numeric:
                return candidate
        raise DataFileError(f"{path}: holds no numeric array {key!r}; it holds {_listing(numeric)}.")
    fits = numeric if ndim is None else {k: e for k, e in numeric.items() if _fits(e, ndim)}
    if shape is not None and any(e.shape == shape for e in fits.values()):
        fits = {k: e for k, e in fits.items() if e.shape == shape}
    if ndim == 3 and len(fits) > 1:
        # a picture beside its cube is never the cube
        fits = {k: e for k, e in fits.items() if e.shape[-1] != 3} or fits
    if len(fits) == 1:
        return next(iter(fits))
    wanted = "array" if ndim is None else f"{ndim}-D array"
    if not fits:
        raise ArrayChoiceError(
            f"{path}: holds no {wanted}; it holds {_listing(numeric)}. Choose another file."
        )
    example = max(fits, key=lambda k: int(np.prod(fits[k].shape)))
    raise ArrayChoiceError(
        f"{path}: holds {len(fits)} {wanted}s and only you know which is meant: {_listing(fits)}. "
        f"Choose one as FILE:KEY, for example {path}:{example}, or with key={example!r} in Python."
    )


def companions(
    entries: Mapping[str, Entry], load: Mapping[str, Any] | Any, shape: tuple[int, ...]
) -> tuple[NDArray[np.float64] | None, NDArray[np.bool_] | None]:
    """Wavelengths (nm) and good-band list lying beside a cube of `shape` in the same file.

    Args:
        entries: every array of the file.
        load: `load[key]` gives an array.
        shape: shape of the cube; a companion is as long as one of its axes.
    """
    wavelengths, good = None, None
    for key, entry in entries.items():
        name = key.rsplit("/", 1)[-1].lower()
        length = max(entry.shape, default=0)
        if entry.dtype.kind not in "biuf" or int(np.prod(entry.shape)) != length or length not in shape:
            continue
        if good is None and name in BBL_NAMES:
            good = np.asarray(load[key]).ravel() > 0
        elif wavelengths is None and (name in WAVELENGTH_NAMES or name.startswith("wavelength")):
            wavelengths = to_nm(np.asarray(load[key], dtype=np.float64).ravel(), unit=None)
    return wavelengths, good


def to_nm(values: NDArray[np.float64], *, unit: str | None) -> NDArray[np.float64] | None:
    """Band centres in nanometres; None where they are no wavelengths (band numbers, say).

    Args:
        values: (C,) centres in `unit`.
        unit: as spelt in the file; without one, values below 100 are taken for micrometres.
    """
    text = (unit or "").strip().lower()
    if not np.isfinite(values).all() or values.size == 0 or values.max() <= 0:
        return None
    if text.startswith(("nano", "nm")):
        return values
    if text.startswith(("micro", "um", "µm", "μm")):
        return values * 1e3
    if text.startswith(("wavenumber", "cm-1", "1/cm")):
        return 1e7 / values
    if text.startswith(("milli", "mm")):
        return values * 1e6
    if text.startswith(("meter", "metre")) or text == "m":
        return values * 1e9
    if text not in ("", "unknown"):
        return None
    return values * 1e3 if values.max() < 100 else values


def _fits(entry: Entry, ndim: int) -> bool:
    # MATLAB has no vectors: they come as 1xN and are no label rasters
    return len(entry.shape) == ndim and (ndim < 2 or min(entry.shape) > 1)


def _listing(entries: Mapping[str, Entry]) -> str:
    if not entries:
        return "no numeric array at all"
    shown = [f"{k} ({e})" for k, e in list(entries.items())[:12]]
    more = [f"and {len(entries) - 12} more"] if len(entries) > 12 else []
    return ", ".join(shown + more)


def _size(path: Path) -> str:
    try:
        return f"{path.stat().st_size} bytes"
    except OSError:
        return "an unknown size"
