"""Targets mixed into a scene: the limits of mixing, where they lie, and what stays as it was."""

from __future__ import annotations

import numpy as np
import pytest

from hyperseg.core import SettingError
from hyperseg.simulated.targets import Implant, ImplantedCube, boxes_of, draw_implants, mixed

RNG = np.random.default_rng(3)
CUBE = RNG.normal(5, 1, (30, 40, 7)).astype(np.float32)
TARGET = RNG.uniform(1, 9, 7)


def test_no_share_leaves_the_bits_and_the_whole_share_is_the_target() -> None:
    odd = np.array([[np.nan, -0.0, np.inf, 1e-45, 1, 2, 3]], np.float32)
    assert mixed(odd, TARGET, [0.0]).tobytes() == odd.tobytes()
    np.testing.assert_array_equal(mixed(odd, TARGET, [1.0])[0], TARGET.astype(np.float32))
    np.testing.assert_array_equal(mixed(CUBE, TARGET, np.ones(CUBE.shape[:2])), np.broadcast_to(
        TARGET.astype(np.float32), CUBE.shape))  # fmt: skip


def test_half_and_half_is_the_mean_and_whole_numbers_become_fractions() -> None:
    np.testing.assert_allclose(mixed(np.array([[2, 4]], np.uint16), [4, 8], [0.5]), [[3, 6]])
    assert mixed(np.zeros((1, 2), np.uint16), [1, 1], [0.5]).dtype == np.float32
    assert mixed(np.zeros((1, 2)), [1, 1], [0.5]).dtype == np.float64


def test_only_pixels_in_boxes_change_and_windows_are_those_of_the_whole() -> None:
    implants = draw_implants(np.ones((30, 40), bool), 9, rng=np.random.default_rng(0), brightness=0.2)
    made = ImplantedCube(CUBE, implants, TARGET)
    whole = made[:, :]
    inside = np.zeros((30, 40), bool)
    for r0, c0, r1, c1 in boxes_of(implants).astype(int):
        inside[r0:r1, c0:c1] = True
    np.testing.assert_array_equal((whole != CUBE).all(-1), inside)
    assert whole[~inside].tobytes() == CUBE[~inside].tobytes()
    for rows, columns in ((slice(3, 17), slice(5, 6)), (slice(-7, None), slice(0, 40)), (slice(8, 8), slice(None))):
        np.testing.assert_array_equal(made[rows, columns], whole[rows, columns])
    np.testing.assert_array_equal(made[..., 2], whole[..., 2])
    np.testing.assert_array_equal(made[2:4, :, [1, 0]], whole[2:4, :, [1, 0]])
    np.testing.assert_array_equal(np.asarray(made), whole)
    with pytest.raises(IndexError, match="step 1"):
        made[::2]


def test_a_window_that_cuts_a_target_mixes_its_own_pixels_only() -> None:
    made = ImplantedCube(CUBE, (Implant(4, 4, np.array([[0.2, 1.0]]), gain=2.0),), TARGET)
    np.testing.assert_array_equal(made[4:5, 5:6][0, 0], (2 * TARGET).astype(np.float32))
    np.testing.assert_array_equal(made[4:5, 3:4], CUBE[4:5, 3:4])


def test_targets_lie_where_they_may_and_apart() -> None:
    allowed = np.zeros((60, 50), bool)
    allowed[10:55, 5:40] = True
    implants = draw_implants(allowed, 12, rng=np.random.default_rng(1), apart_px=4, fill=(0.1, 0.3))
    assert len(implants) == 12
    for i, one in enumerate(boxes_of(implants)):
        assert allowed[int(one[0]) : int(one[2]), int(one[1]) : int(one[3])].all()
        for other in boxes_of(implants)[:i]:
            gaps = np.maximum(one[:2] - other[2:], other[:2] - one[2:])
            assert gaps.max() >= 4
    assert all(0.1 <= i.most <= 0.3 and (i.fill > 0).all() for i in implants)
    same = draw_implants(allowed, 12, rng=np.random.default_rng(1), apart_px=4, fill=(0.1, 0.3))
    np.testing.assert_array_equal(boxes_of(implants), boxes_of(same))


def test_a_full_scene_takes_no_more_and_nonsense_is_refused() -> None:
    assert len(draw_implants(np.ones((4, 4), bool), 9, rng=RNG)) <= 4
    assert draw_implants(np.zeros((9, 9), bool), 3, rng=RNG) == ()
    assert boxes_of(()).shape == (0, 4)
    with pytest.raises(SettingError, match="low <= high"):
        draw_implants(np.ones((4, 4), bool), 1, rng=RNG, fill=(0.5, 1.2))
