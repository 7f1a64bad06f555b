"""Label rasters that lie on another grid than the scene: nearest neighbour, never a mix of codes."""

from __future__ import annotations

import logging
from dataclasses import replace

import numpy as np

from hyperseg.core import UNLABELLED, Grid, LabelError
from hyperseg.io.formats.array import FileArray
from hyperseg.io.labels.frame import Frame, extent, same_crs, short
from hyperseg.io.labels.raster import Labels, labels_of, only_present

log = logging.getLogger(__name__)
MARGIN = 2  # label pixels read around the scene: nearest neighbours of its border


def labels_on(file: FileArray, shape: tuple[int, ...], grid: Grid | None, *, scene: str = "the scene") -> Labels:
    """Labels of an opened raster on the pixels of a scene.

    A raster on the scene's own grid (the same shape and CRS, corners within half a pixel) is taken as it is; so is one
    of the same shape where either side does not say where it lies. Any other is reprojected: a pixel gets the label at
    its centre, and the raster need not cover the scene.

    Raises:
        LabelError: another shape without coordinates, nothing in the scene, or as in `map_codes`.
    """
    theirs = Frame.of(tuple(file.array.shape), file.grid, str(file.path))
    ours = Frame.of(tuple(shape), grid, scene)
    placed = grid is not None and both_placed(file.grid, grid)
    if theirs is None or ours is None or not placed or same_place(theirs, ours):
        return labels_of(file, tuple(shape))
    return _warped(file, theirs, ours)


def both_placed(a: Grid, b: Grid) -> bool:
    """Whether both grids say where on the map they are."""
    return None not in (a.affine, b.affine, a.crs, b.crs)


def same_place(a: Frame, b: Frame) -> bool:
    """Whether every pixel of one frame is the nearest to the same pixel of the other."""
    if a.shape != b.shape or not same_crs(a.crs, b.crs):
        return False
    shift = b.to_pixels(a.corners()) - b.to_pixels(b.corners())
    return bool(np.abs(shift).max() <= 0.5)


def _warped(file: FileArray, theirs: Frame, ours: Frame) -> Labels:
    from rasterio.warp import Resampling, reproject

    bounds = ours.bounds_in(theirs.crs)
    window = theirs.window(bounds or theirs.bounds(), margin=MARGIN)  # not told: all of it
    if window is None:
        raise LabelError(_elsewhere(theirs, ours, "does not reach"))
    cut = replace(file, array=np.asarray(file.array[window]))
    if not _any_code(cut):
        raise LabelError(_elsewhere(theirs, ours, "has no labelled pixel in"))
    found = labels_of(cut, tuple(cut.array.shape), whole=False)
    codes = np.full(ours.shape, UNLABELLED, np.int16)
    reproject(
        found.codes,
        codes,
        src_transform=theirs.transform(window),
        src_crs=theirs.crs,
        src_nodata=UNLABELLED,
        dst_transform=ours.transform(),
        dst_crs=ours.crs,
        dst_nodata=UNLABELLED,
        resampling=Resampling.nearest,
    )
    labelled = int(np.count_nonzero(codes >= 0))
    if labelled == 0:
        raise LabelError(_elsewhere(theirs, ours, "has no labelled pixel in"))
    log.info(
        "%s: lies on another grid than %s (%s, the scene %s) and was brought onto it by nearest neighbour: "
        "%d of the scene's %d pixels are labelled, from %d labelled pixels of the raster there",
        file.path, ours.name, theirs.describe(), ours.describe(), labelled, codes.size,
        np.count_nonzero(found.codes >= 0),
    )  # fmt: skip
    return only_present(replace(found, codes=codes), file.path)


def _any_code(cut: FileArray) -> bool:
    """Whether any value could be a class."""
    values = np.asarray(cut.array)
    declared = cut.nodata is not None and np.isfinite(cut.nodata) and cut.nodata != 0  # then 0 may be a class
    known = (values >= 0 if declared else values > 0) & (np.isfinite(values) if values.dtype.kind == "f" else True)
    return bool((known if cut.nodata is None else known & (values != cut.nodata)).any())


def _elsewhere(theirs: Frame, ours: Frame, what: str) -> str:
    there = ours.bounds_in(theirs.crs)
    return (
        f"{theirs.name}: {what} {ours.name}: it covers {extent(theirs.bounds())}, the scene "
        f"{extent(there or ours.bounds())} ({short(theirs.crs if there else ours.crs)}). Give labels of this place, or "
        "correct the CRS."
    )
