"""Patches of a step: where they lie, what they hold, and that they depend on seed and step alone."""

from __future__ import annotations

import numpy as np
import torch
from small_detector import cubes

from hyperseg.detection.batch import Batch, Floats, cut, draw_batch

NONE = np.zeros((0, 6), np.float32)


def numbered(*shape: int) -> Floats:
    """A volume whose voxels tell where they are."""
    return np.stack(np.meshgrid(*map(np.arange, shape), indexing="ij")).astype(np.float32)


def test_boxes_move_with_their_patch() -> None:
    volume, boxes = numbered(20, 20, 20), np.array([[3, 8, 9, 7, 12, 14], [15, 15, 15, 18, 19, 18]], np.float32)
    for seed in range(30):
        patch, own = cut(volume, boxes, (12, 12, 12), np.random.default_rng(seed), aimed=True)
        start = patch[:, 0, 0, 0]
        assert len(own) >= 1  # the one that was aimed at, all of it
        for box in own:
            moved = box + np.tile(start, 2)
            whole = [given for given in boxes if (given[:3] <= moved[:3]).all() and (moved[3:] <= given[3:]).all()]
            assert len(whole) == 1
        assert any((box + np.tile(start, 2) == given).all() for box in own for given in boxes)


def test_a_box_counts_if_half_of_it_is_there() -> None:
    volume = numbered(8, 4, 4)
    for low, count in ((2, 1), (3, 0)):  # of 4 voxels, 2 or 1 lie in the first half
        boxes = np.array([[low, 0, 0, low + 4, 4, 4]], np.float32)
        found = [cut(volume, boxes, (4, 4, 4), np.random.default_rng(s), aimed=False) for s in range(40)]
        first = [own for patch, own in found if patch[0, 0, 0, 0] == 0]
        assert first
        assert {len(own) for own in first} == {count}
    assert first[0].shape == (0, 6)


def test_a_small_volume_is_continued() -> None:
    patch, own = cut(
        numbered(5, 9, 3), np.array([[1, 1, 0, 3, 3, 2.0]], np.float32), (8, 8, 8), np.random.default_rng(0), aimed=True
    )
    assert patch.shape == (3, 8, 8, 8)
    assert (patch[0, 5:] == 4).all()
    assert len(own) == 1


def test_a_box_larger_than_the_patch_fills_it() -> None:
    volume, boxes = numbered(20, 20, 20), np.array([[2, 2, 2, 19, 8, 8]], np.float32)
    for seed in range(10):
        patch, own = cut(volume, boxes, (8, 8, 8), np.random.default_rng(seed), aimed=True)
        assert 2 <= patch[0, 0, 0, 0] <= 11
        assert len(own) == 0  # less than half of it


def test_a_batch_is_a_function_of_seed_and_step() -> None:
    known, bare = cubes(3), [volume for volume, _ in cubes(3, seed=1)]

    def draw(seed: int, step: int, others: list[Floats] = bare) -> Batch:
        return draw_batch(known, others, patch=(12,) * 3, counts=(2, 2), seed=seed, step=step)

    a, b = draw(0, 7), draw(0, 7)
    assert torch.equal(a.images, b.images)
    assert torch.equal(a.unlabelled, b.unlabelled)
    assert (a.seed, a.step) == (b.seed, 7)
    assert not torch.equal(a.images, draw(0, 8).images)
    assert not torch.equal(a.images, draw(1, 7).images)
    alone = draw(0, 7, [])
    assert alone.unlabelled is None
    assert torch.equal(alone.images, a.images)  # with and without unlabelled volumes the same labelled patches
