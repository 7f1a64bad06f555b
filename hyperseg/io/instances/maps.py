"""`write_instances`, `read_instances`: a map of objects as a picture, 16 bits in a .png, 16 or 32 in a .tif."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hyperseg.core import DataFileError, LabelError
from hyperseg.io.cases.decode import decode_label
from hyperseg.io.cases.names import ending_of
from hyperseg.io.write.files import replacing

STACKS = (".tif", ".tiff")
SMALL, LARGE = np.iinfo(np.uint16).max, np.iinfo(np.int32).max


def write_instances(path: Path, instances: NDArray[Any]) -> None:
    """Write a map whole or not at all; the place that stood there before is kept until it is complete.

    Args:
        path: .png or .tif. A .tif has 32 bits where a number does not fit 16.
        instances: (H, W) whole numbers: 0 is background, 1 and more are objects.

    Raises:
        LabelError: another shape, numbers below 0, or above 65535 in a .png.
        DataFileError: another ending, or a place that cannot be written.
    """
    ending = ending_of(path)
    if ending not in (".png", *STACKS):
        raise DataFileError(f"{path}: maps of objects are written as .png or .tif; rename it.")
    _check(path, instances)
    if instances.ndim != 2:
        raise LabelError(f"{path}: a picture is (rows, columns), this map is {instances.shape}.")
    highest = int(instances.max(initial=0))
    if highest > SMALL and ending == ".png":
        raise LabelError(f"{path}: holds the number {highest}, and a .png has {SMALL} at most. Write a .tif.")
    from PIL import Image

    array = instances.astype(np.uint16 if highest <= SMALL else np.int32)
    with replacing(path) as temporary:
        Image.fromarray(array).save(temporary, format="PNG" if ending == ".png" else "TIFF")


def read_instances(path: Path) -> NDArray[np.int32]:
    """(*S) map of objects from any file of labels: 0 is background, every other number an object.

    Raises:
        DataFileError: unreadable.
        LabelError: colours, fractions, or numbers below 0.
    """
    found = decode_label(path).array[..., 0]
    _check(path, found)
    return found.astype(np.int32)


def _check(path: Path, instances: NDArray[Any]) -> None:
    if instances.dtype.kind not in "iu" or not instances.size:
        raise LabelError(
            f"{path}: a map of objects is whole numbers, got {instances.dtype} of shape {instances.shape}."
        )
    low, high = int(instances.min()), int(instances.max())
    if low < 0 or high > LARGE:
        raise LabelError(f"{path}: holds numbers from {low} to {high}, expected 0 (background) and 1 to {LARGE}.")
