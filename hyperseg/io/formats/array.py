"""What a file format is, what a file of it holds, which array to take, and how a failure to read is told."""

from __future__ import annotations

import math
import os
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from hyperseg.core import Cube, DataFileError, Grid, HypersegError
from hyperseg.core.words import one_line, printable, some
from hyperseg.io.wavelengths import Centres

SCALE_UNUSED = "states a scale with an offset, or one for every band: its values are used as they are stored"
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
        centres: of the bands, as the file gives them, or None.
        bbl: True for good bands, or None.
        nodata: the value that stands for "no data", or None.
        mask: (rows, columns) bool, lazy, False where the file says that there is no data; or None.
        grid: where pixels are.
        names, palette: class name and sRGB triple by file code, as far as the file has them.
        rgb_bands: bands of a picture, counted from 0, or None.
        scale: what to divide values by to get reflectance from 0 to 1, or None where the file does not say.
        about: what kind of file it is, in a few words.
        in_chunks: stored in compressed chunks: many small reads are slow, one of everything is not.
    """

    array: Cube
    path: Path
    key: str | None = None
    axes_known: bool = False
    centres: Centres | None = None
    bbl: NDArray[np.bool_] | None = None
    nodata: float | None = None
    mask: Cube | None = None
    grid: Grid = field(default_factory=Grid)
    names: Mapping[int, str] = field(default_factory=dict)
    palette: Mapping[int, tuple[int, int, int]] = field(default_factory=dict)
    rgb_bands: tuple[int, int, int] | None = None
    scale: float | None = None
    about: str = ""
    in_chunks: bool = False

    @property
    def wavelengths_nm(self) -> NDArray[np.float64] | None:
        """Band centres in nanometres, or None where the file does not give them, or what it gives cannot be."""
        return None if self.centres is None else self.centres.in_nm()


@dataclass(frozen=True)
class Choice:
    """Which array of a file is wanted."""

    key: str | None = None  # its name, or None for the only one that fits
    ndim: int | None = None  # number of its axes: 3 for a cube, 2 for labels, None for any
    shape: tuple[int, ...] | None = None  # preferred where several fit; not insisted on


ANY = Choice()


@dataclass(frozen=True)
class ArrayEntry:
    """Shape and type of one array of a file, known without reading it."""

    shape: tuple[int, ...]
    dtype: np.dtype[Any]

    def __str__(self) -> str:
        return f"{'x'.join(map(str, self.shape)) or 'scalar'} {self.dtype}"


@dataclass(frozen=True)
class Format:
    """A file format as a value: one file of this folder, and one line of `FORMATS`.

    Attributes:
        name: as in the table.
        suffixes: in lower case, with the dot: for messages, and what `by_suffix` goes by.
        recognises: whether a file (or folder) that exists is of this format; never raises.
        open: the array that is wanted, lazy where the format allows it; raises `DataFileError`.
        arrays: every array the user may choose by name, with shape and type where known; empty where a file is one
            array, so that there is nothing to choose.
        kind: "product": of a satellite, opened as the cube that its users mean; asked first, and only where neither an
            array by name nor a label raster is wanted. "file": asked next. "any": takes what no other format does.
    """

    name: str
    suffixes: tuple[str, ...]
    recognises: Callable[[Path], bool]
    open: Callable[[Path, Choice], FileArray]
    arrays: Callable[[Path], Mapping[str, ArrayEntry | None]] = lambda path: {}
    kind: Literal["product", "file", "any"] = "file"


def by_suffix(*suffixes: str) -> Callable[[Path], bool]:
    """Recognises what is no folder and ends in one of the suffixes, in capitals too."""
    return lambda path: path.suffix.lower() in suffixes and not path.is_dir()


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
        raise DataFileError(f"{path}: no permission to read this file; change its rights or copy it.") from error
    except Exception as error:
        found = printable(one_line(str(error), 200)) or type(error).__name__
        raise DataFileError(
            f"{path}: cannot be read as {expected} ({found}; the file has {_size(path)}). "
            "It may be truncated or of another format: copy or download it again, or convert it."
        ) from error


def choose_key(path: Path, entries: Mapping[str, ArrayEntry], choice: Choice) -> str:
    """The name of the wanted array among all `entries` of a file.

    Raises:
        DataFileError: no array or more than one fits; the message lists them with shapes and types.
    """
    key, ndim, shape = choice.key, choice.ndim, choice.shape
    numeric = {k: e for k, e in entries.items() if e.dtype.kind in "biuf"}
    if key is not None:
        for candidate in (key, key.strip("/"), key.replace(".", "/"), key.replace("/", ".")):
            if candidate in numeric:
                return candidate
        raise DataFileError(f"{path}: holds no numeric array {key!r}; it holds {_listing(numeric)}.")
    fits = numeric
    if ndim is not None:  # MATLAB has no vectors: they come as 1xN and are no label rasters
        fits = {k: e for k, e in fits.items() if len(e.shape) == ndim and (ndim < 2 or min(e.shape) > 1)}
    if shape is not None and any(e.shape == shape for e in fits.values()):
        fits = {k: e for k, e in fits.items() if e.shape == shape}
    if ndim == 3 and len(fits) > 1:
        # a picture beside its cube is never the cube
        fits = {k: e for k, e in fits.items() if e.shape[-1] != 3} or fits
    if len(fits) == 1:
        return next(iter(fits))
    wanted = "array" if ndim is None else f"{ndim}-D array"
    if not fits:
        raise ArrayChoiceError(f"{path}: holds no {wanted}; it holds {_listing(numeric)}. Choose another file.")
    example = max(fits, key=lambda k: math.prod(fits[k].shape))
    raise ArrayChoiceError(
        f"{path}: holds {len(fits)} {wanted}s and only you know which is meant: {_listing(fits)}. "
        f"Choose one as FILE:KEY, for example {path}:{example}, or with key={example!r} in Python."
    )


def companions(
    entries: Mapping[str, ArrayEntry],
    load: Any,
    shape: tuple[int, ...],
    unit_of: Callable[[str], Any] = lambda key: None,
) -> tuple[Centres | None, NDArray[np.bool_] | None]:
    """Band centres and good-band list lying beside a cube in the same file, as long as one axis of its `shape`.

    `load[key]` gives the array of one of the `entries`, `unit_of(key)` what the file says of its unit.
    """
    centres, good = None, None
    for key, entry in entries.items():
        name = last_part(key).lower()
        length = max(entry.shape, default=0)
        if entry.dtype.kind not in "biuf" or math.prod(entry.shape) != length or length not in shape:
            continue
        if good is None and name in BBL_NAMES:
            good = np.asarray(load[key]).ravel() > 0
        elif centres is None and (name in WAVELENGTH_NAMES or name.startswith("wavelength")):
            centres = Centres(np.asarray(load[key], dtype=np.float64).ravel(), text_of(unit_of(key)))
    return centres, good


def check_fits(path: Path, entry: ArrayEntry, largest: int | None = None) -> None:
    """Refuse an array that is to be read at once and says to be larger than the machine's memory.

    Raises:
        DataFileError: it is; `largest` is another limit in bytes.
    """
    memory = largest or os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") if hasattr(os, "sysconf") else None
    needed = math.prod(entry.shape) * entry.dtype.itemsize
    if memory is not None and needed > memory:
        raise DataFileError(
            f"{path}: says to hold an array of {entry}, {needed / 2**30:.4g} GiB; such a file is read at once and this "
            f"machine has {memory / 2**30:.4g} GiB. Convert it to .npy or HDF5, which are read part by part."
        )


def listed_centres(attributes: Mapping[str, Any], shape: tuple[int, ...]) -> Centres | None:
    """Band centres in a list among the attributes of an array, as long as one axis of its `shape`, or None."""
    listed = attributes.get("wavelength", attributes.get("wavelengths"))
    try:
        values = np.asarray(listed if listed is not None else [], np.float64).ravel()
    except (TypeError, ValueError):
        return None
    units = (attributes.get(name) for name in ("wavelength_units", "wavelength_unit", "wavelength units"))
    return Centres(values, text_of(next(filter(None, units), None))) if len(values) and len(values) in shape else None


def last_part(key: str) -> str:
    """The name of an array without the groups (a/b) or structs (a.b) that it lies in."""
    return re.split(r"[/.]", key)[-1]


def text_of(value: Any) -> str | None:
    """An attribute as text, whatever its writer made of it: bytes, or an array of one; None where there is none."""
    if isinstance(value, np.ndarray):
        value = value.ravel()[0] if value.size else None
    if isinstance(value, bytes):
        return value.decode("utf-8", "replace")
    return None if value is None else str(value)


def number_of(value: Any) -> float | None:
    """An attribute as one finite number, whatever its writer made of it; None where it is none."""
    try:
        number = float(text_of(value) or "")
    except ValueError:
        return None
    return number if math.isfinite(number) else None


def _listing(entries: Mapping[str, ArrayEntry]) -> str:
    names = map(printable, entries)
    return (
        some([f"{name} ({e})" for name, e in zip(names, entries.values(), strict=True)], 12)
        or "no numeric array at all"
    )


def _size(path: Path) -> str:
    try:
        return f"{path.stat().st_size} bytes"
    except OSError:
        return "an unknown size"
