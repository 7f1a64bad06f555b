"""A predicted map of classes, or of doubt, as a file, on the grid and with the header of the image it was made from."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hyperseg.core import UNLABELLED, DataFileError, LabelError
from hyperseg.core.codes import code_table, code_type
from hyperseg.io.cases.names import VOLUMES, ending_of
from hyperseg.io.cases.nifti import read_place, write_volume
from hyperseg.io.cases.picture import turned_back
from hyperseg.io.paths import split_key
from hyperseg.io.write.files import replacing
from hyperseg.io.write.targets import check_targets

PLAIN = (".png", ".tif", ".tiff", ".npy")


def write_prediction(
    path: Path, labels: NDArray[Any], *, like: Path, codes: Sequence[int] | None = None,
    inputs: Iterable[Path] = (), overwrite: bool = False,
) -> None:  # fmt: skip
    """Write a map of classes whole or not at all.

    Args:
        path: .nii.gz or .nii where `like` is one; .png, .tif or .npy otherwise. Its folder exists.
        labels: (*S) classes 0..K-1, axes as `read_case` gives them.
        like: the image; a NIfTI file has its axes, affine, header and size, with whole numbers for values.
        codes: of the classes in the file, those of the folder's labels; None is 0..K-1.
        inputs: further files that are never written over.
        overwrite: an existing prediction is replaced.

    Raises:
        DataFileError: `path` is an input, exists, cannot be written, or is of a format that does not fit.
        LabelError: another size than the image, or classes without a code.
    """
    _fits(path, like)
    check_targets([path], inputs=[str(like), *map(str, inputs)], overwrite=overwrite)
    _write(path, _coded(path, labels, codes), like)


def write_doubt(
    path: Path, doubt: NDArray[np.floating[Any]], *, like: Path, inputs: Iterable[Path] = (), overwrite: bool = False
) -> None:  # fmt: skip
    """Write how uncertain each pixel is, 0 to 1, whole or not at all: float32, but in a .png 0 to 255.

    Args:
        path, like, inputs, overwrite: as of `write_prediction`.
        doubt: (*S), axes as `read_case` gives them.

    Raises:
        DataFileError, LabelError: as `write_prediction`.
    """
    _fits(path, like)
    check_targets([path], inputs=[str(like), *map(str, inputs)], overwrite=overwrite)
    scaled = np.rint(255 * doubt).astype(np.uint8) if ending_of(path) == ".png" else doubt.astype(np.float32)
    _write(path, scaled, like)


def _fits(path: Path, like: Path) -> None:
    """Raise (DataFileError) where a file of this ending cannot stand for a prediction of `like`."""
    expected = VOLUMES if _is_volume(like) else PLAIN
    if ending_of(path) not in expected:
        raise DataFileError(f"{path}: predictions for {like.name} are written as {', '.join(expected)}; rename it.")


def _is_volume(like: Path) -> bool:
    return ending_of(split_key(like)[0]) in VOLUMES


def _write(path: Path, array: NDArray[Any], like: Path) -> None:
    """Numbers on the grid of `like`; a NIfTI file has its axes and header too."""
    ending = ending_of(path)
    if _is_volume(like):
        shape, place = read_place(like)
        back = turned_back(array, place) if array.ndim == len(place.spacing) else array
        _check_size(path, back.shape, shape[: len(place.spacing)], like)
        with replacing(path) as temporary:
            write_volume(temporary, np.asfortranarray(back), like, packed=ending == VOLUMES[0])
        return
    if ending == ".npy":
        with replacing(path) as temporary, temporary.open("wb") as file:
            np.save(file, array)
        return
    if array.ndim != 2:
        raise LabelError(f"{path}: a picture is (rows, columns), this array is {array.shape}. Write it as .npy.")
    from PIL import Image

    with replacing(path) as temporary:
        Image.fromarray(array).save(temporary, format="PNG" if ending == ".png" else "TIFF")


def _coded(path: Path, labels: NDArray[Any], codes: Sequence[int] | None) -> NDArray[Any]:
    if labels.dtype.kind not in "iu" or labels.size == 0:
        raise LabelError(f"{path}: a prediction is whole numbers, got {labels.dtype} of shape {labels.shape}.")
    low, high = int(labels.min()), int(labels.max())
    known = tuple(range(high + 1)) if codes is None else tuple(codes)
    if low < UNLABELLED or high >= len(known):
        raise LabelError(f"{path}: classes run from {low} to {high}, expected -1 (none) or 0..{len(known) - 1}.")
    table = code_table(known).astype(code_type(known) if low < 0 or max(known) > 255 else np.uint8)
    return table[labels]


def _check_size(path: Path, got: tuple[int, ...], expected: tuple[int, ...], like: Path) -> None:
    if got != expected:
        sizes = ["x".join(map(str, size)) for size in (got, expected)]
        raise LabelError(
            f"{path}: the prediction has {sizes[0]} voxels in the order of {like.name}, which has {sizes[1]}."
        )
