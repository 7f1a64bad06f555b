"""`guide`: a denoiser and a loss of what it says are a denoiser again, whose samples have a smaller loss."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal, NamedTuple, get_args

import torch
from torch import Tensor

from hyperseg.core import SettingError, TrainingError
from hyperseg.dpm.denoise import Denoise, Prediction, per_sample
from hyperseg.dpm.guidance.losses import Loss
from hyperseg.dpm.guidance.own_step import OwnStep, own_step
from hyperseg.dpm.schedules.schedule import Schedule

Mode = Literal["mean", "eps"]
EDGE = 1e-9  # of a time that was looked up


class GuidedStep(NamedTuple):
    """What a guided call did.

    Attributes:
        t: time of the schedule.
        sigma: noise to signal.
        ratio: how far guidance moves the mean of the schedule's own step, as a share of how far that step goes:
            ||w grad|| / ||mu - x_t|| in the mode "mean"; mean over samples.
        loss: mean over samples, with the weights of `added` but without `weight`.
    """

    t: float
    sigma: float
    ratio: float
    loss: float


def guide(
    denoise: Denoise, loss: Loss, weight: float, *, schedule: Schedule, mode: Mode = "mean",
    earliest: float = 0.0, latest: float = 1.0, every: int = 1, note: Callable[[GuidedStep], None] | None = None,
) -> Denoise:  # fmt: skip
    """A denoiser that follows the gradient of a loss; every sampler can ask it.

    "mean" moves the mean of an ancestral step of the schedule by -weight times the gradient with respect to x_t; other
    samplers get the noise with which an ancestral step would do so, so that a weight belongs to a schedule. "eps" adds
    weight * gradient * std to the noise, without the share of noise of a step: then a weight means the same in all
    schedules. The expected square of the noise, where a network says it, moves along, so that variances stay.

    Gradients are taken with respect to the state only, and for every sample on its own. With weight 0, and at times
    that are left out, the prediction is passed on as it is and no gradient is worked out.

    Args:
        denoise: differentiable: `DiffusionModel.tapped()`, or `differentiable()` where the loss reads x0 only.
        loss: see `hyperseg.dpm.guidance.losses.Loss`; `added` makes one of several.
        weight: 0 or more.
        schedule: that of the network.
        earliest, latest: shares of the schedule's time; what has less or more noise is left unguided.
        every: calls from one guided call to the next; the first is guided. A call at more noise than the one before
            begins anew. See `hyperseg.dpm.guidance.check.check_guided`.
        note: told of every guided call.

    Raises:
        SettingError: a weight, a share or a number of calls outside what it may be, or the mode "mean" for a schedule
            without steps; when called, a loss that does not depend on the state or is not a number for each sample.
        TrainingError: when called, a gradient or a prediction that is not finite.

    Source: Kim et al., "DAG", arXiv 2212.08861, x_{t-1} ~ N(mu - w grad, Sigma), as secondary accounts tell it;
        Dhariwal & Nichol, "Diffusion Models Beat GANs on Image Synthesis", NeurIPS 2021, algorithm 2, for "eps".
    Differs: "mean" for samplers that are not ancestral, and every n-th call, are reconstructions.
    """
    _check(weight, schedule, mode, (earliest, latest), every)
    window = (earliest * schedule.t_max - EDGE, latest * schedule.t_max + EDGE)
    return _Guided(denoise, loss, weight, schedule, mode, window, every, note)


@dataclass
class _Guided:
    denoise: Denoise
    loss: Loss
    weight: float
    schedule: Schedule
    mode: Mode
    window: tuple[float, float]
    every: int
    note: Callable[[GuidedStep], None] | None
    calls: int = field(default=0, init=False)  # in the window, of this trajectory
    level: float = field(default=0.0, init=False)  # of the call before
    ratio: float | None = field(default=None, init=False)  # of the guided call before

    def __call__(self, x: Tensor, sigma: Tensor) -> Prediction:
        if self.weight == 0:
            return self._raw(x, sigma)
        t = self.schedule.time(sigma).clamp(self.schedule.t_min, self.schedule.t_max)
        level, inside = float(sigma.max()), (t >= self.window[0]) & (t <= self.window[1])
        if level > self.level:
            self.calls, self.ratio = 0, None
        self.level = level
        if not bool(inside.any()):
            return self._raw(x, sigma)
        self.calls += 1
        return self._guided(x, sigma, t, inside) if (self.calls - 1) % self.every == 0 else self._raw(x, sigma)

    def _raw(self, x: Tensor, sigma: Tensor) -> Prediction:
        with torch.no_grad():
            return self.denoise(x, sigma)._replace(features=None)

    def _guided(self, x: Tensor, sigma: Tensor, t: Tensor, inside: Tensor) -> Prediction:
        with torch.enable_grad():
            at = x.detach().requires_grad_()
            said = self.denoise(at, sigma)
            losses = self.loss(said, sigma)
            slope = _slope(losses, at)
        x0, share, squared, residual = (None if part is None else part.detach() for part in said[:4])
        assert x0 is not None
        said = Prediction(x0, share, squared, residual)
        with torch.no_grad():
            step, alpha = own_step(self.schedule, t), self.schedule.alpha_at(sigma, t)
            factor = 1 / step.lever if self.mode == "mean" else alpha * sigma
            moved = per_sample(self.weight * factor * inside / alpha, x) * slope  # what is added to the noise
            self._tell(x, said.x0, moved, step, GuidedStep(float(t.mean()), self.level, 0.0, float(losses.mean())))
            return _moved(said, x, per_sample(sigma, x), moved)

    def _tell(self, x: Tensor, x0: Tensor, moved: Tensor, step: OwnStep, told: GuidedStep) -> None:
        by = step.lever * moved.flatten(1).norm(dim=1)
        way = step.way(x, x0).flatten(1).norm(dim=1)
        ratio, finite = float((by / way).mean()), bool((by + way).isfinite().all())
        if not finite:
            before = "it was the first guided step" if self.ratio is None else f"the step before had {self.ratio:.3g}"
            times = "" if self.weight == 1 else f" with weight {self.weight:g}"
            raise TrainingError(
                f"guidance{times} at t = {told.t:.3f}: the gradient or the predicted data are not finite "
                f"(||w grad|| / ||mu - x_t|| is {ratio:.3g}; {before}). Give smaller weights: ratios below 1 are usual."
            )
        self.ratio = ratio
        if self.note is not None:
            self.note(told._replace(ratio=ratio))


def _slope(losses: Tensor, at: Tensor) -> Tensor:
    """(B, C, *S) the gradient of each sample's loss with respect to its state."""
    if losses.shape != at.shape[:1]:
        raise SettingError(
            f"a loss of guidance gives a number for each of {len(at)} samples, got a tensor of shape "
            f"{tuple(losses.shape)}: sum over pixels, not over samples."
        )
    slope = torch.autograd.grad(losses.sum(), at, allow_unused=True)[0] if losses.requires_grad else None
    if slope is None:
        raise SettingError(
            "the loss of guidance does not depend on the state: ask the network by DiffusionModel.tapped() or "
            "differentiable(), which keep gradients, and detach nothing on the way."
        )
    return slope


def _moved(said: Prediction, x: Tensor, sigma: Tensor, moved: Tensor) -> Prediction:
    """What is said where the noise is another by `moved`; its variance, where it is told, is the same."""
    x0 = said.x0 - sigma * moved
    if said.squared is None:
        return said._replace(x0=x0)
    noise = (x - said.x0) / sigma
    return said._replace(x0=x0, squared=said.squared + moved * (2 * noise + moved))


def _check(weight: float, schedule: Schedule, mode: str, window: tuple[float, float], every: int) -> None:
    if not 0 <= weight < math.inf:
        raise SettingError(f"the weight of guidance is a number of 0 or more, got {weight:g}.")
    if mode not in get_args(Mode):
        raise SettingError(f"guidance moves the {' or the '.join(get_args(Mode))} of a step, got {mode!r}.")
    if mode == "mean" and schedule.steps is None:
        raise SettingError(
            f"guidance by the mean of a step needs a schedule of steps, and {schedule.name!r} is continuous: take a "
            "network trained with linear or cosine, or mode='eps'."
        )
    if not 0 <= window[0] < window[1] <= 1:
        raise SettingError(
            f"guided times are shares of the schedule from 0 to 1, the earliest below the latest, got {window[0]:g} to "
            f"{window[1]:g}."
        )
    if every < 1:
        raise SettingError(f"every first, second, ... call is guided: give 1 or more, got {every}.")
