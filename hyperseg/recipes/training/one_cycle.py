"""The training that all refiners share: AdamW over one cycle, weights averaged, resumable."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from hyperseg.engine import Ema, History, Phase, fit, training_progress

AVERAGE = 0.98  # decay of the moving average of the weights, which is what is kept
CLIP = 5.0


@dataclass(frozen=True)
class Where:
    """Where and how visibly something is trained.

    Attributes:
        seed: of the batches and of dropout.
        device: where modules and data are.
        checkpoint: file of the unfinished training, which is continued where it exists; or None.
        quiet: no progress bar.
        label: text of the progress bar.
    """

    seed: int
    device: str = "cpu"
    checkpoint: Path | None = None
    quiet: bool = False
    label: str = "training"


def train_one_cycle(
    modules: Mapping[str, nn.Module],
    loss: Callable[[Any], Mapping[str, Tensor]],
    batches: Callable[[int], Any],
    *,
    steps: int,
    lr: float,
    weight_decay: float,
    where: Where,
) -> History:
    """Train `modules` together, in place; they end with averaged weights, in evaluation mode.

    Args:
        modules: everything with weights, by name.
        loss: batch -> named terms.
        batches: step -> batch, a pure function of the step.
        steps, lr, weight_decay: of AdamW with a one-cycle schedule that peaks at `lr`.
        where: see `Where`.
    """
    weights = [weight for module in modules.values() for weight in module.parameters()]
    optimizer = torch.optim.AdamW(weights, lr=lr, weight_decay=weight_decay)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, lr, total_steps=steps)
    averages = [Ema(module, decay=AVERAGE) for module in modules.values()]
    phase = Phase(" and ".join(modules), loss, optimizer, clip=CLIP, scheduler=schedule)
    with training_progress(where.label, steps, quiet=where.quiet) as report:
        history = fit(
            [phase], batches, steps, modules=modules, averages=averages, seed=where.seed, device=where.device,
            checkpoint=where.checkpoint, checkpoint_every=max(steps // 4, 1), resume=where.checkpoint is not None,
            report=report,
        )  # fmt: skip
    for module, average in zip(modules.values(), averages, strict=True):
        module.load_state_dict(average.module.state_dict())
        module.eval()
    return history
