"""The tail that all trainings share: AdamW over one cycle, moving averages, a bar, checkpoints, resumption."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any, Literal

import torch
from torch import Tensor, nn

from hyperseg.core.runtime import Runtime
from hyperseg.engine.ema import Ema
from hyperseg.engine.fit import fit
from hyperseg.engine.progress import training_progress
from hyperseg.engine.step.adam import AdamW
from hyperseg.engine.training import History, Phase

AVERAGE = 0.98  # usual decay of the moving average of the weights, which is what is kept
CLIP = 5.0


def step_generator(seed: int, step: int) -> torch.Generator:
    """The random numbers of one step of a run, on the CPU: a pure function of (seed, step)."""
    return torch.Generator().manual_seed((seed * 1_000_003 + step) % 2**63)


def one_cycle(
    name: str,
    loss: Callable[[Any], Mapping[str, Tensor]],
    weights: Iterable[nn.Parameter],
    *,
    steps: int,
    lr: float,
    weight_decay: float,
    rise: float = 0.3,
) -> Phase:
    """A phase with AdamW whose learning rate rises to `lr` in a share `rise` of the steps and falls again."""
    optimizer = AdamW(weights, lr=lr, weight_decay=weight_decay)
    if rise * steps == 1:  # torch divides by the length of the rise, less one step
        rise += 1e-6
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, lr, total_steps=steps, pct_start=rise)
    return Phase(name, loss, optimizer, clip=CLIP, scheduler=schedule)


def train(
    phases: Sequence[Phase],
    batches: Callable[[int], Any],
    steps: int,
    *,
    modules: Mapping[str, nn.Module],
    averages: Mapping[str, Ema],
    runtime: Runtime,
    name: str,
    title: str,
    make: Callable[[Any], Any] = lambda drawn: drawn,
    validate: Callable[[], float] | None = None,
    keep: Literal["best", "last"] = "last",
    end: Literal["average", "own"] = "average",
) -> History:
    """Train `modules` in place, see `fit`; those with an average end with it, all of them in evaluation mode.

    Args:
        batches, make: the host's part of a step and the device's, see `fit`.
        averages: moving averages, by the name of the module they belong to.
        runtime: where; an unfinished training that lies there is continued.
        name: of the training state's file.
        title: text of the progress bar.
        end: "own" leaves the modules their own weights at the end, beside those of their averages.
    """
    checkpoint, label = runtime.checkpoint(name), runtime.label(title)
    with training_progress(label, steps, quiet=runtime.quiet) as show:

        def report(done: int, values: Mapping[str, float]) -> None:
            show(done, values)
            if runtime.on_step is not None:
                runtime.on_step(label, done)

        history = fit(
            phases, batches, steps, modules=modules, make=make, averages=list(averages.values()), seed=runtime.seed,
            precision=runtime.precision, device=runtime.device, validate=validate, keep=keep,
            validate_every=max(steps // 10, 1), checkpoint=checkpoint, checkpoint_every=max(steps // 5, 1),
            resume=checkpoint is not None, report=report,
        )  # fmt: skip
    for of, average in averages.items() if end == "average" else ():
        modules[of].load_state_dict(average.module.state_dict())
    for module in modules.values():
        module.eval()
    return history


def train_one_cycle(
    modules: Mapping[str, nn.Module],
    loss: Callable[[Any], Mapping[str, Tensor]],
    batches: Callable[[int], Any],
    *,
    steps: int,
    lr: float,
    weight_decay: float,
    runtime: Runtime,
    name: str,
    title: str,
    make: Callable[[Any], Any] = lambda drawn: drawn,
) -> History:
    """`train` all `modules` on one objective over `one_cycle`, in float32; they end with averaged weights."""
    weights = [weight for module in modules.values() for weight in module.parameters()]
    phase = one_cycle(" and ".join(modules), loss, weights, steps=steps, lr=lr, weight_decay=weight_decay)
    return train(
        [phase], batches, steps, modules=modules, make=make,
        averages={of: Ema(module, decay=AVERAGE) for of, module in modules.items()},
        runtime=replace(runtime, precision="fp32"), name=name, title=title,
    )  # fmt: skip
