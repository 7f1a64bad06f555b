"""Which numbers stand for nothing: NaN, infinities, absurd magnitudes, and the value that a file names for it."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

ABSURD = 1e20  # no measurement in any unit is as large; such floats are somebody's "nothing", and overflow in networks
CACHED_BYTES = 1 << 20  # looked at in one go
ROUNDED = 1e-6  # relative difference between a value in the data and the same one as text, or as float32


def broken(values: NDArray[Any]) -> NDArray[np.bool_]:
    """NaN, infinite or absurdly large; never so in whole numbers."""
    if values.dtype.kind != "f":
        return np.zeros(values.shape, bool)
    with np.errstate(over="ignore", invalid="ignore"):
        return ~(np.abs(values) < ABSURD)


def same(values: NDArray[Any], nodata: float | None) -> NDArray[np.bool_]:
    """Equal to the value that stands for "no data", which a header may have rounded; never so where there is none."""
    if nodata is None or not holds(values.dtype, nodata):
        return np.zeros(values.shape, bool)
    if values.dtype.kind != "f" or nodata == 0:
        return np.asarray(values == values.dtype.type(nodata))
    if not abs(nodata) < ABSURD:  # these are broken, whatever they stand for
        return np.zeros(values.shape, bool)
    low, high = sorted((nodata * (1 - ROUNDED), nodata * (1 + ROUNDED)))
    return np.asarray((values >= values.dtype.type(low)) & (values <= values.dtype.type(high)))


def holds(dtype: np.dtype[Any], value: float) -> bool:
    """Whether numbers of this type can have the value."""
    if dtype.kind == "f":
        return True
    if not np.isfinite(value) or value != int(value) or dtype.kind not in "iu":
        return False
    limits = np.iinfo(dtype)
    return bool(limits.min <= value <= limits.max)


def can_lack(dtype: np.dtype[Any], nodata: float | None) -> bool:
    """Whether numbers of this type can be missing at all."""
    return dtype.kind == "f" or (nodata is not None and holds(dtype, nodata))


def valid_in(
    block: NDArray[Any], *, good: NDArray[np.bool_] | None = None, nodata: float | None, gaps: bool = False
) -> NDArray[np.bool_]:
    """(h, w) bool: which pixels of a window (h, w, C) hold data; `good` (C,) are the bands that count, None for all.

    A pixel is out where all good bands are no-data, or where any good band is NaN, infinite or absurdly large: a
    network would turn one such value into a map of them. With `gaps` the no-data value in a single band counts as NaN
    does there; without it, it is a value like others (a dark one, where 0 stands for no data).
    """
    inside = np.ones(block.shape[:-1], bool)
    if not can_lack(block.dtype, nodata) or not block.size:
        return inside
    chosen = None if good is None or good.all() else np.flatnonzero(good)
    first = 0 if chosen is None else int(chosen[0]) if len(chosen) else None
    rows = max(1, CACHED_BYTES * len(block) // block.nbytes)
    for start in range(0, len(block), rows):
        part = block[start : start + rows]
        if first is None or _may_lack(part, first, nodata=nodata, gaps=gaps):
            seen = part if chosen is None else part[..., chosen]
            lost, named = broken(seen), same(seen, nodata)
            inside[start : start + rows] = ~(lost | named).all(-1) & ~(lost | named if gaps else lost).any(-1)
    return inside


def _may_lack(part: NDArray[Any], first: int, *, nodata: float | None, gaps: bool) -> bool:
    """False where no pixel can be without data, by few looks: most rows of most scenes are whole."""
    if part.dtype.kind == "f" and not (part.max() < ABSURD and part.min() > -ABSURD):  # NaN is neither
        return True
    return bool(same(part if gaps else part[..., first], nodata).any())


def plain(values: NDArray[Any]) -> NDArray[Any]:
    """An array that torch can read: a common number type in the machine's byte order, no axis backwards or askew.

    A read-only array (a file's) is given as one that can be written, so that torch does not warn; nobody writes to it.
    """
    kind = values.dtype
    if kind.kind == "f" and kind.itemsize > 8:
        values = values.astype(np.float64)
    elif not kind.isnative:
        values = values.astype(kind.newbyteorder("="))
    if any(step < 0 or step % values.itemsize for step in values.strides):
        values = np.ascontiguousarray(values)
    return values if values.flags.writeable else np.asarray(_Unlocked(values))


class _Unlocked:
    """A read-only array under another name."""

    def __init__(self, values: NDArray[Any]) -> None:
        self.values = values  # lives as long as the view
        place, _ = values.__array_interface__["data"]
        self.__array_interface__ = values.__array_interface__ | {"data": (place, False)}
