"""CIFAR-10 from an archive of JPEG files, read in one pass and kept in memory only."""

from __future__ import annotations

import io
import os
import re
import tarfile
from collections import defaultdict
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hyperseg.core import DataFileError
from hyperseg.core.words import one_line
from hyperseg.recipes.bench.data.pictures import Choice, Pictures, mixed, pictures, scaled

NAME, FILE = "cifar10", "cifar10_jpeg.tar.xz"
PLACES = ("", "cifar10", "natural/cifar10")  # below the folder that is named
CLASSES = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")
MEMBER = re.compile(rf"(?:.*/)?(?P<part>train|test)/(?P<of>{'|'.join(CLASSES)})/(?P<name>[^/]+)\.jpe?g")
SHAPE, LEVELS = (32, 32, 3), 256
NOTE = (
    "CIFAR-10 compressed anew as JPEG, which changes fine detail: distances and bits per dimension compare with no "
    "published number."
)


def load_cifar10(folder: Path | None, choice: Choice) -> Pictures:
    """The images of the archive; nothing is unpacked, and nothing is written anywhere.

    Args:
        folder: with the archive in it, or in natural/cifar10 below; None looks in HYPERSEG_DATA.
        choice: of classes and numbers, so that no more is decoded.

    Raises:
        DataFileError: no archive, or one that is damaged or holds something else.
    """
    file = _found(folder)
    wanted = choice.pick(NAME, CLASSES) if choice.classes else CLASSES
    held = _members(file)
    parts = [mixed(*_decoded(file, held, part, wanted, choice.n)) for part in ("train", "test")]
    return pictures(NAME, *parts, classes=CLASSES, note=NOTE, levels=LEVELS)


def _found(folder: Path | None) -> Path:
    named = folder if folder is not None else os.environ.get("HYPERSEG_DATA")
    if named is None:
        raise DataFileError(
            f"{NAME}: needs {FILE}; name its folder, or set HYPERSEG_DATA to a folder with {PLACES[-1]}/{FILE}."
        )
    for place in PLACES:
        if (file := Path(named) / place / FILE).is_file():
            return file
    raise DataFileError(f"{named}: holds no {FILE}, nor does {PLACES[-1]} below it; name the folder that does.")


def _members(file: Path) -> dict[tuple[str, str], list[tuple[str, bytes]]]:
    """(part, class) -> name and content of its files, by name: JPEGs are small, a second pass would cost more."""
    held = defaultdict(list)
    try:
        with tarfile.open(file, "r|*") as archive:
            for member in archive:
                if (match := MEMBER.fullmatch(member.name)) and (content := archive.extractfile(member)) is not None:
                    held[match["part"], match["of"]].append((match["name"], content.read()))
    except (tarfile.TarError, EOFError, OSError, ValueError) as error:
        raise DataFileError(
            f"{file}: cannot be read ({one_line(str(error), 120)}); it may be truncated: copy or download it again."
        ) from error
    except Exception as error:  # lzma's own type, which is not there where Python was built without it
        raise DataFileError(f"{file}: cannot be unpacked ({one_line(str(error), 120)}); download it again.") from error
    return {key: sorted(files) for key, files in held.items()}


def _decoded(
    file: Path, held: dict[tuple[str, str], list[tuple[str, bytes]]], part: str, wanted: tuple[str, ...], n: int
) -> tuple[NDArray[np.float32], NDArray[Any]]:
    """(n, 3, 32, 32) images and their classes, as many of each class as a choice of n can ask for."""
    from PIL import Image

    found, labels = [], []
    for of in wanted:
        files = held.get((part, of), [])
        if not files:
            raise DataFileError(f"{file}: holds no images under {part}/{of}/; expected cifar/{part}/CLASS/NAME.jpg.")
        for name, content in files[: -(-n // len(wanted))] if n else files:
            try:
                with Image.open(io.BytesIO(content)) as image:
                    array = np.asarray(image.convert("RGB"))
            except Exception as error:  # Pillow raises half a dozen types
                raise DataFileError(f"{file}: {part}/{of}/{name} cannot be read as JPEG ({error}).") from error
            if array.shape != SHAPE:
                raise DataFileError(f"{file}: {part}/{of}/{name} is {array.shape}, {SHAPE} was expected.")
            found.append(array)
            labels.append(CLASSES.index(of))
    return scaled(np.stack(found).transpose(0, 3, 1, 2), LEVELS), np.array(labels)
