"""Dice and cross-entropy: the formula by brute force, its limits, and the levels of a decoder."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from hyperseg.losses.dice import DiceCE, dice_and_cross_entropy
from hyperseg.losses.loss import Sums, at_levels


def drawn(size: tuple[int, ...] = (5, 4, 3), n_classes: int = 4) -> tuple[Tensor, Tensor]:
    rng = torch.Generator().manual_seed(0)
    return torch.randn(2, n_classes, *size, generator=rng), torch.randint(n_classes, (2, *size), generator=rng)


def by_hand(logits: Tensor, labels: Tensor, *, batch: bool, smooth: float) -> tuple[float, float]:
    """Voxel by voxel, in double precision."""
    probs = torch.softmax(logits.double(), 1)
    n, k = logits.shape[:2]
    groups = [range(n)] if batch else [[b] for b in range(n)]
    scores = []
    for group in groups:
        for c in range(1, k):
            both = sizes = 0.0
            for b in group:
                for p, y in zip(probs[b, c].flatten().tolist(), labels[b].flatten().tolist(), strict=True):
                    if y >= 0:
                        both += p * (y == c)
                        sizes += p + (y == c)
            scores.append((2 * both + smooth) / (sizes + smooth))
    logs = [
        -math.log(probs[b].flatten(1)[y, i])
        for b in range(n)
        for i, y in enumerate(labels[b].flatten().tolist())
        if y >= 0
    ]
    return -sum(scores) / len(scores), sum(logs) / max(len(logs), 1)


@pytest.mark.parametrize("batch", [False, True])
@pytest.mark.parametrize("unlabelled", [0.0, 0.3])
@pytest.mark.parametrize("smooth", [1e-5, 0.5])
def test_the_formula(batch: bool, unlabelled: float, smooth: float) -> None:
    logits, labels = drawn()
    labels[torch.rand(labels.shape, generator=torch.Generator().manual_seed(1)) < unlabelled] = -1
    found = dice_and_cross_entropy(logits, labels, batch=batch, smooth=smooth)
    assert [float(x) for x in found] == pytest.approx(by_hand(logits, labels, batch=batch, smooth=smooth), abs=1e-6)


def test_without_a_background_all_classes_count() -> None:
    """As if a class that nobody names and nothing is stood before them."""
    logits, labels = drawn()
    more = torch.cat([torch.full_like(logits[:, :1], -torch.inf), logits], 1)
    first = dice_and_cross_entropy(more, labels + 1, batch=True)
    found = dice_and_cross_entropy(logits, labels, batch=True, first=0)
    assert [float(x) for x in found] == pytest.approx([float(x) for x in first], abs=1e-6)


@pytest.mark.parametrize("batch", [False, True])
def test_a_perfect_answer_has_minus_one(batch: bool) -> None:
    _, labels = drawn()
    logits = 100.0 * torch.nn.functional.one_hot(labels, 4).movedim(-1, 1)
    found = dice_and_cross_entropy(logits, labels, batch=batch)
    assert float(found.dice + found.cross_entropy) == pytest.approx(-1, abs=1e-6)


def test_a_class_that_is_nowhere_and_not_expected_is_right() -> None:
    labels = torch.zeros(1, 6, 6, dtype=torch.long)
    logits = torch.full((1, 2, 6, 6), -100.0)
    logits[:, 0] = 100
    assert float(dice_and_cross_entropy(logits, labels, batch=False).dice) == pytest.approx(-1)


def test_what_stands_at_unlabelled_voxels_changes_nothing() -> None:
    logits, labels = drawn()
    labels[:, :2] = -1
    other = logits.clone()
    other[:, :, :2] = 50 * torch.randn(other[:, :, :2].shape, generator=torch.Generator().manual_seed(3))
    here, there = (dice_and_cross_entropy(x, labels, batch=True) for x in (logits, other))
    assert torch.equal(torch.stack(here), torch.stack(there))
    nothing = dice_and_cross_entropy(logits.requires_grad_(), torch.full_like(labels, -1), batch=True)
    assert float(nothing.cross_entropy.detach()) == 0
    (gradient,) = torch.autograd.grad(sum(nothing), logits)
    assert float(gradient.abs().max()) == 0


def test_levels_are_weighted_and_labels_follow_them() -> None:
    logits, labels = drawn((8, 8, 8))
    labels = labels[:, ::2, ::2, ::2].repeat_interleave(2, 1).repeat_interleave(2, 2).repeat_interleave(2, 3)
    half = torch.randn(2, 4, 4, 4, 4, generator=torch.Generator().manual_seed(2))
    coarse = torch.full((2, 4, 2, 2, 2), torch.nan)  # of weight 0: never looked at
    found = at_levels(DiceCE(), [logits, half, coarse], labels, Sums(), weights=(0.75, 0.25, 0.0))
    fine = dice_and_cross_entropy(logits, labels, batch=False)
    low = dice_and_cross_entropy(half, labels[:, ::2, ::2, ::2], batch=False)
    for total, a, b in zip(found.values(), fine, low, strict=True):
        assert float(total) == pytest.approx(0.75 * float(a) + 0.25 * float(b), abs=1e-6)


@pytest.mark.parametrize("batch", [False, True])
def test_monai_says_the_same(batch: bool) -> None:
    losses = pytest.importorskip("monai.losses")
    theirs = losses.DiceCELoss(
        to_onehot_y=True, softmax=True, include_background=False, batch=batch, smooth_nr=1e-5, smooth_dr=1e-5
    )
    logits, labels = drawn()
    expected = float(theirs(logits, labels[:, None])) - 1
    assert float(sum(dice_and_cross_entropy(logits, labels, batch=batch))) == pytest.approx(expected, abs=1e-6)
