"""Noise by place: the same in every window, and white."""

from __future__ import annotations

import numpy as np
import torch

from hyperseg.dpm.masks.field import CELL, noise_field


def test_a_window_has_the_noise_of_the_whole() -> None:
    whole = noise_field([(0, 2 * CELL + 9), (0, CELL + 5)], 3, seed=1, number=2)
    for rows, columns in (((0, 5), (0, 5)), ((CELL - 3, CELL + 7), (2, CELL + 5)), ((60, 137), (CELL, CELL + 1))):
        part = noise_field([rows, columns], 3, seed=1, number=2)
        assert torch.equal(part, whole[:, slice(*rows), slice(*columns)])


def test_noise_is_standard_normal_and_independent_of_other_fields() -> None:
    one, other, seed = (noise_field([(0, 100), (0, 90)], 4, seed=s, number=n) for s, n in ((1, 0), (1, 1), (2, 0)))
    error = 4 / np.sqrt(one.numel())
    assert abs(float(one.mean())) < error
    assert abs(float(one.std()) - 1) < error
    for different in (other, seed, one.roll(1, 1), one.roll(CELL, 2), one.roll(1, 0)):
        assert abs(float((one * different).mean())) < error


def test_volumes_and_lines_have_fields_too() -> None:
    assert noise_field([(3, 5)], 2, seed=0, number=0).shape == (2, 2)
    volume = noise_field([(0, 3), (60, 70), (0, 4)], 1, seed=0, number=0)
    assert torch.equal(volume[:, 1:2], noise_field([(1, 2), (60, 70), (0, 4)], 1, seed=0, number=0))
