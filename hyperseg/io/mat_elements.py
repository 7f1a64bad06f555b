"""Whether the elements of a MATLAB file (version 5 to 7) are what they have to be: SciPy's reader dies of some others.

Source: MAT-File Format, The MathWorks, version 5: an element is a tag (type and size) and its data, padded to 8 bytes;
a matrix is a sequence of elements, a struct a matrix with matrices inside, and version 7 deflates whole elements.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path
from typing import Any

from hyperseg.core import DataFileError

HEADER = 128
MATRIX, DEFLATED = 14, 15
PLAIN = frozenset((1, 2, 3, 4, 5, 6, 7, 9, 12, 13, 16, 17, 18))  # numbers and texts
DEEPEST = 64
CHUNK = 2**20
Read = Callable[[int], bytes]


@lru_cache(maxsize=8)  # a file is asked several times while a scene of it is opened
def check_elements(path: Path, state: tuple[int, ...]) -> None:
    """Walk through all elements of a file in this state (see `state_of`); their data are skipped.

    Raises:
        DataFileError: one is of no known type, or larger than what it lies in.
    """
    size = path.stat().st_size
    with path.open("rb") as file:
        mark = file.read(HEADER)[126:128]
        if mark not in (b"IM", b"MI"):  # version 4
            return
        order = "<" if mark == b"IM" else ">"
        while file.tell() + 8 <= size:
            kind, n, small = _tag(file.read(8), order)
            end = file.tell() + (0 if small else n)
            if end > size or kind not in (MATRIX, DEFLATED):
                raise _damaged(path, kind, n)
            if kind == DEFLATED:
                inside = _Inflated(file, n).read
                kind, n, small = _tag(inside(8), order)
                if kind != MATRIX:
                    raise _damaged(path, kind, n)
                _walk(path, inside, n, order, 0)
            else:
                _walk(path, file.read, n, order, 0)
            file.seek(end)


def state_of(path: Path) -> tuple[int, ...]:
    """What changes when a file does."""
    about = path.stat()
    return about.st_mtime_ns, about.st_size, about.st_ino


def _walk(path: Path, read: Read, left: int, order: str, depth: int) -> None:
    while left >= 8:
        kind, n, small = _tag(read(8), order)
        left -= 8
        padded = 0 if small else n if kind == MATRIX else -(-n // 8) * 8
        if padded > left + 7 or depth > DEEPEST or kind not in PLAIN | {MATRIX}:
            raise _damaged(path, kind, n)
        left -= padded
        if kind == MATRIX:
            _walk(path, read, n, order, depth + 1)
        else:
            while padded > 0 and (data := read(min(padded, CHUNK))):
                padded -= len(data)


def _tag(raw: bytes, order: str) -> tuple[int, int, bool]:
    """Type, size, and whether the data lie in the tag itself."""
    if len(raw) < 8:
        raise ValueError("ends within an element")
    kind, n = struct.unpack(order + "II", raw)
    return (kind & 0xFFFF, kind >> 16, True) if kind >> 16 else (kind, n, False)


class _Inflated:
    """Reads from a deflated element of `left` bytes."""

    def __init__(self, file: Any, left: int) -> None:
        self.file, self.left, self.data, self.unpack = file, left, b"", zlib.decompressobj()

    def read(self, n: int) -> bytes:
        while len(self.data) < n:
            raw = self.unpack.unconsumed_tail
            if not raw:
                raw = self.file.read(min(self.left, CHUNK))
                self.left -= len(raw)
            if not raw:
                break
            self.data += self.unpack.decompress(raw, CHUNK)
        out, self.data = self.data[:n], self.data[n:]
        return out


def _damaged(path: Path, kind: int, n: int) -> DataFileError:
    return DataFileError(
        f"{path}: is a damaged MATLAB file: an element of type {kind} with {n} bytes was not expected where it stands. "
        "Copy or download it again."
    )
