"""The order of spectra by density, from few network calls, where the densities are known."""

from __future__ import annotations

import pytest
import torch
from mixtures import Mixture, blobs
from torch import Tensor

from hyperseg.core import SettingError
from hyperseg.dpm.grid import make_grid
from hyperseg.dpm.likelihood.bound import continuous_bound
from hyperseg.dpm.likelihood.flow import log_density
from hyperseg.dpm.likelihood.surprise import surprise
from hyperseg.dpm.schedules import SCHEDULES


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def smooth(bands: int = 60) -> Mixture:
    """Normal spectra whose neighbouring bands are alike."""
    place = torch.arange(bands).double()
    cov = 0.25 * torch.exp(-0.5 * ((place[:, None] - place) / 10) ** 2) + 0.002 * torch.eye(bands).double()
    values, basis = torch.linalg.eigh(cov)
    return Mixture(torch.ones(1).double(), torch.zeros(1, bands).double(), values[None], basis)


def rank_correlation(a: Tensor, b: Tensor) -> float:
    ranks = [v.argsort().argsort().double() for v in (a, b)]
    return float(torch.corrcoef(torch.stack(ranks))[0, 1])


@pytest.mark.parametrize("schedule", ["linear", "edm"])
def test_fourteen_calls_tell_the_order_of_normal_spectra(schedule: str) -> None:
    data = smooth()
    x = data.draw(300, seeded())
    found = surprise(data.denoiser(), x, SCHEDULES[schedule], last=0.02)
    assert found.nfe == 14
    assert rank_correlation(found.nats, -data.log_density(x)) > 0.998
    assert float((found.nats + data.log_density(x)).mean().abs()) / 60 < 0.15  # nats of a band: near the value, too


def test_they_tell_most_of_the_order_of_a_mixture() -> None:
    data = blobs(dims=20)
    x = data.draw(300, seeded())
    few, many = (surprise(data.denoiser(), x, SCHEDULES["linear"], levels=2 * n, pairs=n) for n in (3, 12))
    truth = -data.log_density(x)
    assert rank_correlation(few.nats, truth) > 0.9
    assert rank_correlation(many.nats, truth) > 0.97


def test_an_odd_band_is_found_where_it_is() -> None:
    data = smooth()
    x = data.draw(40, seeded())
    marked = x.clone()
    marked[:, :, 33] += 0.5
    before, after = (surprise(data.denoiser(), v, SCHEDULES["linear"], last=0.02) for v in (x, marked))
    assert (after.nats > before.nats + 10).all()
    assert ((after.each - before.each)[:, 0].argmax(1) == 33).all()  # the same noise in both
    torch.testing.assert_close(after.each.double().flatten(1).sum(1), after.nats, rtol=1e-5, atol=1e-3)


def test_a_number_does_not_depend_on_the_others_or_the_batch() -> None:
    data, done = blobs(dims=7), []
    x = data.draw(11, seeded())
    whole = surprise(data.denoiser(), x, SCHEDULES["ve"], told=done.append, batch=4)
    each = torch.cat([surprise(data.denoiser(), x[i : i + 1], SCHEDULES["ve"]).nats for i in range(11)])
    torch.testing.assert_close(whole.nats, each, rtol=1e-12, atol=1e-10)
    assert done == [4, 4, 3]
    assert not torch.allclose(whole.nats, surprise(data.denoiser(), x, SCHEDULES["ve"], seed=1).nats)


def test_shared_noise_tells_differences_better_than_noise_of_ones_own() -> None:
    data = smooth()
    x = data.draw(100, seeded())
    truth = -data.log_density(x)
    grid = make_grid(SCHEDULES["linear"], 12, last=0.02, zero=False)
    for ask, sign in ((continuous_bound, 1), (log_density, -1)):
        own, same = (sign * ask(data.denoiser(), x, grid, generator=seeded(), shared=s).nats for s in (False, True))
        assert (same - truth).std() < 0.5 * (own - truth).std(), ask
        with pytest.raises(SettingError, match="comes from one generator"):
            ask(data.denoiser(), x[:1], grid, generator=[seeded()], shared=True)


def test_what_cannot_be_done_is_refused() -> None:
    for x, levels in ((torch.zeros(1, 1, 60), 0), (torch.zeros(0, 1, 60), 6)):
        with pytest.raises(SettingError, match="samples, levels, pairs and batch are at least 1"):
            surprise(smooth().denoiser(), x, SCHEDULES["linear"], levels=levels)
