"""Data of bench_bridged.py: pictures and slices of 48 px and their classes, those learnt from and those scored."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from hyperseg.core import SettingError
from hyperseg.engine.one_cycle import step_generator
from hyperseg.io.cases import Case, CaseFolder, open_cases, read_case

SIDE = 48
CHOOSING = 100  # seeds from here on choose rates: they split what is learnt, and see nothing that is scored
FOLDS = 3
TURN, ZOOM, SHIFT, GAIN, OFFSET = 15.0, 0.1, 0.15, 0.15, 0.15  # largest degrees, shares, of half a side, z-scores
TESTED_EVERY = 4  # of the slices of a volume that is scored, every so manyth one


@dataclass(frozen=True)
class BridgedSet:
    """A data set of this benchmark.

    Attributes:
        folder: below HYPERSEG_DATA.
        classes: codes of the folder's classes that are told apart from all others, which are background.
        split: "folders" has images that are tested, whatever the seed; "thirds" tests a third of all patients, drawn
            by the seed, with its share of those without the object.
        middle: share of the shorter side that the square in the middle has that is cut out; None keeps the whole.
        told: of the tables, in a few words.
        seeds: that are reported.
    """

    folder: str
    classes: tuple[int, ...]
    split: Literal["folders", "thirds"]
    told: str
    seeds: tuple[int, ...]
    middle: float | None = None


SETS = {
    "busi": BridgedSet("medical/busi_subset", (1,), "thirds", "breast lesions, ultrasound", (0, 1, 2, 3, 4)),
    "cup": BridgedSet("medical/drishti_gs1_512", (2,), "folders", "optic cup, Drishti-GS1", (0, 1, 2)),
    "acdc": BridgedSet("medical/acdc_h5", (1, 2, 3), "thirds", "heart, slices of ACDC", (0, 1, 2), 0.7),
}


@dataclass(frozen=True)
class Images:
    """(n, C, 48, 48) float32, every channel of mean 0 and deviation 1, and (n, 48, 48) int64, 0 background."""

    images: Tensor
    labels: Tensor

    def __len__(self) -> int:
        return len(self.images)

    def at(self, places: Sequence[int]) -> Images:
        return Images(self.images[list(places)], self.labels[list(places)])

    @property
    def empty(self) -> int:
        """How many have no class but background."""
        return int((~self.labels.flatten(1).any(1)).sum())


def read_set(name: str, data: Path, seed: int) -> tuple[Images, Images]:
    """Images to learn from and images to score, as the seed splits them; patients are never on both sides.

    Raises:
        DataFileError: the folder is missing, or no data set. SettingError: a seed that chooses where nothing is chosen.
    """
    chosen = SETS[name]
    folder = open_cases(data / chosen.folder)
    tested = [case for case in folder.unlabelled if case.label is not None]  # of the official split
    if chosen.split == "folders" and seed < CHOOSING:
        return _read(chosen, folder, folder.cases), _read(chosen, folder, tested, every=TESTED_EVERY)
    if seed >= CHOOSING and chosen.split == "thirds":
        raise SettingError(f"seed {seed}: {name} has no images that are only learnt from; choose on cup.")
    groups: dict[str, list[Case]] = {}
    for case in [*folder.cases, *(tested if chosen.split == "thirds" else ())]:
        groups.setdefault(case.group, []).append(case)
    parts = {group: _read(chosen, folder, cases) for group, cases in groups.items()}
    scored = _third({group: part.empty == len(part) for group, part in parts.items()}, seed)
    learnt = _joined([part for group, part in parts.items() if group not in scored])
    return learnt, _joined([_read(chosen, folder, groups[group], every=TESTED_EVERY) for group in scored])


def _third(empty: Mapping[str, bool], seed: int) -> list[str]:
    """A third of all groups: of the empty ones and of the others, drawn by the seed."""
    generator, found = torch.Generator().manual_seed(seed), []
    for kind in (False, True):
        groups = sorted(group for group, is_empty in empty.items() if is_empty is kind)
        order = torch.randperm(len(groups), generator=generator).tolist()
        found += [groups[i] for i in order[: -(-len(groups) // FOLDS)]]
    return sorted(found)


def _joined(parts: Sequence[Images]) -> Images:
    fewest = min(part.images.shape[1] for part in parts)  # one, where a picture is grey
    return Images(torch.cat([part.images[:, :fewest] for part in parts]), torch.cat([part.labels for part in parts]))


def _read(chosen: BridgedSet, folder: CaseFolder, cases: Sequence[Case], *, every: int = 1) -> Images:
    """Pictures whole, of volumes every so manyth slice, resized by area; a pixel has the class with most of it."""
    parts = []
    for case in cases:
        scene = read_case(folder, case)
        assert scene.labels is not None
        cube, labels = np.asarray(scene.cube, np.float32), np.asarray(scene.labels)
        if cube.ndim == 3:  # a picture is one slice
            cube, labels = cube[None], labels[None]
        cube, labels = cube[::every] if len(cube) > 1 else cube, labels[::every] if len(labels) > 1 else labels
        if chosen.middle is not None:
            rows, columns = _middle(cube.shape[1:3], chosen.middle)
            cube, labels = cube[:, rows, columns], labels[:, rows, columns]
        if (cube[..., :1] == cube).all():  # grey, saved in colours
            cube = cube[..., :1]
        x = functional.interpolate(torch.from_numpy(cube.copy()).movedim(-1, 1), (SIDE, SIDE), mode="area")
        x = (x - x.mean((2, 3), keepdim=True)) / x.std((2, 3), keepdim=True).clamp(min=1e-6)
        shares = np.stack([(labels == code).astype(np.float32) for code in chosen.classes], 1)
        shares = np.concatenate([1 - shares.sum(1, keepdims=True), shares], 1)
        y = functional.interpolate(torch.from_numpy(shares), (SIDE, SIDE), mode="area").argmax(1)
        parts.append(Images(x, y))
    return _joined(parts)


def _middle(size: tuple[int, ...], share: float) -> tuple[slice, slice]:
    """Rows and columns of a square in the middle."""
    side = round(share * min(size))
    down, across = ((n - side) // 2 for n in size)
    return slice(down, down + side), slice(across, across + side)


def batch_of(found: Images, size: int, seed: int, step: int) -> tuple[Tensor, Tensor]:
    """(size, C, 48, 48) and (size, 48, 48): drawn images, turned, zoomed, shifted, mirrored left to right, and lit.

    What is drawn depends on the seed and the step alone.
    """
    generator = step_generator(seed, step)
    which = torch.randint(len(found), (size,), generator=generator)
    u = 2 * torch.rand((7, size), generator=generator) - 1
    angle, zoom, flip = u[0] * TURN * torch.pi / 180, 1 + ZOOM * u[1], u[2].sign()
    cos, sin = zoom * angle.cos(), zoom * angle.sin()
    across, down = (torch.stack(row, 1) for row in ([flip * cos, -sin, SHIFT * u[3]], [flip * sin, cos, SHIFT * u[4]]))
    x = found.images[which]
    grid = functional.affine_grid(torch.stack([across, down], 1), list(x.shape), align_corners=False)
    x = functional.grid_sample(x, grid, padding_mode="border", align_corners=False)
    labels = found.labels[which, None].float()
    y = functional.grid_sample(labels, grid, mode="nearest", padding_mode="border", align_corners=False)[:, 0].long()
    return x * (1 + GAIN * u[5, :, None, None, None]) + OFFSET * u[6, :, None, None, None], y
