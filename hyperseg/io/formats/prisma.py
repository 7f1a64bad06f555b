"""PRISMA: level 2 products (.he5) of the Italian hyperspectral satellite, VNIR and SWIR as one cube.

Assumed layout: `HDFEOS/SWATHS/PRS_L2?_HCO/Data Fields/VNIR_Cube` and `SWIR_Cube`, uint16 (rows, bands, columns), 0 =
no data; among the attributes of the file `List_Cw_Vnir` and `List_Cw_Swir` (nm, in the order of the bands, 0 for bands
that do not exist), the same with `_Flags` (0 = not to be used), `L2ScaleVnirMin`, `L2ScaleVnirMax` and the like for
SWIR: reflectance = Min + value x (Max - Min) / 65535. L2D has `Epsg_Code` and the map coordinates of the corners.

Source: PRISMA Products Specification Document, Agenzia Spaziale Italiana, issue 2.3.
No product was at hand to check this against: tested on small files of this layout.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hyperseg.core import DataFileError, Grid
from hyperseg.io.formats.array import Choice, FileArray, Format, reading
from hyperseg.io.formats.axes import make_grid
from hyperseg.io.formats.hdf5 import CHUNK_CACHE_BYTES, hdf5_arrays, inside, opened
from hyperseg.io.formats.windows import Handles, LazyCube, Window
from hyperseg.io.wavelengths import Centres

log = logging.getLogger(__name__)

SWATHS = "HDFEOS/SWATHS"
FULL_SCALE = 65535
PIXEL_M = 30.0


@dataclass(frozen=True)
class Band:
    """One band of the joined cube: the dataset it lies in, its place there, and what makes it reflectance."""

    key: str
    index: int
    centre_nm: float
    good: bool
    low: float
    high: float


def prisma_swath(file: Any) -> str | None:
    """The group of an opened file that holds both cubes of a level 2 product, or None."""
    swaths = file.get(SWATHS)
    for name in swaths if swaths is not None else ():
        fields = f"{SWATHS}/{name}/Data Fields"
        if name.startswith("PRS_L2") and f"{fields}/VNIR_Cube" in file and f"{fields}/SWIR_Cube" in file:
            return f"{SWATHS}/{name}"
    return None


def open_prisma(path: Path, choice: Choice) -> FileArray:
    """Both detectors of a product as one lazy cube (rows, columns, bands), sorted by wavelength.

    Where VNIR and SWIR overlap both stay in the cube, VNIR marked bad: one spectrum does not jump between detectors.
    """
    with reading(path, "a PRISMA product"), opened(path) as file:
        swath = str(prisma_swath(file))
        vnir, swir = (_bands(path, file, f"{swath}/Data Fields", detector) for detector in ("VNIR", "SWIR"))
        rows, _, columns = file[vnir[0].key].shape
        if (rows, columns) != (file[swir[0].key].shape[0], file[swir[0].key].shape[2]):
            raise DataFileError(f"{path}: VNIR and SWIR have different pixels; name one array as FILE:KEY.")
        start = min((b.centre_nm for b in swir if b.good), default=np.inf)
        twice = [b for b in vnir if b.good and b.centre_nm >= start]
        if twice:
            log.info(
                "%s: VNIR and SWIR overlap from %.0f to %.0f nm; there %d VNIR bands are marked bad",
                path, start, max(b.centre_nm for b in twice), len(twice),
            )  # fmt: skip
        joined = tuple(sorted((*vnir, *swir), key=lambda b: b.centre_nm))
        high = joined[0].high
        plain = {(b.low, b.high) for b in joined} == {(0, high)}
        reader = DetectorWindows(path, (rows, columns), joined, scaled=not plain)
        return FileArray(
            LazyCube(reader, (0, 1, 2)),
            path,
            axes_known=True,
            centres=Centres(np.asarray([b.centre_nm for b in joined]), "nm"),
            bbl=np.asarray([b.good and b not in twice for b in joined]),
            nodata=0.0,
            grid=_grid(file, rows, columns),
            scale=FULL_SCALE / high if plain else 1.0,
            about=f"PRISMA {swath.rsplit('/', 1)[-1]}, VNIR and SWIR joined"
            + ("" if plain else "; detectors differ in scale, read as reflectance"),
            in_chunks=True,
        )


class DetectorWindows:
    """Windows of both detectors as one array, axes (rows, columns, bands)."""

    def __init__(self, path: Path, pixels: tuple[int, int], bands: tuple[Band, ...], *, scaled: bool) -> None:
        self.path, self.pixels, self.bands, self.scaled = path, pixels, bands, scaled
        self.shape = (*pixels, len(bands))
        self.dtype = np.dtype(np.float32 if scaled else np.uint16)
        self._handles = Handles(partial(opened, path, cache_bytes=CHUNK_CACHE_BYTES))

    def read(self, window: Window) -> NDArray[Any]:
        (top, bottom), (left, right), (first, last) = window
        wanted = self.bands[first:last]
        out = np.empty((bottom - top, right - left, len(wanted)), self.dtype)
        with reading(self.path, "a PRISMA product"):
            for key in {b.key for b in wanted}:
                here = [(i, b) for i, b in enumerate(wanted) if b.key == key]
                low, high = min(b.index for _, b in here), max(b.index for _, b in here)
                block = self._handles.get()[key][top:bottom, low : high + 1, left:right]
                for i, band in here:
                    out[..., i] = self._values(block[:, band.index - low], band)
        return out

    def _values(self, values: NDArray[Any], band: Band) -> NDArray[Any]:
        if not self.scaled:
            return values
        reflectance = band.low + values.astype(np.float32) * ((band.high - band.low) / FULL_SCALE)
        return np.where(values == 0, np.float32(0), reflectance)  # 0 stays what means "no data"


def _bands(path: Path, file: Any, fields: str, detector: str) -> list[Band]:
    key, name = f"{fields}/{detector}_Cube", detector.capitalize()
    cube, about = file[key], file.attrs
    missing = [a for a in (f"List_Cw_{name}", f"L2Scale{name}Min", f"L2Scale{name}Max") if a not in about]
    if missing:
        raise DataFileError(
            f"{path}: looks like PRISMA but lacks the attribute {missing[0]}; download it again, or name one "
            f"array as it is: {path}:{key}."
        )
    centres = np.ravel(about[f"List_Cw_{name}"]).astype(np.float64)
    flags = np.ravel(about.get(f"List_Cw_{name}_Flags", np.ones(len(centres)))) > 0
    if cube.ndim != 3 or not cube.shape[1] == len(centres) == len(flags):
        raise DataFileError(
            f"{path}: {detector}_Cube has shape {cube.shape}, expected (rows, {len(centres)} bands, columns) "
            f"as List_Cw_{name} says. Name one array as it is: {path}:{key}."
        )
    low, high = (float(np.ravel(about[f"L2Scale{name}{end}"])[0]) for end in ("Min", "Max"))
    # bands without a wavelength do not exist: the lists and the cube are padded with them
    return [
        Band(key, i, float(centre), bool(good), low, high)
        for i, (centre, good) in enumerate(zip(centres, flags, strict=True))
        if centre > 0
    ]


def _grid(file: Any, rows: int, columns: int) -> Grid:
    """Grid of an L2D product; the corners it names are centres of pixels, or their outer edges: its size tells."""

    def corner(name: str) -> float:
        return float(np.ravel(file.attrs[f"Product_{name}"])[0])

    if "Epsg_Code" not in file.attrs or "Product_ULcorner_easting" not in file.attrs:
        return Grid()
    left, top = corner("ULcorner_easting"), corner("ULcorner_northing")
    step_x, step_y, centres = PIXEL_M, PIXEL_M, True
    if "Product_LRcorner_easting" in file.attrs and min(rows, columns) > 1:
        wide, high = corner("LRcorner_easting") - left, top - corner("LRcorner_northing")
        centres = abs(wide / columns - PIXEL_M) > abs(wide / (columns - 1) - PIXEL_M)
        step_x, step_y = wide / (columns - centres), high / (rows - centres)
    half = 0.5 if centres else 0.0
    affine = (step_x, 0.0, left - half * step_x, 0.0, -step_y, top + half * step_y)
    return make_grid(affine, f"EPSG:{int(np.ravel(file.attrs['Epsg_Code'])[0])}")


PRISMA = Format(
    "PRISMA", (".he5",), inside(lambda file: prisma_swath(file) is not None), open_prisma, hdf5_arrays, kind="product"
)
