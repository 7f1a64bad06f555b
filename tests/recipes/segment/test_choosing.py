"""When the largest pieces of classes are kept alone."""

from __future__ import annotations

import numpy as np
import pytest

from hyperseg.medical.components import keep_largest
from hyperseg.recipes.segment.choosing import CaseDice, case_dice, choose_parts, class_means, dice, means_after


def test_dice_by_hand() -> None:
    truth = np.array([[1, 1, 0, -1]])
    found = np.array([[1, 0, 1, 1]])
    assert dice(found, truth, 1) == pytest.approx(0.5)
    assert np.isnan(dice(found, truth, 2))
    assert dice(found, np.array([[2, 0, 0, 0]]), 2) == 0


def examples(seed: int) -> tuple[list[CaseDice], list[tuple[np.ndarray, np.ndarray]]]:
    """Three predicted cases of two classes, more or less full of wrong pieces."""
    rng, cases, pairs = np.random.default_rng(seed), [], []
    for _ in range(3):
        truth = np.zeros((12, 12), np.int16)
        truth[2:8, 2:6], truth[2:8, 6:9] = 1, 2
        if rng.random() < 0.5:
            truth[10:, 10:] = rng.integers(1, 3)
        noise = rng.random(truth.shape) < rng.choice([0.0, 0.05, 0.2])
        found = np.where(noise, rng.integers(0, 3, truth.shape), truth).astype(np.int16)
        pairs.append((found, truth))
        cases.append(case_dice(found, truth, 3))
    return cases, pairs


def test_what_is_chosen_never_lowers_dice_and_is_what_is_told() -> None:
    chosen = set()
    for seed in range(60):
        cases, pairs = examples(seed)
        keep = choose_parts(cases)
        chosen.add(keep)
        before, after = (
            class_means([[dice(keep_largest(f, k), t, c) for c in (1, 2)] for f, t in pairs]) for k in ((), keep)
        )
        assert (after >= before).all()
        assert after == pytest.approx(means_after(cases, keep))
        assert before == pytest.approx(means_after(cases, ()))
    assert len(chosen) > 3, "nothing, one class, the foreground, all"


def test_what_is_chosen_does_nothing_the_second_time() -> None:
    for seed in range(60):
        cases, pairs = examples(seed)
        for found, _ in pairs:
            once = keep_largest(found, choose_parts(cases))
            assert (keep_largest(once, choose_parts(cases)) == once).all()


def test_the_best_of_the_four_ways_is_chosen() -> None:
    """By hand: the foreground alone would lower the second class, both classes by themselves gain most."""
    ways = {"raw": (0.5, 0.5), "single": (0.7, 0.4), "whole": (0.8, 0.4), "both": (0.6, 0.6), "pieces": (1, 2)}
    assert choose_parts([CaseDice(**ways)]) == ((1,),)
    assert means_after([CaseDice(**ways)], ((1,),)).tolist() == [0.7, 0.5]
    assert choose_parts([CaseDice(**ways | {"both": (0.65, 0.6)})]) == ((1,), (2,), (1, 2))
    assert choose_parts([CaseDice(**ways | {"whole": (0.75, 0.5)})]) == ((1, 2),)


def test_the_first_preset_keeps_what_is_one_piece_in_every_label() -> None:
    cases = [CaseDice(*((0.5, 0.5, 0.5),) * 4, pieces=pieces) for pieces in ((1, 2, 0), (1, 1, 1))]
    assert choose_parts(cases, "where always one") == ((1,), (3,))
    truth = np.array([[1, 0, 1, 2], [0, 1, 0, 2]])
    assert case_dice(truth, truth, 4).pieces == (3, 1, 0)


def test_nothing_to_gain_is_nothing_done() -> None:
    alike = CaseDice(*((0.8, float("nan")),) * 4)
    assert choose_parts([alike]) == ()
    assert choose_parts([CaseDice(*((float("nan"),),) * 4)]) == ()


def test_one_class_is_the_foreground() -> None:
    case = CaseDice((0.5,), (0.7,), (0.7,), (0.7,), (1,))
    assert choose_parts([case]) == ((1,),)
    assert means_after([case], ((1,),)).tolist() == [0.7]
