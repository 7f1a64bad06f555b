"""Samples as they are kept: parts of a seed while it is drawn, and all of them in one file."""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple
from zipfile import BadZipFile
from zlib import error as BadStream

import numpy as np
from numpy.typing import NDArray

from hyperseg.core import RunError
from hyperseg.core.words import one_line
from hyperseg.io.write import replacing

ARRAYS = ("images", "strong", "weak", "steps")
DAMAGED = (OSError, EOFError, ValueError, KeyError, BadZipFile, BadStream)
"""What NumPy raises of a file that is empty, cut off or something else."""


class Part(NamedTuple):
    """Some finished samples.

    Attributes:
        images: (n, *S, C) values 0..255.
        strong, weak: (n, *S) float32 inverse depth in [0, 1], as both heads read it.
        steps: (k, 4) of every guided call: t as a share of the schedule, sigma, ratio and loss of `GuidedStep`.
        seconds: that sampling took.
    """

    images: NDArray[np.uint8]
    strong: NDArray[np.float32]
    weak: NDArray[np.float32]
    steps: NDArray[np.float64]
    seconds: float


class Drawn(NamedTuple):
    """All samples of one seed; see `Part`. The steps are medians over the parts, seconds their sum."""

    images: NDArray[np.uint8]
    strong: NDArray[np.float32]
    weak: NDArray[np.float32]
    steps: NDArray[np.float64]
    seconds: float


def joined(parts: list[Part]) -> Drawn:
    """Parts side by side."""
    images, strong, weak = (np.concatenate([part[i] for part in parts]) for i in range(3))
    steps = np.median([part.steps for part in parts], 0)
    return Drawn(images, strong, weak, steps, sum(part.seconds for part in parts))


def write_part(file: Path, made: Part) -> None:
    """Write a part, whole or not at all."""
    arrays = made._asdict() | {"seconds": np.float64(made.seconds)}
    with replacing(file) as temporary, temporary.open("wb") as opened:
        np.savez(opened, **arrays)


def read_part(file: Path) -> Part:
    """What `write_part` wrote.

    Raises:
        RunError: damaged.
    """
    try:
        with np.load(file) as found:
            images, strong, weak, steps = (found[name] for name in ARRAYS)
            return Part(images, strong, weak, steps, float(found["seconds"]))
    except DAMAGED as error:
        raise RunError(f"{file}: damaged ({one_line(str(error), 80)}). Remove it; it is then drawn again.") from error


def write_drawn(file: Path, drawn: Drawn, **more: Any) -> None:
    """Samples as .npz, whole or not at all: images (n, s, s, 3) 0..255, strong and weak inverse depth, steps."""
    with replacing(file) as temporary, temporary.open("wb") as opened:
        np.savez_compressed(
            opened, images=drawn.images, strong=drawn.strong, weak=drawn.weak, steps=drawn.steps, **more
        )  # fmt: skip


def read_drawn(file: Path) -> Drawn:
    """Samples that were kept, see `write_drawn`.

    Raises:
        RunError: no such file, or damaged.
    """
    try:
        with np.load(file) as found:
            images, strong, weak, steps = (found[name] for name in ARRAYS)
            return Drawn(images, strong, weak, steps, 0.0)
    except DAMAGED as error:
        raise RunError(f"{file}: no samples can be read ({one_line(str(error), 80)}). Draw them again.") from error
