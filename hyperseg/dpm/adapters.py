"""Any network as a `Denoise`: what it predicts, in which schedule it was trained, and what it says of variances."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

import torch
from torch import Tensor

from hyperseg.core import SettingError
from hyperseg.dpm.denoise import Denoise, Prediction, Tapped, per_sample
from hyperseg.dpm.parameterisation import SIGMA_DATA, Predicts, parameterisation
from hyperseg.dpm.schedules.schedule import Schedule

Network = Callable[[Tensor, Tensor], Tensor]
"""(x (B, C, *S) float32, place (B,) float32) -> (B, C * (1 + extras), *S); `place` is `Schedule.place` of the time."""
TappedNetwork = Callable[[Tensor, Tensor], tuple[Tensor, tuple[Tensor, ...]]]
"""The same, and levels of its decoder beside its answer, see `Tapped`."""
Extra = Literal["share", "squared", "residual"]


def denoiser(
    network: Network | TappedNetwork,
    schedule: Schedule,
    predicts: Predicts = "eps",
    *,
    extras: tuple[Extra, ...] = (),
    clip: float | None = None,
    on_steps: bool = False,
    sigma_data: float = SIGMA_DATA,
    dtype: torch.dtype = torch.float32,
) -> Denoise:
    """The network in the form that all samplers ask.

    The state is float64, the network works in `dtype`. Any noise level may be asked, whatever schedule a sampler goes
    by: it is looked up in the network's own schedule; beyond its ends the nearest time is told.

    Args:
        network: see `Network` and `TappedNetwork`. What it says beyond C channels are `extras`, split off here, before
            any solver.
        schedule: what it was trained with.
        predicts: what it says.
        extras: what it says besides, in order: "share" (a logit, see `Prediction`), "squared", "residual".
        clip: x0 is cut to [-clip, clip]; None leaves it (always for data that are not pictures).
        on_steps: tell the nearest whole step only (networks trained on them alone).
        sigma_data: of "edm".

    Raises:
        SettingError: an unknown `predicts`, whole steps of a continuous schedule; when called, a network that gives
            another number of channels.
    """
    form = parameterisation(predicts, sigma_data=sigma_data)
    if on_steps:
        schedule.step_times()  # or raise

    def denoise(x: Tensor, sigma: Tensor) -> Prediction:
        t = schedule.time(sigma).clamp(schedule.t_min, schedule.t_max)
        alpha = per_sample(schedule.alpha_at(sigma, t), x)
        std, state = alpha * per_sample(sigma, x), alpha * x
        if on_steps and schedule.steps is not None:
            t = (t * schedule.steps).round() / schedule.steps
        place = schedule.place(t).to(dtype)
        told = network(form.input(state, alpha, std).to(dtype), place)
        out, tapped = (told, None) if isinstance(told, Tensor) else (told[0], Tapped(told[1], place))
        answer, *others = _split(out.to(x.dtype), x, extras)
        x0 = form.x0(state, answer, alpha, std)
        named = dict(zip(extras, others, strict=True))
        share = named["share"].sigmoid() if "share" in named else None
        cut = x0 if clip is None else x0.clamp(-clip, clip)
        return Prediction(cut, share, named.get("squared"), named.get("residual"), tapped)

    return denoise


def _split(out: Tensor, x: Tensor, extras: tuple[Extra, ...]) -> tuple[Tensor, ...]:
    wanted = x.shape[1] * (1 + len(extras))
    if out.shape[1] != wanted:
        raise SettingError(
            f"the network gives {out.shape[1]} channels for data of {x.shape[1]} and the extras {list(extras)}: "
            f"expected {wanted}. Name in `extras` what it says besides its prediction."
        )
    return out.split(x.shape[1], 1)
