"""Losses over masks: what is minimised, where nothing is learnt, and that the twin is the network itself."""

from __future__ import annotations

from typing import Any, get_args

import pytest
import torch
from torch import Tensor, nn

from hyperseg.dpm.masks.codes import MaskCode
from hyperseg.dpm.masks.learning import diffusion_loss, noisiest_place, random_times, regions, twin_loss
from hyperseg.dpm.masks.settings import Says
from hyperseg.dpm.schedules import SCHEDULES
from hyperseg.losses.dice import dice_and_cross_entropy

COSINE = SCHEDULES["cosine"]


class Told(nn.Module):
    """Says the same whatever it sees, and keeps what it was shown."""

    def __init__(self, says: Tensor) -> None:
        super().__init__()
        self.says = nn.Parameter(says)
        self.seen: list[tuple[Tensor, Tensor]] = []

    def forward(self, x: Tensor, place: Tensor, image: Tensor) -> Tensor:
        self.seen.append((x, place))
        return self.says.expand(len(x), *self.says.shape[1:])

    def blank(self, image: Tensor, place: float) -> Tensor:
        x = image.new_zeros(len(image), *self.says.shape[1:])
        return self(x, image.new_full((len(x),), place), image)


def batch_of(code: MaskCode, *, n: int = 3) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(5)
    labels = torch.randint(-1, code.n_classes, (n, 6, 7), generator=generator)
    return torch.randn(n, 2, 6, 7, generator=generator), labels


def told(code: MaskCode) -> Any:
    return Told(torch.randn(1, code.channels, 6, 7, generator=torch.Generator().manual_seed(6)))


@pytest.mark.parametrize("says", get_args(Says))
@pytest.mark.parametrize("code", [MaskCode(2), MaskCode(5), MaskCode(5, "bits")], ids=str)
def test_pixels_without_a_label_have_no_gradient_at_all(code: MaskCode, says: Says) -> None:
    image, labels = batch_of(code, n=1)
    net = told(code)
    torch.manual_seed(0)
    sum(diffusion_loss(net, code, COSINE, says)((image, labels)).values()).backward()
    here = (labels[0] >= 0).expand(code.channels, -1, -1)
    assert bool((net.says.grad[0][~here] == 0).all())
    assert bool((net.says.grad[0][here] != 0).any())


@pytest.mark.parametrize("says", get_args(Says))
def test_patches_without_any_label_teach_nothing_and_are_finite(says: Says) -> None:
    code = MaskCode(3)
    image, labels = batch_of(code)
    net = told(code)
    terms = diffusion_loss(net, code, COSINE, says)((image, torch.full_like(labels, -1)))
    sum(terms.values()).backward()
    assert all(bool(term.isfinite()) for term in terms.values())
    assert bool((net.says.grad == 0).all())


def test_noise_and_velocity_are_the_mean_square_over_labelled_pixels() -> None:
    code = MaskCode(4)
    image, labels = batch_of(code)
    net, known = told(code), labels >= 0
    for says in ("eps", "v"):
        torch.manual_seed(3)
        found = diffusion_loss(net, code, COSINE, says)((image, labels))["square"]
        torch.manual_seed(3)
        regions(labels, 0)  # the same random numbers
        noise, t = torch.randn(3, 4, 6, 7), random_times(COSINE, labels)
        alpha, std = (curve(t).float().view(3, 1, 1, 1) for curve in (COSINE.alpha, COSINE.std))
        right = noise if says == "eps" else alpha * noise - std * code.encoded(labels)
        squares = ((net.says - right) ** 2).movedim(1, -1)[known]
        assert torch.allclose(found, squares.mean())
        x, place = net.seen[-1]
        assert torch.allclose(x, alpha * code.encoded(labels) + std * noise)
        assert torch.equal(place, COSINE.place(t).float())


def test_the_mask_is_learnt_by_dice_and_cross_entropy_of_its_logits() -> None:
    code = MaskCode(4, "bits")
    image, labels = batch_of(code)
    net = told(code)
    for batch_dice, first in ((False, 1), (True, 0)):
        options = {"batch_dice": batch_dice, "first": first}
        found = diffusion_loss(net, code, COSINE, "x0", **options)((image, labels))
        logits = code.logits(net.says.expand(3, -1, -1, -1))
        assert found == dice_and_cross_entropy(logits, labels, batch=batch_dice, first=first)._asdict()
        assert found == twin_loss(net, code, COSINE, **options)((image, labels))


def test_the_twin_is_shown_no_mask_at_the_end_of_the_schedule() -> None:
    code = MaskCode(2)
    net = told(code)
    twin_loss(net, code, COSINE)(batch_of(code))
    x, place = net.seen[0]
    assert not x.any()
    assert place.tolist() == [999.0] * 3 == [noisiest_place(COSINE)] * 3


def test_times_are_one_of_each_part_of_the_schedule() -> None:
    torch.manual_seed(1)
    t = random_times(COSINE, torch.zeros(50))
    assert bool((((t * 50).ceil() - torch.arange(1, 51)).abs() <= 1).all())  # a whole step up, at most
    assert torch.equal(t, (t * 1000).round() / 1000)


def test_a_share_of_the_times_is_the_last() -> None:
    torch.manual_seed(1)
    t = random_times(COSINE, torch.zeros(2000), pure=0.5)
    assert abs(float((t == COSINE.t_max).double().mean()) - 0.5) < 0.04
    assert abs(float(t[t < COSINE.t_max].mean()) - 0.5) < 0.02
    assert t.dtype == torch.float64
    assert bool((random_times(COSINE, torch.zeros(9), pure=1.0) == COSINE.t_max).all())


@pytest.mark.parametrize("shape", [(40, 30), (24, 20, 16), (50,)])
def test_hidden_regions_are_boxes_of_the_share_that_is_asked_for(shape: tuple[int, ...]) -> None:
    torch.manual_seed(2)
    hidden = regions(torch.zeros(400, *shape), 0.3)
    assert hidden.shape == (400, 1, *shape)
    assert abs(float(hidden.float().mean()) - 0.3) < 0.01
    assert 0.15 < float(hidden.float().mean(0).min()) <= float(hidden.float().mean(0).max()) < 0.45
    box = hidden[0, 0]
    at = box.nonzero()
    assert len(at) == torch.tensor([len(places.unique()) for places in at.T]).prod()  # rows times columns times ...
    assert not regions(torch.zeros(3, *shape), 0).any()


def test_a_hidden_mask_is_shown_as_neutral_and_its_classes_are_asked_for_all_the_same() -> None:
    code = MaskCode(2)
    labels = torch.ones(8, 6, 7, dtype=torch.long)
    image, net = torch.zeros(8, 1, 6, 7), told(code)
    torch.manual_seed(4)
    diffusion_loss(net, code, COSINE, "x0", hide=0.5)((image, labels))["cross_entropy"].backward()
    assert bool((net.says.grad < 0).all())
    torch.manual_seed(4)
    hidden = regions(labels, 0.5)
    noise, t = torch.randn(8, 1, 6, 7), random_times(COSINE, labels)
    alpha, std = (curve(t).float().view(8, 1, 1, 1) for curve in (COSINE.alpha, COSINE.std))
    assert torch.allclose(net.seen[0][0], alpha * ~hidden + std * noise)
