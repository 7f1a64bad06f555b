"""Losses are least at the right network, one Newton step from anywhere finds it, and some are equal to others."""

from __future__ import annotations

import math
from functools import partial

import pytest
import torch
from gaussian import gain, quadrature, right
from torch import Tensor

from hyperseg.core import SettingError
from hyperseg.dpm.denoise import per_sample
from hyperseg.dpm.losses.dsm import dsm
from hyperseg.dpm.losses.edm import weighted
from hyperseg.dpm.losses.hybrid import hybrid, reverse
from hyperseg.dpm.losses.loss import MakeLoss
from hyperseg.dpm.losses.moments import moments, moments_of
from hyperseg.dpm.losses.simple import simple
from hyperseg.dpm.losses.vdm import continuous
from hyperseg.dpm.objectives import OBJECTIVES
from hyperseg.dpm.objectives.times import LossSizes, even, even_ratio, log_normal
from hyperseg.dpm.parameterisation import Predicts, parameterisation
from hyperseg.dpm.schedules import SCHEDULES
from hyperseg.dpm.schedules.vdm import LearntGamma

S = 0.6
T = torch.tensor([0.1, 0.3, 0.5, 0.8], dtype=torch.float64)
likelihood = partial(dsm, weighting="likelihood")
LOSSES: list[tuple[str, MakeLoss]] = [
    ("simple", simple), ("dsm", dsm), ("likelihood", likelihood), ("edm", weighted), ("vdm", continuous),
]  # fmt: skip
PREDICTS: tuple[Predicts, ...] = ("eps", "x0", "v", "score", "edm")


def value(make: MakeLoss, schedule: str, predicts: Predicts, factor: float = 1.0, t: Tensor = T) -> Tensor:
    kind = SCHEDULES[schedule]
    x0, times, noise = quadrature(t, S)
    network = right(kind, predicts, times, S)
    terms = make(kind, predicts)(lambda x, place: factor * network(x, place), x0, times, noise)
    return torch.stack([*terms.values()]).sum(0)


@pytest.mark.parametrize("predicts", PREDICTS)
@pytest.mark.parametrize(("name", "make"), LOSSES)
def test_a_loss_is_least_at_the_right_network(name: str, make: MakeLoss, predicts: Predicts) -> None:
    best, less, more = (value(make, "vp", predicts, factor).reshape(4, 4).mean(1) for factor in (1, 0.98, 1.02))
    assert bool((best < less).all())
    assert bool((best < more).all())
    torch.testing.assert_close(less, more, rtol=1e-6, atol=1e-9)  # a parabola about it, at every time


@pytest.mark.parametrize("predicts", PREDICTS)
@pytest.mark.parametrize(("name", "make"), LOSSES)
def test_a_newton_step_from_nothing_finds_the_right_network(name: str, make: MakeLoss, predicts: Predicts) -> None:
    for time in T:
        kind = SCHEDULES["linear"]
        x0, t, noise = quadrature(time[None], S)
        w = torch.zeros((), dtype=torch.float64, requires_grad=True)
        terms = make(kind, predicts)(lambda x, place, w=w: w * x, x0, t, noise)
        total = sum(term.mean() for term in terms.values())
        (slope,) = torch.autograd.grad(total, w, create_graph=True)  # type: ignore[arg-type]
        (bend,) = torch.autograd.grad(slope, w)
        found = -slope / bend
        assert float(found.detach()) == pytest.approx(float(gain(kind, predicts, t[:1], S)), rel=1e-8)


def test_score_matching_weighted_by_variance_is_the_simple_loss_of_noise() -> None:
    for predicts in PREDICTS:
        torch.testing.assert_close(value(dsm, "subvp", predicts, 0.7), _noise_loss("subvp", predicts, 0.7))


def _noise_loss(schedule: str, predicts: Predicts, factor: float) -> Tensor:
    """The error of the noise that follows from what a network says, by hand."""
    kind = SCHEDULES[schedule]
    x0, t, noise = quadrature(T, S)
    alpha, std = (per_sample(c(t), x0) for c in (kind.alpha, kind.std))
    state = alpha * x0 + std * noise
    if predicts == "score":
        said = -std * factor * (-state / (alpha**2 * S**2 + std**2))
    else:
        form = parameterisation(predicts)
        seen = form.input(state, alpha, std)
        answer = factor * right(kind, predicts, t, S)(seen, t)
        said = (state - alpha * form.x0(state, answer, alpha, std)) / std
    return (noise - said).square().flatten(1).mean(1)


def test_edm_s_weight_makes_its_answer_s_error_count_alike() -> None:
    torch.testing.assert_close(value(weighted, "edm", "edm", 0.8), value(simple, "edm", "edm", 0.8))


def test_twice_the_bound_in_continuous_time_is_score_matching_weighted_for_likelihood() -> None:
    kind = SCHEDULES["vp"]
    x0, t, noise = quadrature(T, S)
    network = right(kind, "eps", t, S)
    span = kind.t_max - kind.t_min
    bound = continuous(kind, "eps")(network, x0, t, noise)["diffusion"]
    torch.testing.assert_close(2 * bound / span, value(likelihood, "vp", "eps"))


def shaped(seed: int | None) -> LearntGamma:
    gamma = LearntGamma()
    if seed is not None:
        with torch.no_grad():
            gamma.shape.copy_(torch.randn(64, generator=torch.Generator().manual_seed(seed)))
    return gamma


def bound(gamma: LearntGamma, n: int = 6400) -> tuple[Tensor, dict[str, float]]:
    """The terms of the bound of the right network at n times, and their means over time."""
    t = (torch.arange(n, dtype=torch.float64) + 0.5) / n
    live = gamma.live()
    x0, times, noise = quadrature(t, S)
    terms = continuous(live, "eps")(right(live, "eps", times, S), x0, times, noise)
    return terms["diffusion"].reshape(n, 4).mean(1), {name: float(term.mean()) for name, term in terms.items()}


def test_the_bound_in_continuous_time_depends_on_the_ends_of_gamma_only() -> None:
    (_, plain), (_, bent), (_, other) = (bound(shaped(seed)) for seed in (None, 0, 1))
    exact = 0.5 * (18.3 - math.log((S**2 + math.exp(5)) / (S**2 + math.exp(-13.3))))
    assert plain["diffusion"] == pytest.approx(exact, rel=1e-4)
    assert bent["diffusion"] == pytest.approx(exact, rel=1e-4)
    assert other["diffusion"] == pytest.approx(exact, rel=1e-4)
    with torch.no_grad():
        wider = shaped(None)
        wider.low -= 1
    assert bound(wider)[1]["diffusion"] > exact + 0.1


def test_the_whole_bound_of_the_right_network_is_the_entropy() -> None:
    _, terms = bound(shaped(0))
    entropy = 0.5 * math.log(2 * math.pi * math.e * S**2)
    assert entropy <= sum(terms.values()) < entropy + 1e-3
    assert 0 <= terms["prior"] < 2e-3


def test_the_shape_is_learnt_so_that_the_bound_varies_less_and_its_mean_stays() -> None:
    gamma = shaped(0)
    before, mean = bound(gamma)
    optimiser = torch.optim.Adam([gamma.shape], lr=0.1)
    for _ in range(25):
        optimiser.zero_grad()
        terms, _ = bound(gamma, 128)
        terms.square().mean().backward()
        optimiser.step()
    after, later = bound(gamma)
    assert float(after.var()) < 0.3 * float(before.var())
    assert later["diffusion"] == pytest.approx(mean["diffusion"], rel=1e-3)


def shares(factor: float, times: Tensor = T) -> Tensor:
    """The bound's terms of a right mean and of the right variance moved by a factor on the log scale."""
    kind = SCHEDULES["linear"]
    x0, t, noise = quadrature(times, S)
    step = reverse(kind, t)
    abar, before = kind.alpha(t) ** 2, kind.alpha(t - 1 / 1000) ** 2
    keep = abar / before
    exact = 1 / (1 / (before * S**2 + 1 - before) + keep / (1 - keep))  # of the step back given the state
    share = (exact.log() - step.small) / (step.large - step.small)
    logit = per_sample((share * factor).logit(), x0)
    answer = right(kind, "eps", t, S)

    def network(x: Tensor, place: Tensor) -> Tensor:
        return torch.cat((answer(x, place), logit.expand_as(x)), 1)

    return hybrid(kind, "eps")(network, x0, t, noise)["bound"].reshape(-1, 4).mean(1)


def test_the_bound_of_the_hybrid_loss_is_least_at_the_exact_variance() -> None:
    best, less, more = (shares(factor) for factor in (1, 0.95, 1.05))
    assert bool((best < less).all())
    assert bool((best < more).all())


def test_no_gradient_of_the_bound_reaches_the_mean() -> None:
    kind = SCHEDULES["cosine"]
    x0, t, noise = quadrature(T, S)
    both = torch.randn(len(x0), 2, 1, dtype=torch.float64, requires_grad=True)
    terms = hybrid(kind, "v")(lambda x, place: both, x0, t, noise)
    (of_bound,) = torch.autograd.grad(terms["bound"].sum(), both, retain_graph=True)
    (of_square,) = torch.autograd.grad(terms["square"].sum(), both)
    assert float(of_bound[:, 0].abs().max()) == 0 < float(of_bound[:, 1].abs().min())
    assert float(of_square[:, 1].abs().max()) == 0 < float(of_square[:, 0].abs().min())


def test_the_terms_of_the_hybrid_bound_add_up_to_no_less_than_the_entropy() -> None:
    times = torch.arange(1, 1001, dtype=torch.float64) / 1000
    total = float(shares(1.0, times[1:]).sum()) / 1000 / 0.001  # all but the first
    kind = SCHEDULES["linear"]
    x0, t, noise = quadrature(times[:1], S)
    network = right(kind, "eps", t, S)
    first = hybrid(kind, "eps")(lambda x, p: torch.cat((network(x, p), 9 + 0 * x), 1), x0, t, noise)["bound"].mean()
    abar = float(kind.abars()[-1])
    prior = 0.5 * (abar * S**2 + 1 - abar - 1 - math.log(1 - abar))
    entropy = 0.5 * math.log(2 * math.pi * math.e * S**2)
    assert entropy - 1e-6 < total + float(first) + prior < entropy + 0.02


def test_second_moments_are_least_at_those_of_gaussian_data() -> None:
    """Given x the noise is normal: its expected square is mean^2 + variance, that of the error the variance alone."""
    n, kind = 100_000, SCHEDULES["linear"]
    random = torch.Generator().manual_seed(0)
    x0, noise = (f * torch.randn(n, 1, 1, generator=random, dtype=torch.float64) for f in (S, 1.0))
    t = torch.full((n,), 0.3, dtype=torch.float64)
    answer = right(kind, "eps", t, S)
    level = float(kind.ratio(t[:1]))
    variance = S**2 / (S**2 + level**2)

    def losses(off: float) -> dict[str, float]:
        def network(x: Tensor, place: Tensor) -> Tensor:
            said = answer(x, place)
            return torch.cat((said, said**2 + variance + off, 0 * x + variance + off), 1)

        terms = moments(kind, "eps", extras=("squared", "residual"))(network, x0, t, noise)
        return {name: float(term.mean()) for name, term in terms.items()}

    best, less, more = (losses(off) for off in (0, -0.05, 0.05))
    for extra in ("squared", "residual"):
        assert best[extra] < min(less[extra], more[extra])


def test_losses_of_steps_refuse_schedules_without() -> None:
    with pytest.raises(SettingError, match="continuous"):
        hybrid(SCHEDULES["vp"], "eps")
    with pytest.raises(SettingError, match="continuous"):
        moments_of(("share",))(SCHEDULES["edm"], "eps")
    with pytest.raises(SettingError, match="variance or likelihood"):
        dsm(SCHEDULES["vp"], "eps", weighting="none")  # type: ignore[arg-type]


def test_times_follow_their_distributions() -> None:
    u = (torch.arange(4000, dtype=torch.float64) + 0.5) / 4000
    steps = even(SCHEDULES["linear"], u) * 1000
    assert torch.equal(steps.round().unique(), torch.arange(1.0, 1001, dtype=torch.float64))
    logs = SCHEDULES["edm"].ratio(log_normal()(SCHEDULES["edm"], u)).log()
    assert (float(logs.mean()), float(logs.std())) == pytest.approx((-1.2, 1.2), abs=0.01)
    kind = SCHEDULES["vp"]
    ratios = kind.ratio(even_ratio(kind, u)).log().diff()
    torch.testing.assert_close(ratios, ratios.mean().expand_as(ratios), rtol=1e-5, atol=1e-9)


def test_times_drawn_by_the_size_of_the_loss_keep_its_mean_and_lower_its_spread() -> None:
    """A loss that is large in one tenth of the times, exactly known: after some steps its estimate hardly varies."""
    sizes, u = LossSizes(10, rate=0.5), torch.rand(512, generator=torch.Generator().manual_seed(0)).double()

    def loss(u: Tensor) -> Tensor:
        return torch.where(u < 0.1, 9.0, 0.1)

    for _ in range(20):
        bent = sizes.bend(u)
        sizes.note(bent.u, loss(bent.u))
    fine = (torch.arange(10_000, dtype=torch.float64) + 0.5) / 10_000
    bent = sizes.bend(fine)
    weighted_losses = bent.weight * loss(bent.u)
    assert float(weighted_losses.mean()) == pytest.approx(0.99, rel=1e-3)
    assert float(weighted_losses.std()) < 0.3 * float(loss(fine).std())
    assert bool((bent.u.diff() > 0).all())


@pytest.mark.parametrize("name", OBJECTIVES)
def test_an_objective_goes_with_its_own_schedule(name: str) -> None:
    objective = OBJECTIVES[name]
    assert objective.name == name
    assert objective.schedule is SCHEDULES[objective.schedule.name]
    u = torch.linspace(0, 1 - 1e-9, 50, dtype=torch.float64)
    t = objective.times(objective.schedule, u)
    assert bool(((t >= objective.schedule.t_min) & (t <= objective.schedule.t_max)).all())
    objective.loss(objective.schedule, objective.predicts)
