"""`BoxCase` and `BoxFolder`: images or volumes with boxes, and others without, as a folder holds them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from hyperseg.core import DataFileError, SettingError
from hyperseg.core.words import counted

Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class BoxCase:
    """One image or volume.

    Attributes:
        name: unique in its folder, fit for a file's name.
        images: one file per channel, or a single one that holds them all; FILE:KEY names an array in a file.
        boxes: float64 (M, 2n) in voxels of the file's array, half open, all lower bounds before all upper ones; M is 0
            where it is known that there is no object, and None where nothing is known.
        spacing: (n,) millimetres per axis of the array, or () where nothing says.
        shape: (n,) of the array, channels left out.
        channels: of the image.
        affine: (4, 4) from voxels to millimetres in the world of a NIfTI file, or None.
        excluded: (E, 2n) boxes that count neither as objects nor as false alarms.
        group: cases of one group (a patient) never stand on two sides of a split.
    """

    name: str
    images: tuple[Path, ...]
    boxes: Floats | None
    spacing: tuple[float, ...]
    shape: tuple[int, ...]
    channels: int = 1
    affine: Floats | None = None
    excluded: Floats | None = None
    group: str = ""


@dataclass(frozen=True, eq=False)
class BoxFolder:
    """A data set for detection.

    Attributes:
        root: the folder.
        cases: with boxes, perhaps none in some of them, in the order of their names.
        unlabelled: of which nothing is known.
        rule: a sentence or two: where boxes come from, and what is taken to be unlabelled.
        n_axes: of all images, 2 or 3.
        channels: of all images.
        remarks: what one should know, a line each.
    """

    root: Path
    cases: tuple[BoxCase, ...]
    unlabelled: tuple[BoxCase, ...]
    rule: str
    n_axes: int
    channels: int = 1
    remarks: tuple[str, ...] = ()

    @property
    def boxes(self) -> int:
        """How many objects there are."""
        return sum(len(case.boxes) for case in self.cases if case.boxes is not None)

    def case(self, name: str) -> BoxCase:
        """The case of that name; `KeyError` where there is none."""
        return {case.name: case for case in (*self.cases, *self.unlabelled)}[name]

    def labelled(self, n: int, seed: int) -> BoxFolder:
        """The same folder with `n` labelled cases, drawn; all others become unlabelled.

        A draw of 5 is part of the draw of 10 with the same seed. One of them at least holds an object: where chance
        gives none, the first in the drawn order that has one takes the last place.

        Raises:
            SettingError: fewer than 1, or more than there are with boxes.
        """
        if not 1 <= n <= len(self.cases):
            raise SettingError(
                f"{n} labelled cases were asked for; {self.root} has {counted(len(self.cases), 'case')} with boxes: "
                f"1 to {len(self.cases)} can be drawn."
            )
        order = [self.cases[k] for k in np.random.default_rng(seed).permutation(len(self.cases))]
        drawn = order[:n]
        if not any(_holds(case) for case in drawn):
            drawn = [*drawn[:-1], next((case for case in order if _holds(case)), drawn[-1])]
        names = {case.name for case in drawn}
        hidden = [replace(case, boxes=None, excluded=None) for case in self.cases if case.name not in names]
        told = f"{n} of {counted(len(self.cases), 'labelled case')} drawn (seed {seed}), the others are unlabelled"
        return replace(
            self, cases=_by_name(case for case in self.cases if case.name in names),
            unlabelled=_by_name([*self.unlabelled, *hidden]), rule=f"{self.rule} {told}.",
        )  # fmt: skip

    def check(self, *, unlabelled: bool) -> None:
        """Refuse a folder that cannot be learnt from.

        Args:
            unlabelled: cases without boxes are needed too.

        Raises:
            DataFileError: no object in any labelled case, or no unlabelled case where they are needed.
        """
        if self.boxes == 0:
            raise DataFileError(
                f"{self.root}: {counted(len(self.cases), 'labelled case')} without any object; boxes to learn from "
                "were expected. Add some, or see `hyperseg detect train --help`."
            )
        if unlabelled and not self.unlabelled:
            raise DataFileError(
                f"{self.root}: no unlabelled volumes: all {counted(len(self.cases), 'volume')} have boxes. "
                "Add volumes that the file of boxes does not name, or leave some of these out of it with --labelled N; "
                "or train on labels alone."
            )


def _holds(case: BoxCase) -> bool:
    return case.boxes is not None and len(case.boxes) > 0


def _by_name(cases: Iterable[BoxCase]) -> tuple[BoxCase, ...]:
    return tuple(sorted(cases, key=lambda case: case.name))
