"""Patches of stored cases: what is drawn, from where, and how often."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from planned import fingerprint

from hyperseg.medical.configuration import Configuration
from hyperseg.medical.patches import (
    VOXELS,
    StoredCase,
    cut,
    draw_batch,
    forced_from,
    foreground_voxel,
    make_batch,
    place,
    store,
)
from hyperseg.medical.plan import make_plan
from hyperseg.medical.training import V2, Augmentation, Change

NEVER = Change(1.0, 1.0, 0.0)
STILL = replace(V2, augmentation=Augmentation(0.0, NEVER, NEVER, mirror=False, stage1=V2.augmentation.stage1))


def configuration(patch: tuple[int, ...], batch: int) -> Configuration:
    name = "2d" if len(patch) == 2 else "3d"
    return replace(make_plan(fingerprint("Hippocampus")).configuration(name), patch=patch, batch=batch)


@pytest.fixture
def cases(tmp_path: Path) -> list[StoredCase]:
    """Seven cases of other sizes; every voxel holds its case and place, one voxel each is of class 1 and 2."""
    found = []
    for i in range(7):
        shape = (8 + i, 10, 9)
        image = np.stack([np.full(shape, i + 1.0), 1.0 + np.arange(np.prod(shape)).reshape(shape)])
        labels = np.zeros(shape, np.int16)
        labels[7, 9, 0] = 1
        labels[0, 0, i] = 2
        found.append(store(tmp_path / f"c{i}", f"c{i}", image, labels, 4))
    return found


def test_a_cut_is_the_padded_array(tmp_path: Path) -> None:
    array = np.random.default_rng(0).random((2, 4, 5))
    padded = np.pad(array, ((0, 0), (6, 6), (6, 6)))
    for start in ((-6, -6), (-2, 3), (0, 0), (1, 1), (4, 5), (6, -6)):
        expected = padded[:, start[0] + 6 : start[0] + 9, start[1] + 6 : start[1] + 10]
        wide = np.zeros((2, 3, 4))
        wide[:, : expected.shape[1], : expected.shape[2]] = expected
        assert np.array_equal(cut(array, start, (3, 4)), wide)


def test_places_are_inside_and_everywhere() -> None:
    rng = np.random.default_rng(0)
    found = [place((10, 4), (4, 6), None, rng) for _ in range(300)]
    assert {a for a, _ in found} == set(range(7))
    assert {b for _, b in found} == {-1}
    around = {place((10, 10), (4, 4), np.array([m, 0]), rng) for m in range(10)}
    assert around == {(a, 0) for a in range(7)}


@pytest.mark.parametrize(("batch", "forced"), [(2, 1), (3, 1), (9, 3), (12, 4), (366, 121)])
def test_forced_patches_are_the_last_third(batch: int, forced: int) -> None:
    assert batch - forced_from(batch, 0.33) == forced


def test_forced_patches_hold_a_foreground_voxel(cases: list[StoredCase]) -> None:
    one = configuration((2, 2, 2), 6)
    seen = []
    for step in range(40):
        drawn = draw_batch(cases, one, STILL, seed=0, step=step)
        assert all(int((patch.labels > 0).sum()) for patch in drawn[4:])
        seen += [int(patch.labels.max()) for patch in drawn[4:]]
    assert np.mean(np.array(seen) == 1) == pytest.approx(0.5, abs=0.2)


def test_a_case_without_foreground_is_drawn_anywhere(tmp_path: Path) -> None:
    case = store(tmp_path / "c", "c", np.zeros((1, 6, 6)), np.zeros((6, 6), np.int16), 2)
    assert foreground_voxel(case, np.random.default_rng(0)) is None
    assert len(draw_batch([case], configuration((4, 4), 3), STILL, seed=0, step=0)) == 3


def test_every_case_comes_once_in_each_round(cases: list[StoredCase]) -> None:
    one = configuration((4, 4, 4), 2)
    order = []
    for step in range(7):
        order += [int(p.image[0].max()) for p in draw_batch(cases, one, STILL, seed=3, step=step)]
    assert sorted(order[:7]) == sorted(order[7:]) == list(range(1, 8))
    assert order[:7] != order[7:]


def test_a_step_is_a_pure_function_of_seed_and_number(cases: list[StoredCase]) -> None:
    one = configuration((4, 6, 4), 3)
    a, b, other, next_ = (
        draw_batch(cases, one, V2, seed=seed, step=step) for seed, step in ((1, 5), (1, 5), (2, 5), (1, 6))
    )
    for x, y in zip(a, b, strict=True):
        assert torch.equal(x.image, y.image)
        assert torch.equal(x.labels, y.labels)
        assert x.changes == y.changes
    for different in (other, next_):
        assert any(x.image.shape != y.image.shape or not torch.equal(x.image, y.image)
                   for x, y in zip(a, different, strict=True))  # fmt: skip


def test_batches_are_patches_of_the_planned_size(cases: list[StoredCase]) -> None:
    one = configuration((4, 6, 4), 3)
    for step in range(20):
        image, labels = make_batch(draw_batch(cases, one, V2, seed=1, step=step), one)
        assert (image.shape, labels.shape) == ((3, 2, 4, 6, 4), (3, 4, 6, 4))
        assert (image.dtype, labels.dtype) == (torch.float32, torch.int64)


def test_networks_of_planes_see_slices_of_volumes(cases: list[StoredCase]) -> None:
    one = configuration((10, 9), 3)
    for patch in draw_batch(cases, one, STILL, seed=0, step=0):
        case = cases[int(patch.image[0].max()) - 1]
        cube = case.open("image.npy")
        assert any(np.array_equal(patch.image.numpy(), cube[:, z]) for z in range(case.shape[0]))
    image, labels = make_batch(draw_batch(cases, one, V2, seed=0, step=0), one)
    assert (image.shape, labels.shape) == ((3, 2, 10, 9), (3, 10, 9))


def test_places_of_classes_are_kept_but_not_all(tmp_path: Path) -> None:
    labels = np.ones((150, 150), np.int16)
    labels[:2] = 2
    case = store(tmp_path / "c", "c", np.zeros((1, 150, 150)), labels, 4)
    assert case.starts == (0, 0, 10_000, 10_300, 10_300)
    assert [case.has(k) for k in range(4)] == [False, True, True, False]
    voxels = case.open(VOXELS)
    assert all(labels[tuple(v)] == 2 for v in voxels[10_000:])
    assert voxels[:10_000, 0].max() == 149
