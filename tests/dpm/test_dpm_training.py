"""Training: the same seed and an interruption change no byte, right denoisers are found, wrong input is told early."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from hyperseg.core import RunError, SettingError, TrainingError
from hyperseg.core.parts import Saved
from hyperseg.core.runtime import Runtime
from hyperseg.dpm.extras import ExtrasSettings, add_extras
from hyperseg.dpm.model import DiffusionModel, load_model
from hyperseg.dpm.network import DenoiserSpec, denoiser_spec
from hyperseg.dpm.objectives import OBJECTIVES
from hyperseg.dpm.schedules.linear import linear
from hyperseg.dpm.schedules.vp import vp
from hyperseg.dpm.stored import read_model, write_model
from hyperseg.dpm.training import DiffusionSettings, train_diffusion

QUIET = Runtime(seed=3, quiet=True)
DATA = 0.5 * torch.randn(64, 1, 8, generator=torch.Generator().manual_seed(0))
SHORT = DiffusionSettings(steps=20, batch=8)


def tiny(objective: str = "eps", **options: Any) -> DenoiserSpec:
    extras = OBJECTIVES[objective].extras
    return denoiser_spec(1, 1, widths=(4, 8), cond_dim=8, extras=extras, **options)


def state(model: DiffusionModel) -> list[Tensor]:
    saved = model.saved()
    return [torch.from_numpy(saved.arrays[name]) for name in sorted(saved.arrays)]


def same(one: DiffusionModel, other: DiffusionModel) -> bool:
    a, b = state(one), state(other)
    return len(a) == len(b) and all(torch.equal(x, y) for x, y in zip(a, b, strict=True))


def settings(name: str) -> DiffusionSettings:
    return replace(SHORT, objective=name, by_loss=name == "hybrid")


@pytest.mark.parametrize("name", OBJECTIVES)
def test_seed_decides_every_byte_and_interruptions_none(tmp_path: Path, name: str) -> None:
    whole, other = (
        train_diffusion(DATA, tiny(name), settings(name), replace(QUIET, seed=seed), labels=None) for seed in (3, 4)
    )
    assert not same(whole, other)

    def stop(_: str, done: int) -> None:
        if done == 13:
            raise KeyboardInterrupt

    resumed = replace(QUIET, checkpoints=tmp_path / "run")
    with pytest.raises(KeyboardInterrupt):
        train_diffusion(DATA, tiny(name), settings(name), replace(resumed, on_step=stop))
    left: list[int] = []
    again = replace(resumed, on_step=lambda _, done: left.append(done))
    assert same(train_diffusion(DATA, tiny(name), settings(name), again), whole)
    assert left[0] == 14


def error(model: DiffusionModel, sigma: float = 0.5) -> float:
    """Root mean square error of x0 against the closed form s^2 / (s^2 + sigma^2) x of N(0, s^2)."""
    x = DATA.double() + sigma * torch.randn(DATA.shape, generator=torch.Generator().manual_seed(1)).double()
    said = model.denoise()(x, torch.full((len(x),), sigma, dtype=torch.float64)).x0
    return float((said - 0.25 / (0.25 + sigma**2) * x).square().mean().sqrt())


@pytest.mark.parametrize("name", ["edm", "vdm"])
def test_a_little_training_finds_the_denoiser_of_gaussian_data(name: str) -> None:
    data = 0.5 * torch.randn(4000, 1, 8, generator=torch.Generator().manual_seed(5))
    chosen = DiffusionSettings(objective=name, steps=200, batch=64, lr=1e-2, ema=0.95)
    model = train_diffusion(data, tiny(name), chosen, QUIET)
    assert error(model) < 0.1  # saying x itself is 0.35 off, saying 0 0.35 too
    assert model.raw is not None
    assert error(model.unaveraged) < 0.12
    assert not same(replace(model.unaveraged, raw=None), replace(model, raw=None))


def test_what_a_class_is_told_to_mean_is_learnt() -> None:
    labels = torch.arange(64) % 2
    data = (labels * 1.6 - 0.8).reshape(-1, 1, 1) + 0.05 * DATA
    chosen = DiffusionSettings(objective="edm", steps=100, batch=32, lr=1e-2, ema=0.9)
    model = train_diffusion(data, tiny(n_classes=2), chosen, QUIET, labels=labels)
    x, sigma = torch.zeros(2, 1, 8, dtype=torch.float64), torch.full((2,), 2.0, dtype=torch.float64)
    told = model.denoise(torch.tensor([0, 1]))(x, sigma).x0.mean((1, 2))
    assert float(told[0]) < -0.4
    assert float(told[1]) > 0.4


def test_a_model_survives_its_saved_form() -> None:
    spec = tiny("hybrid")
    model = train_diffusion(DATA, spec, replace(SHORT, objective="hybrid", clip=1.0), QUIET)
    learnt = train_diffusion(DATA, tiny(), replace(SHORT, objective="vdm", keep_raw=False), QUIET)
    own = replace(learnt, schedule=linear(50))
    x, sigma = DATA[:4].double(), torch.full((4,), 0.3, dtype=torch.float64)
    for before in (model, learnt, own):
        after = load_model(before.saved())
        assert same(before, after)
        assert after.schedule.name == before.schedule.name
        assert after.extras == before.extras
        one, other = before.denoise()(x, sigma), after.denoise()(x, sigma)
        assert torch.equal(one.x0, other.x0)
    assert learnt.raw is None
    with pytest.raises(SettingError, match="keep_raw"):
        _ = learnt.unaveraged
    with pytest.raises(SettingError, match="cannot be saved"):
        replace(model, schedule=vp(0.1, 10)).saved()
    saved = model.saved()
    with pytest.raises(SettingError, match="do not fit"):
        load_model(Saved(saved.record, {k: v for k, v in saved.arrays.items() if "last" not in k}))


def test_a_model_is_told_in_a_line_and_kept_in_a_file(tmp_path: Path) -> None:
    model = train_diffusion(DATA, tiny(), SHORT, QUIET)
    told = repr(model)
    assert told.startswith("DiffusionModel(1 channels over 1 axes, ")
    assert "\n" not in told
    assert len(told) < 160
    file = tmp_path / "model.safetensors"
    write_model(file, model)
    assert same(read_model(file), model)
    assert same(read_model(str(tmp_path)), model)  # a folder stands for the model in it
    with pytest.raises(SettingError, match=r"there already.*overwrite"):
        write_model(file, model)
    write_model(file, model.unaveraged, overwrite=True)
    assert not same(read_model(file), model)
    file.write_bytes(b"no model")
    with pytest.raises(RunError, match="holds no diffusion model"):
        read_model(file)


def test_gradients_flow_where_they_are_asked_for() -> None:
    model = train_diffusion(DATA, tiny(), SHORT, QUIET)
    x = DATA[:2].double().requires_grad_()
    sigma = torch.full((2,), 0.3, dtype=torch.float64)
    model.differentiable()(x, sigma).x0.sum().backward()
    assert x.grad is not None
    assert float(x.grad.abs().min()) > 0


def test_extras_leave_the_prediction_as_it_was_and_find_the_variance_of_gaussian_data() -> None:
    data = 0.5 * torch.randn(4000, 1, 8, generator=torch.Generator().manual_seed(5))
    chosen = DiffusionSettings(objective="edm", schedule="linear", steps=150, batch=64, lr=1e-2, ema=0.95)
    model = train_diffusion(data, tiny(), chosen, QUIET)
    told = ExtrasSettings(steps=250, batch=64, lr=1e-2, ema=0.95)
    more = add_extras(model, data, QUIET, ("share", "squared", "residual"), settings=told)
    assert more.extras == ("share", "squared", "residual")
    assert more.raw is None
    for sigma in (0.3, 1.0, 3.0):
        x = data[:500].double() + sigma * torch.randn(500, 1, 8, generator=torch.Generator().manual_seed(6)).double()
        level = torch.full((500,), sigma, dtype=torch.float64)
        said, before = more.denoise()(x, level), model.denoise()(x, level)
        assert torch.equal(said.x0, before.x0)
        assert said.squared is not None
        assert said.residual is not None
        assert said.share is not None
        exact = 0.25 / (0.25 + sigma**2)
        assert float(said.residual.mean()) == pytest.approx(exact, abs=0.15)
        mean = sigma * x / (0.25 + sigma**2)
        assert float((said.squared - mean**2).mean()) == pytest.approx(exact, abs=0.25)
    again = load_model(more.saved())
    assert same(more, again)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"data": DATA.double()}, "float32"),
        ({"data": DATA[:, :, None]}, r"\(n, 1, length\)"),
        ({"data": DATA[:0]}, "learns from float32"),
        ({"data": DATA.where(DATA < 0.9, torch.nan)}, "NaN"),
        ({"labels": torch.zeros(64).long()}, "told no classes"),
        ({"spec": tiny(n_classes=2), "labels": torch.full((64,), 2)}, "0 to 1"),
        ({"spec": tiny(n_classes=2), "labels": torch.zeros(3).long()}, "each of 64"),
        ({"spec": tiny(n_classes=2), "labels": torch.full((64,), -2)}, "from -2 to -2"),
        ({"spec": tiny(n_classes=2), "labels": torch.zeros(64)}, "whole number.*float32"),
        ({"spec": tiny("hybrid")}, "add_extras"),
        ({"settings": replace(SHORT, objective="hybrid")}, "extras"),
        ({"settings": replace(SHORT, objective="hybrid", schedule="vp"), "spec": tiny("hybrid")}, "continuous"),
        ({"settings": replace(SHORT, objective="vdm", by_loss=True)}, "by_loss"),
        ({"settings": replace(SHORT, objective="epps")}, "unknown objective"),
        ({"settings": replace(SHORT, schedule="liner")}, "unknown schedule"),
    ],
)  # fmt: skip
def test_what_does_not_go_together_is_told_before_training(change: dict[str, Any], message: str) -> None:
    given: dict[str, Any] = {"data": DATA, "spec": tiny(), "settings": SHORT, "labels": None} | change
    with pytest.raises(SettingError, match=message):
        train_diffusion(given["data"], given["spec"], given["settings"], QUIET, labels=given["labels"])


def test_extras_that_cannot_be_added_are_refused() -> None:
    model = train_diffusion(DATA, tiny(), replace(SHORT, schedule="vp"), QUIET)
    with pytest.raises(SettingError, match="at least one"):
        add_extras(model, DATA, QUIET, ())
    with pytest.raises(SettingError, match="continuous"):
        add_extras(model, DATA, QUIET, ("share",))


def test_a_loss_that_is_not_finite_ends_the_training() -> None:
    with pytest.raises(TrainingError, match="not finite"):
        train_diffusion(1e25 * DATA, tiny(), replace(SHORT, objective="x0"), QUIET)
