"""Fused masks: votes and ties, disagreement as mutual information, STAPLE where it is asked for."""

from __future__ import annotations

import math
from typing import get_args

import pytest
import torch
from torch import Tensor
from torch.nn.functional import avg_pool2d, one_hot

from hyperseg.core import SettingError
from hyperseg.dpm.masks.fusion import fuse
from hyperseg.dpm.masks.settings import Rule
from hyperseg.dpm.masks.staple import staple

RULES = get_args(Rule)


def random_samples(n: int, classes: int, shape: tuple[int, ...] = (9, 7), *, seed: int = 0, sharp: float = 2) -> Tensor:
    logits = torch.randn(n, classes, *shape, generator=torch.Generator().manual_seed(seed))
    return (sharp * logits).softmax(1)


def pixels(*samples: tuple[float, ...]) -> Tensor:
    """(R, K, 1) samples of one pixel."""
    return torch.tensor(samples)[..., None]


def masks(decisions: Tensor) -> Tensor:
    """(R, *S) of 0 and 1 -> (R, 2, *S) certain probabilities."""
    return torch.stack([1 - decisions, decisions], 1).float()


def dice(found: Tensor, truth: Tensor) -> float:
    return 2 * float((found & truth).sum()) / float(found.sum() + truth.sum())


def test_the_majority_is_the_share_of_votes() -> None:
    fused = fuse(pixels((0.6, 0.4), (0.9, 0.1), (0.1, 0.9), (0.7, 0.3)), "majority")
    torch.testing.assert_close(fused.scores[:, 0], torch.tensor([0.75, 0.25]))
    torch.testing.assert_close(fused.mean[:, 0], torch.tensor([0.575, 0.425]))


@pytest.mark.parametrize(
    ("samples", "first"),
    [
        (((0.6, 0.4), (0.1, 0.9)), 1),
        (((0.4, 0.6), (0.9, 0.1)), 0),
        (((0.51, 0, 0.49), (0, 0.52, 0.48)), 1),  # the third class has the largest mean, but no vote
    ],
)
def test_ties_go_to_the_larger_mean_of_those_that_lead(samples: tuple[tuple[float, ...], ...], first: int) -> None:
    scores = fuse(pixels(*samples), "majority").scores[:, 0]
    torch.testing.assert_close(scores[:2], torch.tensor([0.5, 0.5]))
    assert int(scores.argmax(0)) == first


def test_the_mean_rules_give_the_mean() -> None:
    samples = random_samples(6, 4)
    for rule in ("mean", "steps"):
        torch.testing.assert_close(fuse(samples, rule).scores, samples.mean(0))


@pytest.mark.parametrize("rule", RULES)
def test_scores_sum_to_one_and_a_stream_is_enough(rule: Rule) -> None:
    samples = random_samples(7, 3, (4, 5, 6))
    fused = fuse(iter(samples), rule)
    torch.testing.assert_close(fused.scores.sum(0), torch.ones(4, 5, 6))
    assert fused.disagreement.shape == (4, 5, 6)
    assert all(torch.equal(a, b) for a, b in zip(fused, fuse(list(samples), rule), strict=True))


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("n", [1, 3, 10])
def test_equal_samples_do_not_disagree_at_all(rule: Rule, n: int) -> None:
    sample = random_samples(1, 5)[0]
    fused = fuse([sample] * n, rule)
    assert torch.equal(fused.disagreement, torch.zeros(9, 7))
    assert torch.equal(fused.mean, sample)
    assert torch.equal(fused.scores.argmax(0), sample.argmax(0))


def test_disagreement_is_mutual_information() -> None:
    samples = random_samples(8, 4).double()
    found = fuse(samples, "mean").disagreement
    joint = samples / len(samples)  # p(sample, class)
    independent = joint.sum(0, keepdim=True) * joint.sum(1, keepdim=True)
    torch.testing.assert_close(found, (joint * (joint / independent).log()).sum((0, 1)) / math.log(4))
    assert (found > 0).all()


@pytest.mark.parametrize("seed", range(4))
def test_disagreement_is_between_none_and_all(seed: int) -> None:
    close = random_samples(1, 3, seed=seed) + 1e-6 * random_samples(5, 3, seed=seed + 10)
    found = fuse(close / close.sum(1, keepdim=True), "majority").disagreement
    assert ((found >= 0) & (found < 1e-5)).all()
    apart = fuse(torch.eye(3)[..., None], "majority").disagreement
    torch.testing.assert_close(apart, torch.ones(1))


def test_staple_sees_the_disputed_pixels_alone() -> None:
    samples = random_samples(5, 3)
    said = samples.argmax(1)
    said[:, :3] = said[0, :3]
    samples = one_hot(said, 3).movedim(-1, 1).float()
    disputed = (said != said[0]).any(0)
    scores = fuse(samples, "staple").scores
    torch.testing.assert_close(scores[:, disputed], staple(said[:, disputed], 3).probs.float())
    assert torch.equal(scores[:, ~disputed], samples[0][:, ~disputed])
    everywhere = fuse(samples, "staple-all").scores
    torch.testing.assert_close(everywhere.flatten(1), staple(said.flatten(1), 3).probs.float())


@pytest.mark.parametrize("rule", RULES)
def test_empty_masks_stay_empty_and_masks_that_agree_stay(rule: Rule) -> None:
    for mask in (torch.zeros(8, 8), torch.eye(8)):
        assert torch.equal(fuse(masks(mask.expand(4, 8, 8)), rule).scores, masks(mask[None])[0])


def test_a_large_background_biases_staple_unless_it_is_left_out() -> None:
    """25 raters who draw a disc of 697 px with a rough border, some of them larger and some smaller."""
    rows, columns = torch.meshgrid(torch.arange(64.0), torch.arange(64.0), indexing="ij")
    inside = 15 - torch.hypot(rows - 32, columns - 32)
    truth = inside > 0
    assert truth.sum() == 697
    dices, sizes = torch.zeros(3), torch.zeros(3)
    for seed in range(4):
        rng = torch.Generator().manual_seed(seed)
        rough = avg_pool2d(torch.randn(25, 1, 64, 64, generator=rng), 5, 1, 2)[:, 0]
        wide = torch.randn(25, 1, 1, generator=rng)
        samples = masks((inside > 12 * rough + 1.5 * wide).long())
        found = [fuse(samples, rule).scores.argmax(0) == 1 for rule in ("majority", "staple", "staple-all")]
        dices += torch.tensor([dice(mask, truth) for mask in found]) / 4
        sizes += torch.tensor([float(mask.sum()) for mask in found]) / 4
    assert dices[0] > dices[1] > dices[2] + 0.03, dices
    assert sizes[2] > 1.15 * 697 > sizes[1], sizes


def test_nothing_to_fuse_is_told() -> None:
    with pytest.raises(SettingError, match="draw at least 1"):
        fuse([], "mean")
    with pytest.raises(SettingError, match="choose majority"):
        fuse(random_samples(1, 2), "vote")  # type: ignore[arg-type]
