"""Writing files so that a name never stands for half a result: text, JSON, plain rasters and pictures."""

from __future__ import annotations

import dataclasses
import json
import math
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hyperseg.core import UNLABELLED, DataFileError, Grid, LabelError, SceneError, replaced
from hyperseg.core.words import one_line
from hyperseg.io.formats.windows import import_rasterio

AnyPath = str | os.PathLike[str]
BLOCK_PX = 256
# against the usual level of 6 a fifth to a half of the time is saved for 0 to 6 % more room: most digits are noise
FRACTIONS = {"predictor": 3, "zlevel": 1}
CACHE_BYTES = 64 << 20  # of blocks that GDAL keeps
PROCESS = os.getpid()
PICTURE_PX = 600
LARGEST_PICTURE_PX = 8000


@contextmanager
def replacing(path: AnyPath) -> Iterator[Path]:
    """Yield a temporary name in the folder of `path`; rename it to `path` on success, remove it on failure.

    Whatever stood at `path` stays untouched until the new file is complete, also through Ctrl-C.

    Raises:
        DataFileError: the file cannot be written (no such folder, no permission, disk full).
    """
    target = Path(path)
    with writing(target), replaced(target) as temporary:
        yield temporary


@contextmanager
def writing(target: Path) -> Iterator[None]:
    """Refuse a place that cannot be written, and tell what the system has against it later as `unwritable`."""
    try:
        if target.is_dir():
            raise IsADirectoryError(f"{target.name} is a folder")
        if not target.parent.is_dir():
            raise FileNotFoundError(f"the folder {target.parent} does not exist")
        yield
    except OSError as error:
        raise unwritable(target, error) from error


def unwritable(target: Path, error: Exception) -> DataFileError:
    """The error for a file that cannot be written, whatever the reason."""
    found = one_line(str(getattr(error, "strerror", None) or error)) or type(error).__name__
    return DataFileError(
        f"{target}: cannot be written ({found}); what stood there is unchanged. "
        "Make sure the folder exists, you may write there and the disk has room."
    )


def write_text(path: AnyPath, text: str) -> None:
    """Write UTF-8 text."""
    with replacing(path) as temporary, temporary.open("w", encoding="utf-8", newline="\n") as file:
        file.write(text)


def write_json(path: AnyPath, obj: Any) -> None:
    """Write strict JSON, see `as_json`."""
    write_text(path, as_json(obj))


def as_json(obj: Any) -> str:
    """Strict JSON; arrays become lists, dataclasses objects, and numbers that are not finite null."""
    plain = _plain(obj)
    text = json.dumps(plain, indent=2, ensure_ascii=False, allow_nan=False) + "\n"
    try:
        text.encode()
    except UnicodeEncodeError:  # bytes of a file's name that are no text
        text = json.dumps(plain, indent=2, allow_nan=False) + "\n"
    return text


def write_raster(path: AnyPath, array: NDArray[Any], grid: Grid | None = None, *, names: Sequence[str] = ()) -> None:
    """Write (H, W) or (H, W, C) as a float32 GeoTIFF, NaN meaning no data; `names` describe the bands."""
    values = np.asarray(array, np.float32)
    if values.ndim not in (2, 3):
        raise SceneError(f"{path}: a raster is (rows, columns[, bands]), this has shape {values.shape}.")
    planes = values[..., None] if values.ndim == 2 else values
    with replacing(path) as temporary:
        with create_raster(temporary, Path(path), planes.shape, "float32", grid, nodata=math.nan) as raster:
            raster.write(np.moveaxis(planes, -1, 0))
            for band, name in enumerate(names, start=1):
                raster.set_band_description(band, name)
        check_whole(temporary, Path(path))


@contextmanager
def create_raster(
    path: Path, target: Path, shape: tuple[int, ...], dtype: str, grid: Grid | None, *, nodata: float
) -> Iterator[Any]:
    """An open tiled and deflated GeoTIFF of `shape` (H, W, C) at `path`, in messages called `target`."""
    rasterio = import_rasterio()
    rows, columns, bands = shape
    place = Grid() if grid is None else grid
    try:
        with rasterio.open(
            path,
            "w",
            driver="GTiff",
            height=rows,
            width=columns,
            count=bands,
            dtype=dtype,
            nodata=nodata,
            crs=place.crs,
            transform=None if place.affine is None else rasterio.Affine(*place.affine),
            tiled=True,
            blockxsize=BLOCK_PX,
            blockysize=BLOCK_PX,
            compress="deflate",
            **(FRACTIONS if dtype == "float32" else {}),
            num_threads=blocks_packed_by(),
            interleave="band",
            bigtiff="if_safer",
        ) as raster:
            yield raster
    except rasterio.errors.RasterioError as error:
        raise unwritable(target, error.__cause__ if isinstance(error.__cause__, Exception) else error) from error


def check_whole(path: Path, target: Path) -> None:
    """Read a raster, in messages called `target`, back: GDAL may meet a full disk when closing, and says nothing."""
    for _ in blocks_of(path, target):
        pass


def blocks_of(path: Path, target: Path) -> Iterator[NDArray[Any]]:
    """All pixels of a raster, as in `check_whole`: (bands, h, w) rows of its blocks."""
    rasterio = import_rasterio()
    try:
        with rasterio.open(path, num_threads=blocks_packed_by()) as raster:
            height, _ = raster.block_shapes[0]
            for start in range(0, raster.height, height):
                yield raster.read(window=((start, min(start + height, raster.height)), (0, raster.width)))
    except rasterio.errors.RasterioError as error:
        raise unwritable(target, OSError("the disk took only a part of it; it may be full")) from error


def blocks_packed_by() -> str:
    """For GDAL, which packs blocks in several threads to the same bytes.

    A forked process has none of the threads that its parent began, and would wait for them.
    """
    return "ALL_CPUS" if os.getpid() == PROCESS else "1"


@contextmanager
def small_cache() -> Iterator[None]:
    """Let GDAL keep few blocks in memory; otherwise it holds back as many as fill a twentieth of all memory."""
    rasterio = import_rasterio()
    with rasterio.Env():
        before = rasterio.env.get_gdal_config("GDAL_CACHEMAX")
    with rasterio.Env(GDAL_CACHEMAX=min(int(before), CACHE_BYTES)):
        yield


def write_png(
    path: AnyPath,
    labels: NDArray[Any],
    colours: Sequence[tuple[int, int, int]],
    *,
    unlabelled: tuple[int, int, int] = (0, 0, 0),
) -> None:
    """Write a plain picture of labels (H, W) 0..K-1 in K sRGB colours 0..255; -1 is drawn in `unlabelled`.

    Small maps are enlarged to about 600 px by repeating pixels.
    """
    from matplotlib.image import imsave

    check_labels(labels, len(colours), path)
    longest = max(labels.shape)
    shrink, factor = math.ceil(longest / LARGEST_PICTURE_PX), max(1, math.ceil(PICTURE_PX / longest))
    table = np.asarray([unlabelled, *colours], np.uint8)
    picture = table[np.asarray(labels[::shrink, ::shrink], np.int64) - UNLABELLED]
    picture = picture.repeat(factor, 0).repeat(factor, 1)
    with replacing(path) as temporary:
        imsave(temporary, picture, format="png")


def check_labels(labels: NDArray[Any], n_classes: int, path: AnyPath) -> None:
    """Refuse what is no (H, W) map of labels -1..K-1.

    Raises:
        LabelError: wrong shape, type or values.
    """
    if labels.ndim != 2 or labels.dtype.kind not in "iu" or labels.size == 0:
        raise LabelError(
            f"{path}: a map to write is (rows, columns) of whole numbers, got {labels.shape} {labels.dtype}."
        )
    low, high = int(labels.min()), int(labels.max())
    if low < UNLABELLED or high >= n_classes:
        raise LabelError(
            f"{path}: labels run from {low} to {high}, expected -1 (unlabelled) or 0..{n_classes - 1} for "
            f"{n_classes} classes. Translate file codes with read_labels first."
        )


def _plain(obj: Any) -> Any:
    match obj:
        case None | bool() | str() | int():
            return obj
        case float():
            return obj if math.isfinite(obj) else None
        case np.ndarray() | np.generic():
            return _plain(obj.tolist())
        case dict():
            return {str(k): _plain(v) for k, v in obj.items()}
        case list() | tuple() | set() | frozenset():
            return [_plain(v) for v in (sorted(obj) if isinstance(obj, set | frozenset) else obj)]
        case Path():
            return str(obj)
        case _ if dataclasses.is_dataclass(obj) and not isinstance(obj, type):
            return {f.name: _plain(getattr(obj, f.name)) for f in dataclasses.fields(obj)}
        case _:
            raise TypeError(f"{type(obj).__name__} has no JSON form; convert it to numbers, text or lists.")
