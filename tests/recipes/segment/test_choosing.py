"""When the largest pieces of classes are kept alone."""

from __future__ import annotations

import numpy as np
import pytest

from hyperseg.medical.components import keep_largest
from hyperseg.recipes.segment.choosing import CaseDice, case_dice, choose_parts, class_means, dice


def test_dice_by_hand() -> None:
    truth = np.array([[1, 1, 0, -1]])
    found = np.array([[1, 0, 1, 1]])
    assert dice(found, truth, 1) == pytest.approx(0.5)
    assert np.isnan(dice(found, truth, 2))
    assert dice(found, np.array([[2, 0, 0, 0]]), 2) == 0


def test_what_is_chosen_never_lowers_dice() -> None:
    rng = np.random.default_rng(0)
    chosen = set()
    for _ in range(40):
        cases, pairs = [], []
        for _ in range(3):
            truth = np.zeros((12, 12), np.int16)
            truth[2:8, 2:6], truth[2:8, 6:9] = 1, 2
            if rng.random() < 0.5:
                truth[10:, 10:] = rng.integers(1, 3)
            noise = rng.random(truth.shape) < rng.choice([0.0, 0.05, 0.2])
            found = np.where(noise, rng.integers(0, 3, truth.shape), truth).astype(np.int16)
            pairs.append((found, truth))
            cases.append(case_dice(found, truth, 3))
        keep = choose_parts(cases)
        chosen.add(keep)
        before, after = (
            class_means([[dice(keep_largest(f, k), t, c) for c in (1, 2)] for f, t in pairs]) for k in ((), keep)
        )
        assert (after >= before - 1e-12).all()
    assert len(chosen) > 2


def test_nothing_to_gain_is_nothing_done() -> None:
    alike = CaseDice((0.8, float("nan")), (0.8, float("nan")), (0.8, float("nan")), (0.8, float("nan")))
    assert choose_parts([alike]) == ()
