"""Objects of whole volumes: tiles answer as the whole does, each place once, and memory is bounded."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest
from small_detector import cubes, detector
from torch import Tensor, nn
from torch.nn import functional as F

from hyperseg.core import SettingError
from hyperseg.detection.finding import Lazy, find, fitting, tiles
from hyperseg.detection.network import Answer

SPEC = detector().spec
STRIDES = SPEC.strides


class Bright(nn.Module):
    """Says of every cell how bright it is, and looks at nothing else; boxes are its anchors."""

    def forward(self, x: Tensor) -> Answer:
        maps = [F.avg_pool3d(x, stride, ceil_mode=True, count_include_pad=False) for stride in STRIDES]
        return Answer([8 * one - 8 for one in maps], [one.new_zeros(len(x), 1, 6, *one.shape[2:]) for one in maps])


class LikeAWhole(nn.Module):
    """The same; the largest input that it has seen is kept."""

    largest = 0

    def forward(self, x: Tensor) -> Answer:
        LikeAWhole.largest = max(LikeAWhole.largest, x.numel())
        return Bright()(x)


@pytest.mark.parametrize("shape", [(24, 24, 24), (40, 21, 17), (9, 30, 24)])
@pytest.mark.parametrize("overlap", [0.0, 0.5])
def test_every_anchor_is_answered_for_by_one_tile(shape: tuple[int, ...], overlap: float) -> None:
    stride = (4, 4, 4)
    sides = fitting(shape, (16, 16, 16), stride)
    times = np.zeros([-(-n // 4) for n in shape], int)
    for window in tiles(shape, sides, stride, overlap=overlap):
        assert all(start % 4 == 0 for start in window.start)
        for cell in itertools.product(*map(range, times.shape)):
            middle = [4 * k + 2 for k in cell]
            own = all(a <= m < b for a, m, b in zip(window.low, middle, window.high, strict=True))
            held = all(a <= m < a + side for a, m, side in zip(window.start, middle, sides, strict=True))
            times[cell] += own
            assert held or not own
    assert (times == 1).all()


@pytest.mark.parametrize("shape", [(24, 24, 24), (22, 27, 13)])
def test_tiles_find_what_the_whole_finds(shape: tuple[int, ...]) -> None:
    """Of a network that looks no farther than a cell, box for box."""
    volume = np.random.default_rng(0).normal(0.5, 1, (1, *shape)).astype(np.float32)
    how: Any = {"threshold": 0.05, "most": 10**6, "per_tile": 10**6}
    whole = find([Bright()], volume, SPEC, patch=(32, 32, 32), **how)
    for overlap in (0.0, 0.5, 0.75):
        tiled = find([Bright()], volume, SPEC, patch=(8, 12, 8), overlap=overlap, **how)
        np.testing.assert_allclose(tiled.boxes, whole.boxes, atol=1e-4)
        np.testing.assert_allclose(tiled.scores, whole.scores, atol=1e-6)
    assert (np.diff(whole.scores) <= 0).all()
    assert len(whole.scores) > 5


def test_an_object_on_the_border_of_tiles_is_found_once() -> None:
    volume = np.zeros((1, 32, 32, 32), np.float32)
    volume[0, 14:18, 14:18, 14:18] = 2
    found = find([Bright()], volume, SPEC, patch=(16, 16, 16), overlap=0.0, threshold=0.5, suppress=0.01)
    np.testing.assert_allclose(found.boxes, [[13, 13, 13, 17, 17, 17]], atol=2.1)


def test_volumes_are_read_window_by_window() -> None:
    """None is larger than a tile, all of the volume is read, and lists stay short where everything is an object."""
    shape, seen, sizes = (64, 40, 40), np.zeros((64, 40, 40), bool), []

    def read(where: tuple[slice, ...]) -> np.ndarray:
        seen[where] = True
        size = tuple(cut.stop - cut.start for cut in where)
        sizes.append(np.prod(size))
        return np.full((1, *size), 2, np.float32)

    LikeAWhole.largest = 0
    calls: list[tuple[int, int]] = []
    found = find(
        [LikeAWhole()], Lazy(shape, read), SPEC, patch=(16, 16, 16), most=20, done=lambda a, b: calls.append((a, b))
    )
    assert seen.all()
    assert max(sizes) <= 16**3
    assert LikeAWhole.largest <= 16**3
    assert len(found.scores) == 20
    assert calls[-1] == (len(calls), len(calls))


def test_several_networks_are_averaged() -> None:
    volume, _ = cubes(1)[0]
    nets = [detector(seed=seed).eval() for seed in (0, 1)]
    both = find(nets, volume, nets[0].spec, patch=(24,) * 3, threshold=0.0, most=5)
    twice = find([nets[0]] * 2, volume, nets[0].spec, patch=(24,) * 3, threshold=0.0, most=5)
    once = find([nets[0]], volume, nets[0].spec, patch=(24,) * 3, threshold=0.0, most=5)
    np.testing.assert_array_equal(twice.boxes, once.boxes)
    assert not np.array_equal(both.scores, once.scores)


def test_boxes_end_at_the_border() -> None:
    volume = np.full((1, 10, 13, 9), 2, np.float32)
    found = find([Bright()], volume, SPEC, patch=(16, 16, 16))
    assert (found.boxes[:, :3] >= 0).all()
    assert (found.boxes[:, 3:] <= [10, 13, 9]).all()
    assert (found.boxes[:, 3:] > found.boxes[:, :3]).all()


def test_a_volume_without_objects_gives_none() -> None:
    found = find([Bright()], np.full((1, 20, 20, 20), -3, np.float32), SPEC, patch=(16, 16, 16))
    assert found.boxes.shape == (0, 6)
    assert found.scores.shape == (0,)


def test_what_does_not_fit_is_said() -> None:
    net = detector().eval()
    with pytest.raises(SettingError, match="3 axes"):
        find([net], np.zeros((1, 20, 20), np.float32), SPEC, patch=(16, 16, 16))
    with pytest.raises(SettingError, match="channels come first"):
        find([net], np.zeros((2, 20, 20, 20), np.float32), SPEC, patch=(16, 16, 16))
    with pytest.raises(SettingError, match="overlap"):
        find([net], np.zeros((1, 20, 20, 20), np.float32), SPEC, patch=(16, 16, 16), overlap=1.0)
