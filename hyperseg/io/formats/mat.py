"""Files of named arrays: MATLAB .mat (v4 to v7.3), HDF5, .npz, and the single array of a .npy."""

from __future__ import annotations

import zipfile
from pathlib import Path
from typing import Any

import numpy as np

from hyperseg.core import DataFileError
from hyperseg.io.formats.array import Entry, FileArray, choose_key, companions, reading, to_nm
from hyperseg.io.formats.windows import Hdf5Windows, LazyCube

HDF5_MAGIC = b"\x89HDF\r\n\x1a\n"
# MATLAB puts 512 bytes of its own before the HDF5 part
HDF5_STARTS = (0, 512, 1024, 2048)


def open_mat(path: Path, *, key: str | None, ndim: int | None, shape: tuple[int, ...] | None) -> FileArray:
    """One array of a .mat file; v7.3 is HDF5 with reversed axes and stays lazy."""
    if is_hdf5(path):
        return open_hdf5(path, key=key, ndim=ndim, shape=shape, reverse=True)
    from scipy.io import loadmat

    with reading(path, "a MATLAB file"):
        entries = mat_entries(path)
        if not entries:
            raise DataFileError(
                f"{path}: is a MATLAB file without a variable, an array was expected. "
                "It may be truncated: copy or download it again."
            )
        chosen = choose_key(path, entries, key=key, ndim=ndim, shape=shape)
        small = [k for k, e in entries.items() if e.dtype.kind in "biuf" and max(e.shape) == np.prod(e.shape)]
        loaded = loadmat(path, variable_names=[chosen, *small])
        array = loaded[chosen]
        wavelengths, bbl = companions({k: entries[k] for k in small}, loaded, array.shape)
    return FileArray(array, path, chosen, wavelengths_nm=wavelengths, bbl=bbl, about="MATLAB (to v7)")


def open_hdf5(
    path: Path, *, key: str | None, ndim: int | None, shape: tuple[int, ...] | None, reverse: bool = False
) -> FileArray:
    """One dataset of an HDF5 file, lazily.

    Args:
        path, key, ndim, shape: as in `choose_key`; keys are paths inside the file.
        reverse: True for MATLAB, which stores the axes in reversed order.
    """
    with reading(path, "HDF5"):
        if not is_hdf5(path):
            with path.open("rb") as file:
                start = file.read(4)
            hint = "classic netCDF, convert it with nccopy -k nc4" if start[:3] == b"CDF" else "no HDF5"
            raise DataFileError(f"{path}: its first bytes are {start!r}: {hint}. Expected HDF5.")
        import h5py

        with h5py.File(path, "r") as file:
            entries = _datasets(file, reverse=reverse)
            chosen = choose_key(path, entries, key=key, ndim=ndim, shape=shape)
            dataset = file[chosen]
            reader = Hdf5Windows(path, chosen, tuple(dataset.shape), dataset.dtype, dataset.chunks)
            axes = tuple(range(dataset.ndim))
            cube = LazyCube(reader, axes[::-1] if reverse else axes)
            short = {k: e for k, e in entries.items() if max(e.shape) == np.prod(e.shape)}
            wavelengths, bbl = companions(short, {k: file[k][()] for k in short}, cube.shape)
            nodata = dataset.attrs.get("_FillValue")
            for name in short:
                unit = file[name].attrs.get("units")
                if wavelengths is None:
                    break
                if unit is not None and max(short[name].shape) == len(wavelengths) and "wave" in name.lower():
                    text = unit.decode() if isinstance(unit, bytes) else str(unit)
                    wavelengths = to_nm(np.asarray(file[name][()], np.float64).ravel(), unit=text)
                    break
    fill = None if nodata is None else float(np.asarray(nodata).ravel()[0])
    about = "MATLAB (v7.3)" if reverse else "HDF5"
    return FileArray(cube, path, chosen, wavelengths_nm=wavelengths, bbl=bbl, nodata=fill, about=about)


def open_npy(path: Path, *, key: str | None) -> FileArray:
    """The array of a .npy file as a memory map."""
    if key is not None:
        raise DataFileError(f"{path}: a .npy file holds one array and no names; leave out {key!r}.")
    with reading(path, "a NumPy .npy file"):
        array = np.load(path, mmap_mode="r", allow_pickle=False)
    if array.dtype.kind not in "biuf":
        raise DataFileError(
            f"{path}: holds {array.dtype} values, real numbers were expected; convert the array."
        )
    return FileArray(array, path, about="NumPy")


def open_npz(path: Path, *, key: str | None, ndim: int | None, shape: tuple[int, ...] | None) -> FileArray:
    """One array of a .npz file; only that array and its short companions are read."""
    # opened here, because numpy leaves a broken archive open
    with (
        reading(path, "a NumPy .npz file"),
        path.open("rb") as file,
        np.load(file, allow_pickle=False) as arrays,
    ):
        entries = npz_entries(path)
        chosen = choose_key(path, entries, key=key, ndim=ndim, shape=shape)
        array = arrays[chosen]
        wavelengths, bbl = companions(entries, arrays, array.shape)
    return FileArray(array, path, chosen, wavelengths_nm=wavelengths, bbl=bbl, about="NumPy archive")


def mat_entries(path: Path) -> dict[str, Entry]:
    """Every array of a .mat file of any version, nothing read but headers."""
    if is_hdf5(path):
        return hdf5_entries(path, reverse=True)
    from scipy.io import whosmat

    with reading(path, "a MATLAB file"):
        return {name: Entry(tuple(dims), _matlab_dtype(kind)) for name, dims, kind in whosmat(path)}


def hdf5_entries(path: Path, *, reverse: bool = False) -> dict[str, Entry]:
    """Every numeric dataset of an HDF5 file by its path inside; `reverse` as in `open_hdf5`."""
    import h5py

    with reading(path, "HDF5"), h5py.File(path, "r") as file:
        return _datasets(file, reverse=reverse)


def is_hdf5(path: Path) -> bool:
    """True where the HDF5 signature stands at one of the places it may stand."""
    with reading(path, "HDF5"), path.open("rb") as file:
        for start in HDF5_STARTS:
            file.seek(start)
            if file.read(8) == HDF5_MAGIC:
                return True
    return False


def _datasets(file: Any, *, reverse: bool) -> dict[str, Entry]:
    import h5py

    found: dict[str, Entry] = {}

    def visit(name: str, node: Any) -> None:
        if not isinstance(node, h5py.Dataset) or name.startswith("#") or "MATLAB_empty" in node.attrs:
            return
        if node.dtype.kind in "biuf" and node.shape:
            found[name] = Entry(tuple(node.shape[::-1] if reverse else node.shape), node.dtype)

    file.visititems(visit)
    return found


def npz_entries(path: Path) -> dict[str, Entry]:
    """Every array of a .npz file; only headers are read."""
    entries: dict[str, Entry] = {}
    with reading(path, "a NumPy .npz file"), zipfile.ZipFile(path) as archive:
        for name in archive.namelist():
            with archive.open(name) as stream:
                version = np.lib.format.read_magic(stream)
                header = np.lib.format.read_array_header_1_0 if version == (1, 0) else None
                shape, _, dtype = (header or np.lib.format.read_array_header_2_0)(stream)
            entries[name.removesuffix(".npy")] = Entry(shape, dtype)
    return entries


def _matlab_dtype(kind: str) -> np.dtype[Any]:
    names = {"double": "f8", "single": "f4", "logical": "?"}
    if kind in names:
        return np.dtype(names[kind])
    return np.dtype(kind) if kind.startswith(("int", "uint")) else np.dtype(object)
