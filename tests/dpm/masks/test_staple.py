"""STAPLE: the binary equations in a loop, planted raters found again, and the limits where nothing is in doubt."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch.nn.functional import one_hot

from hyperseg.dpm.masks.staple import staple


def binary_staple(d: NDArray[np.int64]) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """W, p and q of (R, n) decisions, equation by equation, from raters that are nearly perfect."""
    raters, pixels = d.shape
    p, q, prior = np.full(raters, 0.99999), np.full(raters, 0.99999), d.mean()
    w = np.zeros(pixels)
    for _ in range(2000):
        before = w.copy()
        for i in range(pixels):
            logit = np.log(prior / (1 - prior))
            for r in range(raters):
                logit += np.log(p[r] / (1 - q[r])) if d[r, i] else np.log((1 - p[r]) / q[r])
            w[i] = 1 / (1 + np.exp(-logit))
        for r in range(raters):
            p[r] = (w * d[r]).sum() / w.sum()
            q[r] = ((1 - w) * (1 - d[r])).sum() / (1 - w).sum()
        if np.abs(w - before).max() < 1e-9:
            break
    return w, p, q


def rated(truth: NDArray[np.int64], says: NDArray[np.float64], seed: int) -> NDArray[np.int64]:
    """(R, n) what raters with (R, K, K) probabilities say of (n) true classes."""
    u = np.random.default_rng(seed).random((len(says), len(truth)))
    return (u[..., None] > says.cumsum(-1)[:, truth]).sum(-1)


@pytest.mark.parametrize("seed", range(3))
def test_two_classes_are_the_binary_equations(seed: int) -> None:
    rng = np.random.default_rng(seed)
    p, q = rng.uniform(0.7, 0.95, 4), rng.uniform(0.75, 0.98, 4)
    says = np.stack([np.stack([q, 1 - q], -1), np.stack([1 - p, p], -1)], 1)
    decisions = rated((rng.random(150) < 0.3).astype(np.int64), says, seed)
    w, p, q = binary_staple(decisions)
    found = staple(torch.from_numpy(decisions), 2)
    np.testing.assert_allclose(found.probs[1], w, atol=1e-4)
    np.testing.assert_allclose(found.says[:, 1, 1], p, atol=1e-4)
    np.testing.assert_allclose(found.says[:, 0, 0], q, atol=1e-4)


def test_planted_raters_are_found_again() -> None:
    rng = np.random.default_rng(0)
    p, q = np.array([0.8, 0.6, 0.95, 0.9]), np.array([0.9, 0.97, 0.7, 0.85])
    says = np.stack([np.stack([q, 1 - q], -1), np.stack([1 - p, p], -1)], 1)
    truth = (rng.random(40_000) < 0.4).astype(np.int64)
    found = staple(torch.from_numpy(rated(truth, says, 1)), 2)
    np.testing.assert_allclose(found.says, says, atol=0.02)


def test_planted_raters_of_three_classes_are_found_again_and_beat_their_votes() -> None:
    rng = np.random.default_rng(0)
    good, mixes, poor = 0.9 * np.eye(3) + 0.1 / 3, 0.7 * np.eye(3)[[0, 2, 1]] + 0.1, 0.1 * np.eye(3) + 0.3
    says = np.stack([good, good, mixes, poor, poor, poor])
    truth = rng.choice(3, 40_000, p=[0.5, 0.3, 0.2])
    decisions = rated(truth, says, 2)
    found = staple(torch.from_numpy(decisions), 3)
    np.testing.assert_allclose(found.says, says, atol=0.04)
    votes = np.stack([(decisions == k).sum(0) for k in range(3)]).argmax(0)
    assert (found.probs.argmax(0).numpy() == truth).mean() > (votes == truth).mean() + 0.05


@pytest.mark.parametrize("raters", [1, 2, 5])
@pytest.mark.parametrize("classes", [2, 4])
def test_raters_that_agree_are_believed_to_the_letter(raters: int, classes: int) -> None:
    mask = torch.randint(classes, (200,), generator=torch.Generator().manual_seed(0))
    mask[0], mask[1:4] = classes - 1, 0  # one pixel of a class is not drowned by the others
    found = staple(mask.expand(raters, -1), classes)
    torch.testing.assert_close(found.probs, one_hot(mask, classes).T.double(), rtol=0, atol=1e-300)


def test_one_pixel_of_a_large_mask_stays() -> None:
    mask = torch.zeros(1, 1_000_000, dtype=torch.uint8)
    mask[0, 7] = 1
    assert torch.equal(staple(mask, 2).probs.argmax(0), mask[0].long())


def test_empty_masks_stay_empty() -> None:
    found = staple(torch.zeros(5, 50, dtype=torch.uint8), 3)
    assert torch.equal(found.probs, torch.eye(3).double()[0][:, None].expand(-1, 50))


def test_a_class_that_no_rater_says_is_never_true() -> None:
    decisions = torch.randint(2, (4, 60), generator=torch.Generator().manual_seed(1))
    two, three = staple(decisions, 2), staple(decisions, 3)
    assert torch.equal(three.probs[2], torch.zeros(60).double())
    torch.testing.assert_close(three.probs[:2], two.probs)
