"""A denoising diffusion GAN: the step back has the right moments, a perfect generator gives the data."""

from dataclasses import replace

import pytest
import torch
from torch import Tensor, nn

from hyperseg.backbone import seeded
from hyperseg.core.runtime import Runtime
from hyperseg.dpm.faster.ddgan.game import Batch, Game
from hyperseg.dpm.faster.ddgan.networks import Discriminator
from hyperseg.dpm.faster.ddgan.step import pair, posterior
from hyperseg.dpm.faster.ddgan.train import GameSettings, game_samples, train_game
from hyperseg.dpm.model import DiffusionModel
from hyperseg.dpm.network import Denoiser, denoiser_spec
from hyperseg.dpm.schedules.linear import LINEAR

QUIET = Runtime(quiet=True)


def model_of(shape: tuple[int, ...], *, n_classes: int = 0) -> DiffusionModel:
    spec = denoiser_spec(shape[0], len(shape) - 1, widths=(4, 8), cond_dim=8, n_classes=n_classes)
    with seeded(0):
        return DiffusionModel(Denoiser(spec).eval(), spec, LINEAR, "eps", clip=1.0)


def noise(*shape: int, seed: int = 3) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def test_the_step_back_is_ddpms_posterior() -> None:
    """Steps 400 and 399 of the linear schedule, in the coordinates of the process (Ho et al., eqs. 6 and 7)."""
    abar = LINEAR.abars()
    a, before, beta = abar[400], abar[399], 1 - abar[400] / abar[399]
    sigma = ((1 - abar) / abar).sqrt()
    x0, z = noise(5, 2), noise(5, 2, seed=4)
    mean = before.sqrt() * beta / (1 - a) * x0 + (1 - beta).sqrt() * (1 - before) / (1 - a) * z
    found = posterior(z / a.sqrt(), x0, sigma[400].expand(5), sigma[399].expand(5))
    torch.testing.assert_close(before.sqrt() * found.mean, mean)
    variance = (1 - before) / (1 - a) * beta
    torch.testing.assert_close(before * found.std[0, 0] ** 2, variance)


def test_forward_then_back_keeps_the_forward_distribution() -> None:
    n, x0 = 200_000, torch.full((200_000, 1), 0.3, dtype=torch.float64)
    now, then = torch.full((n,), 2.0).double(), torch.full((n,), 0.7).double()
    before, x = pair(x0, now, then, (noise(n, 1), noise(n, 1, seed=4)))
    mean, std = posterior(x, x0, now, then)
    again = mean + std * noise(n, 1, seed=5)
    for of, level in ((x, 2.0), (before, 0.7), (again, 0.7)):
        assert abs(float(of.mean()) - 0.3) < 4 * level / n**0.5
        assert abs(float(of.std()) / level - 1) < 4 / (2 * n) ** 0.5
    joint = [float(torch.corrcoef(torch.stack([b[:, 0], x[:, 0]]))[0, 1]) for b in (before, again)]
    assert abs(joint[0] - joint[1]) < 0.006


def test_the_last_step_is_clean_data() -> None:
    mean, std = posterior(noise(2, 3), noise(2, 3, seed=5), torch.ones(2).double(), torch.zeros(2).double())
    torch.testing.assert_close(mean, noise(2, 3, seed=5))
    assert std.eq(0).all()


class Told(nn.Module):
    """A generator that knows the data: one value."""

    codes = 3

    def __init__(self, value: float) -> None:
        super().__init__()
        self.value = nn.Parameter(torch.tensor(value))

    def forward(self, x: Tensor, place: Tensor, codes: Tensor, labels: Tensor | None = None) -> Tensor:
        assert codes.shape == (len(x), self.codes)
        assert place.shape == (len(x),)
        return self.value.expand_as(x)


@pytest.mark.parametrize("calls", [1, 2, 4, 8])
def test_a_perfect_generator_gives_the_data(calls: int) -> None:
    perfect = Told(0.25)
    made = game_samples(perfect, model_of((2, 5)), (2, 5), calls, None)(3, torch.Generator().manual_seed(0))  # type: ignore[arg-type]
    torch.testing.assert_close(made.x, torch.full((3, 2, 5), 0.25, dtype=torch.float64))
    assert made.nfe == calls


def test_the_penalty_is_the_squared_slope_at_real_pairs() -> None:
    spec = model_of((1, 6)).spec
    with seeded(1):
        judge = Discriminator(spec)
    ones = torch.ones(2)
    batch = Batch(
        noise(2, 1, 6).float(), noise(2, 1, 6, seed=1).float(), 2 * ones, ones, torch.stack([ones, ones]), 9 * ones,
        torch.zeros(2, 3), torch.zeros(2, 1, 6), None,
    )  # fmt: skip
    found = Game(Told(0.0), judge, 2.0).discriminate(batch)["penalty"]  # type: ignore[arg-type]
    total, step = 0.0, 1e-2
    for i in range(6):
        up, down = (batch.before.clone() for _ in range(2))
        up[..., i] += step
        down[..., i] -= step
        slopes = (judge(up, batch.x, batch.place) - judge(down, batch.x, batch.place)) / (2 * step)
        total += float((slopes.detach() ** 2).mean())
    assert float(found) == pytest.approx(total, rel=0.02)


@pytest.mark.parametrize("shape", [(1, 7), (2, 5, 3), (1, 5, 3, 4)])
def test_a_short_game_ends_in_samples(shape: tuple[int, ...]) -> None:
    model = model_of(shape, n_classes=2)
    data = noise(6, *shape).float().clamp(-1, 1)
    labels = torch.tensor([0, 1, 0, 1, 1, 1])
    settings = GameSettings(calls=2, steps=3, batch=4, codes=3)
    first, again = (train_game(model, data, settings, QUIET, labels=labels) for _ in range(2))
    made = [game_samples(g, model, shape, 2, labels)(4, torch.Generator().manual_seed(1)).x for g in (first, again)]
    assert torch.equal(*made)
    assert made[0].shape == (4, *shape)
    other = train_game(model, data, settings, replace(QUIET, seed=1), labels=labels)
    assert not torch.equal(game_samples(other, model, shape, 2, labels)(4, torch.Generator().manual_seed(1)).x, made[0])
