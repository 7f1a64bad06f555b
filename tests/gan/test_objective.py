"""The objective against its formulas written out, its limits, and what must not reach whom."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from hyperseg.gan.networks import GanSpec, build_discriminator
from hyperseg.gan.objective import (
    agreement_loss,
    fooling_loss,
    generated_loss,
    labelled_loss,
    margin,
    matching_loss,
    real_loss,
)  # fmt: skip

K = 4


def noise(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def assert_equal(found: Tensor, expected: Tensor) -> None:
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-12)


def zeros(*shape: int) -> Tensor:
    return torch.zeros(*shape, dtype=torch.float64)


def scores(seed: int = 0, spread: float = 3.0) -> tuple[Tensor, Tensor]:
    """Class logits (2, K, 3, 5) and fake logits (2, 3, 5)."""
    return spread * noise(2, K, 3, 5, seed=seed), spread * noise(2, 3, 5, seed=seed + 100)


def probabilities(classes: Tensor, fake: Tensor) -> Tensor:
    """(B, K + 1, ...), the softmax over all of them."""
    powers = torch.cat((classes, fake[:, None]), 1).exp()
    return powers / powers.sum(1, keepdim=True)


def gradient(loss: Callable[..., Tensor], *inputs: Tensor) -> list[Tensor]:
    leaves = [x.detach().clone().requires_grad_() for x in inputs]
    return list(torch.autograd.grad(loss(*leaves), leaves))


def test_the_example() -> None:
    classes = torch.tensor([[0.3, -1.2, 2.0]], dtype=torch.float64)
    assert real_loss(classes, zeros(1)).item() == pytest.approx(0.104917, abs=5e-7)
    assert generated_loss(classes, zeros(1)).item() == pytest.approx(2.306588, abs=5e-7)


@pytest.mark.parametrize("implicit", [False, True])
@pytest.mark.parametrize("seed", range(3))
def test_losses_are_those_of_a_softmax_over_all_k_plus_1(seed: int, implicit: bool) -> None:
    classes, fake = scores(seed)
    fake = zeros(2, 3, 5) if implicit else fake
    p = probabilities(classes, fake)
    assert_equal(torch.sigmoid(-margin(classes, fake)), p[:, K])
    assert_equal(real_loss(classes, fake), -p[:, :K].sum(1).log().mean())
    assert_equal(generated_loss(classes, fake), -p[:, K].log().mean())
    targets = torch.arange(30).reshape(2, 3, 5) % K
    given_real = p[:, :K] / p[:, :K].sum(1, keepdim=True)
    chosen = given_real.gather(1, targets[:, None])
    assert_equal(labelled_loss(classes, targets), -chosen.log().mean())


@pytest.mark.parametrize("shift", [-7.0, 0.5, 40.0])
def test_a_constant_added_to_all_logits_changes_nothing(shift: float) -> None:
    classes, fake = scores()
    for loss in (real_loss, generated_loss):
        assert_equal(loss(classes + shift, fake + shift), loss(classes, fake))


def test_labels_teach_nothing_about_what_is_generated() -> None:
    net = build_discriminator(GanSpec("ss", 19, K, maps=2, width=4, window=5, dropout=0.0), seed=0)
    x = noise(6, 1, 19, 5, 5).float()

    def row_of_fake(loss: Tensor) -> Tensor:
        weight, bias = torch.autograd.grad(loss, list(net.head.parameters()))
        return torch.cat((weight[K].flatten(), bias[K : K + 1]))

    targets = torch.arange(6).reshape(6, 1, 1) % K
    judged = net.identify(x)
    assert torch.equal(row_of_fake(labelled_loss(judged.classes, targets)), torch.zeros(5))
    for loss in (real_loss, generated_loss):
        judged = net.identify(x)
        assert row_of_fake(loss(judged.classes, judged.fake)).abs().max() > 1e-3


@pytest.mark.parametrize("k", [2, 3, 16])
@pytest.mark.parametrize("level", [0.0, -5.0, 200.0])
def test_a_discriminator_at_chance(k: int, level: float) -> None:
    classes, fake = zeros(3, k, 2, 2) + level, zeros(3, 2, 2) + level
    assert real_loss(classes, fake).item() == pytest.approx(math.log((k + 1) / k), abs=1e-12)
    assert generated_loss(classes, fake).item() == pytest.approx(math.log(k + 1), abs=1e-12)
    assert labelled_loss(classes, torch.zeros(3, 2, 2).long()).item() == pytest.approx(math.log(k), abs=1e-12)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("fake", [-200.0, 0.0, 200.0])
@pytest.mark.parametrize("high", [(), (1,), (0, 1, 2, 3)])
def test_huge_logits_keep_values_and_gradients_finite(dtype: torch.dtype, fake: float, high: tuple[int, ...]) -> None:
    classes = torch.full((1, K, 2, 2), -200.0, dtype=dtype)
    classes[:, list(high)] = 200.0
    fakes = torch.full((1, 2, 2), fake, dtype=dtype)
    lse = (200.0 if high else -200.0) + math.log(len(high) or K)
    m = lse - fake
    targets = torch.zeros(1, 2, 2, dtype=torch.int64)
    for loss, expected in ((real_loss, max(-m, 0.0)), (generated_loss, max(m, 0.0))):
        near = 1e-4 if abs(m) > 20 else 2.0  # softplus(m) and max(m, 0) differ by up to ln 2 near m = 0
        assert loss(classes, fakes).item() == pytest.approx(expected, abs=near)
        assert all(g.isfinite().all() for g in gradient(loss, classes, fakes))
    assert labelled_loss(classes, targets).item() == pytest.approx(lse - classes[0, 0, 0, 0].item(), abs=1e-4)
    for single in (lambda c: labelled_loss(c, targets), lambda c: agreement_loss(c, -c.flip(1))):
        assert single(classes).isfinite()
        assert gradient(single, classes)[0].isfinite().all()


def test_gradients_are_those_of_the_formulas() -> None:
    classes, fake = (x.requires_grad_() for x in scores(spread=1.0))
    teacher, targets = scores(3)[0], torch.arange(30).reshape(2, 3, 5) % (K + 1) - 1
    assert torch.autograd.gradcheck(real_loss, (classes, fake))
    assert torch.autograd.gradcheck(generated_loss, (classes, fake))
    assert torch.autograd.gradcheck(lambda c: labelled_loss(c, targets), (classes,))
    assert torch.autograd.gradcheck(lambda c: agreement_loss(c, teacher), (classes,))


def test_unlabelled_positions_change_neither_value_nor_gradient() -> None:
    classes, _ = scores()
    targets = torch.arange(30).reshape(2, 3, 5) % (K + 1) - 1
    known = targets >= 0
    other = torch.where(known[:, None], classes, 50 * noise(2, K, 3, 5, seed=9))
    assert torch.equal(labelled_loss(classes, targets), labelled_loss(other, targets))
    one, two = (gradient(lambda c: labelled_loss(c, targets), c)[0] for c in (classes, other))
    assert torch.equal(one, two)
    assert (one.movedim(1, -1)[~known] == 0).all()
    assert (one.movedim(1, -1)[known].abs().amax(1) > 0).all()
    alone = classes.movedim(1, -1)[known]
    assert_equal(labelled_loss(classes, targets), labelled_loss(alone, targets[known]))


def test_no_label_and_no_pool_are_no_loss() -> None:
    classes, fake = scores()
    targets = torch.full((2, 3, 5), -1)
    assert labelled_loss(classes, targets).item() == 0
    assert real_loss(classes[:0], fake[:0]).item() == 0
    assert (gradient(lambda c: labelled_loss(c, targets), classes)[0] == 0).all()


def test_fooling_is_passing_for_real() -> None:
    classes, fake = scores()
    assert torch.equal(fooling_loss(classes, fake), real_loss(classes, fake))
    by_class, by_fake = gradient(fooling_loss, classes, fake)
    assert (by_class < 0).all()  # a step down raises what speaks for a class
    assert (by_fake > 0).all()


def test_features_match_where_their_means_do() -> None:
    real = noise(6, 5, 3, 3)
    mixed = real.movedim(1, 0).flatten(1)[:, torch.randperm(54, generator=torch.Generator().manual_seed(1))]
    other = mixed.reshape(5, 6, 3, 3).movedim(0, 1)
    assert not torch.equal(real, other)
    assert matching_loss(real, other).item() == pytest.approx(0, abs=1e-20)
    assert matching_loss(real, real.mean((0, 2, 3), keepdim=True).expand(2, -1, 4, 1)).item() < 1e-20
    for channel in range(5):
        moved = other.clone()
        moved[:, channel] += 0.5
        assert matching_loss(real, moved).item() == pytest.approx(0.25 / 5, abs=1e-12)


def test_matching_moves_the_generated_features_only() -> None:
    real, generated = noise(4, 5, 2, 2).requires_grad_(), noise(3, 5, 1, 1, seed=1).requires_grad_()
    matching_loss(real, generated).backward()
    assert real.grad is None
    assert generated.grad is not None
    gap = generated.detach().mean((0, 2, 3)) - real.detach().mean((0, 2, 3))
    expected = (2 / 5 * gap / 3)[None, :, None, None].expand(3, 5, 1, 1)
    assert_equal(generated.grad, expected)


def test_agreement_is_least_where_the_student_says_what_the_teacher_does() -> None:
    teacher, _ = scores()
    p = teacher.softmax(1)
    entropy = -(p * p.log()).sum(1).mean()
    assert_equal(agreement_loss(teacher, teacher), entropy)
    assert_equal(agreement_loss(teacher + 3, teacher), entropy)
    assert gradient(lambda c: agreement_loss(c, teacher), teacher)[0].abs().max() < 1e-12
    for seed in range(20):
        student = teacher + 0.1 * noise(2, K, 3, 5, seed=seed + 7)
        q = student.softmax(1)
        apart = (p * (p / q).log()).sum(1).mean()  # Kullback-Leibler
        assert apart > 1e-6
        assert_equal(agreement_loss(student, teacher), entropy + apart)


def test_the_teacher_is_not_taught() -> None:
    student, teacher = scores()[0].requires_grad_(), scores(1)[0].requires_grad_()
    agreement_loss(student, teacher).backward()
    assert teacher.grad is None
    assert student.grad is not None
    assert student.grad.abs().max() > 1e-3
