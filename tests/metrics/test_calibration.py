"""Reliability tables and temperatures: identities, limits, and a temperature found again."""

from itertools import pairwise

import numpy as np
import pytest

from hyperseg.core import UNLABELLED, LabelError
from hyperseg.metrics import expected_calibration_error
from hyperseg.metrics.calibration import COLDEST, HOTTEST, likeliest_temperature, pooled, reliability, tempered


def drawn(n: int = 20_000, *, k: int = 5, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """(n, K) probabilities and classes drawn from them."""
    rng = np.random.default_rng(seed)
    probs = rng.dirichlet(np.full(k, 0.7), n).astype(np.float32)
    truth = (probs.cumsum(1) > rng.random((n, 1)) * probs.sum(1, keepdims=True)).argmax(1).astype(np.int16)
    return probs, truth


def test_at_one_nothing_changes() -> None:
    probs, _ = drawn(100)
    np.testing.assert_array_equal(tempered(probs, 1.0), probs)


@pytest.mark.parametrize("temperature", [0.25, 0.5, 2.0, 7.0])
def test_a_power_that_sums_to_one(temperature: float) -> None:
    probs = np.array([[[0.5, 0.3, 0.2], [0.8, 0.1, 0.1]]], np.float32)
    by_hand = probs ** (1 / temperature)
    np.testing.assert_allclose(tempered(probs, temperature), by_hand / by_hand.sum(-1, keepdims=True), rtol=1e-5)
    back = tempered(tempered(probs, temperature), 1 / temperature)
    np.testing.assert_allclose(back, probs, atol=1e-4)


@pytest.mark.parametrize("temperature", [0.25, 1.7, 20.0])
def test_no_pixel_changes_its_class(temperature: float) -> None:
    """Nor where two probabilities are the same, or so near that rounding makes them so."""
    probs, _ = drawn(5000)
    near = np.full((4, 3), np.float32(1 / 3))
    near[1, 2] = np.nextafter(near[1, 2], np.float32(1))
    near[2, 1] = np.nextafter(near[2, 1], np.float32(1))
    near[3] = (0.0, 0.5, 0.5)
    tiny = np.array([[1e-30, 1.0, 0.0], [0.0, 0.0, 1.0]], np.float32)
    for given in (probs, near, tiny):
        found = tempered(given, temperature)
        np.testing.assert_array_equal(found.argmax(-1), given.argmax(-1))
        np.testing.assert_allclose(found.sum(-1), 1, atol=1e-5)
        assert found.dtype == np.float32


def test_confidence_falls_as_the_temperature_rises() -> None:
    probs, _ = drawn(200)
    sure = [tempered(probs, t).max(-1) for t in (0.3, 0.9, 1.5, 4.0, 1e6)]
    assert all((a >= b - 1e-6).all() for a, b in pairwise(sure))
    np.testing.assert_allclose(sure[-1], 1 / 5, atol=1e-3)


@pytest.mark.parametrize("true", [0.5, 1.0, 2.2, 4.0])
def test_a_known_temperature_is_found_again(true: float) -> None:
    """Classes are drawn from probabilities; a map that says their power is brought back to them."""
    probs, truth = drawn()
    said = tempered(np.maximum(probs, 1e-3), 1 / true)
    found = likeliest_temperature(said, truth, np.ones(len(truth)), expected=1.0, spread=0.5)
    assert found == pytest.approx(true, rel=0.06)
    assert expected_calibration_error(tempered(said, found), truth) < 0.02


def test_few_observations_move_it_little() -> None:
    """Without any it is what was expected; the more there are, the nearer it comes to what they say."""
    probs, truth = drawn(4000)
    said = tempered(np.maximum(probs, 1e-3), 1 / 3.0)
    found = [
        likeliest_temperature(said, truth, np.full(len(truth), n / len(truth)), expected=1.5, spread=0.3)
        for n in (0.0, 5.0, 50.0, 5000.0)
    ]
    assert found[0] == pytest.approx(1.5, rel=1e-3)
    assert found == sorted(found)
    assert found[-1] == pytest.approx(3.0, rel=0.1)


def test_it_stays_within_bounds() -> None:
    right, wrong = np.array([[0.6, 0.4]] * 50), np.array([[1.0, 0.0]] * 50)
    truth = np.repeat([0, 1], 50)
    ends = [
        likeliest_temperature(p, t, np.full(50, 1e4), expected=1.0, spread=10.0)
        for p, t in ((right, truth[:50]), (wrong, truth[50:]))
    ]
    assert ends == pytest.approx([COLDEST, HOTTEST], rel=1e-3)


def test_the_table_is_what_its_pixels_say() -> None:
    probs = np.array([[0.9, 0.1], [0.95, 0.05], [0.4, 0.6], [0.2, 0.8]])
    truth = np.array([0, 1, 1, UNLABELLED])
    table = reliability(probs, truth, bins=2)
    assert table.rows() == [
        {"pixels": 0, "share": 0.0, "confidence": None, "accuracy": None},
        {
            "pixels": 3,
            "share": 100.0,
            "confidence": pytest.approx(100 * (0.9 + 0.95 + 0.6) / 3),
            "accuracy": pytest.approx(200 / 3),
        },
    ]
    assert table.ece == pytest.approx(abs(2 - 2.45) / 3)
    assert table.ece == expected_calibration_error(probs, truth, bins=2)
    with pytest.raises(LabelError):
        reliability(probs, np.full(4, UNLABELLED))


def test_the_error_follows_from_the_rows() -> None:
    probs, truth = drawn(3000)
    table = reliability(tempered(probs, 0.4), truth)
    gaps = [r["share"] * abs(r["confidence"] - r["accuracy"]) for r in table.rows() if r["pixels"]]
    assert sum(gaps) / 100 == pytest.approx(100 * table.ece)
    assert sum(r["share"] for r in table.rows()) == pytest.approx(100)


def test_tables_of_repeats_make_one_as_if_their_pixels_were_one() -> None:
    probs, truth = drawn(3000)
    parts = [reliability(probs[s], truth[s]).rows() for s in (slice(0, 1000), slice(1000, 3000))]
    for one, other in zip(pooled(parts), reliability(probs, truth).rows(), strict=True):
        assert one == pytest.approx(other)
