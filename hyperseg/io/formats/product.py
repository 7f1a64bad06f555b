"""Which reader a file needs: satellite products by their content, all others by suffix; and what arrays it holds."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from hyperseg.io.formats.array import Entry, FileArray, is_zarr, reading
from hyperseg.io.formats.emit import is_emit, open_emit
from hyperseg.io.formats.enmap import enmap_pair, open_enmap
from hyperseg.io.formats.envi import envi_pair, open_envi, without_header
from hyperseg.io.formats.mat import (
    hdf5_entries,
    is_hdf5,
    mat_entries,
    npz_entries,
    open_hdf5,
    open_mat,
    open_npy,
    open_npz,
)
from hyperseg.io.formats.prisma import open_prisma, prisma_swath
from hyperseg.io.formats.raster import open_raster, subdatasets
from hyperseg.io.formats.zarr import open_zarr, zarr_entries

HDF5_SUFFIXES = (".h5", ".hdf5", ".he5", ".nc")


def open_file(path: Path, *, key: str | None, ndim: int | None, shape: tuple[int, ...] | None) -> FileArray:
    """One array of a file with the reader it needs; arguments as in `choose_key`.

    A satellite product named without a key, and not for a label raster (`ndim` 2), is its cube as users mean it.
    """
    product = open_product(path) if key is None and ndim != 2 else None
    if product is not None:
        return product
    match path.suffix.lower():
        case _ if is_zarr(path):
            return open_zarr(path, key=key, ndim=ndim, shape=shape)
        case ".mat":
            return open_mat(path, key=key, ndim=ndim, shape=shape)
        case suffix if suffix in HDF5_SUFFIXES:
            return open_hdf5(path, key=key, ndim=ndim, shape=shape)
        case ".npy":
            return open_npy(path, key=key)
        case ".npz":
            return open_npz(path, key=key, ndim=ndim, shape=shape)
        case ".tif" | ".tiff":
            return open_raster(path, key=key)
    pair = envi_pair(path)
    if pair is not None:
        return open_envi(*pair, key=key)
    with without_header(path):
        return open_raster(path, key=key)


def open_product(path: Path) -> FileArray | None:
    """The cube of an EMIT, PRISMA or EnMAP product given by its file, or None where it is none of them."""
    pair = enmap_pair(path)
    if pair is not None:
        return open_enmap(*pair)
    if path.suffix.lower() not in HDF5_SUFFIXES or not is_hdf5(path):
        return None
    import h5py

    with reading(path, "HDF5"), h5py.File(path, "r") as file:
        if is_emit(file):
            return open_emit(path, file)
        swath = prisma_swath(file)
        return None if swath is None else open_prisma(path, file, swath)


def holds_several(path: Path) -> bool:
    """Whether this is a format whose files hold arrays by name."""
    return is_zarr(path) or path.suffix.lower() in (".mat", ".npz", *HDF5_SUFFIXES)


def list_arrays(path: Path) -> Mapping[str, Entry | None]:
    """Every array of a file by name, with shape and type where they are known; empty for files of one array."""
    match path.suffix.lower():
        case _ if is_zarr(path):
            return zarr_entries(path)
        case ".mat":
            return mat_entries(path)
        case ".npz":
            return npz_entries(path)
        case suffix if suffix in HDF5_SUFFIXES:
            return hdf5_entries(path)
        case ".npy" | ".hdr" | ".xml":
            return {}
    return dict.fromkeys(subdatasets(path))
