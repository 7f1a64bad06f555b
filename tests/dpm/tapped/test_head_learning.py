"""Heads learn what features hold, at any time; the denoiser stays as it is, and interruptions change nothing."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import pytest
import torch
from torch import Tensor, nn

from hyperseg.backbone import seeded
from hyperseg.core import SettingError
from hyperseg.core.runtime import Runtime
from hyperseg.dpm.denoise import Tapped
from hyperseg.dpm.model import DiffusionModel
from hyperseg.dpm.network import Denoiser, denoiser_spec
from hyperseg.dpm.schedules import SCHEDULES
from hyperseg.dpm.schedules.schedule import Schedule
from hyperseg.dpm.tapped.head import PixelHead, head_spec, new_head
from hyperseg.dpm.tapped.learning import HeadSettings, read_heads, tapped_at, train_heads

QUIET = Runtime(seed=3, quiet=True)
SHORT = HeadSettings(steps=20, batch=4)
X0 = torch.randn(6, 2, 8, 6, generator=torch.Generator().manual_seed(1))
Y = X0.mean(1)


class Mixed(nn.Module):
    """A network whose one level is a matrix times what it sees."""

    def __init__(self) -> None:
        super().__init__()
        self.mix = nn.Conv2d(2, 8, 1, bias=False)

    def features(self, x: Tensor, place: Tensor) -> tuple[list[Tensor], Tensor]:
        return [self.mix(x)], place


def fading() -> Schedule:
    """Without noise: x_t = (1 - t / 2) x0."""
    return Schedule("fading", lambda t: 1 - 0.5 * t, lambda t: 0 * t, lambda ratio: 0 * ratio, t_min=0.0)


def test_depth_that_features_hold_linearly_is_recovered_and_the_time_matters() -> None:
    """y is linear in x_t / alpha(t), so that a head has to know the time."""
    spec = denoiser_spec(2, 2, widths=(8,), cond_dim=8)
    with seeded(0):
        network = Mixed()
    model = DiffusionModel(cast(Any, network), spec, fading(), "x0")
    generator = torch.Generator().manual_seed(0)
    x0 = torch.rand(64, 2, 4, 4, generator=generator)
    depth = 0.2 + 0.5 * x0[:, 0] + 0.3 * x0[:, 1]
    head = new_head(head_spec(spec, (1.0,), 1, hidden=(16,), cond_dim=32), 0)
    train_heads(model, {"depth": head}, x0, depth, HeadSettings(steps=300, batch=32, lr=2e-2), QUIET)
    t = torch.rand(64, generator=generator, dtype=torch.float64)
    told = tapped_at(model, x0, torch.zeros_like(x0), t)
    with torch.no_grad():
        right = (head(told)[:, 0] - depth).abs().mean()
        wrong = (head(Tapped(told.levels, told.place.roll(1)))[:, 0] - depth).abs().mean()
    assert float(right) < 1e-2
    assert float(wrong) > 5 * float(right)
    for time in (0.0, 0.5, 1.0):
        said = read_heads(model, head, x0, time=time, generator=None)[:, 0]
        assert float((said - depth).abs().mean()) < 2e-2


def model() -> DiffusionModel:
    spec = denoiser_spec(2, 2, widths=(4, 8), cond_dim=8)
    with seeded(0):
        network = Denoiser(spec)
    return DiffusionModel(network.eval(), spec, SCHEDULES["linear"], "eps")


def heads(outputs: int = 1) -> dict[str, PixelHead]:
    spec = model().spec
    taps = {"strong": (0.0, 1.0), "weak": (0.0,)}
    return {of: new_head(head_spec(spec, tap, outputs, hidden=(8,)), i) for i, (of, tap) in enumerate(taps.items())}


def weights(modules: dict[str, PixelHead]) -> list[Tensor]:
    return [value.clone() for head in modules.values() for value in head.state_dict().values()]


def same(one: list[Tensor], other: list[Tensor]) -> bool:
    return all(torch.equal(a, b) for a, b in zip(one, other, strict=True))


@pytest.mark.parametrize("ema", [0.0, 0.9])
def test_seed_decides_every_byte_and_interruptions_none(tmp_path: Path, ema: float) -> None:
    chosen, found = replace(SHORT, ema=ema), []
    for seed in (3, 4):
        learnt = heads()
        train_heads(model(), learnt, X0, Y, chosen, replace(QUIET, seed=seed))
        assert not any(module.training for head in learnt.values() for module in head.modules())
        found.append(weights(learnt))
    assert not same(*found)

    def stop(_: str, done: int) -> None:
        if done == 13:
            raise KeyboardInterrupt

    kept = replace(QUIET, checkpoints=tmp_path / "run")
    with pytest.raises(KeyboardInterrupt):
        train_heads(model(), heads(), X0, Y, chosen, replace(kept, on_step=stop))
    left: list[int] = []
    resumed = heads()
    train_heads(model(), resumed, X0, Y, chosen, replace(kept, on_step=lambda _, done: left.append(done)))
    assert left[0] == 14
    assert same(weights(resumed), found[0])


def test_the_denoiser_stays_as_it_is_also_after_an_error() -> None:
    whole = model()
    network = whole.network.train()
    network.time.requires_grad_(False)

    def flags() -> list[bool]:
        return [p.requires_grad for p in network.parameters()] + [m.training for m in network.modules()]

    before, values = flags(), [value.clone() for value in network.state_dict().values()]
    train_heads(whole, heads(), X0, Y, SHORT, QUIET)
    assert flags() == before

    def stop(_: str, done: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train_heads(whole, heads(), X0, Y, SHORT, replace(QUIET, on_step=stop))
    assert flags() == before
    assert same(values, [*network.state_dict().values()])
    assert all(p.grad is None for p in network.parameters())


def test_unknown_pixels_are_not_learnt_from() -> None:
    """Whatever would stand there: half of the pixels unknown is as good as a loss over the other half."""
    told = tapped_at(model(), X0, torch.zeros_like(X0), torch.full((6,), 0.1, dtype=torch.float64))
    hidden = Y.clone()
    hidden[:, :4] = float("nan")
    one, other = heads()["strong"], heads()["strong"]
    train_heads(model(), {"any": one}, X0, hidden, replace(SHORT, steps=1, ema=0), QUIET)
    history = train_heads(model(), {"any": other}, X0, hidden, replace(SHORT, steps=1, ema=0), QUIET)
    assert torch.equal(one(told), other(told))
    assert one(told).isfinite().all()
    generator = torch.Generator().manual_seed(3 * 1_000_003)  # what the first step draws
    which = torch.randint(6, (4,), generator=generator)
    assert hidden[which].isnan().any()
    assert 0 < history.terms["any"][0] < 10


def test_times_stay_below_the_latest_and_cover_it_evenly() -> None:
    """A network that is asked notes the places that it is told: whole steps 0 to 299 of 1000 where latest is 0.3."""
    places: list[Tensor] = []
    whole = model()
    inner = whole.network.features

    def features(x: Tensor, place: Tensor, *more: Any, **options: Any) -> Any:
        places.append(place)
        return inner(x, place, *more, **options)

    whole.network.features = features  # type: ignore[method-assign]
    train_heads(whole, heads(), X0, Y, replace(SHORT, batch=10, steps=30), QUIET, latest=0.3)
    told = torch.stack(places)
    torch.testing.assert_close(told, told.round(), rtol=0, atol=1e-3)
    assert float(told.min()) >= 0
    assert float(told.max()) <= 299
    torch.testing.assert_close((told / 30 + 1e-4).floor(), torch.arange(10.0).expand(30, 10))  # one in each tenth


Case = tuple[Callable[[], dict[str, Any]], str]
EMPTY = torch.where(torch.arange(6)[:, None, None] % 3 == 1, torch.nan, Y)
CASES: dict[str, Case] = {
    "another size": (lambda: {"target": Y[:, :4]}, r"targets have shape \(6, 4, 6\).*Bring maps of another size"),
    "all unknown": (lambda: {"target": EMPTY}, "no pixel has a known target in samples 1 and 4"),
    "no class known": (
        lambda: {"target": torch.full((6, 8, 6), -1), "heads": heads(3)},
        r"no pixel has a known target in 6 of 6 samples \(0, 1, 2, 3, 4, ...\)",
    ),
    "infinite": (lambda: {"target": 1 / (Y * 0)}, "infinity in the targets of 6 of 6 samples"),
    "too many classes": (
        lambda: {"target": torch.arange(6)[:, None, None].expand(6, 8, 6), "heads": heads(3)},
        "classes are 0 to 2 for a head of 3 outputs.*got 0 to 5",
    ),
    "numbers for classes": (lambda: {"heads": heads(3)}, "a head of 1 output learns, and this one has 3"),
    "pictures with NaN": (
        lambda: {"x0": torch.where(torch.arange(6)[:, None, None, None] == 2, torch.nan, X0)},
        "NaN or infinity in the values of sample 2:",
    ),
    "other channels": (lambda: {"x0": X0[:, :1]}, r"float32 data \(n, 2, rows, columns\)"),
    "no heads": (lambda: {"heads": {}}, "no heads are given"),
    "equal taps": (
        lambda: {"heads": {"strong": heads()["weak"], "weak": heads()["weak"]}},
        r"'strong' and 'weak' both read the blocks \[0\]",
    ),
    "no time": (lambda: {"latest": 0.0}, "got latest=0"),
    "beyond the schedule": (lambda: {"latest": 1.2}, "got latest=1.2"),
}  # fmt: skip


@pytest.mark.parametrize("case", CASES.values(), ids=CASES.keys())
def test_what_cannot_be_learnt_is_refused_in_one_line(case: Case) -> None:
    given: dict[str, Any] = {"heads": heads(), "x0": X0, "target": Y, "latest": 1.0, **case[0]()}
    with pytest.raises(SettingError, match=case[1]) as error:
        train_heads(model(), given["heads"], given["x0"], given["target"], SHORT, QUIET, latest=given["latest"])
    assert "\n" not in str(error.value)
