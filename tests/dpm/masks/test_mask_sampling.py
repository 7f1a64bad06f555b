"""Masks are drawn as one state of a whole image: windows, batches, mirror images and caches change nothing."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from hyperseg.core import SettingError
from hyperseg.dpm.adapters import denoiser
from hyperseg.dpm.grid import start_level
from hyperseg.dpm.masks.codes import MaskCode
from hyperseg.dpm.masks.model import MaskModel
from hyperseg.dpm.masks.network import Condition, MaskDenoiser, mask_denoiser_spec
from hyperseg.dpm.masks.sampling import check_draw, draw_masks, normal_noise
from hyperseg.dpm.masks.settings import DrawSettings, MaskNetworkSettings
from hyperseg.dpm.masks.steps import MeanOfSteps
from hyperseg.dpm.masks.windows import Sight
from hyperseg.dpm.network import denoiser_spec
from hyperseg.dpm.samplers import SAMPLERS
from hyperseg.dpm.schedules import SCHEDULES

COSINE = SCHEDULES["cosine"]
HOW = DrawSettings(samples=2, calls=3, fusion="mean")
Says = Callable[[Tensor, Tensor, Tensor], Tensor]


class Formula(nn.Module):
    """A network that is a formula of (x, place, image); it counts the conditions it makes."""

    def __init__(self, says: Says) -> None:
        super().__init__()
        self.says, self.conditions = says, 0

    def condition(self, image: Tensor) -> Condition:
        self.conditions += 1
        return Condition((image,))

    def forward(self, x: Tensor, place: Tensor, image: Condition) -> Tensor:
        return self.says(x, place, image.maps[0])


def pixelwise(x: Tensor, place: Tensor, image: Tensor) -> Tensor:
    return 2 * torch.tanh(x + image.sum(1, keepdim=True)) + place.view(-1, *[1] * (x.ndim - 1)) / 1000 - 0.3


def of(*says: Says, code: MaskCode | None = None, schedule: Any = COSINE, what: Any = "x0") -> MaskModel:
    networks: Any = [Formula(one) for one in says]
    return MaskModel(networks, code or MaskCode(2), schedule, what)


def image_of(*size: int, channels: int = 2) -> Tensor:
    return torch.randn(channels, *size, generator=torch.Generator().manual_seed(7))


def draw(model: MaskModel, image: Tensor, patch: tuple[int, ...], how: DrawSettings = HOW, **options: Any) -> Tensor:
    """(R, K, *S) of all samples."""
    noise = normal_noise(3, model.code.channels, image.shape[1:])
    return torch.stack([*draw_masks(model, image, patch, how, **{"noise": noise, "device": "cpu"} | options)])


def network(*, channels: int = 1) -> MaskDenoiser:
    """A small one that says something."""
    torch.manual_seed(11)
    spec = mask_denoiser_spec(
        denoiser_spec(1, 2, widths=(4, 8, 8)).backbone, channels=channels, size=(16, 16), image_channels=2,
        chosen=MaskNetworkSettings(), cond_dim=16,
    )  # fmt: skip
    net = MaskDenoiser(spec).eval()
    nn.init.normal_(net.last.layer.weight)  # type: ignore[arg-type]
    return net


@pytest.mark.parametrize("what", ["x0", "eps", "v"])
def test_an_image_in_one_window_is_drawn_as_the_sampler_draws_it(what: Any) -> None:
    model, image, code = of(pixelwise, what=what), image_of(9, 12), MaskCode(2)
    sampler = SAMPLERS["ddim"]
    grid = sampler.grid(COSINE, 3)

    def said(x: Tensor, place: Tensor) -> Tensor:
        out = pixelwise(x, place, image.expand(2, -1, -1, -1))
        return code.clean(out) if what == "x0" else out

    noise = torch.stack([normal_noise(3, 1, (9, 12))(n) for n in range(2)])
    plain = denoiser(said, COSINE, what, clip=None if what == "x0" else 1.0)
    found = sampler.sample(plain, start_level(grid) * noise.double(), grid, generator=torch.Generator())
    assert torch.equal(draw(model, image, (16, 16)), code.probabilities(found.x).float())
    assert torch.equal(draw(model, image, (9, 12)), code.probabilities(found.x).float())


@pytest.mark.parametrize("sampler", ["ddim", "dpmpp-2m", "ddim-half"])
def test_windows_change_nothing_where_the_network_sees_pixels_one_by_one(sampler: str) -> None:
    how = replace(HOW, sampler=sampler)
    whole, cut = (draw(of(pixelwise), image_of(21, 17), (side, side), how) for side in (32, 8))
    assert torch.allclose(whole, cut, atol=1e-6)
    assert not torch.allclose(whole[0], whole[1], atol=1e-2)  # two samples are two masks


@pytest.mark.parametrize("sampler", ["ddim", "dpmpp-2m", "ddpm", "edm-churn"])
def test_samples_in_one_batch_are_the_samples_one_by_one(sampler: str) -> None:
    model = MaskModel([network(channels=3)], MaskCode(3), COSINE, "x0")
    image, how = image_of(24, 20), replace(HOW, samples=3, sampler=sampler)
    noise = normal_noise(3, 3, (24, 20))
    together = draw(model, image, (16, 16), how)
    alone = [draw(model, image, (16, 16), replace(how, samples=1), noise=lambda _, n=n: noise(n)) for n in range(3)]
    assert torch.allclose(together, torch.cat(alone), atol=1e-5)
    assert torch.equal(together, draw(model, image, (16, 16), how))


def test_more_samples_than_one_batch_holds_are_drawn_in_turns() -> None:
    model, image, told = of(pixelwise), image_of(64, 64), []
    many = draw(model, image, (64, 64), replace(HOW, samples=6), watch=lambda step, x0: told.append((step, len(x0))))
    assert told == [(0, 4), (1, 4), (2, 4), (0, 2), (1, 2), (2, 2)]
    assert torch.equal(many[:2], draw(model, image, (64, 64)))


def test_conditions_that_are_kept_are_those_that_are_computed_again() -> None:
    model, image = MaskModel([network(), network()], MaskCode(2), COSINE, "x0"), image_of(48, 32)
    x = torch.randn(16, 1, 48, 32, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    answers, held = [], []
    for kept in (0, 10_000, 10**9):
        sight = Sight(model, image, (32, 32), samples=16, device="cpu", kept=kept)
        with torch.no_grad():
            answers += [sight(x, torch.ones(16, dtype=torch.float64)).x0 for _ in range(2)]
        held.append(len(sight.conditions))
        assert sum(maps.numel() for one in sight.conditions.values() for maps in one.maps) <= kept
    assert all(torch.equal(answers[0], other) for other in answers)
    assert held == [0, 2, 4]  # of two windows and two networks


def test_a_condition_is_made_once_for_all_samples_and_calls() -> None:
    model = of(pixelwise)
    draw(model, image_of(64, 64), (64, 64), DrawSettings(samples=9, calls=4))
    assert model.networks[0].conditions == 1


def test_planes_of_a_volume_are_images_of_their_own() -> None:
    model = MaskModel([network()], MaskCode(2), COSINE, "x0")
    volume = image_of(3, 20, 16)
    noise = normal_noise(3, 1, (3, 20, 16))
    found = draw(model, volume, (16, 16))
    for plane in range(3):
        alone = draw(model, volume[:, plane], (16, 16), noise=lambda n, at=plane: noise(n)[:, at])
        assert torch.allclose(found[:, :, plane], alone, atol=1e-5)


def test_networks_and_mirror_images_are_averaged() -> None:
    def constant(logit: float) -> Says:
        return lambda x, place, image: torch.full_like(x, logit)

    def ramp(x: Tensor, place: Tensor, image: Tensor) -> Tensor:
        return torch.linspace(-2, 2, x.shape[-1]).expand(x.shape)

    two = draw(of(constant(3.0), constant(-1.0)), image_of(6, 6), (6, 6))
    expected = torch.tensor([3.0, -1.0]).sigmoid().mean()
    assert torch.allclose(two[:, 1], expected, atol=1e-5)
    assert torch.allclose(draw(of(ramp), image_of(6, 6), (6, 6), mirror=True), torch.tensor(0.5), atol=1e-5)
    plain, mirrored = (draw(of(pixelwise), image_of(6, 7), (6, 7), mirror=mirror) for mirror in (False, True))
    assert torch.allclose(plain, mirrored, atol=1e-6)


@pytest.mark.parametrize("code", [MaskCode(5), MaskCode(5, "bits")], ids=str)
def test_what_comes_out_is_the_clean_mask_of_all_channels_without_gradient(code: MaskCode) -> None:
    word = code.encoded(torch.tensor([[3]]))[0, :, 0].view(1, -1, 1, 1)

    def always(x: Tensor, place: Tensor, image: Tensor) -> Tensor:
        return nn.Parameter(20 * word).expand(x.shape)

    found = draw(of(always, code=code), image_of(7, 5).requires_grad_(), (4, 4), replace(HOW, samples=3))
    assert found.shape == (3, 5, 7, 5)
    assert found.dtype == torch.float32
    assert not found.requires_grad
    assert bool((found[:, 3] > 0.99).all())


def test_ddim_converges_with_order_one_where_the_denoiser_is_known() -> None:
    spread = 0.1  # of normal data, far from where clean data are cut

    def noise_of(x: Tensor, place: Tensor, image: Tensor) -> Tensor:
        t = ((place.double() + 1) / 1000).view(-1, 1, 1, 1)
        abar = COSINE.alpha(t) ** 2
        return ((1 - abar).sqrt() * x / (abar * spread**2 + 1 - abar)).float()

    def error(calls: int) -> float:
        how = DrawSettings(samples=1, calls=calls, fusion="mean")
        grid = check_draw(how, COSINE)[1]
        level = start_level(grid)
        right = normal_noise(3, 1, (8, 8))(0) * level * spread / (spread**2 + level**2) ** 0.5
        found = draw(of(noise_of, what="eps"), image_of(8, 8), (8, 8), how)[0, 1] * 2 - 1
        return float((found - right[0]).abs().max())

    errors = [error(calls) for calls in (20, 40, 80)]
    assert all(1.7 < a / b < 2.4 for a, b in pairwise(errors)), errors


def test_calls_are_told_as_they_are_done() -> None:
    told: list[tuple[int, int]] = []
    seen: list[Tensor] = []
    image = image_of(40, 40)
    options: dict[str, Any] = {"done": lambda *n: told.append(n), "watch": lambda step, x0: seen.append(x0)}
    found = draw(of(pixelwise), image, (32, 32), replace(HOW, samples=10), **options)
    assert told == [(n, len(told)) for n in range(1, len(told) + 1)]
    assert len(seen) == 3
    assert torch.allclose(MaskCode(2).probabilities(seen[-1]).float(), found)


def test_what_cannot_be_drawn_is_refused_before_a_network_is_asked() -> None:
    for name, calls, says in (
        ("iddpm", 5, "head"), ("analytic-ddpm", 5, "fitted to data"), ("restart", 3, "at least"), ("dim", 5, "ddim"),
    ):  # fmt: skip
        with pytest.raises(SettingError, match=says):
            draw_masks(
                of(pixelwise), image_of(4, 4), (4, 4), DrawSettings(calls=calls, sampler=name, fusion="mean"),
                noise=lambda n: torch.empty(0), device="cpu",
            )  # fmt: skip
    with pytest.raises(SettingError, match="NaN or infinity"):
        draw(of(pixelwise), image_of(4, 4) / 0, (4, 4))


def test_the_mean_of_steps_weighs_each_by_its_certainty() -> None:
    code = MaskCode(3)
    steps = [torch.randn(2, 3, 4, generator=torch.Generator().manual_seed(i)).softmax(1) for i in range(3)]
    mean = MeanOfSteps(code, 3)
    for one in steps:
        mean.add(2 * one - 1)
    certain = [1 + (p * p.log()).sum(1, keepdim=True) / math.log(3) for p in steps]
    weights = [torch.exp(torch.tensor((i + 1) / 3).sigmoid() * one) for i, one in enumerate(certain)]
    expected = sum(w * p for w, p in zip(weights, steps, strict=True)) / sum(weights)
    assert torch.allclose(mean.probabilities(), expected, atol=1e-5)
    flat = draw(of(lambda x, place, image: 0 * x + 1), image_of(4, 4), (4, 4), replace(HOW, fusion="steps"))
    assert torch.allclose(flat[:, 1], torch.tensor(1.0).sigmoid(), atol=1e-5)  # all steps say the same


def test_noise_depends_on_seed_and_number_alone() -> None:
    noise = normal_noise(3, 2, (5, 4))
    assert noise(1).shape == (2, 5, 4)
    assert torch.equal(noise(1), normal_noise(3, 2, (5, 4))(1))
    assert not torch.equal(noise(1), noise(2))
    assert not torch.equal(noise(1), normal_noise(4, 2, (5, 4))(1))
