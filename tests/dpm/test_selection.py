"""Selected steps: brute force, bounds that are known, and what more steps can do."""

from __future__ import annotations

import math
from itertools import combinations, pairwise

import pytest
import torch
from exact import gaussian, ring

from hyperseg.core import SettingError
from hyperseg.dpm.denoise import Prediction, noise_like
from hyperseg.dpm.grid import make_grid
from hyperseg.dpm.jump import jumps
from hyperseg.dpm.schedules.edm import EDM
from hyperseg.dpm.schedules.linear import LINEAR
from hyperseg.dpm.schedules.vp import VP
from hyperseg.dpm.selection import cheapest_paths, jump_costs, measure_errors, select_grids, select_steps


def seeded(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def brute_force(costs: torch.Tensor, steps: int) -> tuple[list[int], float]:
    last = len(costs) - 1
    ways = [[0, *inside, last] for inside in combinations(range(1, last), steps - 1)]
    return min(((w, float(sum(costs[a, b] for a, b in pairwise(w)))) for w in ways), key=lambda p: p[1])


@pytest.mark.parametrize("variance", ["small", "best"])
def test_the_programme_finds_what_brute_force_finds(variance) -> None:
    """10 levels, 4 steps (and all other numbers of them), errors of a mixture; and random costs."""
    mixture, levels = ring(), make_grid(VP, 9, zero=False).sigmas
    errors = measure_errors(mixture.denoise, mixture.draw(50, seeded(0)), levels, generator=seeded(1))
    chance = torch.rand(11, 11, generator=seeded(2), dtype=torch.float64)
    chance = torch.where(torch.ones(11, 11).triu(1) > 0, chance, torch.inf)
    for costs in (jump_costs(levels, errors, 2, variance=variance), chance):
        found = cheapest_paths(costs, 10)
        for steps in range(1, 11):
            points, cost = brute_force(costs, steps)
            assert found[steps][0] == points
            assert found[steps][1] == pytest.approx(cost, rel=1e-12)


def test_a_step_costs_the_divergence_of_its_two_normals() -> None:
    """From the posterior given x0 to the step that a network takes, both of DDPM's small variance."""
    spread, grid = 0.5, make_grid(LINEAR, 6, zero=False)
    x0 = spread * torch.randn(40, 2, 3, generator=seeded(0), dtype=torch.float64)
    errors = measure_errors(gaussian(spread), x0, grid.sigmas, generator=seeded(1))
    noise = noise_like(x0, seeded(1))
    noise /= noise.square().mean().sqrt()
    costs = jump_costs(grid.sigmas, errors, 6)
    for i, jump in enumerate(jumps(grid)):
        made = gaussian(spread)(x0 + jump.now * noise, torch.full((40,), jump.now, dtype=torch.float64)).x0
        gap = (1 - jump.then**2 / jump.now**2) * (made - x0)
        wanted = float((gap**2 / (2 * jump.posterior)).flatten(1).sum(1).mean())
        assert float(costs[i, i + 1]) == pytest.approx(wanted, rel=1e-9)


@pytest.mark.parametrize("schedule", [VP, EDM], ids=lambda s: s.name)
def test_with_the_best_variance_the_bound_of_gaussian_data_is_their_entropy(schedule) -> None:
    """However few the steps: every reverse step is then exact. The small variance never does better."""
    spread, dims, numbers = 0.5, 50, (1, 2, 5, 20, 100)
    data = spread * torch.randn(200, dims, generator=seeded(0), dtype=torch.float64)[:, None]
    entropy = dims / 2 * math.log(2 * math.pi * math.e * spread**2)
    best, small = (
        select_grids(gaussian(spread), data, schedule, numbers, generator=seeded(1), variance=variance)
        for variance in ("best", "small")
    )
    for k in numbers:
        assert best[k].nats == pytest.approx(entropy, abs=0.01 * dims)
        assert best[k].nats <= small[k].nats + 1e-9


def test_more_steps_never_cost_more() -> None:
    """Where errors grow with the noise, as exact ones do; measured ones may not, by chance.

    From 4 on: with fewer the best is to tell the data from pure noise, where one more step has nothing to give.
    """
    mixture, levels = ring(), make_grid(VP, 200, zero=False).sigmas
    errors = measure_errors(mixture.denoise, mixture.draw(300, seeded(0)), levels, generator=seeded(1))
    growing = errors.flip(0).cummax(0).values.flip(0)
    assert (growing - errors).abs().max() < 1e-3
    found = cheapest_paths(jump_costs(levels, growing, 2), 40)
    assert all(found[k + 1][1] <= found[k][1] + 1e-9 for k in range(4, 40))


def test_it_is_a_grid_of_the_schedule_and_no_other_of_its_candidates_is_better() -> None:
    mixture, data = ring(), ring().draw(200, seeded(0))
    levels = make_grid(LINEAR, 59, zero=False).sigmas
    found = select_grids(mixture.denoise, data, LINEAR, [8], generator=seeded(1), candidates=levels)[8]
    grid = select_steps(mixture.denoise, data, LINEAR, 8, generator=seeded(1), candidates=levels)
    assert torch.equal(grid.sigmas, found.grid.sigmas)
    assert grid.steps == 8
    assert float(grid.sigmas[0]) == float(levels[0])
    assert float(grid.sigmas[-1]) == 0
    assert set(grid.sigmas[:-1].tolist()) <= set(levels.tolist())
    costs = jump_costs(levels, measure_errors(mixture.denoise, data, levels, generator=seeded(1)), 2)
    even = [0, *(round(i * 59 / 7) for i in range(1, 8)), 60]
    assert float(sum(costs[a, b] for a, b in pairwise(even))) > cheapest_paths(costs, 8)[8][1]


def test_interpolated_errors_find_nearly_the_same_bound() -> None:
    mixture, data = ring(), ring().draw(200, seeded(0))
    few = select_grids(mixture.denoise, data, VP, [10], generator=seeded(1), candidates=300)[10]
    levels = make_grid(VP, 299, zero=False).sigmas
    all_of_them = select_grids(mixture.denoise, data, VP, [10], generator=seeded(1), candidates=levels)[10]
    assert few.nats == pytest.approx(all_of_them.nats, abs=0.02)


def test_the_bound_of_bins_is_that_of_even_noise() -> None:
    """A network that knows nothing: data 0 or 1 of 256 levels cannot be told in less than their bits."""
    data = torch.randint(0, 256, (50, 1, 30), generator=seeded(0)).double() / 127.5 - 1
    found = select_grids(lambda x, s: Prediction(x), data, EDM, [50], generator=seeded(1), bins=256)[50]
    assert found.nats / 30 / math.log(2) >= 8 - 0.2
    assert found.nats / 30 / math.log(2) < 20


def test_what_cannot_be_selected_is_refused() -> None:
    data, ask = torch.zeros(2, 1, 3), gaussian(1.0)
    with pytest.raises(SettingError, match="candidates"):
        select_steps(ask, data, VP, 30, generator=seeded(0), candidates=20)
    with pytest.raises(SettingError, match="1 sample"):
        select_steps(ask, data[:0], VP, 3, generator=seeded(0))
    with pytest.raises(SettingError, match="number 1"):
        select_steps(ask, data, VP, 0, generator=seeded(0))
    with pytest.raises(SettingError, match="fall"):
        select_steps(ask, data, VP, 1, generator=seeded(0), candidates=torch.tensor([1.0, 2.0]))
    with pytest.raises(SettingError, match="small or best"):
        select_steps(ask, data, VP, 3, generator=seeded(0), variance="huge")
