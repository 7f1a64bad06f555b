"""Mixup: what is mixed, what its limits are, and what it is refused for."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.stats import beta
from small_cases import QUIET, beginning, boxes, order, patches, tiny_plan
from torch import Tensor

from hyperseg.core import SettingError
from hyperseg.losses import parse_loss
from hyperseg.losses.loss import Sums, at_levels
from hyperseg.recipes.segment.methods.chosen import case_method
from hyperseg.recipes.segment.training import train_cases
from hyperseg.recipes.tricks.augmentation.mixup import MixedLoss, coded, decoded, mixed, mixing, shares

SUMS = Sums()


def scores(n_classes: int = 3) -> tuple[Tensor, Tensor]:
    """Logits (2, K, 8, 8), and classes with some unlabelled pixels."""
    generator = torch.Generator().manual_seed(3)
    classes = torch.randint(-1, n_classes, (2, 8, 8), generator=generator)
    return torch.randn(2, n_classes, 8, 8, generator=generator, dtype=torch.float64), classes


@pytest.mark.parametrize("spelled", ["dice-ce", "ce", "cosdice", "focal"])
def test_a_share_of_one_is_the_loss_itself(spelled: str) -> None:
    logits, classes = scores()
    images = torch.randn(2, 1, 8, 8)
    same, codes = mixed(images, classes, torch.tensor(1.0), 3)
    assert torch.equal(same, images)
    plain = parse_loss(spelled)
    terms = MixedLoss(plain, 3, 1.0)(logits, codes, SUMS)
    assert terms.keys() == plain(logits, classes, SUMS).keys()
    for name, value in plain(logits, classes, SUMS).items():
        assert torch.equal(terms[name], value)


def test_the_loss_is_that_of_both_labels_by_their_shares() -> None:
    """At coarser levels of a decoder too, where labels have been made smaller."""
    logits, classes = scores()
    coarse = logits[..., ::2, ::2].contiguous()
    images = torch.arange(2.0)[:, None, None, None].expand(2, 1, 8, 8)
    share = 0.3
    made, codes = mixed(images, classes, share, 3)
    assert made[:, 0, 0, 0].tolist() == pytest.approx([0.7, 0.3])
    levels, weights, plain = [logits, coarse], (0.6, 0.4), parse_loss("dice-ce")
    found = at_levels(MixedLoss(plain, 3, share), levels, codes, SUMS, weights=weights)
    one, other = (at_levels(plain, levels, y, SUMS, weights=weights) for y in (classes, classes.roll(-1, 0)))
    for name, value in found.items():
        assert float(value) == pytest.approx(float(share * one[name] + (1 - share) * other[name]), abs=1e-12)


@pytest.mark.parametrize("n_classes", [2, 7, 4000])
def test_two_labels_are_kept_in_one_and_float32_holds_it(n_classes: int) -> None:
    generator = torch.Generator().manual_seed(0)
    one, other = (torch.randint(-1, n_classes, (50,), generator=generator) for _ in range(2))
    one[0] = other[0] = n_classes - 1
    back = decoded(coded(one, other, n_classes).float().long(), n_classes)
    assert torch.equal(back[0], one)
    assert torch.equal(back[1], other)


def test_too_many_classes_are_refused() -> None:
    with pytest.raises(SettingError, match="5000 classes"):
        coded(torch.zeros(1).long(), torch.zeros(1).long(), 5000)


@pytest.mark.parametrize("eta", [0.2, 1.0, 8.0])
def test_shares_are_those_of_a_beta_distribution(eta: float) -> None:
    found = shares(eta).double().numpy()
    assert found.mean() == pytest.approx(0.5, abs=1e-6)
    assert found.var() == pytest.approx(beta.var(eta, eta), rel=0.01)
    assert ((found >= 0) & (found <= 1)).all()


def test_shares_differ_from_step_to_step_and_come_from_the_generator_of_torch() -> None:
    kept = MixedLoss(parse_loss("ce"), 2)
    terms, seen = mixing(lambda batch: batch, kept, shares(1.0)), []
    for seed in (0, 1, 0):
        torch.manual_seed(seed)
        terms(patches(0))
        seen.append(float(kept.share))
    assert seen[0] == seen[2] != seen[1]


def test_a_network_learns_from_mixed_images(tmp_path: Path) -> None:
    """With deep supervision off and on, by both planned methods; the first loss differs from that without."""
    folder = boxes(tmp_path / "boxes")
    plan = tiny_plan(folder)

    def first(method: str, *tricks: str) -> float:
        chosen, here = case_method(method, tricks=tricks), beginning(plan)
        phases, _ = chosen.lesson(here.net, plan, plan.configurations[0], 4)
        torch.manual_seed(1)
        return sum(value.item() for value in phases[0].loss(here.batch(0)).values())

    for method in ("unet", "plain-unet"):
        assert first(method) == first(method)
        assert first(method, "mixup:1") != first(method)
        assert first(method, "mixup:1", "ohem") != first(method, "ohem")
    run = train_cases(folder, plan, tmp_path / "run", order(3, "mixup", method="plain-unet"), QUIET)
    assert run.record.tricks == ("mixup",)
    assert np.isfinite(run.record.found["dice"]["2d"]["mean"])


def test_a_method_without_a_loss_of_class_scores_is_refused() -> None:
    with pytest.raises(SettingError, match=r"--trick mixup, with the method medsegdiff: .*class scores"):
        case_method("medsegdiff", tricks=["mixup"])
