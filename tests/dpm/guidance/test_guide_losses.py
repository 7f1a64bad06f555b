"""Terms of guidance: closed forms, and what every term promises about weights, samples and gradients."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

import pytest
import torch
from exact_denoisers import gaussian
from guided_toys import linear_features, linear_heads, small_model, small_sources
from torch import Tensor, nn

from hyperseg.core import SettingError
from hyperseg.dpm.denoise import Denoise, Generators
from hyperseg.dpm.grid import make_grid, start
from hyperseg.dpm.guidance import GUIDANCES
from hyperseg.dpm.guidance.guide import guide
from hyperseg.dpm.guidance.losses import Loss, Sources, weighed
from hyperseg.dpm.guidance.prior import as_picture, prior_between, prior_error
from hyperseg.dpm.samplers import SAMPLERS
from hyperseg.dpm.schedules import SCHEDULES

LINEAR, SHAPE, NAMES = SCHEDULES["linear"], (3, 8, 8), list(GUIDANCES)


def seeded(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def each(n: int) -> list[torch.Generator]:
    return [seeded(100 + i) for i in range(n)]


def drawn(n: int, *shape: int, seed: int = 0) -> Tensor:
    return torch.stack([torch.randn(shape, generator=seeded(seed + i), dtype=torch.float64) for i in range(n)])


def slope(denoise: Denoise, loss: Loss, x: Tensor, level: float = 1.5) -> Tensor:
    at = x.clone().requires_grad_()
    sigma = torch.full((len(x),), level, dtype=torch.float64)
    return torch.autograd.grad(loss(denoise(at, sigma), sigma).sum(), at)[0]


def test_consistency_on_linear_features_has_the_gradient_of_the_weak_head_alone() -> None:
    """-2 (d_S - d_W) A^T b; with stopgrad at the other head, or at none, it would be another method."""
    a, strong, weak = drawn(1, 4, 6)[0], drawn(1, 4, seed=1)[0], drawn(1, 4, seed=2)[0]
    denoise, x, level = linear_features(LINEAR, a), drawn(5, 6, seed=3), 1.5
    alpha = (1 + level**2) ** -0.5
    found = slope(denoise, GUIDANCES["dcg"].loss(linear_heads(strong, weak), seeded(0)), x, level) / alpha  # to x_t
    apart = ((alpha * x) @ a.T @ (strong - weak))[:, None]
    torch.testing.assert_close(found, -2 * apart * (a.T @ weak), rtol=1e-6, atol=1e-9)
    for wrong in (2 * apart * (a.T @ strong), 2 * apart * (a.T @ (strong - weak))):
        assert float((found - wrong).norm() / found.norm()) > 0.5


def test_guidance_by_consistency_moves_x0_by_minus_that_gradient() -> None:
    """mean: x0' - x0 = -w g sigma sqrt(alpha_t) sqrt(1 - abar) / beta."""
    a, strong, weak, x = drawn(1, 4, 6)[0], drawn(1, 4, seed=1)[0], drawn(1, 4, seed=2)[0], drawn(5, 6, seed=3)
    denoise, abars = linear_features(LINEAR, a), LINEAR.abars()
    sigma = ((1 - abars[499]) / abars[499]).sqrt()
    guided = guide(denoise, GUIDANCES["dcg"].loss(linear_heads(strong, weak), seeded(0)), 0.02, schedule=LINEAR)
    found = guided(x, sigma.expand(5)).x0 - denoise(x, sigma.expand(5)).x0
    apart = (abars[499].sqrt() * x @ a.T @ (strong - weak))[:, None]
    wanted = -0.02 * -2 * apart * (a.T @ weak) * sigma * 95.1310
    torch.testing.assert_close(found, wanted, rtol=1e-4, atol=0)  # of the factor, known to 6 digits


def gaussian_prior_loss(depth: Tensor, abar: float, s: float) -> Tensor:
    """(B,) E over eta of the loss, by noise whose second moments are those of normal noise, for D = 1."""
    level = torch.full((len(depth),), math.sqrt((1 - abar) / abar), dtype=torch.float64)
    both = [prior_error(gaussian(s), depth, level, torch.full_like(depth, sign)) for sign in (1.0, -1.0)]
    return (both[0] + both[1]) / 2


def test_the_prior_of_gaussian_depth_is_known() -> None:
    """D (abar s^2 / v)^2 + abar (1 - abar) / v^2 ||d||^2, v = abar s^2 + 1 - abar; slope 2 abar (1 - abar) / v^2 d."""
    golden = gaussian_prior_loss(torch.full((1, 1, 1), 1.3, dtype=torch.float64), 0.6, 0.7)
    assert float(golden) == pytest.approx(1.02159, abs=5e-6)
    for s, abar in ((0.7, 0.6), (0.3, 0.2), (1.5, 0.9)):
        depth = drawn(7, 1, 1).requires_grad_()
        v = abar * s**2 + 1 - abar
        loss = gaussian_prior_loss(depth, abar, s)
        wanted = (abar * s**2 / v) ** 2 + abar * (1 - abar) / v**2 * depth.square().flatten()
        torch.testing.assert_close(loss, wanted, rtol=1e-6, atol=1e-9)
        (found,) = torch.autograd.grad(loss.sum(), depth)
        torch.testing.assert_close(found, 2 * abar * (1 - abar) / v**2 * depth, rtol=1e-6, atol=1e-9)


class GaussianNetwork(nn.Module):
    """Says the noise of depth N(0, s^2) as it should; it remembers the places that it was told."""

    def __init__(self, s: float) -> None:
        super().__init__()
        self.s, self.places = s, Tensor()

    def forward(self, x: Tensor, place: Tensor, labels: Tensor | None = None) -> Tensor:
        self.places = place
        abar = LINEAR.alpha((place.double() + 1) / 1000) ** 2
        gain = (1 - abar).sqrt() / (abar * self.s**2 + 1 - abar)
        return gain[:, None, None, None].to(x.dtype) * x


def test_the_prior_draws_noise_and_times_and_sees_depth_as_a_picture() -> None:
    """Against the closed form for times 300/1000, and times of both ends."""
    network, n, s = GaussianNetwork(0.7), 4000, 0.7
    prior = replace(small_model(1), network=network)  # type: ignore[arg-type]
    sources = Sources(lambda tapped: tapped.levels[0], lambda tapped: tapped.levels[0], prior)
    y, x = torch.full((n, 1, 2, 2), 0.8), torch.zeros(n, 2, dtype=torch.float64)
    said = linear_features(LINEAR, torch.eye(2, dtype=torch.float64))(x, torch.ones(n, dtype=torch.float64))
    assert said.features is not None
    said = said._replace(features=said.features._replace(levels=(y,)))
    loss = prior_between(300, 300)(sources, seeded(0))(said, torch.ones(n, dtype=torch.float64))
    abar = float(LINEAR.alpha(torch.tensor(0.3, dtype=torch.float64)) ** 2)
    v, d = abar * s**2 + 1 - abar, float(as_picture(y)[0, 0, 0, 0])
    assert d == pytest.approx(0.6)
    wanted = 4 * (abar * s**2 / v) ** 2 + abar * (1 - abar) / v**2 * 4 * d**2
    assert float(loss.mean()) == pytest.approx(wanted, abs=4 * float(loss.std()) / math.sqrt(n))
    prior_between(100, 103)(sources, seeded(0))(said, torch.ones(n, dtype=torch.float64))
    assert sorted({round(place) for place in network.places.tolist()}) == [99, 100, 101, 102]


def flags(modules: Sequence[nn.Module]) -> list[tuple[bool, Tensor]]:
    return [(p.requires_grad, p.detach().clone()) for module in modules for p in module.parameters()]


def modules_of(name: str, sources: Sources, network: nn.Module) -> dict[str, nn.Module]:
    assert sources.prior is not None
    found = {"network": network, "strong": sources.strong, "weak": sources.weak, "prior": sources.prior.network}
    return {key: module for key, module in found.items() if isinstance(module, nn.Module)}


@pytest.mark.parametrize("name", NAMES)
def test_a_term_is_described_and_needs_what_it_says(name: str) -> None:
    term, model = GUIDANCES[name], small_model(3)
    sources = small_sources(model)
    assert term.name == name
    assert term.weighs or term.usual > 0
    if term.needs_prior:
        with pytest.raises(SettingError, match="needs a diffusion model of depth maps"):
            term.loss(replace(sources, prior=None), seeded(0))
    bare = model.differentiable()(drawn(2, *SHAPE), torch.ones(2, dtype=torch.float64))
    with pytest.raises(SettingError, match=r"no features: ask the network by DiffusionModel\.tapped"):
        term.loss(sources, seeded(0))(bare, torch.ones(2, dtype=torch.float64))


@pytest.mark.parametrize("name", NAMES)
def test_the_gradient_of_a_term_is_that_of_the_loss(name: str) -> None:
    """Along a line, by differences; the strong head stands still in what takes it as a target, as the consistency."""
    model = small_model(3)
    sources, x = small_sources(model), drawn(2, *SHAPE)
    sigma, way = torch.full((2,), 1.5, dtype=torch.float64), drawn(2, *SHAPE, seed=50)
    if name == "dcg":
        held = sources.strong(model.tapped()(x, sigma).features).detach()  # type: ignore[arg-type]
        sources = Sources(lambda tapped: held, sources.weak)

    def loss(at: Tensor) -> Tensor:
        return GUIDANCES[name].loss(sources, each(2))(model.tapped()(at, sigma), sigma).double()

    found = (slope(model.tapped(), GUIDANCES[name].loss(sources, each(2)), x) * way).flatten(1).sum(1)
    assert float(found.abs().min()) > 0
    step = 2e-3  # of a network in float32
    difference = (loss(x + step * way) - loss(x - step * way)) / (2 * step)
    torch.testing.assert_close(found, difference, rtol=0.01, atol=0.01 * float(found.abs().max()))


@pytest.mark.parametrize("name", NAMES)
def test_a_guided_step_leaves_all_weights_their_flags_and_their_gradients(name: str) -> None:
    model = small_model(3)
    sources = small_sources(model)
    kept = list(modules_of(name, sources, model.network).values())
    kept[0].encoder.requires_grad_(False)  # type: ignore[union-attr]
    before = flags(kept)
    x, sigma = drawn(4, *SHAPE), torch.full((4,), 1.5, dtype=torch.float64)
    told = guide(model.tapped(), GUIDANCES[name].loss(sources, each(4)), 1e-3, schedule=LINEAR)(x, sigma).x0
    assert float((told - model.denoise()(x, sigma).x0).abs().flatten(1).amax(1).min()) > 0
    assert all(p.grad is None for module in kept for p in module.parameters())
    for (flag, value), (flag_after, value_after) in zip(before, flags(kept), strict=True):
        assert flag == flag_after
        assert torch.equal(value, value_after)


@pytest.mark.parametrize("name", NAMES)
def test_without_weight_a_trajectory_of_a_network_is_the_unguided_one_to_the_last_bit(name: str) -> None:
    model = small_model(3)
    loss = GUIDANCES[name].loss(small_sources(model), seeded(0))
    grid = make_grid(LINEAR, 5, "trailing")
    x, ddpm = start(grid, (2, *SHAPE), seeded(1)), SAMPLERS["ddpm"].sample
    guided = guide(model.tapped(), loss, 0.0, schedule=LINEAR)
    ends = [ddpm(ask, x, grid, generator=seeded(2)).x for ask in (model.denoise(), guided)]
    assert torch.equal(ends[0], ends[1])


def test_consistency_teaches_the_weak_head_only_and_the_prior_goes_through_phi_and_the_strong_one() -> None:
    model = small_model(3)
    sources = small_sources(model)
    x, sigma = drawn(2, *SHAPE), torch.full((2,), 1.5, dtype=torch.float64)

    def reached(name: str) -> set[str]:
        said = model.tapped()(x, sigma)
        parts = modules_of(name, sources, model.network)
        loss = GUIDANCES[name].loss(sources, each(2))(said, sigma).sum()
        slopes = {
            key: torch.autograd.grad(loss, list(part.parameters()), allow_unused=True, retain_graph=True)
            for key, part in parts.items()
        }
        return {key for key, found in slopes.items() if any(s is not None and bool(s.abs().max() > 0) for s in found)}

    assert reached("dcg") == {"network", "weak"}
    assert reached("dpg") == {"network", "strong", "prior"}


@pytest.mark.parametrize("name", NAMES)
def test_the_gradient_of_a_sample_does_not_depend_on_the_batch(name: str) -> None:
    model = small_model(3)
    sources, x = small_sources(model), drawn(8, *SHAPE)
    batch = slope(model.tapped(), GUIDANCES[name].loss(sources, each(8)), x)
    scale = float(batch.abs().max())
    for i in range(8):
        generators: Generators = each(8)[i : i + 1]
        single = slope(model.tapped(), GUIDANCES[name].loss(sources, generators), x[i : i + 1])
        torch.testing.assert_close(single, batch[i : i + 1], rtol=1e-5, atol=1e-6 * scale)


def test_several_terms_are_their_weighted_sum_and_ask_the_strong_head_once() -> None:
    model = small_model(3)
    sources, x, asked = small_sources(model), drawn(2, *SHAPE), []

    def strong(tapped: object) -> Tensor:
        asked.append(1)
        return sources.strong(tapped)  # type: ignore[arg-type]

    counted = replace(sources, strong=strong)
    weights = {name: 0.5 + i for i, name in enumerate(NAMES)}
    alone = [w * slope(model.tapped(), GUIDANCES[n].loss(sources, each(2)), x) for n, w in weights.items()]
    both = weighed(GUIDANCES, weights, counted, each(2))
    for times in (1, 2):  # a second state is read anew
        at = x if times == 1 else -x
        found = slope(model.tapped(), both, at)
        assert len(asked) == times
        if times == 1:
            added = torch.stack(alone).sum(0)
            torch.testing.assert_close(found, added, rtol=1e-4, atol=1e-5 * float(found.abs().max()))
    with pytest.raises(SettingError, match="at least one loss"):
        weighed(GUIDANCES, dict.fromkeys(NAMES, 0.0), sources, seeded(0))
    with pytest.raises(SettingError, match="unknown guidance"):
        weighed(GUIDANCES, {"normals": 1.0}, sources, seeded(0))


def test_heads_that_do_not_fit_and_times_that_are_none_are_refused() -> None:
    a = torch.eye(2, dtype=torch.float64)
    wide = Sources(lambda tapped: tapped.levels[0], lambda tapped: tapped.levels[0][:, :1])
    x, sigma = drawn(3, 2), torch.ones(3, dtype=torch.float64)
    with pytest.raises(SettingError, match=r"\(3, 2\), the weak one \(3, 1\)"):
        GUIDANCES["dcg"].loss(wide, seeded(0))(linear_features(LINEAR, a)(x, sigma), sigma)
    for low, high in ((0, 600), (300, 200), (100, 1001)):
        with pytest.raises(SettingError, match=f"got {low} to {high}"):
            prior_between(low, high)


def test_depth_may_be_smaller_for_the_prior() -> None:
    """By means of squares of pixels, and the gradient comes back through them."""
    y = drawn(2, 1, 4, 6).float()
    small = as_picture(y, 2)
    wanted = 2 * y.unfold(2, 2, 2).unfold(3, 2, 2).mean((-2, -1)) - 1
    torch.testing.assert_close(small, wanted)
    torch.testing.assert_close(as_picture(y), 2 * y - 1)
    assert as_picture(y[..., :1], 2).shape == (2, 1, 2, 1)
    model = small_model(3)
    sources = replace(small_sources(model), shrink=2)
    assert float(slope(model.tapped(), prior_between()(sources, each(2)), drawn(2, *SHAPE)).abs().min()) > 0
