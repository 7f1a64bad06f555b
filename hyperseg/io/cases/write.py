"""A predicted map of classes as a file, on the grid and with the header of the image it was made from."""

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
    ending = ending_of(path)
    volume = ending_of(split_key(like)[0]) in VOLUMES
    expected = VOLUMES if volume else PLAIN
    if ending not in expected:
        raise DataFileError(f"{path}: predictions for {like.name} are written as {', '.join(expected)}; rename it.")
    check_targets([path], inputs=[str(like), *map(str, inputs)], overwrite=overwrite)
    coded = _coded(path, labels, codes)
    if volume:
        shape, place = read_place(like)
        back = turned_back(coded, place) if coded.ndim == len(place.spacing) else coded
        _check_size(path, back.shape, shape[: len(place.spacing)], like)
        with replacing(path) as temporary:
            write_volume(temporary, np.asfortranarray(back), like, packed=ending == VOLUMES[0])
        return
    if ending == ".npy":
        with replacing(path) as temporary, temporary.open("wb") as file:
            np.save(file, coded)
        return
    if coded.ndim != 2:
        raise LabelError(f"{path}: a picture is (rows, columns), these labels are {coded.shape}. Write them as .npy.")
    from PIL import Image

    with replacing(path) as temporary:
        Image.fromarray(coded).save(temporary, format="PNG" if ending == ".png" else "TIFF")


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
