"""One file of a case, decoded: volumes, pictures, arrays; and labels, which are whole numbers on one channel."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hyperseg.core import DataFileError, LabelError
from hyperseg.io.cases.beside.spacing import own_spacing
from hyperseg.io.cases.names import KNOWN, PICTURES, VOLUMES, ending_of
from hyperseg.io.cases.nifti import read_place, read_volume
from hyperseg.io.cases.picture import Picture, Place
from hyperseg.io.formats import check_file
from hyperseg.io.formats.array import reading
from hyperseg.io.paths import split_key

FEW = 4  # a last axis of an array up to this long holds channels
STACKS = (".tif", ".tiff")
MOST_COUNTED = 2**16  # codes up to here are counted without sorting
PART = 2**22  # voxels at once
WHOLE = 1e-3  # what a scale in a header may leave beside a whole number
PLAIN_MODES = ("L", "I", "F", "I;16", "I;16B", "I;16L", "1", "RGB")


def decode_image(path: Path) -> Picture:
    """(*S, C) of a file, in the order of its own axes.

    Of pictures transparency is dropped, and palettes become colours; a .tif of several pages is a volume (D, H, W). The
    last axis of an array (.npy, .npz, .h5) holds channels where it is up to 4 long; the array is (H, W) or (D, H, W)
    else. A fourth axis always holds channels.

    Raises:
        DataFileError: missing, unreadable, truncated or of an unknown format.
    """
    file, _ = split_key(path)
    _check(file)
    ending = ending_of(file)
    if ending in VOLUMES:
        return read_volume(file)
    if ending in PICTURES:
        return _read_picture(file, label=False)
    array = _read_array(path)
    channels = array.ndim == 4 or (array.ndim == 3 and array.shape[-1] <= FEW)
    if array.ndim not in (2, 3, 4):
        raise DataFileError(
            f"{path}: has {array.ndim} axes; (H, W), (D, H, W) or one of them with channels is expected."
        )
    spacing = own_spacing(path)
    return Picture(array if channels else array[..., None], None if spacing is None else Place(spacing))


def decode_label(path: Path) -> Picture:
    """(*S, 1) codes of a label file as whole numbers, in the order of its own axes; of palettes the indices.

    Raises:
        DataFileError: as `decode_image`.
        LabelError: colours, fractions, or the losses of JPEG, which are no classes.
    """
    file, _ = split_key(path)
    ending = ending_of(file)
    if ending in (".jpg", ".jpeg"):
        raise LabelError(f"{path}: JPEG changes values, so its classes are lost. Save the mask anew as .png.")
    _check(file)
    if ending in PICTURES:
        found = _read_picture(file, label=True)
    elif ending in VOLUMES:
        found = read_volume(file)
    else:
        found = Picture(_read_array(path)[..., None])
    array, remarks = found.array, found.remarks
    if array.shape[-1] > 1 and (array == array[..., :1]).all():
        array, remarks = array[..., :1], (*remarks, "channels that are all equal were read as one")
    if array.shape[-1] != 1:
        raise LabelError(
            f"{path}: has {array.shape[-1]} channels (colours?), one with class numbers (0, 1, 2) was expected. "
            "Turn each colour into a number and save it as a grey .png."
        )
    return Picture(_whole(path, array), found.place, remarks)


def in_colours(path: Path, axes: int) -> bool:
    """Whether three channels may be red, green and blue: in pictures, and arrays of two axes beside the channels."""
    ending = ending_of(split_key(path)[0])
    return ending in PICTURES or (axes == 2 and ending not in VOLUMES)


def counted_codes(codes: NDArray[Any]) -> dict[int, int]:
    """How often each code stands in an array of whole numbers."""
    if codes.min() >= 0 and codes.max() < MOST_COUNTED:
        table = np.zeros(int(codes.max()) + 1, np.int64)
        for part in np.array_split(codes.ravel(order="K"), 1 + codes.size // PART):  # bincount makes 8 bytes of each
            table += np.bincount(part, minlength=len(table))
        return {int(code): int(table[code]) for code in np.flatnonzero(table)}
    found, counts = np.unique(codes, return_counts=True)
    return {int(code): int(n) for code, n in zip(found, counts, strict=True)}


def shape_of(path: Path) -> tuple[int, ...] | None:
    """The shape (*S, C) that `decode_image` will give, from the header alone; None where that cannot be told."""
    file, _ = split_key(path)
    try:
        if (ending := ending_of(file)) in VOLUMES:
            shape = read_place(file)[0]
            return shape if len(shape) > 3 else (*shape, 1)
        if ending in PICTURES:
            with _pillow().open(file) as image:
                pages = getattr(image, "n_frames", 1) if ending in STACKS else 1
                stack = (pages,) if pages > 1 else ()
                return (*stack, image.height, image.width, 1 if image.mode in PLAIN_MODES[:-1] else 3)
        shape = tuple(_lazy_array(path).shape)
        return shape if len(shape) == 4 or shape[-1] <= FEW else (*shape, 1)
    except Exception:  # whoever reads it says what is wrong with it
        return None


def _check(file: Path) -> None:
    """`check_file`, but of an empty file it says what its own name promises."""
    ending = ending_of(file)
    if ending and file.is_file() and file.stat().st_size == 0:
        expected = "a NIfTI file" if ending in VOLUMES else f"a {ending} file"
        raise DataFileError(f"{file}: is empty (0 bytes), {expected} was expected. Copy or download it again.")
    check_file(file)


def _whole(path: Path, array: NDArray[Any]) -> NDArray[Any]:
    if array.dtype.kind in "iu":
        return array
    if array.dtype.kind == "b":
        return array.astype(np.uint8)
    rounded = np.rint(array)
    if not np.isfinite(array).all() or np.abs(array - rounded).max(initial=0) > WHOLE:
        odd = array[~(np.abs(array - rounded) <= WHOLE)].flat[0]
        raise LabelError(
            f"{path}: holds {odd:.4g}, whole class numbers were expected. It may hold probabilities, or have been "
            "resampled with interpolation: use the nearest neighbour."
        )
    return rounded.astype(np.int32)


def _read_picture(path: Path, *, label: bool) -> Picture:
    """(H, W, C), or (D, H, W, 1) of a .tif of pages."""
    with reading(path, "a picture"), warnings.catch_warnings():
        warnings.simplefilter("ignore", _pillow().DecompressionBombWarning)  # large, but below what Pillow refuses
        with _pillow().open(path) as image:
            pages = getattr(image, "n_frames", 1)
            if pages > 1 and ending_of(path) in STACKS:
                planes = []
                for page in range(pages):
                    image.seek(page)
                    planes.append(np.asarray(image))
                if any(plane.shape != planes[0].shape for plane in planes):
                    raise DataFileError(
                        f"{path}: its {pages} pages differ in size; one volume or picture was expected."
                    )
                stack = np.stack(planes)
                return Picture(stack if stack.ndim == 4 else stack[..., None])
            array, remark = _plain(image, label=label)
    if array.dtype == bool:
        array = array.astype(np.uint8)
    return Picture(array if array.ndim == 3 else array[..., None], None, (remark,) if remark else ())


def _plain(image: Any, *, label: bool) -> tuple[NDArray[Any], str]:
    """The values of a picture, and what was done to get them."""
    mode = image.mode
    if mode in PLAIN_MODES or (label and mode == "P"):
        return np.asarray(image), ""
    if mode in ("RGBA", "RGBX", "PA", "LA", "La", "RGBa"):
        grey = mode in ("LA", "La")
        return np.asarray(image.convert("L" if grey else "RGB")), "transparency was dropped"
    return np.asarray(image.convert("RGB")), f"{mode} was turned into colours"


def _read_array(path: Path) -> NDArray[Any]:
    array = _lazy_array(path)
    return array if isinstance(array, np.memmap) else np.asarray(array[...])


def _lazy_array(path: Path) -> Any:
    from hyperseg.io.read import open_array

    if not ending_of(split_key(path)[0]):
        raise DataFileError(f"{path}: is of no format for cases; expected {KNOWN}. Convert it.")
    return open_array(path).array


def _pillow() -> Any:
    from PIL import Image

    return Image
