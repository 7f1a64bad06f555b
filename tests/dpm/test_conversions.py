"""Whatever a network says, x0 follows from it: all parameterisations in all schedules, through `denoiser`."""

from __future__ import annotations

from typing import get_args

import pytest
import torch
from gaussian import right

from hyperseg.core import SettingError
from hyperseg.dpm.adapters import denoiser
from hyperseg.dpm.losses.loss import noised
from hyperseg.dpm.parameterisation import Predicts, parameterisation
from hyperseg.dpm.schedules import SCHEDULES

SIGMA = torch.tensor([0.011, 0.05, 0.3, 1.0, 4.0], dtype=torch.float64)


def normal(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


@pytest.mark.parametrize("schedule", SCHEDULES)
@pytest.mark.parametrize("predicts", get_args(Predicts))
def test_the_right_answer_gives_the_closed_form(schedule: str, predicts: Predicts) -> None:
    """Of N(0, s^2): x0 = s^2 / (s^2 + sigma^2) x."""
    s, kind = 0.7, SCHEDULES[schedule]
    x = normal(5, 2, 3)
    network = right(kind, predicts, kind.time(SIGMA), s, sigma_data=0.4)
    found = denoiser(network, kind, predicts, sigma_data=0.4, dtype=torch.float64)(x, SIGMA).x0
    wanted = (s**2 / (s**2 + SIGMA**2)).reshape(-1, 1, 1) * x
    torch.testing.assert_close(found, wanted, rtol=1e-6, atol=1e-9)


@pytest.mark.parametrize("schedule", SCHEDULES)
@pytest.mark.parametrize("predicts", get_args(Predicts))
def test_target_and_x0_are_inverse(schedule: str, predicts: Predicts) -> None:
    kind, form = SCHEDULES[schedule], parameterisation(predicts)
    x0, noise, t = normal(5, 1, 4), normal(5, 1, 4, seed=1), kind.time(SIGMA)
    state, alpha, std, place = noised(kind, x0, t, noise)
    torch.testing.assert_close(form.x0(state, form.target(x0, noise, alpha, std), alpha, std), x0, rtol=1e-6, atol=1e-6)
    torch.testing.assert_close(place, kind.place(t))


def test_noised_data_have_the_moments_of_the_schedule() -> None:
    n, t = 200_000, torch.tensor([0.3], dtype=torch.float64)
    for name in SCHEDULES:
        kind = SCHEDULES[name]
        x0 = 0.5 + 0.2 * normal(n, 1)
        state = noised(kind, x0, t.expand(n), normal(n, 1, seed=1)).state
        assert float(state.mean()) == pytest.approx(0.5 * float(kind.alpha(t)), abs=0.01)
        wanted = (0.2 * kind.alpha(t)) ** 2 + kind.std(t) ** 2
        assert float(state.var()) == pytest.approx(float(wanted), rel=0.02)


def test_extras_are_split_off_and_x0_is_cut() -> None:
    kind = SCHEDULES["linear"]

    def network(x: torch.Tensor, place: torch.Tensor) -> torch.Tensor:
        return torch.cat((0 * x, 0 * x, 3 + 0 * x, 4 + 0 * x), 1)

    ask = denoiser(network, kind, extras=("share", "squared", "residual"), clip=0.1)
    said = ask(normal(2, 3, 4), SIGMA[:2])
    assert said.share is not None
    assert said.squared is not None
    assert said.residual is not None
    assert float(said.share.mean()) == 0.5  # of a logit of 0
    assert (float(said.squared.mean()), float(said.residual.mean())) == (3, 4)
    assert float(said.x0.abs().max()) == pytest.approx(0.1)


def test_a_network_told_whole_steps_is_told_whole_steps() -> None:
    places = []

    def network(x: torch.Tensor, place: torch.Tensor) -> torch.Tensor:
        places.append(place)
        return 0 * x

    denoiser(network, SCHEDULES["linear"], on_steps=True)(normal(5, 1, 4), SIGMA)
    assert torch.equal(places[0], places[0].round())


def test_wrong_channels_and_unknown_answers_are_refused() -> None:
    kind = SCHEDULES["linear"]
    with pytest.raises(SettingError, match="gives 6 channels for data of 3"):
        denoiser(lambda x, place: torch.cat((x, x), 1), kind)(normal(1, 3, 4), SIGMA[:1])
    with pytest.raises(SettingError, match="got 'w'"):
        denoiser(lambda x, place: x, kind, "w")  # type: ignore[arg-type]
    with pytest.raises(SettingError, match="continuous"):
        denoiser(lambda x, place: x, SCHEDULES["vp"], on_steps=True)
