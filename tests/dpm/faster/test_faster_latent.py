"""Latent diffusion: shapes for odd sizes, the divergence in closed form, latents of unit variance, both stages."""

from dataclasses import replace

import pytest
import torch
from torch import Tensor

from hyperseg.backbone import seeded
from hyperseg.core import SettingError
from hyperseg.core.runtime import Runtime
from hyperseg.dpm.faster.latent.autoencoder import Autoencoder, autoencoder_spec
from hyperseg.dpm.faster.latent.model import LatentSettings, latent_model
from hyperseg.dpm.faster.latent.training import (
    AutoencoderSettings,
    divergence,
    rebuilding_error,
    train_autoencoder,
)  # fmt: skip
from hyperseg.dpm.model import DiffusionModel
from hyperseg.dpm.network import Denoiser, denoiser_spec
from hyperseg.dpm.parameterisation import Predicts
from hyperseg.dpm.samplers.euler import EULER
from hyperseg.dpm.schedules.cosine import COSINE
from hyperseg.dpm.schedules.linear import LINEAR
from hyperseg.dpm.schedules.schedule import interpolated

QUIET = Runtime(quiet=True)
SHORT = LatentSettings(
    widths=(4, 6), channels=2, autoencoder=AutoencoderSettings(steps=3, batch=4), steps=3, batch=4
)  # fmt: skip


def rows(n: int, *shape: int) -> Tensor:
    return torch.rand((n, *shape), generator=torch.Generator().manual_seed(1)) * 2 - 1


def model_of(shape: tuple[int, ...]) -> DiffusionModel:
    spec = denoiser_spec(shape[0], len(shape) - 1, widths=(4, 8), cond_dim=8, n_classes=2)
    return DiffusionModel(Denoiser(spec).eval(), spec, LINEAR, "eps", clip=1.0)


@pytest.mark.parametrize(
    ("shape", "inner"), [((1, 7), (4, 2)), ((3, 5, 9), (4, 2, 3)), ((1, 11, 3, 1), (4, 3, 1, 1)), ((200, 4), (4, 1))]
)
def test_latent_maps_of_any_size_come_back(shape: tuple[int, ...], inner: tuple[int, ...]) -> None:
    with seeded(0):
        network = Autoencoder(autoencoder_spec(shape[0], len(shape) - 1, widths=(4, 6, 6)))
    x = rows(2, *shape)
    assert network.latent_shape(shape[1:]) == inner
    assert network.encode(x).shape == (2, *inner)
    assert network.decode(network.encode(x), shape[1:]).shape == x.shape


def test_the_divergence_is_that_of_gaussians() -> None:
    mean, logvar = torch.tensor([0.0, 1.0, -2.0]), torch.tensor([0.0, 0.5, -1.0])
    p, q = torch.distributions.Normal(mean, (logvar / 2).exp()), torch.distributions.Normal(0.0, 1.0)
    torch.testing.assert_close(divergence(mean, logvar), torch.distributions.kl_divergence(p, q).mean())


def test_normalising_changes_nothing_that_is_rebuilt() -> None:
    with seeded(0):
        network = Autoencoder(autoencoder_spec(1, 1, widths=(4, 6)))
    x = rows(3, 1, 8)
    before = network.decode(network.encode(x), (8,))
    network.mean.fill_(0.7)
    network.spread.fill_(3.0)
    torch.testing.assert_close(network.decode(network.encode(x), (8,)), before)


def test_data_on_a_line_are_rebuilt_from_fewer_numbers() -> None:
    """Spectra a * ramp: one number each, and a latent map of half as many values as the spectrum."""
    data = rows(64, 1, 1) * torch.linspace(-1, 1, 8)
    spec = autoencoder_spec(1, 1, widths=(8, 16), latent=1)
    network = train_autoencoder(data, spec, AutoencoderSettings(steps=100, batch=32, lr=1e-2), QUIET)
    latents = network.encode(data)
    assert latents[0].numel() == 4
    assert abs(float(latents.mean())) < 1e-5
    assert float(latents.std()) == pytest.approx(1, abs=1e-5)
    assert rebuilding_error(network, data) < 0.25 * float(data.std())


@pytest.mark.parametrize("shape", [(1, 7), (3, 5, 6), (1, 5, 3, 4)])
def test_two_short_stages_end_in_samples(shape: tuple[int, ...]) -> None:
    labels = torch.tensor([0, 1, 0, 1, 1, 1])
    first, again = (latent_model(model_of(shape), rows(6, *shape), SHORT, QUIET, labels=labels) for _ in range(2))
    made = [m.samples(3, labels)(4, torch.Generator().manual_seed(2)) for m in (first, again)]
    assert made[0].nfe == 3
    assert made[0].x.shape == (4, *shape)
    assert torch.equal(made[0].x, made[1].x)
    assert made[0].x.abs().max() <= 1
    assert first.error > 0


@pytest.mark.parametrize("predicts", ["eps", "x0", "v", "score", "edm"])
def test_the_denoiser_learns_what_the_model_says(predicts: Predicts) -> None:
    model = replace(model_of((1, 7)), predicts=predicts, schedule=COSINE)
    made = latent_model(model, rows(6, 1, 7), SHORT, QUIET).model
    assert made.predicts == predicts
    assert made.schedule is COSINE
    learnt = interpolated("learnt", torch.tensor([-9.0, 5.0], dtype=torch.float64))
    assert SHORT.denoiser(replace(model, schedule=learnt)).schedule is None
    assert replace(SHORT, objective="x0").denoiser(model) == replace(
        SHORT.denoiser(model), objective="x0", schedule=None
    )


def test_what_cannot_be_done_is_refused() -> None:
    both = latent_model(model_of((1, 7)), rows(6, 1, 7), SHORT, QUIET)
    with pytest.raises(SettingError, match="at least 2"):
        both.samples(1, sampler=replace(EULER, least=2))
    with pytest.raises(SettingError, match="fitted"):
        both.samples(2, sampler=replace(EULER, sample=None))
    with pytest.raises(SettingError, match="the model knows data"):
        latent_model(model_of((1, 7)), rows(6, 2, 7), SHORT, QUIET)
