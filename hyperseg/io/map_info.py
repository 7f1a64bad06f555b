"""Coordinates in the words of ENVI's headers ("map info" and its kin), turned into a grid by GDAL."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from hyperseg.core import Grid
from hyperseg.io.formats.axes import grid_of
from hyperseg.io.formats.envi_header import GDAL_DOMAIN
from hyperseg.io.formats.windows import import_rasterio

log = logging.getLogger(__name__)

FIELDS = ("map info", "projection info", "coordinate system string")
ONE_PIXEL = (
    "ENVI\nsamples = 1\nlines = 1\nbands = 1\nheader offset = 0\nfile type = ENVI Standard\ndata type = 1\n"
    "interleave = bsq\nbyte order = 0\n"
)


def map_info_grid(fields: Mapping[str, Any]) -> Grid:
    """The grid that the fields of a header tell, unknown where they do not or GDAL cannot make it out.

    GDAL sees nothing but an image of one pixel with these fields: whatever else a header holds, and however it is
    encoded, does no harm.
    """
    told = {name: _text(fields[name]) for name in FIELDS if fields.get(name)}
    if "map info" not in told:
        return Grid()
    lines = (f"{name} = {{{text}}}\n" for name, text in told.items())
    header = (ONE_PIXEL + "".join(lines)).encode("ascii", "replace")
    try:
        rasterio = import_rasterio()
        from rasterio.io import MemoryFile

        folder = f"hyperseg-{id(told)}"
        with (
            rasterio.Env(),
            MemoryFile(header, dirname=folder, filename="pixel.hdr"),
            MemoryFile(bytes(64), dirname=folder, filename="pixel.img") as pixel,
            pixel.open(driver=GDAL_DOMAIN) as source,
        ):
            grid = grid_of(source)
    except Exception as error:  # coordinates are a bonus: the pixels are read by other means
        log.info("map info (%s) tells no coordinates (%s)", told["map info"][:60], error)
        return Grid()
    if grid.crs is None and "units" not in told["map info"].lower():  # GDAL says metres where nobody did
        grid = replace(grid, spacing=(1.0, 1.0), unit="px")
    return grid


def _text(value: Any) -> str:
    text = ", ".join(value) if isinstance(value, list) else str(value)
    return " ".join(text.split()).strip("{} ")[:10_000]
