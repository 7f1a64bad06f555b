"""Pictures and the maps of their objects, as Mask R-CNN reads them; folders that have such maps."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from hyperseg.core import DataFileError, LabelError
from hyperseg.core.words import counted
from hyperseg.io.cases import CaseFolder, list_cases
from hyperseg.io.cases.case import Case
from hyperseg.io.cases.picture import turned
from hyperseg.io.cases.read import read_image
from hyperseg.io.instances import check_instance_labels, read_instance_labels

LOW, HIGH = 0.5, 99.5  # percentiles that a picture's values are cut to
Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class Example:
    """A picture, and its objects where they are known.

    Attributes:
        name: of the case.
        image: (C, H, W) float32, mean 0 and deviation 1.
        numbers: (H, W) int32 map of objects, 0 background; or None.
    """

    name: str
    image: NDArray[np.float32]
    numbers: NDArray[np.int32] | None = None

    @property
    def size(self) -> tuple[int, ...]:
        return self.image.shape[1:]


def open_instances(path: Path) -> CaseFolder:
    """A folder whose labels number objects.

    Raises:
        DataFileError: no folder, or one that is not laid out in any known way.
        LabelError: no labels, labels that are classes, or masks without numbers.
    """
    folder = list_cases(path)
    if folder.faults and (wrong := [fault for fault in folder.faults if fault.severity == "error"]):
        raise DataFileError(str(wrong[0]))
    if not folder.instances and not any(case.also for case in folder.cases):
        raise LabelError(
            f"{path}: its labels are classes, maps that number the objects (1, 2, 3, ...) were expected. Call such "
            "files NAME_inst.png or their folder instances/, or train a network of classes: --method unet."
        )
    check_instance_labels(folder.cases)
    return folder


def read_example(case: Case, channels: int, *, labels: bool = True) -> Example:
    """The picture of a case and its objects.

    Raises:
        DataFileError: unreadable, a volume, other channels, or nothing to see.
        LabelError: a map on another grid.
    """
    picture = read_image(case, channels)
    array = np.asarray(turned(picture.array, picture.place))
    if array.ndim != 3:
        size = "x".join(map(str, array.shape[:-1]))
        raise DataFileError(
            f"{case.images[0]}: is a volume ({size}); objects are found in pictures of two axes. Give its slices."
        )
    numbers = read_instance_labels(case) if labels and case.label is not None else None
    return Example(case.name, scaled(array, case.images[0]), numbers)


def scaled(array: NDArray[np.generic], file: Path) -> NDArray[np.float32]:
    """(H, W, C) -> (C, H, W): cut to two percentiles of all channels together, then mean 0 and deviation 1.

    Raises:
        DataFileError: no finite number, or one value everywhere.
    """
    values = np.asarray(array, np.float64)
    finite = np.isfinite(values)
    if not finite.any():
        raise DataFileError(f"{file}: holds no finite number. Convert it again.")
    low, high = np.percentile(values[finite], (LOW, HIGH))
    if not low < high:
        low, high = float(values[finite].min()), float(values[finite].max())
    if not low < high:
        raise DataFileError(f"{file}: every pixel has the value {low:g}: there is nothing to see. Leave it out.")
    cut = np.where(finite, values, low).clip(low, high)
    found = (cut - cut.mean()) / cut.std()
    return np.ascontiguousarray(np.moveaxis(found, -1, 0), dtype=np.float32)


def read_examples(
    cases: Sequence[Case], channels: int, least: Sequence[int], progress: Progress, *, labels: bool = True
) -> list[Example]:
    """All of them, in memory.

    Args:
        least: pixels that each needs along each axis: the stride of the coarsest maps.

    Raises:
        DataFileError, LabelError: the first that cannot be used, by name.
    """
    found = []
    for i, case in enumerate(cases):
        one = read_example(case, channels, labels=labels)
        check_size(one, case, least)
        found.append(one)
        progress(i + 1, len(cases))
    return found


def check_size(one: Example, case: Case, least: Sequence[int]) -> None:
    """Refuse a picture that is smaller than a cell of the coarsest map."""
    if any(n < m for n, m in zip(one.size, least, strict=True)):
        raise DataFileError(
            f"{case.images[0]}: has {one.size[0]}x{one.size[1]} pixels, the network's coarsest maps have a cell for "
            f"every {least[0]}x{least[1]}. Leave it out, or use fewer stages (--set network.widths=16,32)."
        )


def check_objects(examples: Sequence[Example]) -> None:
    """Refuse pictures to learn from that hold no object."""
    if not any(one.numbers is not None and one.numbers.any() for one in examples):
        raise LabelError(
            f"none of {counted(len(examples), 'picture')} to learn from holds an object: nothing to learn. Label more, "
            "or hold out another part (--fold)."
        )
