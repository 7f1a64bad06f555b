"""From a file of any of the `FORMATS`, or an xarray object, to a `Scene`; lazy where the format allows it."""

from __future__ import annotations

import logging
import os
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from hyperseg.core import Cube, DataFileError, Grid, Scene, SceneError, SettingError
from hyperseg.io.axis_order import band_axis
from hyperseg.io.cube_options import AS_STATED, Axes, CubeOptions
from hyperseg.io.formats import check_file, known_formats, open_file, refuse_archive
from hyperseg.io.formats.array import Choice, FileArray
from hyperseg.io.formats.windows import LazyCube, windows_of
from hyperseg.io.formats.xarray import LabelledArray, is_labelled, open_labelled
from hyperseg.io.labels.raster import Labels, only_where_data, with_labels
from hyperseg.io.labels.rasterise import read_vectors
from hyperseg.io.labels.vectors import AS_DRAWN, VECTORS, VectorOptions, is_vector
from hyperseg.io.labels.warp import labels_on
from hyperseg.io.look.judge import judge
from hyperseg.io.look.valid import FULL_SCAN_BYTES, find_valid
from hyperseg.io.paths import AnyPath, split_key

log = logging.getLogger(__name__)
HYPERSPECTRAL_FROM, MOST_BANDS = 10, 20_000


def read_array(path: AnyPath, *, key: str | None = None, ndim: int | None = None) -> Cube:
    """One array of a file, lazily where the format allows (.npy, ENVI, HDF5, rasters).

    Args:
        path: the file, or "FILE:KEY".
        key: name of the array in a file of several; None takes the only one that fits.
        ndim: 3 for a cube, 2 for labels, None for any.

    Returns:
        An array, memory map or `LazyCube`. MATLAB v7.3 axes come back in MATLAB's order; rasters are
        (H, W, C), and (H, W) where `ndim` is 2 and there is one band.

    Raises:
        DataFileError: the file is missing, unreadable or ambiguous.
    """
    return open_array(path, key=key, ndim=ndim).array


def open_array(
    path: AnyPath | LabelledArray,
    *,
    key: str | None = None,
    ndim: int | None = None,
    shape: tuple[int, ...] | None = None,
) -> FileArray:
    """As `read_array`, with all else the file says; arrays of `shape` are preferred."""
    if not isinstance(path, str | os.PathLike):
        if is_labelled(path):
            return open_labelled(path, key=key, ndim=ndim)
        raise DataFileError(
            f"{type(path).__name__}: a file's name or an xarray object was expected; an array of numbers makes a "
            "scene by itself: Scene(cube)."
        )
    file, spelt = split_key(path) if key is None else (split_key(path)[0], key)
    check_file(file)
    refuse_archive(file)
    if file.suffix.lower() in VECTORS:
        raise DataFileError(
            f"{file}: holds vectors, an array was expected ({known_formats()}). Rasterise it on the scene's grid."
        )
    found = open_file(file, Choice(spelt, ndim, shape))
    if ndim == 2 and found.axes_known and tuple(found.array.shape[2:]) == (1,):
        found = replace(found, array=found.array[..., 0])
    return found


def read_labels(
    path: AnyPath,
    shape: tuple[int, ...],
    *,
    key: str | None = None,
    grid: Grid | None = None,
    vectors: VectorOptions = AS_DRAWN,
    scene: str = "the scene",
) -> Labels:
    """Labels for pixels of `shape`: a label raster, or drawn vectors (see `read_vectors`).

    Of a raster, code 0, the no-data value and negative codes are unlabelled; the other codes present become 0..K-1
    in ascending order. Names come from the raster's categories, ENVI "class names" or a QGIS style (.qml), else
    "class 3". A raster on another grid than `grid` is brought onto it by nearest neighbour (see `labels_on`).

    Args:
        path: "FILE", "FILE:KEY" of a raster, "FILE:LAYER" of vectors.
        shape: (rows, columns).
        key: name of the array in a file of several.
        grid: where the pixels are; vectors need it.
        vectors: class column, layer and the like; of labels drawn as vectors only.
        scene: what the pixels belong to, for messages.

    Raises:
        DataFileError: as `read_array`.
        LabelError: another shape, fractions, nothing labelled, or another place.
        SettingError: options for vectors with a raster.
    """
    if is_vector(path):
        return read_vectors(path, tuple(shape), grid, options=vectors, scene=scene)
    vectors.refuse(path)
    return labels_on(open_array(path, key=key, ndim=2, shape=tuple(shape)), tuple(shape), grid, scene=scene)


def read_scene(
    path: AnyPath | LabelledArray,
    *,
    labels: AnyPath | NDArray[Any] | None = None,
    key: str | None = None,
    name: str | None = None,
    scan: bool = True,
    vectors: VectorOptions = AS_DRAWN,
    options: CubeOptions = AS_STATED,
) -> Scene:
    """A cube, and labels if there are any, as a `Scene`.

    Cubes stored in compressed chunks (HDF5, Zarr) of up to 512 MiB are read at once; larger ones stay lazy, and memory
    maps above that size become lazy cubes, whose pages do not stay with the process.
    Fill that no header declares is looked for (`hyperseg.io.look.fill`), masks of the file count, and labelled pixels
    without data lose their label. Where the file does not name its axes, bands are taken to be on the last one, unless
    the labels' shape, the wavelengths or the numbers (`band_axis`) show another.

    Args:
        path: the cube, or "FILE:KEY", or an xarray.DataArray or Dataset.
        labels: polygons (GeoPackage, GeoJSON, Shapefile; "FILE:LAYER" works too), a label raster ("FILE:KEY" works
            too), an array of file codes (0 = unlabelled), or None.
        key: name of the cube's array in a file of several.
        name: short name; the file's stem without one.
        scan: False is for scenes of any size: only a sample of the pixels is read. The scene's `valid` is then None;
            `valid_at` tells which pixels of a window hold data. Labelled pixels are all looked at.
        vectors: class column, layer and the like; of labels drawn as vectors only.
        options: what the file does not say itself.

    Raises:
        DataFileError: a file is missing, unreadable or ambiguous.
        SceneError: the array is no cube, or no band is usable.
        LabelError: the labels do not fit the cube.
    """
    file = open_array(path, key=key, ndim=3)
    title = file.path.stem if name is None else name
    if len(file.array.shape) != 3:
        raise SceneError(
            f"{file.path}: a cube has three axes (rows, columns, bands), this array has shape "
            f"{tuple(file.array.shape)}. Choose another file, or another array as FILE:KEY."
        )
    source = _open_labels(labels, file, vectors)
    cube = _bands_moved_last(file, source, options.axes)
    _check_bands(cube, file.path)
    pixels, place = tuple(cube.shape[:2]), str(file.path)
    found = None if source is None else labels_on(source, pixels, file.grid, scene=place)
    if is_vector(labels):
        found = read_labels(str(labels), pixels, grid=file.grid, vectors=vectors, scene=place)
    if isinstance(cube, np.memmap) and cube.nbytes > FULL_SCAN_BYTES:
        cube = windows_of(cube)
    if scan and file.in_chunks and isinstance(cube, LazyCube) and cube.nbytes <= FULL_SCAN_BYTES:
        # its pixels are all looked at below, and rows across compressed chunks are slow to pick one by one
        cube = np.ascontiguousarray(cube[...])
    wavelengths = _wavelengths(file, cube.shape[-1], options.wavelength_unit)
    seen = judge(
        cube, bbl=_per_band(file.bbl, cube), declared=file.nodata if options.nodata is None else options.nodata_value(),
        given=options.nodata is not None, mask=_fitting(file.mask, pixels), name=title, file=file.path,
    )  # fmt: skip
    scene = Scene(
        cube=cube,
        grid=_grid(file, source),
        wavelengths_nm=wavelengths,
        good_bands=None if seen.good.all() else seen.good,
        rgb_bands=file.rgb_bands,
        scale=file.scale,
        nodata=seen.nodata,
        nodata_by=seen.by,
        gaps=seen.gaps,
        mask=seen.mask,
        name=title,
        source=str(file.path) if file.key is None else f"{file.path}:{file.key}",
    )
    if scan:
        scene = scene.with_(valid=find_valid(scene))
    if found is None:
        return scene
    return only_where_data(with_labels(scene, found))


def _open_labels(labels: AnyPath | NDArray[Any] | None, cube: FileArray, vectors: VectorOptions) -> FileArray | None:
    """The label raster or array, opened; None for no labels, and for vectors, which fit a cube of any size."""
    if is_vector(labels):
        return None
    vectors.refuse(labels if isinstance(labels, str | os.PathLike | None) else "an array")
    if labels is None:
        return None
    if isinstance(labels, str | os.PathLike):
        a, b, c = cube.array.shape
        for shape in ((a, b), (b, c), (a, c)):
            try:
                found = open_array(labels, ndim=2, shape=shape)
            except DataFileError:
                continue  # several arrays, none of this shape: another order of the axes may decide
            if tuple(found.array.shape[:2]) == shape:
                return found
        return open_array(labels, ndim=2)
    return FileArray(np.asarray(labels), Path("label array"))


def _bands_moved_last(file: FileArray, labels: FileArray | None, axes: Axes | None) -> Cube:
    if file.axes_known:
        if axes is not None and axes != (stated := _stated_axes(file.array)):
            raise SettingError(
                f"axes {axes}: {file.path} says itself that its axes are {stated}. Leave the option out."
            )
        return file.array
    axis = _band_axis(file, labels) if axes is None else axes.split(",").index("bands")
    if axis == 2:
        return file.array
    if axes is None:
        size = "x".join(map(str, file.array.shape))
        states = ("bands,rows,columns", "rows,bands,columns")[axis]
        log.warning(
            "%s: its bands were taken to be on axis %d of %s; --axes %s states it", file.path, axis, size, states
        )
    if isinstance(file.array, LazyCube):
        return file.array.move_last(axis)
    return np.moveaxis(np.asanyarray(file.array), axis, -1)


def _band_axis(file: FileArray, labels: FileArray | None) -> int:
    """The axis that labels or wavelengths leave for the bands, else the one where the numbers seem to have them."""
    shape = tuple(file.array.shape)
    if labels is not None:
        pixels = tuple(labels.array.shape[:2])
        return next((a for a in (2, 0, 1) if tuple(n for i, n in enumerate(shape) if i != a) == pixels), 2)
    if file.centres is not None and shape.count(len(file.centres.values)) == 1:
        return shape.index(len(file.centres.values))
    found = band_axis(file.array, file.nodata)
    if found is None:
        size = "x".join(map(str, shape))
        log.info(
            "%s: %s is read as rows, columns, bands, which nothing says; --axes states another order", file.path, size
        )
    return 2 if found is None else found


def _stated_axes(array: Cube) -> str:
    """The axes in the order of the file, as `CubeOptions.axes` spells them."""
    names = ("rows", "columns", "bands")
    order = array.axes if isinstance(array, LazyCube) else (0, 1, 2)
    return ",".join(names[order.index(axis)] for axis in range(3))


def _wavelengths(file: FileArray, bands: int, unit: Literal["nm", "um"] | None) -> NDArray[np.float64] | None:
    """Nanometres, in the unit the user states or else the file; None, and a word why, where that cannot be."""
    centres = file.centres
    if centres is None or len(centres.values) != bands:
        if unit is not None:
            raise SettingError(f"wavelength_unit {unit}: {file.path} lists no wavelengths. Leave the option out.")
        return None
    if unit is not None:
        return centres.confirmed(unit, file.path)
    if (doubt := centres.doubt()) is not None:
        log.warning("%s: %s; they are not used. --wavelength-unit nm (or um) states the unit", file.path, doubt)
    return centres.in_nm()


def _check_bands(cube: Cube, path: Path) -> None:
    rows, columns, bands = cube.shape
    if bands < 3 or min(rows, columns) < 1:
        raise SceneError(
            f"{path}: {rows}x{columns} pixels with {bands} bands; at least 3 bands are needed to tell "
            "spectra apart. If the bands are on the first axis, say so with --axes bands,rows,columns."
        )
    if bands > MOST_BANDS:
        raise SceneError(
            f"{path}: {bands} bands are more than any sensor has (up to {MOST_BANDS} are read). If another axis holds "
            "them, say so with --axes; else the file is damaged."
        )
    if bands < HYPERSPECTRAL_FROM:
        log.warning("%s: not hyperspectral (%d bands); maps rest on little spectral evidence", path, bands)


def _fitting(mask: Cube | None, pixels: tuple[int, ...]) -> Cube | None:
    return mask if mask is not None and tuple(mask.shape) == pixels else None


def _per_band(values: Any, cube: Cube) -> Any:
    return values if values is not None and len(values) == cube.shape[-1] else None


def _grid(file: FileArray, labels: FileArray | None) -> Grid:
    if labels is None:
        return file.grid
    # a cube without coordinates (.mat) lies where its label raster lies
    return labels.grid if file.grid.affine is None and file.grid.crs is None else file.grid
