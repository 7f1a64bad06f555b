"""Every loss of the table: formulas by brute force, identities between them, and what none of them may do."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from hyperseg.core import SettingError
from hyperseg.losses import LOSSES, parse_loss
from hyperseg.losses.ce import CrossEntropy
from hyperseg.losses.dice_loss import Dice
from hyperseg.losses.focal import Focal
from hyperseg.losses.loss import Sums
from hyperseg.losses.ohem import Ohem
from hyperseg.losses.tversky import Tversky
from hyperseg.losses.weighted_ce import WeightedCE

SIZES = [(), (7,), (4, 3), (3, 2, 4)]
MINE = {"dice": Dice, "tversky": Tversky, "focal": Focal, "weighted-ce": WeightedCE, "ohem": Ohem}


def drawn(
    size: tuple[int, ...] = (4, 3), *, n: int = 3, n_classes: int = 4, unlabelled: float = 0.3
) -> tuple[Tensor, Tensor]:
    rng = torch.Generator().manual_seed(0)
    logits = 2 * torch.randn(n, n_classes, *size, generator=rng)
    labels = torch.randint(n_classes, (n, *size), generator=rng)
    labels[torch.rand(labels.shape, generator=rng) < unlabelled] = -1
    return logits, labels


def value(loss: Any, logits: Tensor, labels: Tensor, **sums: Any) -> float:
    return float(sum(loss(logits, labels, Sums(**sums)).values()))


def pixels(logits: Tensor, labels: Tensor) -> list[list[tuple[list[float], int]]]:
    """Of every image the (probabilities, class) of its labelled pixels, in double precision."""
    probs = logits.double().softmax(1).flatten(2) if logits.ndim > 2 else logits.double().softmax(1).unsqueeze(-1)
    truth = labels.reshape(len(labels), -1)
    return [[(probs[b, :, i].tolist(), int(y)) for i, y in enumerate(truth[b]) if y >= 0] for b in range(len(labels))]


def overlap_by_hand(logits: Tensor, labels: Tensor, loss: Tversky, *, batch: bool) -> float:
    images = pixels(logits, labels)
    if batch or labels.ndim == 1:
        images = [[pixel for image in images for pixel in image]]
    scores = []
    for image in images:
        for c in range(logits.shape[1]):
            found = sum(p[c] for p, y in image if y == c)
            missed = sum(1 - p[c] for p, y in image if y == c)
            wrong = sum(p[c] for p, y in image if y != c)
            below = found + loss.fn_weight * missed + loss.fp_weight * wrong
            scores.append((found + loss.smooth) / (below + loss.smooth))
    return 1 - sum(scores) / len(scores)


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("batch", [False, True])
@pytest.mark.parametrize("smooth", [1e-7, 0.5])
def test_overlap_by_brute_force(size: tuple[int, ...], batch: bool, smooth: float) -> None:
    logits, labels = drawn(size)
    for loss in (Tversky(smooth=smooth), Tversky(fn_weight=0.7, fp_weight=0.3, smooth=smooth)):
        expected = overlap_by_hand(logits, labels, loss, batch=batch)
        assert value(loss, logits, labels, batch=batch) == pytest.approx(expected, abs=1e-5)


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("batch", [False, True])
def test_tversky_with_equal_halves_is_dice(size: tuple[int, ...], batch: bool) -> None:
    """(f + e) / (f + m / 2 + w / 2 + e) is (2 f + 2 e) / (2 f + m + w + 2 e)."""
    logits, labels = drawn(size)
    here = value(Tversky(fn_weight=0.5, fp_weight=0.5, smooth=1e-3), logits, labels, batch=batch)
    assert here == pytest.approx(value(Dice(smooth=2e-3), logits, labels, batch=batch), abs=1e-6)


def test_weights_of_tversky_are_of_what_their_names_say() -> None:
    """All is called background: foreground is missed. All is called foreground: background is."""
    labels = torch.tensor([[0, 0, 0, 1]])
    sure = torch.tensor([30.0, -30.0])
    none, all_of_it = (x[None, :, None].expand(1, 2, 4) for x in (sure, sure.flip(0)))
    for fn, fp in ((0.3, 0.7), (0.7, 0.3)):
        loss = Tversky(fn_weight=fn, fp_weight=fp)
        assert value(loss, none, labels) == pytest.approx(1 - (3 / (3 + fp)) / 2, abs=1e-6)
        assert value(loss, all_of_it, labels) == pytest.approx(1 - (1 / (1 + 3 * fp)) / 2, abs=1e-6)


@pytest.mark.parametrize("size", SIZES)
def test_focal_by_brute_force(size: tuple[int, ...]) -> None:
    logits, labels = drawn(size)
    for first in (0, 1):
        terms = [
            (0.75 if y or not first else 0.25) * (1 - p[y]) ** 2 * -math.log(p[y])
            for image in pixels(logits, labels)
            for p, y in image
        ]
        assert value(Focal(), logits, labels, first=first) == pytest.approx(sum(terms) / len(terms), rel=1e-5)


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("alpha", [1.0, 0.3])
def test_focal_without_gamma_and_with_equal_alphas_is_so_much_cross_entropy(
    size: tuple[int, ...], alpha: float
) -> None:
    logits, labels = drawn(size)
    found = value(Focal(gamma=0, alpha_background=alpha, alpha=alpha), logits, labels)
    assert found == pytest.approx(alpha * value(CrossEntropy(), logits, labels), rel=1e-6)


@pytest.mark.parametrize("size", SIZES)
def test_weighted_cross_entropy_is_torchs(size: tuple[int, ...]) -> None:
    logits, labels = drawn(size)
    weight = torch.tensor([0.2, 0.8, 0.8, 0.8])
    expected = float(F.cross_entropy(logits, labels, weight, ignore_index=-1))
    assert value(WeightedCE(), logits, labels) == pytest.approx(expected, rel=1e-6)
    plain = value(CrossEntropy(), logits, labels)
    assert value(WeightedCE(background=3, foreground=3), logits, labels) == pytest.approx(plain, rel=1e-6)
    assert value(WeightedCE(), logits, labels, first=0) == pytest.approx(plain, rel=1e-6)


@pytest.mark.parametrize("size", SIZES)
def test_ohem_is_the_mean_of_the_largest(size: tuple[int, ...]) -> None:
    logits, labels = drawn(size, n=5)
    every = sorted((-math.log(p[y]) for image in pixels(logits, labels) for p, y in image), reverse=True)
    plain = value(CrossEntropy(), logits, labels)
    assert value(Ohem(share=1), logits, labels) == pytest.approx(plain, rel=1e-6)
    before = plain
    for share in (0.9, 0.7, 0.4, 0.1, 1e-6):
        many = max(1, len(every) - round((1 - share) * len(every)))
        found = value(Ohem(share=share), logits, labels)
        assert found == pytest.approx(sum(every[:many]) / many, rel=1e-5)
        assert found >= before - 1e-6  # the fewer, the harder
        before = found
    assert before == pytest.approx(every[0], rel=1e-5)


def test_ohem_moves_the_hardest_pixels_alone() -> None:
    logits, labels = drawn((30,), n=2, unlabelled=0)
    logits.requires_grad_()
    (gradient,) = torch.autograd.grad(Ohem(share=0.5)(logits, labels, Sums())["cross_entropy"], logits)
    moved = gradient.abs().sum(1) > 0
    entropy = F.cross_entropy(logits.detach(), labels, reduction="none")
    assert int(moved.sum()) == 30
    assert entropy[moved].min() >= entropy[~moved].max()


@pytest.mark.parametrize("name", LOSSES)
@pytest.mark.parametrize("size", SIZES)
def test_unlabelled_pixels_change_nothing(name: str, size: tuple[int, ...]) -> None:
    """Neither the value nor, where all are unlabelled, the network: every loss is finite then, and flat."""
    loss = parse_loss(name)
    logits, labels = drawn(size, n=6)
    sums = Sums(batch=True, first=0 if size == () else 1)
    other = torch.where(
        (labels < 0).unsqueeze(1), 40 * torch.randn(logits.shape, generator=torch.Generator().manual_seed(1)), logits
    )
    here, there = (sum(loss(x, labels, sums).values()) for x in (logits, other))
    assert float(here) == pytest.approx(float(there), rel=1e-6)
    logits.requires_grad_()
    nothing = sum(loss(logits, torch.full_like(labels, -1), sums).values())
    (gradient,) = torch.autograd.grad(nothing, logits)
    assert bool(torch.isfinite(nothing))
    assert float(gradient.abs().max()) == 0


@pytest.mark.parametrize("name", [*LOSSES, "focal:gamma=0.5", "focal:gamma=0", "tversky:fn_weight=0", "ohem:0.01"])
@pytest.mark.parametrize("sure", [0.0, 1.0, 100.0])
@pytest.mark.parametrize("right", [True, False])
def test_gradients_are_finite_however_sure(name: str, sure: float, right: bool) -> None:
    _, labels = drawn((6, 6), unlabelled=0)
    named = labels if right else (labels + 1) % 4
    logits = (sure * F.one_hot(named, 4).movedim(-1, 1)).requires_grad_()
    total = sum(parse_loss(name)(logits, labels, Sums()).values())
    (gradient,) = torch.autograd.grad(total, logits)
    assert bool(torch.isfinite(total))
    assert bool(torch.isfinite(gradient).all())


@pytest.mark.parametrize("name", LOSSES)
def test_it_is_least_where_all_is_right(name: str) -> None:
    _, labels = drawn((8, 8), unlabelled=0)
    loss, right = parse_loss(name), 30.0 * F.one_hot(labels, 4).movedim(-1, 1)
    best = value(loss, right, labels)
    assert name not in MINE or best == pytest.approx(0, abs=1e-5)
    for worse in (right.flip(1), 0 * right, 0.1 * right):
        assert value(loss, worse, labels) > best


@pytest.mark.parametrize("name", MINE)
def test_half_precision_is_summed_in_single(name: str) -> None:
    logits, labels = drawn((40, 40))
    half = logits.bfloat16()
    found = MINE[name]()(half, labels, Sums())
    assert all(term.dtype == torch.float32 for term in found.values())
    assert value(MINE[name](), half, labels) == value(MINE[name](), half.float(), labels)


def test_monai_says_the_same_of_dice_and_tversky() -> None:
    losses = pytest.importorskip("monai.losses")
    logits, labels = drawn((5, 4), unlabelled=0)
    for batch in (False, True):
        how = {"to_onehot_y": True, "softmax": True, "batch": batch}
        dice = losses.DiceLoss(**how, smooth_nr=1e-3, smooth_dr=1e-3)(logits, labels[:, None])
        assert value(Dice(smooth=1e-3), logits, labels, batch=batch) == pytest.approx(float(dice), abs=1e-6)
        # their alpha is of what is wrongly named, beta of what is missed
        theirs = losses.TverskyLoss(**how, alpha=0.7, beta=0.3, smooth_nr=1e-3, smooth_dr=1e-3)
        mine = value(Tversky(smooth=1e-3), logits, labels, batch=batch)
        assert mine == pytest.approx(float(theirs(logits, labels[:, None])), abs=1e-6)


def test_monai_says_the_same_of_focal() -> None:
    """Theirs is a mean over the classes too, of which one alone has a term."""
    losses = pytest.importorskip("monai.losses")
    logits, labels = drawn((5, 4), unlabelled=0)
    theirs = losses.FocalLoss(to_onehot_y=True, use_softmax=True, gamma=2.0, weight=[0.25, 0.75, 0.75, 0.75])
    expected = 4 * float(theirs(logits, labels[:, None]))
    assert value(Focal(), logits, labels) == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("ohem:0", "share is at most 1 and above 0, got 0"),
        ("ohem:share=1.5", "share is at most 1 and above 0, got 1.5"),
        ("tversky:fn_weight=0,fp_weight=0", "no mistake would count"),
        ("tversky:fn_weight=1e-9,fp_weight=0", "fn_weight is 1e-09 .* no mistake would count"),
        ("focal:gamma=100", "gamma is 0 or more and at most 10, got 100"),
        ("dice:smooth=0", "smooth is at most 1000 and above 0"),
        ("focal:gamma=-1", "gamma is 0 or more"),
        ("focal:beta=1", "focal has no setting named beta"),
        ("weighted-ce:0", "background is at most 1000 and above 0"),
        ("tverski", "Did you mean tversky"),
    ],
)
def test_refused(text: str, said: str) -> None:
    with pytest.raises(SettingError, match=said.replace("?", r"\?")):
        parse_loss(text)


def test_defaults_are_those_of_the_survey() -> None:
    assert parse_loss("tversky") == Tversky(fn_weight=0.3, fp_weight=0.7, smooth=1e-7)
    assert parse_loss("ohem:0.5") == replace(Ohem(), share=0.5)
    assert parse_loss("focal:0,alpha=1") == Focal(gamma=0, alpha_background=0.25, alpha=1)
    assert (WeightedCE().background, WeightedCE().foreground, Dice().smooth) == (0.2, 0.8, 1e-8)
