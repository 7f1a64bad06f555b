"""One file of a pair, decoded: the numbers of a depth map as they lie in it, and a picture in 8-bit colours."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hyperseg.core import DataFileError
from hyperseg.io.cases.decode import decode_image, shape_of
from hyperseg.io.formats import check_file
from hyperseg.io.formats.array import reading

NETPBM = (".pgm", ".ppm")
PFM = ".pfm"
ORIENTATION = 0x0112  # of EXIF
TURNS = {
    1: (False, False, False), 2: (False, False, True), 3: (False, True, True), 4: (False, True, False),
    5: (True, False, False), 6: (True, False, True), 7: (True, True, True), 8: (True, True, False),
}  # fmt: skip
"""Of each orientation: rows and columns change places; then rows, then columns from the other end."""


def decode_depth(file: Path) -> NDArray[Any]:
    """(h, w) numbers of a depth map in the type of the file: nothing is scaled, nothing is marked as a hole.

    Raises:
        DataFileError: missing, unreadable, truncated, of an unknown format, in colours, or of more than two axes.
    """
    array = _read(file)
    if array.ndim == 3 and array.shape[-1] == 1:
        array = array[..., 0]
    if array.ndim != 2:
        raise DataFileError(
            f"{file}: has the shape {'x'.join(map(str, array.shape))}; a depth map of one number for each pixel (h, w) "
            "was expected. Pictures of depth in colours cannot be read back."
        )
    if array.dtype.kind not in "uif":
        raise DataFileError(f"{file}: holds {array.dtype}, numbers of depth were expected.")
    return array


def decode_picture(file: Path, *, upright: bool = False) -> NDArray[np.uint8]:
    """(h, w, 3) colours of a picture; one in grey has three equal channels, one of 16 bit loses the lower eight.

    Args:
        upright: turned as the camera says that it was held (EXIF), as viewers show it; else as the sensor saw it.

    Raises:
        DataFileError: as `decode_depth`, or of other numbers than 8 or 16 bits, or of other channels than 1 or 3.
    """
    array = _read(file)
    if array.ndim == 2:
        array = array[..., None]
    if array.ndim != 3 or array.shape[-1] not in (1, 3):
        shape = "x".join(map(str, array.shape))
        raise DataFileError(f"{file}: has the shape {shape}; a picture in grey or in colours was expected.")
    if array.dtype == np.int32 and array.min() >= 0 and array.max() < 2**16:  # how Pillow gives some of 16 bit
        array = array.astype(np.uint16)
    if array.dtype == np.uint16:
        array = (array >> 8).astype(np.uint8)
    if array.dtype != np.uint8:
        raise DataFileError(f"{file}: holds {array.dtype}; a picture of 8 or 16 bits was expected. Convert it.")
    array = np.broadcast_to(array, (*array.shape[:2], 3))
    return np.ascontiguousarray(_turned(array, orientation_of(file)) if upright else array)


def orientation_of(file: Path) -> int:
    """How the camera was held: 1 to 8 of EXIF, 1 where nothing is said; from 5 on rows and columns change places."""
    try:
        with _pillow().open(file) as image:
            found = image.getexif().get(ORIENTATION, 1)
    except Exception:  # whoever reads it says what is wrong with it
        return 1
    return found if found in TURNS else 1


def _turned(array: NDArray[Any], orientation: int) -> NDArray[Any]:
    """Rows and columns as they are shown."""
    swapped, down, right = TURNS[orientation]
    array = array.swapaxes(0, 1) if swapped else array
    return array[:: -1 if down else 1, :: -1 if right else 1]


def size_of(file: Path) -> tuple[int, int] | None:
    """Rows and columns of a file from its header alone; None where that cannot be told."""
    ending = file.suffix.lower()
    try:
        if ending == PFM:
            with file.open("rb") as lines:
                return _pfm_header(lines)[:2]
        if ending in NETPBM:
            with _pillow().open(file) as image:
                return int(image.height), int(image.width)
    except Exception:  # whoever reads it says what is wrong with it
        return None
    shape = shape_of(file)
    return None if shape is None or len(shape) != 3 else (shape[0], shape[1])


def _read(file: Path) -> NDArray[Any]:
    ending = file.suffix.lower()
    if ending not in (*NETPBM, PFM):
        return decode_image(file).array
    check_file(file)
    with reading(file, f"a {ending} file"):
        if ending == PFM:
            return _read_pfm(file)
        with _pillow().open(file) as image:
            return np.asarray(image)


def _read_pfm(file: Path) -> NDArray[np.float32]:
    """A portable float map: text lines of kind, size and scale (negative: little-endian), then rows from below."""
    with file.open("rb") as lines:
        rows, columns, order = _pfm_header(lines)
        values = np.frombuffer(lines.read(), np.dtype(f"{order}f4"))
    if values.size != rows * columns:
        raise ValueError(f"{rows}x{columns} numbers were expected, it holds {values.size}")
    return values.reshape(rows, columns)[::-1].astype(np.float32)


def _pfm_header(lines: Any) -> tuple[int, int, str]:
    """Rows, columns and order of bytes."""
    kind = lines.readline().strip()
    if kind != b"Pf":
        raise ValueError("it does not begin with Pf, one channel of floats")
    columns, rows = map(int, lines.readline().split())
    return rows, columns, "<" if float(lines.readline()) < 0 else ">"


def _pillow() -> Any:
    from PIL import Image

    return Image
