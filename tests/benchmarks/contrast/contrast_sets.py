"""Data of bench_contrast.py: stacks of slices, and who is learnt from, labelled or not, and who is tested."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from hyperseg.io.cases import open_cases, read_case


@dataclass(frozen=True)
class StackSet:
    """A data set of this benchmark.

    Attributes:
        folder: below HYPERSEG_DATA.
        axis: that slices are taken along.
        side: of the square that is cut out of the middle of a slice, or that it is padded to, px.
        reduce: pixels that become one, along both sides.
        n_classes: background included.
        tested: patients of a draw that are tested; all others are learnt from, without labels.
    """

    folder: str
    axis: int
    side: int
    reduce: int
    n_classes: int
    tested: int


SETS = {
    "acdc": StackSet("medical/acdc_h5", 0, 192, 3, 4, 5),
    "hippocampus": StackSet("medical/msd_task04_hippocampus", 1, 48, 1, 3, 40),
}


class Stack(NamedTuple):
    """A volume: (n, side, side) float32 between 0 and about 1, and uint8 classes."""

    patient: str
    images: Tensor
    labels: Tensor


class Draw(NamedTuple):
    """Volumes by index.

    Attributes:
        tested: all volumes of some patients.
        learnt: those of all others: from them is learnt without labels.
        labelled: some of `learnt`, each of another patient, in the order in which they become labelled.
    """

    tested: list[int]
    learnt: list[int]
    labelled: list[int]


def read_stacks(name: str, data: Path) -> list[Stack]:
    """All volumes of a set, sorted by name."""
    of = SETS[name]
    folder = open_cases(data / of.folder)
    stacks = []
    every = [*folder.cases, *(case for case in folder.unlabelled if case.label is not None)]  # official tests too
    for case in sorted(every, key=lambda one: one.name):
        read = read_case(folder, case)
        assert read.labels is not None
        image = np.moveaxis(np.asarray(read.cube, np.float32)[..., 0], of.axis, 0)
        labels = np.moveaxis(np.asarray(read.labels), of.axis, 0)
        stacks.append(stack(case.name.split("_frame")[0], image, labels, of))
    return stacks


def stack(patient: str, image: NDArray[np.float32], labels: NDArray[np.integer], of: StackSet) -> Stack:
    """Min-max by the 1st and 99th percentile, the middle of each slice, means and nearest classes of its pixels."""
    low, high = np.percentile(image, (1, 99))
    scaled = torch.from_numpy(middle((image - low) / max(high - low, 1e-6), of.side)).float()
    kept = torch.from_numpy(middle(np.clip(labels, 0, None).astype(np.uint8), of.side))
    start = of.reduce // 2
    small = functional.avg_pool2d(scaled[:, None], of.reduce)[:, 0]
    return Stack(
        patient, small.clamp(0, 1.5).contiguous(), kept[:, start :: of.reduce, start :: of.reduce].contiguous()
    )


def middle(array: NDArray, side: int) -> NDArray:
    """(n, H, W) -> (n, side, side), cut or padded with zeros alike on both sides."""
    for axis in (1, 2):
        n = array.shape[axis]
        if n < side:
            pads = [(0, 0)] * 3
            pads[axis] = ((side - n) // 2, side - n - (side - n) // 2)
            array = np.pad(array, pads)
        else:
            array = array.take(range((n - side) // 2, (n - side) // 2 + side), axis)
    return np.ascontiguousarray(array)


def draw(stacks: Sequence[Stack], tested: int, seed: int) -> Draw:
    """Patients are tested or learnt from, whole; of each that is learnt from one volume may be labelled."""
    of = defaultdict(list)
    for i, one in enumerate(stacks):
        of[one.patient].append(i)
    rng = np.random.default_rng(seed)
    patients = [sorted(of)[i] for i in rng.permutation(len(of))]
    labelled = [int(rng.choice(of[patient])) for patient in patients[tested:]]
    return Draw(
        sorted(i for patient in patients[:tested] for i in of[patient]),
        sorted(i for patient in patients[tested:] for i in of[patient]),
        labelled,
    )
