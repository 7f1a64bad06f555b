"""One small cube, written in every format the package reads; one small map, to be written in every format there is."""

from __future__ import annotations

import pickle
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np

from hyperseg.core import Grid
from hyperseg.io.formats.envi_header import DATA_TYPES

CUBE = np.random.default_rng(0).integers(1, 4000, (7, 5, 12)).astype(np.uint16)
AFFINE = (10.0, 0.0, 500000.0, 0.0, -10.0, 4100000.0)
WAVELENGTHS_UM = np.linspace(0.4, 2.4, 12)

LABELS = np.random.default_rng(0).integers(-1, 3, (40, 33)).astype(np.int16)
COLOURS = ((0, 0, 255), (250, 10, 20), (1, 128, 3))
MAP_GRID = Grid((10.0, 10.0), "m", "EPSG:31985", (10.0, 0.0, 288776.25, 0.0, -10.0, 9120760.75))


def write_envi(
    folder: Path, cube: np.ndarray, interleave: str, extra: str = "", *, order: int = 0, offset: int = 0
) -> Path:
    axes = {"bsq": (2, 0, 1), "bil": (0, 2, 1), "bip": (0, 1, 2)}[interleave]
    code = next(code for code, name in DATA_TYPES.items() if name == cube.dtype.name)
    numbers = np.ascontiguousarray(cube.transpose(axes)).astype(cube.dtype.newbyteorder("<>"[order]))
    (folder / f"{interleave}.img").write_bytes(b"\xff" * offset + numbers.tobytes())
    rows, columns, bands = cube.shape
    header = folder / f"{interleave}.hdr"
    header.write_text(
        f"ENVI\nsamples = {columns}\nlines = {rows}\nbands = {bands}\nheader offset = {offset}\n"
        f"file type = ENVI Standard\ndata type = {code}\ninterleave = {interleave.upper()}\n"
        f"byte order = {order}\n{extra}"
    )
    return header


def write_tiff(path: Path, cube: np.ndarray, **options: Any) -> Path:
    import rasterio

    settings = {"driver": "GTiff", "dtype": cube.dtype, "crs": "EPSG:32632", "transform": rasterio.Affine(*AFFINE)}
    rows, columns, bands = cube.shape
    with rasterio.open(path, "w", height=rows, width=columns, count=bands, **(settings | options)) as file:
        file.write(np.moveaxis(cube, -1, 0))
    return path


def serves_threads_and_pickles(lazy: Any, whole: np.ndarray) -> None:
    """A lazy cube is its array for eight threads at a time, and after a journey as a pickle."""
    n = len(whole)
    with ThreadPoolExecutor(8) as pool:
        rows = list(pool.map(lambda i: lazy[i % n], range(200)))
    assert all(np.array_equal(row, whole[i % n]) for i, row in enumerate(rows))
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(lazy))[2:4], whole[2:4])


def write_any(folder: Path, kind: str, cube: np.ndarray = CUBE) -> Path:
    path = folder / f"cube.{kind}"
    match kind:
        case "mat":
            from scipy.io import savemat

            savemat(path, {"cube": cube})
        case "v7.3":
            import h5py

            path = folder / "seven.mat"
            with h5py.File(path, "w", userblock_size=512) as file:
                file["cube"] = cube.transpose()
        case "h5" | "nc" | "he5":
            import h5py

            with h5py.File(path, "w") as file:
                file["group/cube"] = cube
        case "npy":
            np.save(path, cube)
        case "npz":
            np.savez(path, cube=cube)
        case "bsq" | "bil" | "bip":
            path = write_envi(folder, cube, kind)
        case "tif":
            write_tiff(path, cube)
        case _:
            raise ValueError(kind)
    return path


KINDS = ("mat", "v7.3", "h5", "nc", "he5", "npy", "npz", "bsq", "bil", "bip", "tif")
