"""Boxes of the objects in masks: connected parts, or numbers of an instance map."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import find_objects, label

from hyperseg.core import LabelError
from hyperseg.io.cases.case import Case
from hyperseg.io.cases.decode import decode_label
from hyperseg.io.cases.names import VOLUMES, ending_of
from hyperseg.io.cases.nifti import read_place
from hyperseg.io.cases.picture import Picture
from hyperseg.io.cases.read import REMEDY, misfit
from hyperseg.io.detections.case import BoxCase
from hyperseg.io.paths import split_key

Floats = NDArray[np.float64]


def boxes_of_masks(files: Case, case: BoxCase, *, instances: bool) -> Floats:
    """(M, 2n) of all objects in the masks of a case, see `boxes_of`; objects of two masks are two.

    Args:
        files: names the masks: `label`, and `also` further ones of the same image.
        case: of the same image.
        instances: the masks are instance maps.

    Raises:
        DataFileError: unreadable.
        LabelError: another grid than the image, or values that are no codes.
    """
    first = case.images[0]
    place = read_place(first)[1] if ending_of(split_key(first)[0]) in VOLUMES else None
    image = Picture(np.broadcast_to(np.uint8(0), (*case.shape, 1)), place)
    found = []
    for path in (files.label, *files.also):
        assert path is not None
        mask = decode_label(path)
        if (why := misfit(image, mask)) is not None:
            raise LabelError(f"{path}: {why} than {first.name}. {REMEDY}")
        found.append(boxes_of(mask.array[..., 0], instances=instances))
    return np.concatenate(found)


def boxes_of(mask: NDArray[Any], *, instances: bool = False) -> Floats:
    """(M, 2n) boxes of the objects in a mask (*S) of whole numbers; 0 and less is no object.

    Args:
        instances: each number is an object, also where it lies in several parts. Else each part is one that is
            connected over faces, edges or corners, whatever its numbers.
    """
    n = mask.ndim
    if instances:
        codes, flat = np.unique(np.maximum(mask, 0), return_inverse=True)
        parts = flat.reshape(mask.shape) + int(codes[0] > 0)
    else:
        parts, _ = label(mask > 0, np.ones((3,) * n))
    bounds = [[*(s.start for s in part), *(s.stop for s in part)] for part in find_objects(parts) if part is not None]
    return np.array(bounds, np.float64).reshape(-1, 2 * n)
