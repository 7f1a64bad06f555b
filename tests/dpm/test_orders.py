"""How fast solvers converge, on data whose denoiser and whose flow are known."""

from __future__ import annotations

import math
from functools import cache

import pytest
import torch
from exact_denoisers import gaussian, gaussian_flow, means, mixture, mixture_data

from hyperseg.dpm.grid import make_grid, start
from hyperseg.dpm.samplers import SAMPLERS
from hyperseg.dpm.schedules import SCHEDULES

ORDERS = {name: SAMPLERS[name].order for name in SAMPLERS if SAMPLERS[name].order and not SAMPLERS[name].package}
ERRORS = {
    "ddim": (0.1324, 0.0686, 0.0349, 0.0176, 0.00884, 0.00443),
    "heun": (0.0392, 0.00929, 0.00226, 5.58e-4, 1.38e-4, 3.45e-5),
    "dpmpp-2m": (0.0441, 0.00987, 0.00233, 5.65e-4, 1.39e-4, 3.46e-5),
}
NEVER = torch.Generator()  # solvers without noise do not look at it


def gaussian_error(name: str, steps: int) -> float:
    """Relative error at noise 0.002 for data N(0, 0.25), from 80 over EDM's grid."""
    grid = make_grid(SCHEDULES["edm"], steps, "karras", zero=False)
    x = torch.ones(1, 1, dtype=torch.float64)
    found = SAMPLERS[name].sample(gaussian(), x, grid, generator=NEVER).x
    return float((found / gaussian_flow(x, 80, 0.002) - 1).abs())


@pytest.mark.parametrize("name", ERRORS)
def test_errors_on_gaussian_data_are_the_known_ones(name: str) -> None:
    for steps, error in zip((20, 40, 80, 160, 320, 640), ERRORS[name], strict=True):
        assert gaussian_error(name, steps) == pytest.approx(error, rel=0.01)


@pytest.mark.parametrize("name", ORDERS)
def test_order_on_gaussian_data(name: str) -> None:
    order = ORDERS[name]
    coarse = 80 if order == 4 else 160  # beyond, rounding shows
    slope = math.log2(gaussian_error(name, coarse) / gaussian_error(name, 2 * coarse))
    assert slope == pytest.approx(order, abs=0.15)


@pytest.mark.parametrize("name", ORDERS)
def test_order_on_a_mixture(name: str) -> None:
    """Against the flow by a method of order 4 with many steps."""
    exact = end_of_mixture("pf-ode", 640)
    errors = [float((end_of_mixture(name, steps) - exact).square().mean().sqrt()) for steps in (80, 160)]
    assert math.log2(errors[0] / errors[1]) == pytest.approx(ORDERS[name], abs=0.15)


@cache
def end_of_mixture(name: str, steps: int) -> torch.Tensor:
    x = 10 * torch.randn(20, 2, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    grid = make_grid(SCHEDULES["edm"], steps, "karras", first=10, last=0.1, zero=False)
    return SAMPLERS[name].sample(mixture(0.3), x, grid, generator=NEVER).x


def test_ddim_over_trailing_steps_is_the_known_one() -> None:
    """x_T = 1 of the 1000 linear steps, data N(0, 0.25)."""
    linear = SCHEDULES["linear"]
    for steps, end in ((5, 0.262543), (10, 0.369955), (20, 0.431368), (50, 0.471403), (100, 0.485447)):
        grid = make_grid(linear, steps, "trailing")
        x = torch.ones(1, 1, dtype=torch.float64) / grid.alphas[0]
        assert float(SAMPLERS["ddim"].sample(gaussian(), x, grid, generator=NEVER).x) == pytest.approx(end, abs=1e-6)


def test_heun_over_the_grid_of_edm_costs_35_calls() -> None:
    grid = make_grid(SCHEDULES["edm"], 18, "karras")
    x = start(grid, (1, 1), torch.Generator().manual_seed(0))
    assert SAMPLERS["heun"].sample(gaussian(), x, grid, generator=NEVER).nfe == 35


def test_data_that_are_always_the_same_are_found_in_one_step() -> None:
    """x0 constant: all of the step is linear, which every solver treats exactly but for what its slopes round."""
    x = torch.full((1, 1), 7.0, dtype=torch.float64)
    grid = make_grid(SCHEDULES["edm"], 4, first=5.0, last=0.5, zero=False)
    for name in ORDERS:
        if name != "pf-ode":  # whose variable is another one
            found = SAMPLERS[name].sample(gaussian(0.0, 2.0), x, grid, generator=NEVER).x
            assert float(found) == pytest.approx(2 + 0.1 * (7 - 2), abs=1e-12)


@pytest.mark.filterwarnings("ignore:__array.*:DeprecationWarning")  # of diffusers with NumPy 2
@pytest.mark.parametrize("name", [name for name in SAMPLERS if SAMPLERS[name].order])
def test_solvers_end_in_the_distribution_of_the_data(name: str) -> None:
    """2-Wasserstein distance in the plane: no larger than between two draws of the data of the same size."""
    from scipy.optimize import linear_sum_assignment

    def distance(a: torch.Tensor, b: torch.Tensor) -> float:
        cost = torch.cdist(a, b).square().numpy()
        return float(cost[linear_sum_assignment(cost)].mean()) ** 0.5

    n, generator = 512, torch.Generator().manual_seed(5)
    one, other, third = (mixture_data(n, generator) for _ in range(3))
    even = torch.quasirandom.SobolEngine(2, scramble=True, seed=3).draw(n, dtype=torch.float64)  # less left to chance
    noise = 80 * math.sqrt(2) * torch.erfinv(2 * even - 1)
    grid = make_grid(SCHEDULES["edm"], 60, "karras")
    made = SAMPLERS[name].sample(mixture(), noise, grid, generator=generator).x
    floor = max(distance(one, other), distance(one, third), distance(other, third))
    assert distance(made, one) < 2 * floor  # of 512 points the first two in the wrong Gaussian would cost that much
    nearest = torch.cdist(made, means()).min(1).values
    assert float(nearest.square().mean() / 2) ** 0.5 == pytest.approx(0.08, rel=0.08)
