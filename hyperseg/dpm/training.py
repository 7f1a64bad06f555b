"""Train a denoising network on any data: spectra, images, cubes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from hyperseg.backbone import seeded
from hyperseg.core import SettingError
from hyperseg.core.runtime import Runtime
from hyperseg.core.settings import option, settings
from hyperseg.dpm.losses.loss import Loss
from hyperseg.dpm.model import DiffusionModel
from hyperseg.dpm.network import Denoiser, DenoiserSpec
from hyperseg.dpm.objectives import OBJECTIVES
from hyperseg.dpm.objectives.objective import Objective
from hyperseg.dpm.objectives.times import LossSizes
from hyperseg.dpm.schedules import SCHEDULES
from hyperseg.dpm.schedules.schedule import Schedule
from hyperseg.dpm.schedules.vdm import LearntGamma
from hyperseg.engine.ema import Ema
from hyperseg.engine.one_cycle import one_cycle, step_generator, train
from hyperseg.engine.training import Phase

SHAPE_EVERY, SHAPE_LR = 5, 0.02  # of the phase that learns the shape of a schedule


@settings
class DiffusionSettings:
    """How a denoising network is trained."""

    objective: str = option(OBJECTIVES.default, "What is minimised.", shown="objective")
    schedule: str | None = option(None, "Noise schedule; by default the one that the objective goes with.")
    steps: int = option(4000, "Training steps.", low=1, shown="train-steps")
    batch: int = option(128, "Samples of a step.", low=1)
    lr: float = option(2e-3, "Largest learning rate of the one-cycle schedule.", above=0)
    weight_decay: float = option(0.0, "Of AdamW.", low=0)
    rise: float = option(0.1, "Share of the steps in which the learning rate rises.", above=0, below=1)
    ema: float = option(0.998, "Decay of the moving average of the weights.", low=0, below=1)
    clip: float | None = option(None, "Predicted clean data are cut to +-clip; none leaves them.", above=0)
    by_loss: bool = option(False, "Draw times in proportion to the size of the loss there, which stays the same.")
    untold: float = option(0.1, "Share of the samples whose class is not told.", low=0, high=1)
    keep_raw: bool = option(True, "Keep the weights of the last step beside their average.")


class Drawn(NamedTuple):
    """What the host draws for a step: (B,) which samples, and (B,) float64 quantiles of their times."""

    which: Tensor
    quantile: Tensor


class Batch(NamedTuple):
    """What a loss reads, on the device: (B, C, *S) data and noise; (B,) times, their quantiles and weights, classes."""

    x0: Tensor
    noise: Tensor
    t: Tensor
    quantile: Tensor
    weight: Tensor | None
    labels: Tensor | None


PerSample = Callable[[Batch], Mapping[str, Tensor]]


def train_diffusion(
    data: Tensor,
    spec: DenoiserSpec,
    settings: DiffusionSettings,
    runtime: Runtime,
    *,
    labels: Tensor | None = None,
    name: str = "diffusion",
    title: str = "denoiser",
) -> DiffusionModel:
    """Train a network on clean data; an unfinished training at `runtime.checkpoints` is continued.

    Args:
        data: (n, C, *S) float32, of values around -1 to 1.
        spec: of the network.
        settings: how.
        runtime: where; its seed decides everything.
        labels: (n,) classes where the network can be told them.
        name: of the training state's file.
        title: text of the progress bar.

    Raises:
        SettingError: data, network, labels, objective and schedule that do not go together.
        TrainingError: a loss that is not finite.
    """
    objective: Objective = OBJECTIVES[settings.objective]
    schedule = objective.schedule if settings.schedule is None else SCHEDULES[settings.schedule]
    check_data(data, spec, labels)
    check_objective(objective, spec, schedule)
    data, sigma_data = data.to(runtime.device), float(data.std())
    with seeded(runtime.seed):
        network = Denoiser(spec).to(runtime.device)
    modules: dict[str, nn.Module] = {"denoiser": network}
    learnt = None
    if settings.schedule is None and objective.learnt is not None:
        modules["gamma"] = learnt = objective.learnt().to(runtime.device)
        schedule = learnt.live()
    sizes = LossSizes().to(runtime.device) if settings.by_loss else None
    if sizes is not None:
        modules["sizes"] = sizes
    lost = _per_sample(network, objective.loss(schedule, objective.predicts, sigma_data=sigma_data))
    average = Ema(network, decay=settings.ema)
    train(
        _phases(network, learnt, lost, sizes, settings), _draw(len(data), settings.batch, runtime.seed),
        settings.steps, modules=modules, averages={"denoiser": average}, runtime=runtime, name=name, title=title,
        end="own", make=_make(data, labels, schedule, objective, sizes, settings.untold),
    )  # fmt: skip
    smooth: Any = average.module
    return DiffusionModel(
        smooth, spec, schedule if learnt is None else learnt.cpu().schedule(), objective.predicts, settings.clip,
        sigma_data, network if settings.keep_raw else None,
    )  # fmt: skip


def _phases(
    network: Denoiser, learnt: LearntGamma | None, lost: PerSample, sizes: LossSizes | None, settings: DiffusionSettings
) -> list[Phase]:
    """One phase for the network, and another where a schedule is learnt: its shape, for a loss that varies less."""

    def mean(batch: Batch) -> dict[str, Tensor]:
        terms = lost(batch)
        if sizes is not None:
            sizes.note(batch.quantile, torch.stack([*terms.values()]).sum(0).detach())
        return {name: (term if batch.weight is None else term * batch.weight).mean() for name, term in terms.items()}

    def spread(batch: Batch) -> dict[str, Tensor]:
        # its mean does not depend on the shape, so that its mean square is as small as its variance is
        return {"spread": lost(batch)["diffusion"].square().mean()}

    if learnt is not None and sizes is not None:
        raise SettingError("a schedule that is learnt has times drawn evenly: leave by_loss out, or give a schedule.")
    ends = [] if learnt is None else [weight for weight in (learnt.low, learnt.span) if weight.requires_grad]
    steps, lr, decay = settings.steps, settings.lr, settings.weight_decay
    weights = [*network.parameters(), *ends]
    phases = [one_cycle("denoiser", mean, weights, steps=steps, lr=lr, weight_decay=decay, rise=settings.rise)]
    if learnt is not None:
        times = steps // SHAPE_EVERY + 1
        optimiser = one_cycle("schedule", spread, [learnt.shape], steps=times, lr=SHAPE_LR, weight_decay=0.0)
        phases.append(replace(optimiser, every=SHAPE_EVERY))
    return phases


def _draw(n: int, batch: int, seed: int) -> Callable[[int], Drawn]:
    """Samples, and quantiles of times, one in each of `batch` equal parts of [0, 1).

    Differs: times of a batch are stratified, as in Kingma et al., "Variational Diffusion Models", NeurIPS 2021,
        whatever the loss: its mean is the same and varies less.
    """

    def batches(step: int) -> Drawn:
        generator = step_generator(seed, step)
        index = torch.randint(n, (batch,), generator=generator)
        within = torch.rand(batch, generator=generator, dtype=torch.float64)
        return Drawn(index, (torch.arange(batch) + within) / batch)

    return batches


def _make(
    data: Tensor,
    labels: Tensor | None,
    schedule: Schedule,
    objective: Objective,
    sizes: LossSizes | None,
    untold: float,
) -> Callable[[Drawn], Batch]:
    labels = None if labels is None else labels.to(data.device, torch.long)

    def make(drawn: Drawn) -> Batch:
        x0, told, u, weight = data[drawn.which], None, drawn.quantile, None
        if labels is not None:
            hidden = torch.rand(len(x0), device=x0.device) < untold
            told = torch.where(hidden, -1, labels[drawn.which])
        if sizes is not None:
            u, weight = sizes.bend(u)
            weight = weight.float()
        return Batch(x0, torch.randn_like(x0), objective.times(schedule, u), u, weight, told)

    return make


def _per_sample(network: Denoiser, loss: Loss) -> PerSample:
    """The loss terms of a batch, (B,) each."""

    def terms(batch: Batch) -> Mapping[str, Tensor]:
        return loss(lambda x, place: network(x, place, batch.labels), batch.x0, batch.t, batch.noise)

    return terms


def check_data(data: Tensor, spec: DenoiserSpec, labels: Tensor | None) -> None:
    """Raise SettingError unless data and labels can train the network."""
    channels, ndim = spec.backbone.in_channels, spec.backbone.conv.ndim
    if data.ndim != ndim + 2 or data.shape[1] != channels or not len(data) or data.dtype != torch.float32:
        raise SettingError(
            f"this network learns from float32 data (n, {channels}, and {ndim} more axes), got {data.dtype} of shape "
            f"{tuple(data.shape)}."
        )
    if not bool(data.isfinite().all()):
        raise SettingError("the training data hold NaN or infinity: leave those samples out.")
    if labels is None:
        return
    if not spec.n_classes:
        raise SettingError("labels were given to a network that is told no classes: leave them out, or set n_classes.")
    if labels.shape != data.shape[:1] or int(labels.max()) >= spec.n_classes:
        raise SettingError(
            f"labels are one of 0 to {spec.n_classes - 1} (-1 for none) for each of {len(data)} samples, got "
            f"{len(labels)} up to {int(labels.max())}."
        )


def check_objective(objective: Objective, spec: DenoiserSpec, schedule: Schedule) -> None:
    """Raise SettingError unless this objective trains all that the network says, in this schedule."""
    if spec.extras != objective.extras:
        raise SettingError(
            f"the objective {objective.name!r} trains {list(objective.extras) or 'no extras'} and the network says "
            f"{list(spec.extras)}: build it with extras={objective.extras!r}; `add_extras` trains others afterwards."
        )
    if objective.on_steps and schedule.steps is None:
        raise SettingError(
            f"the objective {objective.name!r} is defined for schedules of steps, and {schedule.name!r} is "
            f"continuous: use {objective.schedule.name}."
        )
