"""NIfTI volumes: read with their place, and written back on the place of another."""

from __future__ import annotations

import gzip
import logging
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hyperseg.core import DataFileError
from hyperseg.io.cases.picture import AXES, Picture, Place
from hyperseg.io.formats.array import reading

EXTRA = 'pip install "hyperseg[medical]"'
PACKING = 3  # gzip's level: labels are mostly runs, which all levels pack alike
METRES = {"meter": 1e3, "mm": 1.0, "micron": 1e-3, "unknown": 1.0}


@contextmanager
def nibabel_for(path: Path) -> Iterator[Any]:
    """The library, or one line that tells how to get it.

    Raises:
        DataFileError: it is not installed.
    """
    try:
        import nibabel
    except ImportError as error:
        raise DataFileError(f"{path}: NIfTI files need nibabel, which is not installed: {EXTRA}") from error
    log = nibabel.imageglobals.logger
    before = log.level
    log.setLevel(logging.CRITICAL)  # what it remarks about headers would stand among the results
    try:
        yield nibabel
    finally:
        log.setLevel(before)


def read_volume(path: Path) -> Picture:
    """(X, Y, Z, C) of a NIfTI file, in the order of its own axes; a memory map where it is not compressed.

    Values keep the type of the file; those with a scale and an offset in the header become float32. A fourth axis is
    that of channels. All of a compressed file is unpacked and its checksum compared, so that a cut one is told.

    Raises:
        DataFileError: unreadable, truncated, of more axes, of colours or complex numbers.
    """
    with nibabel_for(path) as nibabel, reading(path, "NIfTI"):
        image = _opened(nibabel, path)
        kind = np.dtype(image.get_data_dtype())
        shape = tuple(int(n) for n in image.shape)
        if kind.kind not in "biuf":
            raise DataFileError(f"{path}: holds {kind} values, real numbers were expected; convert the volume.")
        while len(shape) > AXES + 1 and 1 in shape[AXES:]:  # (X, Y, Z, 1, C): a time of one
            at = AXES + shape[AXES:].index(1)
            shape = (*shape[:at], *shape[at + 1 :])
        if not 2 <= len(shape) <= AXES + 1 or 0 in shape:
            size = "x".join(map(str, image.shape))
            raise DataFileError(f"{path}: has the axes {size}; a volume, or a volume with channels, was expected.")
        array = np.asanyarray(image.dataobj).reshape(shape, order="F")
        if array.dtype != kind and array.dtype == np.float64:
            array = array.astype(np.float32)
        if array.dtype.byteorder not in "=|":
            array = array.astype(array.dtype.newbyteorder("="))
        return Picture(array if array.ndim > AXES else array[..., None], _place(image, min(len(shape), AXES)))


def read_place(path: Path) -> tuple[tuple[int, ...], Place]:
    """Shape of all axes and place of a NIfTI file, from its header alone."""
    with nibabel_for(path) as nibabel, reading(path, "NIfTI"):
        image = nibabel.load(path)
        shape = tuple(int(n) for n in image.shape)
        return shape, _place(image, min(len(shape), AXES))


def write_volume(temporary: Path, array: NDArray[Any], like: Path, *, packed: bool) -> None:
    """Write numbers, in the order of the axes of `like`, with its header: place, units and texts are the same."""
    with nibabel_for(like) as nibabel, reading(like, "NIfTI"):
        image = nibabel.load(like)
        header = image.header.copy()
    header.set_data_dtype(array.dtype)
    header.set_data_shape(array.shape)
    header.set_slope_inter(1, 0)
    header["cal_max"] = header["cal_min"] = 0
    place = image.affine if header["sform_code"] or header["qform_code"] else None
    made = type(image)(array, place, header)
    content = made.to_bytes()
    temporary.write_bytes(gzip.compress(content, PACKING, mtime=0) if packed else content)


def _opened(nibabel: Any, path: Path) -> Any:
    if path.name.lower().endswith(".nii"):
        return nibabel.load(path)
    try:
        content = gzip.decompress(path.read_bytes())
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise DataFileError(
            f"{path}: is no whole gzip file ({error}; it has {path.stat().st_size} bytes). It was cut or damaged: copy "
            "or download it again."
        ) from error
    for kind in (nibabel.Nifti1Image, nibabel.Nifti2Image):
        if kind.header_class.may_contain_header(content[: kind.header_class.sizeof_hdr]):
            return kind.from_bytes(content)
    raise DataFileError(f"{path}: is compressed, but no NIfTI. Convert it, for example with dcm2niix.")


def _place(image: Any, axes: int) -> Place:
    from nibabel.orientations import io_orientation

    header = image.header
    unit = METRES.get(header.get_xyzt_units()[0], 1.0)
    spacing = tuple(abs(float(n)) * unit for n in header.get_zooms()[:axes])
    spacing = tuple(n if np.isfinite(n) and n > 0 else 1.0 for n in spacing)
    affine = np.array(image.affine, np.float64)
    stated = bool(header["sform_code"] or header["qform_code"]) and bool(np.isfinite(affine).all())
    stated = stated and not np.isnan(io_orientation(affine)).any()
    affine[:AXES] *= unit
    return Place(spacing, affine, stated)
