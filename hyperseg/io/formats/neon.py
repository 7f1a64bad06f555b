"""NEON: reflectance of the Airborne Observation Platform of the National Ecological Observatory Network (.h5).

Assumed layout: one group named after the site; in it `Reflectance/Reflectance_Data`, int16 (rows, columns, bands) with
the attributes `Scale_Factor` and `Data_Ignore_Value`, and `Reflectance/Metadata` with `Spectral_Data/Wavelength` (nm)
and `Coordinate_System` (`Map_Info` in ENVI's words, `EPSG Code`). `Band_Window_1_Nanometers` and `_2_` among the
attributes of the group or the data are the absorption by water, where there is no signal: those bands are marked bad.
Radiance is laid out in the same way.

Source: NEON Imaging Spectrometer data products NEON.DP3.30006 and NEON.DP1.30006, Battelle.
No product was at hand to check this against: tested on small files of this layout.
"""

from __future__ import annotations

from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hyperseg.core import Grid
from hyperseg.io.formats.array import Choice, FileArray, Format, number_of, reading, text_of
from hyperseg.io.formats.axes import make_grid
from hyperseg.io.formats.hdf5 import hdf5_arrays, inside, open_hdf5, opened
from hyperseg.io.map_info import map_info_grid
from hyperseg.io.wavelengths import Centres

MOST_SITES = 16  # groups that are looked at: a product has one
QUANTITIES = ("Reflectance", "Radiance")
WINDOWS = ("Band_Window_1_Nanometers", "Band_Window_2_Nanometers")


def neon_group(file: Any) -> str | None:
    """The group of an opened file that holds the cube of a product and its metadata, or None."""
    for site in islice(file, MOST_SITES):
        for what in QUANTITIES:
            if f"{site}/{what}/{what}_Data" in file and f"{site}/{what}/Metadata" in file:
                return f"{site}/{what}"
    return None


def open_neon(path: Path, choice: Choice) -> FileArray:
    """The cube of a product, lazily, with the scale, no-data value, wavelengths and coordinates that lie beside it."""
    with reading(path, "a NEON product"), opened(path) as file:
        group = str(neon_group(file))
        what = group.rsplit("/", 1)[-1]
        data, about = file[f"{group}/{what}_Data"], file[f"{group}/Metadata"]
        scale, nodata = (number_of(data.attrs.get(n)) for n in ("Scale_Factor", "Data_Ignore_Value"))
        listed = about.get("Spectral_Data/Wavelength")
        centres = None if listed is None else np.asarray(listed[()], np.float64).ravel()
        if centres is not None and len(centres) == data.shape[-1]:
            unit = text_of(listed.attrs.get("Units", listed.attrs.get("units"))) or "nm"
            known, bad = Centres(centres, unit), _absorbed(centres, (data, file[group]))
        else:
            known, bad = None, None
        found = replace(
            open_hdf5(path, replace(choice, key=data.name)),
            key=None,
            axes_known=True,
            centres=known,
            bbl=None if bad is None or not bad.any() else ~bad,
            nodata=nodata,
            grid=_grid(about.get("Coordinate_System")),
            scale=scale if what == "Reflectance" and scale is not None and scale > 0 else None,
            about=f"NEON {group}",
        )
    return found


def _absorbed(centres: NDArray[np.float64], nodes: tuple[Any, ...]) -> NDArray[np.bool_]:
    bad = np.zeros(len(centres), bool)
    for node in nodes:
        for name in WINDOWS:
            window = np.ravel(node.attrs.get(name, ()))
            if len(window) == 2 and window.dtype.kind in "iuf":
                bad |= (centres >= window[0]) & (centres <= window[1])
    return bad


def _grid(about: Any) -> Grid:
    """From ENVI's map info; the EPSG code, where there is one, says the CRS."""
    if about is None:
        return Grid()
    told = {
        name: text_of(about[key][()]) for name, key in (("map info", "Map_Info"), ("epsg", "EPSG Code")) if key in about
    }
    grid = map_info_grid({"map info": told.get("map info")})
    code = number_of(told.get("epsg"))
    return grid if code is None or grid.affine is None else make_grid(grid.affine, f"EPSG:{code:.0f}")


NEON = Format(
    "NEON", (".h5",), inside(lambda file: neon_group(file) is not None), open_neon, hdf5_arrays, kind="product"
)
