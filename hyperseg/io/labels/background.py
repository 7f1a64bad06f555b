"""Which pixels of a label raster carry no label: what is declared, what is usual, and what is said of doubts."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hyperseg.core import LabelError
from hyperseg.core.words import thousands

log = logging.getLogger(__name__)

NOTHING = {
    "unlabelled", "unlabeled", "unclassified", "nodata", "novalue", "background", "undefined", "none", "null", "void",
    "ignore", "ignored", "masked", "fill", "empty", "unknown",
}  # fmt: skip
SMALL = 100  # codes up to here leave a largest value of the type standing apart
MOSTLY = 0.5  # share of the pixels from which 0 is the ground the labels lie on


def unlabelled_in(
    values: NDArray[Any],
    *,
    origin: str,
    nodata: float | None = None,
    names: Mapping[int, str] | None = None,
    whole: bool = True,
) -> NDArray[np.bool_]:
    """(H, W) bool: pixels of file codes that carry no label.

    The declared value, NaN and negative codes do not. 0 does not, unless another value is declared: then it is a class
    (not where it is named as nothing, nor where the declared value never occurs and 0 is most of the raster). The
    largest value of a byte or of the type, undeclared beside small codes, is no label where no 0 is. What is in doubt
    is told, with the way to say it otherwise. Of a part of a raster (not `whole`) what never occurs tells nothing.

    Raises:
        LabelError: fractions, or 0 beside undeclared negative codes.
    """
    names = names or {}
    unlabelled = np.zeros(values.shape, np.bool_) if nodata is None else values == nodata
    if values.dtype.kind == "f":
        unlabelled |= ~np.isfinite(values)
        if not np.equal(np.mod(values[~unlabelled], 1), 0).all():
            raise LabelError(f"{origin}: holds fractions; labels are whole numbers, 0 = unlabelled, 1..K = classes.")
    declared = nodata is not None and np.isfinite(nodata) and nodata != 0
    zero = values == 0
    negative = (values < 0) & ~unlabelled if values.dtype.kind in "if" else np.zeros(values.shape, bool)
    if not declared and negative.any() and zero.any():
        raise LabelError(
            f"{origin}: holds 0 and {int(values[negative].max())}: which one means unlabelled is unclear. "
            "Write classes as 1..K and unlabelled pixels as 0, or declare what means unlabelled as the file's no-data "
            "value (gdal_edit.py -a_nodata VALUE FILE)."
        )
    if not (declared and _zero_is_class(zero, unlabelled | (not whole), nodata, origin, names)):
        unlabelled |= zero
        if zero.any() and nodata is None and 0 in names and not is_nothing(names[0]):
            log.warning(
                "%s: 0 is named %r, but means unlabelled where a file declares nothing else: if it is a class, declare "
                "what means unlabelled (gdal_edit.py -a_nodata 255)", origin, names[0],
            )  # fmt: skip
    unlabelled |= negative
    if not declared:
        unlabelled |= _apart(values, unlabelled, zero.any() or nodata is not None, origin, names)
    return unlabelled


def _zero_is_class(
    zero: NDArray[np.bool_], unlabelled: NDArray[np.bool_], nodata: float | None, origin: str, names: Mapping[int, str]
) -> bool:
    """Whether 0 is a class where `nodata` is declared as something else."""
    count = int(np.count_nonzero(zero))
    if not count or is_nothing(names.get(0)):
        return False
    if not unlabelled.any() and 0 not in names and zero.mean() > MOSTLY:
        log.warning(
            "%s: declares %g as no-data, which never occurs, and most pixels are 0 (%s): they are taken as unlabelled. "
            "If 0 is a class, name it in the file",
            origin, nodata, thousands(count),
        )  # fmt: skip
        return False
    log.info(
        "%s: 0 is a class of its own (%s pixels), as the file declares %g as no-data; if 0 means unlabelled, say so: "
        "gdal_edit.py -a_nodata 0",
        origin, thousands(count), nodata,
    )  # fmt: skip
    return True


def _apart(
    values: NDArray[Any], unlabelled: NDArray[np.bool_], said: bool, origin: str, names: Mapping[int, str]
) -> NDArray[np.bool_]:
    """Pixels of an undeclared largest value that are no label; none where something else (`said`) means unlabelled."""
    left = values[~unlabelled]
    top = int(left.max()) if left.size else 0
    largest = {255} | ({int(np.iinfo(values.dtype).max)} if values.dtype.kind in "iu" else set())
    others = left[left != top]
    if top not in largest or not others.size or others.max() > min(SMALL, top - 2):
        return np.zeros(values.shape, np.bool_)
    found = values == top
    if top in names:
        return found if is_nothing(names[top]) else np.zeros(values.shape, np.bool_)
    taken, remedy = ("a class", top) if said else ("unlabelled, as no pixel is 0", 0)
    log.warning(
        "%s: %s pixels are %d, beside codes up to %d, and the file does not say what that means: taken as %s. If that "
        "is wrong, declare what means unlabelled: gdal_edit.py -a_nodata %d",
        origin, thousands(int(np.count_nonzero(found))), top, int(others.max()), taken, remedy,
    )  # fmt: skip
    return np.zeros(values.shape, np.bool_) if said else found


def is_nothing(name: str | None) -> bool:
    """Whether a name of a code says that its pixels have no class."""
    return name is not None and "".join(filter(str.isalnum, name.casefold())) in NOTHING
