"""Class maps as ENVI classification: a header with names, colours and coordinates, and a raw file of codes."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hyperseg.core import DataFileError, Grid, LabelError
from hyperseg.core.codes import code_table, code_type, codes_of, empty_code
from hyperseg.io.formats.windows import import_rasterio
from hyperseg.io.write.files import AnyPath, check_labels, replacing, unwritable
from hyperseg.io.write.style import UNUSED_NAME, Colours, names_by_code

ROWS_AT_ONCE = 1024
FORBIDDEN = str.maketrans({",": ";", "{": "(", "}": ")", "\n": " ", "\r": " "})  # they end a name in a header


def write_envi_map(
    path: AnyPath,
    labels: NDArray[Any],
    *,
    classes: Sequence[str],
    colours: Colours,
    grid: Grid | None = None,
    codes: Sequence[int] | None = None,
) -> Path:
    """Write a map as an ENVI classification (`file type`, `class names`, `class lookup`, `map info`).

    Code 0 is "unlabelled" and black, or 255 where 0 is a class. Commas and braces, which a header cannot hold in a
    name, become semicolons and brackets. The codes are written block by block.

    Args:
        path: the header, .hdr.
        labels: (H, W) classes 0..K-1, -1 = none.
        classes, colours: K names and sRGB triples.
        codes: K codes of the classes in the file, or None for 1..K.
        grid: coordinates, or None; rows must run southwards and columns eastwards, as ENVI has no other maps.

    Returns:
        The data file beside the header, `<stem>.img`.

    Raises:
        DataFileError: another suffix, a grid that ENVI cannot hold, or a file that cannot be written.
        LabelError: labels, names and colours do not fit.
    """
    from spectral.io import envi

    target = Path(path)
    check_header_name(target)
    check_labels(labels, len(classes), target)
    if len(classes) != len(colours):
        raise LabelError(f"{target}: {len(classes)} class names, {len(colours)} colours; give as many of both.")
    known = codes_of(len(classes), codes)
    table, empty = code_table(known), empty_code(known)
    dtype = np.dtype(code_type(known)).newbyteorder("<")
    names, painted = names_by_code(classes, known, UNUSED_NAME), dict(zip(known, colours, strict=True))
    metadata: dict[str, Any] = {
        "description": "class map",
        "samples": labels.shape[1],
        "lines": labels.shape[0],
        "bands": 1,
        "header offset": 0,
        "file type": "ENVI Classification",
        "data type": envi.dtype_to_envi[dtype.char],
        "interleave": "bsq",
        "byte order": 0,
        "classes": len(names),
        "class names": [name.translate(FORBIDDEN).strip() for name in names],
        "class lookup": [int(v) for code in range(len(names)) for v in painted.get(code, (0, 0, 0))],
        "band names": ["class"],
        "data ignore value": empty,
        **place_of(Grid() if grid is None else grid, target),
    }
    data = target.with_suffix(".img")
    # the header gets its name last: a data file without one is no ENVI file, the other way round it is half of one
    with replacing(target) as header, replacing(data) as raw:
        # written plainly: a memory map on a disk that fills up ends the process, without an error to catch
        with raw.open("wb") as file:
            for start in range(0, len(labels), ROWS_AT_ONCE):
                block = table[labels[start : start + ROWS_AT_ONCE]]
                file.write(block.astype(dtype).tobytes())
        try:
            envi.write_envi_header(str(header), metadata)
        except (envi.EnviException, UnicodeEncodeError) as error:
            raise unwritable(target, error) from error
    return data


def check_header_name(path: Path) -> None:
    """Refuse a name that is not a header's."""
    if path.suffix.lower() != ".hdr":
        raise DataFileError(f"{path}: an ENVI map is named by its header; name it {path.stem}.hdr.")


def place_of(grid: Grid, target: Path) -> dict[str, Any]:
    """`map info` and `coordinate system string` of a grid; empty without coordinates.

    Layout as in the public description of ENVI headers: projection, reference pixel (1, 1 is the outer corner of
    the first), its two coordinates, pixel size along x and y, then zone and hemisphere for UTM, datum, units.

    Raises:
        DataFileError: rows do not run southwards, or columns not eastwards.
    """
    if grid.affine is None:
        return {}
    a, b, c, d, e, f = grid.affine
    if b or d or a <= 0 or e >= 0:
        raise DataFileError(
            f"{target}: ENVI maps have north up, this one's grid is rotated or mirrored ({a:g}, {b:g}, {d:g}, {e:g}). "
            "Warp it to a grid with north up, or export GeoTIFF or polygons."
        )
    corner = [1, 1, repr(c), repr(f), repr(a), repr(-e)]
    if grid.crs is None:
        return {"map info": ["Arbitrary", *corner]}
    crs = import_rasterio().crs.CRS.from_user_input(grid.crs)
    said = {"coordinate system string": "{" + crs.to_wkt(version="WKT1_ESRI") + "}"}
    if crs.is_geographic:
        return {"map info": ["Geographic Lat/Lon", *corner, "WGS-84", "units=Degrees"], **said}
    epsg = crs.to_epsg() or 0
    if 32601 <= epsg <= 32660 or 32701 <= epsg <= 32760:
        half = "North" if epsg < 32700 else "South"
        return {"map info": ["UTM", *corner, epsg % 100, half, "WGS-84", "units=Meters"], **said}
    metres = float(crs.linear_units_factor[1])
    units = "Meters" if metres == 1 else "Feet" if abs(metres - 0.3048) < 1e-5 else "Unknown"
    name = str(crs.to_dict(projjson=True).get("name", "projected")).translate(FORBIDDEN)
    return {"map info": [name, *corner, f"units={units}"], **said}
