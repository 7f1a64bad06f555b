"""Cos-Dice: the published gradients, the sine and the cosine form, its order near the optimum, and empty masks."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from hyperseg.core import SettingError
from hyperseg.losses import parse_loss
from hyperseg.losses.cosdice import CosDice, cos_dice, mean_of_present
from hyperseg.losses.dice import soft_dice
from hyperseg.losses.loss import Sums

AT = (0.05, 0.5, 0.9, 0.99)
GRADIENTS = {1.0: (".12 1.11 1.55 1.57"), 1.7: ".21 1.48 .72 .15", 2.0: ".25 1.57 .49 .05", 3.0: ".37 1.67 .11 .001"}
POWERS = (1.2, 1.7, 2.0, 3.0)


def gradient(dsc: Tensor, q: float) -> Tensor:
    dsc = dsc.clone().requires_grad_()
    (found,) = torch.autograd.grad(cos_dice(dsc, q).sum(), dsc)
    return found


def drawn(size: tuple[int, ...] = (7, 5), n_classes: int = 3, n: int = 3) -> tuple[Tensor, Tensor]:
    rng = torch.Generator().manual_seed(0)
    return torch.randn(n, n_classes, *size, generator=rng), torch.randint(n_classes, (n, *size), generator=rng)


def sure(labels: Tensor, n_classes: int) -> Tensor:
    """Logits of which the softmax is one-hot in float32."""
    return 200.0 * F.one_hot(labels, n_classes).movedim(-1, 1).float()


def loss_of(logits: Tensor, labels: Tensor, loss: CosDice | None = None, **sums: bool | float) -> Tensor:
    (found,) = (loss or CosDice())(logits, labels, Sums(**sums)).values()  # type: ignore[arg-type]
    return found


@pytest.mark.parametrize("q", GRADIENTS)
def test_the_table_of_gradients(q: float) -> None:
    found = -gradient(torch.tensor(AT, dtype=torch.float64), q)
    for value, told in zip(found.tolist(), GRADIENTS[q].split(), strict=True):
        assert value == pytest.approx(float(told), abs=0.5001 * 10 ** -len(told.split(".")[1]))


@pytest.mark.parametrize(("q", "place", "height"), [(1.7, 0.556, 1.50), (2.0, 0.5, 1.57), (3.0, 0.392, 1.81)])
def test_where_the_gradient_is_largest(q: float, place: float, height: float) -> None:
    dsc = torch.linspace(0, 1, 100_001, dtype=torch.float64)
    largest, at = (-gradient(dsc, q)).max(0)
    assert float(dsc[at]) == pytest.approx(place, abs=1e-3)
    assert math.tan(math.pi / 2 * float(dsc[at])) ** 2 == pytest.approx(1 / (q - 1), rel=1e-3)
    assert float(largest) == pytest.approx(height, abs=0.01)


def test_at_one_the_gradient_would_be_largest_at_the_optimum() -> None:
    slopes = -gradient(torch.linspace(0, 1, 1001, dtype=torch.float64), 1.0)
    assert int(slopes.argmax()) == 1000
    for q in (1, 1.0, 0.5, -2):
        with pytest.raises(SettingError, match="largest at a perfect"):
            CosDice(q=q)
    with pytest.raises(SettingError, match="above 0"):
        CosDice(smooth=0)


@pytest.mark.parametrize("q", POWERS)
def test_sine_and_cosine_are_the_same(q: float) -> None:
    dsc = torch.linspace(0, 0.999, 1000, dtype=torch.float64)
    assert torch.allclose(cos_dice(dsc, q), (math.pi / 2 * dsc).cos().pow(q), rtol=1e-9, atol=0)
    known = -q * math.pi / 2 * (math.pi / 2 * dsc).cos().pow(q - 1) * (math.pi / 2 * dsc).sin()
    assert torch.allclose(gradient(dsc, q), known, rtol=1e-9, atol=1e-15)


@pytest.mark.parametrize("q", POWERS)
def test_the_order_near_the_optimum_is_the_power(q: float) -> None:
    short = torch.logspace(-6, -2, 41, dtype=torch.float64)
    loss = cos_dice(1 - short, q)
    x, y = short.log() - short.log().mean(), loss.log() - loss.log().mean()
    assert float((x * y).sum() / (x * x).sum()) == pytest.approx(q, abs=1e-3)
    assert torch.allclose(loss, (math.pi / 2 * short).pow(q), rtol=1e-3, atol=0)


@pytest.mark.parametrize("q", POWERS)
def test_it_falls_from_one_to_zero(q: float) -> None:
    dsc = torch.linspace(0, 1, 10_001, dtype=torch.float64)
    loss = cos_dice(dsc, q)
    assert float(loss[0]) == 1
    assert float(loss[-1]) == 0
    assert bool((loss.diff() < 0).all())


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_just_above_one_nothing_is_nan(dtype: torch.dtype) -> None:
    dsc = torch.tensor([0.0, 1.0, torch.nextafter(torch.tensor(1.0), torch.tensor(2.0)), 1.01], dtype=dtype)
    assert cos_dice(dsc, 1.7).tolist() == [1, 0, 0, 0]
    assert gradient(dsc, 1.7).tolist() == pytest.approx([0, 0, 0, 0], abs=2e-3 if dtype == torch.bfloat16 else 1e-6)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("n_classes", [2, 4])
@pytest.mark.parametrize("smooth", [1.0, 1e-3])
def test_a_perfect_answer_has_no_loss_and_no_gradient(dtype: torch.dtype, n_classes: int, smooth: float) -> None:
    _, labels = drawn(n_classes=n_classes)
    logits = sure(labels, n_classes).to(dtype).requires_grad_()
    loss = loss_of(logits, labels, CosDice(smooth=smooth))
    (found,) = torch.autograd.grad(loss, logits)
    assert float(loss.detach()) == 0
    assert found.dtype == dtype
    assert float(found.abs().max()) == 0


@pytest.mark.parametrize("n_classes", [2, 4])
@pytest.mark.parametrize("first", [0, 1])
def test_the_formula_pixel_by_pixel(n_classes: int, first: int) -> None:
    """In double precision; every image with the classes that it has alone."""
    logits, labels = drawn(n_classes=n_classes, n=4)
    labels[0][labels[0] == n_classes - 1] = 0
    labels[1] = 0
    labels[2, :2] = -1
    probs = logits.double().softmax(1)
    images = []
    for p, y in zip(probs, labels, strict=True):
        known = y >= 0
        has = [c for c in range(first, n_classes) if (y == c).any()] or list(range(first, n_classes))
        losses = []
        for c in has:
            both, sizes = p[c][y == c].sum(), p[c][known].sum() + (y == c).sum()
            losses.append(math.cos(math.pi / 2 * float((2 * both + 1) / (sizes + 1))) ** 1.7)
        images.append(sum(losses) / len(losses))
    assert float(loss_of(logits, labels, first=first)) == pytest.approx(sum(images) / len(images), abs=1e-6)


def test_two_classes_are_one_sigmoid() -> None:
    logits, labels = drawn(n_classes=2)
    one = torch.sigmoid(logits[:, 1] - logits[:, 0])
    dsc = (2 * (one * labels).sum((1, 2)) + 1) / (one.sum((1, 2)) + labels.sum((1, 2)) + 1)
    assert float(loss_of(logits, labels)) == pytest.approx(float(cos_dice(dsc, 1.7).mean()), abs=1e-6)


def test_the_cosine_is_of_each_class_and_image() -> None:
    """The cosine of a mean is another loss."""
    logits, labels = drawn()
    dsc = soft_dice(logits.log_softmax(1), labels, batch=False, smooth=1, first=1).dsc
    assert float(loss_of(logits, labels)) == pytest.approx(float(cos_dice(dsc, 1.7).mean()), abs=1e-6)
    assert abs(float(cos_dice(dsc, 1.7).mean() - cos_dice(dsc.mean(), 1.7))) > 1e-4


@pytest.mark.parametrize("batch", [False, True])
def test_a_batch_has_the_mean_of_its_images(batch: bool) -> None:
    logits, labels = drawn(n=5)
    labels[0] = 0
    labels[1, 0] = -1
    alone = [loss_of(logits[i : i + 1], labels[i : i + 1]) for i in range(5)]
    assert float(loss_of(logits, labels, batch=batch, smooth=7.0)) == pytest.approx(
        float(torch.stack(alone).mean()), abs=1e-6
    )


def test_an_empty_mask() -> None:
    labels = torch.zeros(1, 8, 8, dtype=torch.long)
    nothing = sure(labels, 3).requires_grad_()
    loss = loss_of(nothing, labels)
    (found,) = torch.autograd.grad(loss, nothing)
    assert float(loss.detach()) == 0
    assert float(found.abs().max()) == 0
    object_ = labels.index_fill(1, torch.tensor([0]), 1)
    logits = (sure(object_, 2) / 100).requires_grad_()  # 8 of 64 pixels, not quite sure
    loss = loss_of(logits, labels)
    (found,) = torch.autograd.grad(loss, logits)
    assert 0 < float(loss.detach()) < 1
    assert float(found[0, 1].min()) > 0  # a step against the gradient makes the object smaller
    assert bool(found.isfinite().all())
    both = torch.cat([labels, object_])  # beside an image that has it
    assert float(loss_of(sure(both, 2), both)) == 0


def test_a_class_that_is_not_there_counts_in_no_mean() -> None:
    logits, labels = drawn(n_classes=3)
    labels = labels.clamp(max=1)
    found = soft_dice(logits.log_softmax(1), labels, batch=False, smooth=1, first=1)
    assert found.present.tolist() == [[True, False]] * 3
    assert float(loss_of(logits, labels)) == pytest.approx(float(cos_dice(found.dsc[:, 0], 1.7).mean()), abs=1e-6)
    values = torch.tensor([[1.0, 3.0], [5.0, 7.0], [2.0, 4.0]])
    present = torch.tensor([[True, False], [False, False], [True, True]])
    assert float(mean_of_present(values, present)) == pytest.approx((1 + 6 + 3) / 3)


def test_what_stands_at_unlabelled_pixels_changes_nothing() -> None:
    logits, labels = drawn()
    labels[:, :2] = -1
    other = logits.clone()
    other[:, :, :2] = 50 * torch.randn(other[:, :, :2].shape, generator=torch.Generator().manual_seed(3))
    assert torch.equal(loss_of(logits, labels), loss_of(other, labels))
    assert float(loss_of(logits[:, :, 2:], labels[:, 2:])) == pytest.approx(float(loss_of(logits, labels)), abs=1e-6)
    logits = logits.requires_grad_()
    loss = loss_of(logits, torch.full_like(labels, -1))
    (found,) = torch.autograd.grad(loss, logits)
    assert float(loss.detach()) == 0
    assert float(found.abs().max()) == 0


def test_single_pixels_are_one_image() -> None:
    logits, labels = drawn((6, 5), n=1)
    flat = logits[0].flatten(1).t()
    assert float(loss_of(flat, labels[0].flatten())) == pytest.approx(float(loss_of(logits, labels)), abs=1e-6)


def test_the_overlap_is_that_of_monai() -> None:
    losses = pytest.importorskip("monai.losses")
    logits, labels = drawn(n_classes=2)
    theirs = losses.DiceLoss(
        to_onehot_y=True, softmax=True, include_background=False, smooth_nr=1, smooth_dr=1, reduction="none"
    )
    dsc = 1 - theirs(logits, labels[:, None]).flatten()
    assert float(loss_of(logits, labels)) == pytest.approx(float(cos_dice(dsc, 1.7).mean()), abs=1e-6)


def test_it_is_spelled_with_its_power() -> None:
    assert parse_loss("cosdice:q=2") == parse_loss("cosdice:2") == CosDice(q=2)
    with pytest.raises(SettingError, match=r"cosdice:q=0\.9.*largest at a perfect overlap"):
        parse_loss("cosdice:q=0.9")
    with pytest.raises(SettingError, match=r"q is 0\.99999999: give more than 1"):
        CosDice(q=0.99999999)


@pytest.mark.parametrize("text", ["cosdice:q=11", "cosdice:smooth=1e7"])
def test_what_would_train_nothing_is_refused(text: str) -> None:
    with pytest.raises(SettingError, match="at most"):
        parse_loss(text)


@pytest.mark.parametrize(
    "text", ["cosdice:q=10", "cosdice:smooth=1e6", "focal:gamma=10", "tversky:fn_weight=0.001,fp_weight=0"]
)
def test_the_largest_and_smallest_settings_still_have_a_gradient(text: str) -> None:
    labels = (torch.arange(64).view(1, 8, 8) % 3 == 0).long()
    logits = torch.zeros(1, 2, 8, 8, requires_grad=True)
    torch.stack([*parse_loss(text)(logits, labels, Sums()).values()]).sum().backward()
    assert logits.grad is not None
    assert logits.grad.abs().max() > 0
