"""Data of bench_medsegdiff.py: pictures and slices of one size as tensors, their splits, and batches of them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
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

CHOOSING = 100  # seeds from here on choose settings: they score a third of the training pictures, no test picture
FOLDS = 3
EMPTY_EVERY = 4  # of the slices without the object, every so manyth one is kept
TESTED_EVERY = 2  # of the slices of a volume that is tested, every so manyth one
TURN, ZOOM, SHIFT, GAIN, OFFSET = 15.0, 0.1, 0.08, 0.15, 0.15  # largest degrees, shares, shares of a side, z-scores
Split = Literal["folders", "thirds"]


@dataclass(frozen=True)
class MaskSet:
    """A data set of this benchmark.

    Attributes:
        folder: below HYPERSEG_DATA.
        size: rows, columns after resizing.
        least: classes from here on are the object.
        split: "folders" has test images of its own; "thirds" are folds of all images: seed s tests the (s mod 3)th.
        tested: names of the cases that are tested, where the split is "folders" and nothing in the folder says them.
        told: of the table, in a few words.
    """

    folder: str
    size: tuple[int, int]
    least: int
    split: Split
    told: str
    tested: tuple[str, ...] = ()


DRISHTI = "medical/drishti_gs1_512"
SETS = {
    "cup": MaskSet(DRISHTI, (64, 80), 2, "folders", "optic cup, Drishti-GS1, official 50/51"),
    "disc": MaskSet(DRISHTI, (64, 80), 1, "folders", "optic disc, Drishti-GS1, official 50/51"),
    "busi": MaskSet("medical/busi_subset", (64, 80), 1, "thirds", "breast lesions, 30 ultrasound images, 20/10"),
    "brats": MaskSet(
        "medical/brats2015_deepmedic", (64, 64), 1, "folders", "whole tumour, BraTS 2015, 2 patients/1",
        tested=("brats_2013_pat0004_1",),
    ),
}  # fmt: skip


@dataclass(frozen=True)
class Images:
    """(n, C, H, W) float32 and (n, H, W) int64, 1 = object; pictures have mean 0 and deviation 1 in every channel."""

    images: Tensor
    labels: Tensor

    def __len__(self) -> int:
        return len(self.images)

    def at(self, places: Sequence[int]) -> Images:
        return Images(self.images[list(places)], self.labels[list(places)])


def read_set(name: str, data: Path, seed: int) -> tuple[Images, Images]:
    """Images to learn from and images to score, as the seed splits them.

    Raises:
        DataFileError: the folder is missing, or no data set. SettingError: a seed that chooses where nothing is chosen.
    """
    chosen = SETS[name]
    if seed >= CHOOSING and chosen.folder != DRISHTI:
        raise SettingError(f"seed {seed}: settings are chosen on Drishti's training pictures alone; use cup or disc.")
    folder = open_cases(data / chosen.folder)
    cases = [*folder.cases, *(case for case in folder.unlabelled if case.label is not None)]
    tested = {*chosen.tested} or {case.name for case in folder.unlabelled}
    learnt = [case for case in cases if case.name not in tested]
    if chosen.split == "folders" and seed < CHOOSING:
        others = [case for case in cases if case.name in tested]
        return _read(chosen, folder, learnt), _read(chosen, folder, others, every=TESTED_EVERY)
    one = _read(chosen, folder, learnt)
    order = torch.randperm(len(one), generator=torch.Generator().manual_seed(seed // CHOOSING)).tolist()
    scored = sorted(order[seed % FOLDS :: FOLDS])
    return one.at([i for i in range(len(one)) if i not in scored]), one.at(scored)


def _read(chosen: MaskSet, folder: CaseFolder, cases: Sequence[Case], *, every: int = 1) -> Images:
    """Pictures whole, standardised; of volumes the slices that are kept, every so manyth of them, as they are."""
    images, labels = [], []
    for case in cases:
        scene = read_case(folder, case)
        assert scene.labels is not None
        cube, inside = np.asarray(scene.cube, np.float32), scene.labels >= chosen.least
        if cube.ndim == 3:  # a picture is one slice
            cube, inside = cube[None], inside[None]
        if (cube[..., :1] == cube).all():  # grey, saved in colours
            cube = cube[..., :1]
        x = functional.interpolate(torch.from_numpy(cube).movedim(-1, 1), chosen.size, mode="area")
        y = functional.interpolate(torch.from_numpy(inside[:, None].astype(np.float32)), chosen.size, mode="area")
        kept = _kept(x, y[:, 0] >= 0.5)[::every] if len(x) > 1 else [0]
        images.append(x[kept] if len(x) > 1 else _standardised(x))
        labels.append(y[kept, 0] >= 0.5)
    fewest = min(x.shape[1] for x in images)  # one, where a picture is grey
    return Images(torch.cat([x[:, :fewest] for x in images]), torch.cat(labels).long())


def _standardised(x: Tensor) -> Tensor:
    return (x - x.mean((2, 3), keepdim=True)) / x.std((2, 3), keepdim=True).clamp(min=1e-6)


def _kept(x: Tensor, y: Tensor) -> list[int]:
    """Slices with the object, and every `EMPTY_EVERY`th of those that show something and not the object."""
    full = y.flatten(1).any(1)
    shows = x.flatten(1).std(1) > 0.1
    empty = (~full & shows).nonzero()[:, 0].tolist()
    return sorted([*full.nonzero()[:, 0].tolist(), *empty[::EMPTY_EVERY]])


def batches_of(found: Images, size: int, seed: int) -> Callable[[int], Tensor]:
    """Step -> (size, 8): number of an image, how it is turned, zoomed, shifted, mirrored and lit; by the seed alone."""

    def batches(step: int) -> Tensor:
        generator = step_generator(seed, step)
        which = torch.randint(len(found), (size, 1), generator=generator)
        return torch.cat([which.float(), torch.rand((size, 7), generator=generator)], 1)

    return batches


def make_of(found: Images) -> Callable[[Tensor], tuple[Tensor, Tensor]]:
    """What `batches_of` draws -> (B, C, H, W) images and (B, H, W) classes."""
    rows, columns = found.images.shape[2:]
    aspect = columns / rows

    def make(drawn: Tensor) -> tuple[Tensor, Tensor]:
        which, u = drawn[:, 0].long(), 2 * drawn[:, 1:] - 1
        x, y = found.images[which], found.labels[which]
        angle, zoom, flip = u[:, 0] * TURN * torch.pi / 180, 1 + ZOOM * u[:, 1], u[:, 4].sign()
        cos, sin = zoom * angle.cos(), zoom * angle.sin()
        across = torch.stack([flip * cos, -sin / aspect, 2 * SHIFT * u[:, 2]], 1)
        down = torch.stack([flip * sin * aspect, cos, 2 * SHIFT * u[:, 3]], 1)
        grid = functional.affine_grid(torch.stack([across, down], 1), list(x.shape), align_corners=False)
        x = functional.grid_sample(x, grid, padding_mode="border", align_corners=False)
        labels = functional.grid_sample(y[:, None].float(), grid, padding_mode="border", align_corners=False)
        lit = x * (1 + GAIN * u[:, 5, None, None, None]) + OFFSET * u[:, 6, None, None, None]
        return lit, (labels[:, 0] >= 0.5).long()

    return make
