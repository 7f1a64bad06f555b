"""A folder of images: one folder a class, or flat; divided as its names say (train, test), or at random."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hyperseg.core import DataFileError
from hyperseg.core.words import clean_name, counted, listed, some
from hyperseg.io.cases.decode import decode_image, shape_of
from hyperseg.io.cases.names import PICTURES as ENDINGS
from hyperseg.io.cases.names import ending_of
from hyperseg.recipes.bench.data.pictures import FEWEST, FEWEST_TEST, Pictures, by, divided, mixed, pictures, scaled

TRAIN, TEST = ("train", "training"), ("test", "val", "validation")
SHARE = 0.2  # of the images, to test with
MOST_BYTES = 2**31
KNOWN = ", ".join(ENDINGS)

Listed = list[tuple[Path, str]]
"""Files, each with its class."""


def load_folder(folder: Path) -> Pictures:
    """The images of a folder, of one size and one kind.

    One folder a class gives classes. Folders called train and test divide the set; without them a fifth tests, the same
    share of every class and always the same images.

    Raises:
        DataFileError: no images or too few, images that cannot be read, or of mixed size, channels or depth.
    """
    inside = {path.name.casefold(): path for path in _folders(folder)}
    train, test = (next((inside[name] for name in names if name in inside), None) for names in (TRAIN, TEST))
    if train is not None and test is not None:
        learn, check = _listed(train), _listed(test)
    else:
        learn, check = _listed(folder), []
    _check_number(folder, learn, check)
    names = sorted({of for _, of in learn})
    unknown = sorted({of for _, of in check} - set(names))
    if unknown:
        raise DataFileError(f"{test}: has the classes {some(unknown, 3)}, {train} has {some(names, 3)} only.")
    files = learn + check
    _check_alike([path for path, _ in files])
    x, levels = _values([path for path, _ in files])
    labels = np.array([names.index(of) for _, of in files])
    if check:
        first = np.arange(len(learn))
        second = np.arange(len(learn), len(files))
    else:
        first, second = divided(labels, max(round(SHARE * len(files)), FEWEST_TEST))
    several = len(names) > 1
    told = f"{len(names)} classes" if several else "no classes"
    size = f"{by(x.shape[2:])} pixels, {counted(x.shape[1], 'channel')}"
    note = f"{len(first)} images to learn from and {len(second)} to test, {size}, {told}."
    x = _scaled(x, levels, first)
    parts = [mixed(x[index], labels[index] if several else None) for index in (first, second)]
    return pictures(folder_name(folder), *parts, classes=tuple(names) if several else (), note=note, levels=levels)


def folder_name(folder: Path) -> str:
    """What the set of a folder is called."""
    return clean_name(folder.resolve().name).replace(" ", "-") or "images"


def _folders(folder: Path) -> list[Path]:
    try:
        return sorted(path for path in folder.iterdir() if path.is_dir() and not path.name.startswith("."))
    except OSError as error:
        raise DataFileError(f"{folder}: cannot be listed ({error.strerror}). Check its rights.") from error


def _images(folder: Path) -> list[Path]:
    return sorted(path for path in folder.iterdir() if ending_of(path) in ENDINGS and path.is_file())


def _listed(folder: Path) -> Listed:
    own = [(path, "") for path in _images(folder)]
    below = [(path, inner.name) for inner in _folders(folder) for path in _images(inner)]
    if own and below:
        raise DataFileError(
            f"{folder}: holds {counted(len(own), 'image')} and {listed(sorted({of for _, of in below}), most=3)} with "
            "images too; expected either images or one folder a class. Move them."
        )
    if not own and not below:
        others = sorted({path.suffix or path.name for path in folder.iterdir() if path.is_file()})
        held = f"it holds {some(others, 4)}" if others else "it is empty"
        raise DataFileError(f"{folder}: no images ({held}); expected {KNOWN} in it, or in one folder a class.")
    return own or below


def _check_number(folder: Path, learn: Listed, check: Listed) -> None:
    short = len(learn) < FEWEST or len(check) < FEWEST_TEST if check else len(learn) < FEWEST + FEWEST_TEST
    if short:
        found = f"{len(learn)} images to learn from and {len(check)} to test" if check else f"{len(learn)} images"
        raise DataFileError(
            f"{folder}: {found}, at least {FEWEST} to learn from and {FEWEST_TEST} to test are needed: add some."
        )


def _check_alike(files: list[Path]) -> None:
    """Refuse mixed sizes by headers alone, before anything is decoded."""
    first = None
    for path in files:
        shape = shape_of(path)
        if shape is None:
            decode_image(path)  # says what is wrong with it
        elif first is None:
            first = (path, shape)
        elif shape != first[1]:
            raise DataFileError(
                f"{path}: is {_told(shape)}, {first[0].name} is {_told(first[1])}; images of one size and number of "
                "channels were expected. Resize, crop or convert them."
            )
    if first is not None and len(files) * int(np.prod(first[1])) > MOST_BYTES:
        raise DataFileError(
            f"{first[0].parent}: {len(files)} images of {_told(first[1])} are more than {MOST_BYTES // 2**30} GB; "
            "diffusion models are trained on small images: shrink them, or give fewer."
        )


def _values(files: list[Path]) -> tuple[NDArray[Any], int | None]:
    """(n, C, *S) values as they are in the files, and how many levels they can have."""
    arrays: list[NDArray[Any]] = []
    for path in files:
        array = decode_image(path).array
        if arrays and (array.dtype != arrays[0].dtype or array.shape != arrays[0].shape):
            raise DataFileError(
                f"{path}: has values of type {array.dtype}, those of {files[0].name} are {arrays[0].dtype}; one type "
                "was expected. Save them alike."
            )
        if array.dtype.kind == "f" and not np.isfinite(array).all():
            raise DataFileError(f"{path}: holds values that are not finite. Leave it out, or fill them.")
        arrays.append(array)
    x = np.moveaxis(np.stack(arrays), -1, 1)
    if x.dtype.kind == "f":
        return x, None
    highest = int(x.max())
    if int(x.min()) < 0:
        return x.astype(np.float32), None
    return x, next((levels for levels in (2, 2**8, 2**16) if highest < levels), None)


def _scaled(x: NDArray[Any], levels: int | None, learn: NDArray[np.intp]) -> NDArray[np.float32]:
    """Values in [-1, 1]: by their levels, or by the least and largest value to learn from."""
    if levels is not None:
        return scaled(x, levels)
    low, high = float(x[learn].min()), float(x[learn].max())
    return np.clip(2 * (x.astype(np.float32) - low) / max(high - low, 1e-12) - 1, -1, 1)


def _told(shape: tuple[int, ...]) -> str:
    return f"{by(shape[:-1])} with {counted(shape[-1], 'channel')}"
