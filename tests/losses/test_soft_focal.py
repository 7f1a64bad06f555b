"""The soft-target focal loss: its limits, its minimum, and that nothing overflows."""

from __future__ import annotations

import pytest
import torch
from torch.nn import functional as F

from hyperseg.losses.soft_focal import soft_focal

LOGITS = torch.linspace(-6, 6, 41, dtype=torch.float64)


def test_of_hard_targets_it_is_the_focal_loss() -> None:
    """-alpha_t (1 - p_t)^gamma log p_t, written out."""
    for y in (0, 1):
        p = LOGITS.sigmoid()
        p_t, alpha_t = (p, 0.8) if y else (1 - p, 0.2)
        expected = -alpha_t * (1 - p_t) ** 2 * p_t.log()
        found = soft_focal(LOGITS, torch.full_like(LOGITS, y), alpha0=0.2, alpha1=0.8, gamma=2)
        torch.testing.assert_close(found, expected, rtol=1e-12, atol=1e-14)


def test_without_focus_and_weights_it_is_cross_entropy() -> None:
    y = torch.rand(LOGITS.shape, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    found = soft_focal(LOGITS, y, alpha0=1, alpha1=1, gamma=0)
    torch.testing.assert_close(found, F.binary_cross_entropy_with_logits(LOGITS, y, reduction="none"))


@pytest.mark.parametrize("gamma", [1.5, 2.0, 3.0])
def test_a_prediction_as_its_target_costs_nothing_and_has_no_slope(gamma: float) -> None:
    logits = LOGITS.clone().requires_grad_()
    loss = soft_focal(logits, LOGITS.sigmoid(), alpha0=0.05, alpha1=0.95, gamma=gamma)
    loss.sum().backward()
    assert torch.equal(loss, torch.zeros_like(loss))
    assert logits.grad is not None
    assert torch.equal(logits.grad, torch.zeros_like(LOGITS))


def test_that_is_its_least_value() -> None:
    """Of targets between 0 and 1, on a grid of predictions."""
    for y in (0.0, 0.1, 0.5, 0.9, 1.0):
        loss = soft_focal(LOGITS, torch.full_like(LOGITS, y), alpha0=0.05, alpha1=0.95, gamma=2)
        assert (loss >= 0).all()
        assert (LOGITS[loss.argmin()].sigmoid() - y).abs() == (LOGITS.sigmoid() - y).abs().min()


def test_alphas_mix_linearly() -> None:
    kw = {"gamma": 2.0}
    y = torch.full_like(LOGITS, 0.3)
    zero, one = soft_focal(LOGITS, y, alpha0=1, alpha1=0, **kw), soft_focal(LOGITS, y, alpha0=0, alpha1=1, **kw)
    both = soft_focal(LOGITS, y, alpha0=0.05, alpha1=0.95, **kw)
    torch.testing.assert_close(both, 0.05 * zero + 0.95 * one)


@pytest.mark.parametrize("gamma", [0.0, 0.5, 1.0, 2.0])
def test_it_bears_sure_logits(gamma: float) -> None:
    logits = torch.tensor([-80.0, -80, -80, 80, 80, 80, 0], requires_grad=True)
    targets = torch.tensor([0.0, 0.5, 1, 0, 0.5, 1, 0.5])
    loss = soft_focal(logits, targets, alpha0=0.05, alpha1=0.95, gamma=gamma)
    loss.sum().backward()
    assert logits.grad is not None
    assert loss.isfinite().all()
    assert logits.grad.isfinite().all()
    assert loss[2].item() == pytest.approx(0.95 * 80)
    assert loss[3].item() == pytest.approx(0.05 * 80)


def test_no_gradient_runs_through_targets() -> None:
    targets = torch.full_like(LOGITS, 0.3).requires_grad_()
    loss = soft_focal(LOGITS.clone().requires_grad_(), targets, alpha0=0.05, alpha1=0.95, gamma=2)
    loss.sum().backward()
    assert targets.grad is None
