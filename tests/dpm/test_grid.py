"""Which noise levels are visited: published grids, ends, whole steps, and what is refused."""

from __future__ import annotations

from typing import get_args

import pytest
import torch

from hyperseg.core import SettingError
from hyperseg.dpm.grid import Grid, Spacing, make_grid, start
from hyperseg.dpm.schedules import SCHEDULES

SPACINGS = get_args(Spacing)
EDM_18 = (
    80, 57.586, 40.786, 28.375, 19.352, 12.910, 8.4009, 5.3152, 3.2568, 1.9233, 1.0882, 0.58535, 0.29644, 0.13952,
    0.059947, 0.022935, 0.007528, 0.002, 0,
)  # fmt: skip


def places(grid: Grid) -> list[float]:
    """Steps of a schedule of steps, counted from 0, without the point without noise."""
    steps = grid.schedule.steps or 1
    return [round(float(t) * steps - 1, 9) for t in grid.times[:-1]]


def test_the_grid_of_edm_is_the_published_one() -> None:
    grid = make_grid(SCHEDULES["edm"], 18, "karras")
    assert grid.sigmas.tolist() == pytest.approx(EDM_18, rel=5e-5)


@pytest.mark.parametrize("name", SCHEDULES)
@pytest.mark.parametrize("spacing", SPACINGS)
@pytest.mark.parametrize("zero", [True, False])
def test_every_grid_falls_between_the_ends(name: str, spacing: Spacing, zero: bool) -> None:
    schedule = SCHEDULES[name]
    high, low = schedule.ratio(torch.tensor([schedule.t_max, schedule.t_min], dtype=torch.float64)).tolist()
    for steps in (1, 2, 5, 100):
        grid = make_grid(schedule, steps, spacing, zero=zero)
        assert grid.steps == steps
        assert grid.sigmas.dtype == torch.float64
        if zero:
            assert grid.sigmas[-1] == 0
        else:
            assert float(grid.sigmas[-1]) == pytest.approx(low, rel=1e-9)
        if not (zero and spacing == "leading"):
            assert float(grid.sigmas[0]) == high
        if steps > 1 and zero and spacing != "trailing":
            assert float(grid.sigmas[-2]) == pytest.approx(low, rel=1e-9)


def test_points_are_even_in_what_the_spacing_says() -> None:
    vp = SCHEDULES["vp"]
    for spacing, curve in (
        ("lu", torch.log), ("karras", lambda s: s ** (1 / 7)), ("quadratic", lambda s: vp.time(s).sqrt()),
        ("trailing", vp.time), ("leading", vp.time),
    ):  # fmt: skip
        gaps = curve(make_grid(vp, 9, spacing, zero=False).sigmas).diff()  # type: ignore[arg-type]
        assert float(gaps.std() / gaps.mean().abs()) < 1e-6, spacing


def test_steps_of_a_thousand_are_those_of_the_field() -> None:
    """Trailing and leading as DDIM is used with 10 of 1000 steps; all 1000 steps are the schedule itself."""
    linear = SCHEDULES["linear"]
    assert places(make_grid(linear, 10, "trailing")) == [999, 899, 799, 699, 599, 499, 399, 299, 199, 99]
    assert places(make_grid(linear, 10, "leading")) == [900, 800, 700, 600, 500, 400, 300, 200, 100, 0]
    for spacing in ("trailing", "leading"):
        assert places(make_grid(linear, 1000, spacing)) == list(range(999, -1, -1))  # type: ignore[arg-type]


@pytest.mark.parametrize("name", ["linear", "cosine"])
@pytest.mark.parametrize("spacing", SPACINGS)
def test_whole_steps_are_distinct_however_many(name: str, spacing: Spacing) -> None:
    for steps in (1, 3, 20, 600, 1000):
        for zero in (True, False):
            if not zero and steps == 1000:
                continue
            grid = make_grid(SCHEDULES[name], steps, spacing, on_steps=True, zero=zero)
            found = (grid.times[: -1 if zero else None] * 1000).tolist()
            assert found == pytest.approx([round(t) for t in found], abs=1e-6)
            assert len({round(t) for t in found}) == len(found)
            assert min(found) > 0.5


def test_truncated_sampling_is_the_rest_of_the_grid() -> None:
    grid = make_grid(SCHEDULES["edm"], 10, "karras")
    assert torch.equal(grid.after(0).sigmas, grid.sigmas)
    assert torch.equal(grid.after(4).sigmas, grid.sigmas[4:])
    assert grid.after(4).steps == 6


def test_ends_that_are_given_are_kept() -> None:
    for spacing in ("lu", "karras", "quadratic", "leading"):
        grid = make_grid(SCHEDULES["edm"], 6, spacing, first=40, last=0.1)  # type: ignore[arg-type]
        assert float(grid.sigmas[-2]) == pytest.approx(0.1)
    assert float(make_grid(SCHEDULES["vp"], 5, first=10).sigmas[0]) == 10


def test_sampling_starts_with_the_noise_of_the_schedule() -> None:
    """Of unit variance where x_t is scaled by alpha, of the first level's where nothing is scaled."""
    n = 20000
    for name, spread in (("linear", 1.0), ("subvp", 1.0), ("ve", 50.0), ("edm", 80.0)):
        grid = make_grid(SCHEDULES[name], 10)
        x = start(grid, (n, 1), torch.Generator().manual_seed(0)) * grid.alphas[0]
        assert float(x.std()) == pytest.approx(spread, rel=0.02)
        assert x.dtype == torch.float64


@pytest.mark.parametrize(
    ("asked", "told"),
    [
        ({"steps": 0}, "at least 1 step"),
        ({"spacing": "even"}, "lu, karras"),
        ({"first": 0.001}, "falls"),
        ({"last": 0.0}, "above 0"),
        ({"last": 200.0}, "falls"),
        ({"first": float("nan")}, "falls"),
        ({"first": float("inf")}, "none above 157"),
        ({"spacing": "trailing", "last": 0.1}, "leave it out"),
        ({"spacing": "karras", "rho": 0.0}, "rho"),
        ({"steps": 1001, "on_steps": True}, "1000 at most"),
    ],
)
def test_what_makes_no_sense_is_refused(asked: dict[str, object], told: str) -> None:
    with pytest.raises(SettingError, match=told):
        make_grid(SCHEDULES["linear"], **({"steps": 5} | asked))  # type: ignore[arg-type]


def test_levels_that_do_not_fall_are_refused() -> None:
    for levels in ([1.0], [1.0, 1.0, 0.0], [1.0, 2.0], [1.0, -1.0], [float("nan"), 0.0]):
        with pytest.raises(SettingError, match="fall"):
            Grid(SCHEDULES["edm"], torch.tensor(levels, dtype=torch.float64))
    with pytest.raises(SettingError, match="continuous"):
        make_grid(SCHEDULES["vp"], 5, on_steps=True)


@pytest.mark.parametrize("name", SCHEDULES)
def test_schedules_and_grids_are_told_in_a_line(name: str) -> None:
    schedule = SCHEDULES[name]
    assert repr(schedule).startswith(f"Schedule({name!r}, ")
    told = repr(make_grid(schedule, 7, "karras"))
    assert told.startswith(f"Grid({name!r}, 7 steps, spacing 'karras', sigma from ")
    assert told.endswith(" to 0)")
    assert max(len(repr(schedule)), len(told)) < 100
