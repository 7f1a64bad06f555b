"""`LazyCube`: an array that stays in its file; slicing it reads that window and nothing else."""

from __future__ import annotations

import contextlib
import math
import os
import threading
import warnings
from collections import deque
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from hyperseg.io.formats.array import reading

MAPPED_BYTES = 64 * 2**20  # of a file mapped at a time
READERS = max(1, min(4, (os.cpu_count() or 1) // 2))  # one core copies 4 GB/s out of the page cache, a disk gives more
Window = tuple[tuple[int, int], ...]


class WindowReader(Protocol):
    """Reads half-open windows of an array in the axis order of its file."""

    @property
    def shape(self) -> tuple[int, ...]: ...

    @property
    def dtype(self) -> np.dtype[Any]: ...

    def read(self, window: Window) -> NDArray[Any]: ...


class Handles:
    """An opened file per process and thread: nothing opened is shared after a fork or between threads, or pickled.

    What opens it travels in pickles, so it is no lambda.
    """

    def __init__(self, opener: Callable[[], Any]) -> None:
        self._opener = opener
        self._local = threading.local()

    def get(self) -> Any:
        opened: dict[int, Any] = self._local.__dict__.setdefault("by_pid", {})
        pid = os.getpid()
        if pid not in opened:  # a parent's handle stays untouched in the dict: closing it here would disturb it
            opened[pid] = self._opener()
        return opened[pid]

    def __reduce__(self) -> tuple[Any, ...]:
        return Handles, (self._opener,)


@dataclass(frozen=True, eq=False)
class LazyCube:
    """An array in a file that can be indexed like a NumPy array.

    Slices and integers read only their window; index arrays and masks read the smallest window that covers
    them. Safe in threads, after a fork, and picklable (what travels is the file's name).

    Attributes:
        reader: reads windows in the file's own axis order.
        axes: axis i of this array is axis axes[i] of the file.
    """

    reader: WindowReader
    axes: tuple[int, ...]

    @property
    def shape(self) -> tuple[int, ...]:
        return tuple(self.reader.shape[a] for a in self.axes)

    @property
    def dtype(self) -> np.dtype[Any]:
        return self.reader.dtype

    @property
    def ndim(self) -> int:
        return len(self.axes)

    @property
    def size(self) -> int:
        return math.prod(self.shape)

    @property
    def nbytes(self) -> int:
        return self.size * self.dtype.itemsize

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, key: Any) -> NDArray[Any]:
        keys = _expanded(key, self.ndim)
        located = [_located(k, n) for k, n in zip(keys, self.shape, strict=True)]
        window = tuple(w for w, _ in located)
        if any(a >= b for a, b in window):
            block = np.empty([b - a for a, b in window], self.dtype)
        else:
            by_file = dict(zip(self.axes, window, strict=True))
            block = self.reader.read(tuple(by_file[a] for a in range(self.ndim))).transpose(self.axes)
        return block[tuple(local for _, local in located)]

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> NDArray[Any]:
        if copy is False:
            raise ValueError("a lazy cube is read from its file: there is no array to share without a copy.")
        return np.asarray(self[...], dtype=dtype)

    def move_last(self, axis: int) -> LazyCube:
        """The same array with `axis` as its last axis; nothing is read."""
        return LazyCube(self.reader, (*(a for i, a in enumerate(self.axes) if i != axis), self.axes[axis]))


def _expanded(key: Any, ndim: int) -> list[Any]:
    """One index per axis: Ellipsis filled in, masks of several axes turned into index arrays."""
    parts: list[Any] = []
    for part in key if isinstance(key, tuple) else (key,):
        if part is None:
            raise IndexError("a lazy cube takes slices, integers, index arrays and masks, not None.")
        if isinstance(part, np.ndarray | list) and np.asarray(part).dtype == np.bool_:
            parts.extend(np.nonzero(np.asarray(part)))
        else:
            parts.append(part)
    where = [i for i, p in enumerate(parts) if p is Ellipsis]
    if len(where) > 1 or len(parts) - len(where) > ndim:
        raise IndexError(f"{len(parts)} indices for an array of {ndim} axes.")
    at = where[0] if where else len(parts)
    filling = [slice(None)] * (ndim - len(parts) + len(where))
    return parts[:at] + filling + parts[at + len(where) :]


def _located(key: Any, length: int) -> tuple[tuple[int, int], Any]:
    """The window of an axis that an index needs, and the index within that window."""
    if isinstance(key, slice):
        picked = range(*key.indices(length))
        if not picked:
            return (0, 0), slice(0, 0)
        return (min(picked[0], picked[-1]), max(picked[0], picked[-1]) + 1), slice(None, None, picked.step)
    index = np.asarray(key)
    if index.size == 0:
        return (0, 0), index.astype(np.intp)
    if index.dtype.kind not in "iu":
        raise IndexError(f"an index of type {index.dtype} does not name pixels or bands.")
    if index.min() < -length or index.max() >= length:
        raise IndexError(f"index {key} is outside an axis of length {length}.")
    index = np.where(index < 0, index + length, index)
    low = int(index.min())
    return (low, int(index.max()) + 1), index - low if index.ndim else int(index) - low


class StoredWindows:
    """Windows of an array that its own library opens and slices (h5py, zarr), in stored axis order.

    Args:
        path, what: file and its kind, for messages.
        opener: opens the array; see `Handles`.
        array: the array, opened, for its shape, type and chunks; not kept.
    """

    def __init__(self, path: Path, what: str, opener: Callable[[], Any], array: Any) -> None:
        self.path, self.what = path, what
        self.shape, self.dtype = tuple(array.shape), np.dtype(array.dtype)
        self.tile = None if array.chunks is None else tuple(int(n) for n in array.chunks)
        self._handles = Handles(opener)

    def read(self, window: Window) -> NDArray[Any]:
        with reading(self.path, self.what):
            return np.asarray(self._handles.get()[tuple(slice(a, b) for a, b in window)])


class OrderedBands:
    """The windows of another reader, axes (rows, columns, bands), with its bands picked and put in order."""

    def __init__(self, inner: WindowReader, order: tuple[int, ...]) -> None:
        self.inner, self.order = inner, order
        self.shape = (*inner.shape[:2], len(order))
        self.dtype = inner.dtype
        self.tile: tuple[int, ...] | None = getattr(inner, "tile", None)

    def read(self, window: Window) -> NDArray[Any]:
        rows, columns, (first, last) = window
        wanted = np.asarray(self.order[first:last])
        low, high = int(wanted.min()), int(wanted.max()) + 1
        return self.inner.read((rows, columns, (low, high)))[..., wanted - low]


class FlatWindows:
    """Windows of an uncompressed array in a file, axes from slowest to fastest.

    Each read maps stretches of the file anew and lets go of them: pages of a lasting memory map would count as this
    process's memory until the system wants them back, and a scene of 100 GB would look like a leak.
    """

    def __init__(self, path: Path, shape: tuple[int, ...], dtype: np.dtype[Any], offset: int) -> None:
        self.path, self.shape, self.dtype, self.offset = path, shape, dtype, offset

    def read(self, window: Window) -> NDArray[Any]:
        (first, last), *rest = window
        inside = tuple(slice(a, b) for a, b in rest)
        out = np.empty([b - a for a, b in window], self.dtype)
        step = max(1, MAPPED_BYTES // READERS // max(1, int(np.prod(self.shape[1:])) * self.dtype.itemsize))

        def copy(start: int) -> None:
            stretch = slice(start, min(start + step, last))
            mapped = np.memmap(self.path, self.dtype, "r", self.offset, self.shape)
            out[start - first : stretch.stop - first] = mapped[(stretch, *inside)]

        starts = range(first, last, step)
        with reading(self.path, "an array"):
            if READERS == 1 or len(starts) == 1:
                deque(map(copy, starts), maxlen=0)
            else:
                with ThreadPoolExecutor(READERS) as pool:
                    deque(pool.map(copy, starts), maxlen=0)
        return out

    def pick(self, key: Any) -> NDArray[Any]:
        """Any slices of the array, steps too: only the pages they touch are read."""
        with reading(self.path, "an array"):
            return np.array(np.memmap(self.path, self.dtype, "r", self.offset, self.shape)[key])


def windows_of(mapped: np.memmap[Any, Any]) -> LazyCube:
    """A whole memory map, its axes in any order, as a lazy cube."""
    order = sorted(range(mapped.ndim), key=lambda axis: -mapped.strides[axis])  # slowest axis first, as in the file
    shape = tuple(mapped.shape[axis] for axis in order)
    reader = FlatWindows(Path(str(mapped.filename)), shape, mapped.dtype, mapped.offset)
    return LazyCube(reader, tuple(order.index(axis) for axis in range(mapped.ndim)))


def import_rasterio() -> Any:
    """rasterio, loaded after h5py (both carry an HDF5 library; the other order can fail)."""
    with contextlib.suppress(ImportError):
        import h5py  # noqa: F401
    import rasterio

    # scenes without coordinates are ordinary here; catch_warnings would not be thread-safe
    warnings.filterwarnings("ignore", category=rasterio.errors.NotGeoreferencedWarning)
    return rasterio
