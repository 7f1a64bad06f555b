"""Train a denoising network on any data: spectra, images, cubes."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn

from hyperseg.backbone import seeded
from hyperseg.core import SettingError
from hyperseg.core.runtime import Runtime
from hyperseg.core.settings import option, settings
from hyperseg.dpm.batches import Batch, PerSample, check_data, draw, make_batch, terms_of
from hyperseg.dpm.model import DiffusionModel
from hyperseg.dpm.network import Denoiser, DenoiserSpec
from hyperseg.dpm.objectives import OBJECTIVES
from hyperseg.dpm.objectives.objective import Objective
from hyperseg.dpm.objectives.times import LossSizes
from hyperseg.dpm.schedules import SCHEDULES
from hyperseg.dpm.schedules.schedule import Schedule
from hyperseg.dpm.schedules.vdm import LearntGamma
from hyperseg.engine.ema import Ema
from hyperseg.engine.one_cycle import one_cycle, train
from hyperseg.engine.training import Phase

AVERAGED = 0.998  # usual decay of the moving average of the weights
SHAPE_EVERY, SHAPE_LR = 5, 0.02  # of the phase that learns the shape of a schedule


@settings
class DiffusionSettings:
    """How a denoising network is trained."""

    objective: str = option(OBJECTIVES.default, "What is minimised.", shown="objective")
    schedule: str | None = option(None, "Noise schedule; by default the one that the objective goes with.")
    steps: int = option(4000, "Training steps.", low=1, shown="train-steps")
    batch: int = option(128, "Samples of a step.", low=1)
    lr: float = option(5e-3, "Largest learning rate of the one-cycle schedule.", above=0)
    weight_decay: float = option(0.0, "Of AdamW.", low=0)
    rise: float = option(0.1, "Share of the steps in which the learning rate rises.", above=0, below=1)
    ema: float = option(AVERAGED, "Decay of the moving average of the weights.", low=0, below=1)
    clip: float | None = option(None, "Predicted clean data are cut to +-clip; none leaves them.", above=0)
    by_loss: bool = option(False, "Draw times in proportion to the size of the loss there, which stays the same.")
    untold: float = option(0.1, "Share of the samples whose class is not told.", low=0, high=1)
    keep_raw: bool = option(True, "Keep the weights of the last step beside their average.")


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
    lost = terms_of(network, objective.loss(schedule, objective.predicts, sigma_data=sigma_data))
    average = Ema(network, decay=settings.ema)
    train(
        _phases(network, learnt, lost, sizes, settings), draw(len(data), settings.batch, runtime.seed),
        settings.steps, modules=modules, averages={"denoiser": average}, runtime=runtime, name=name, title=title,
        end="own", make=make_batch(data, labels, schedule, objective.times, untold=settings.untold, sizes=sizes),
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
