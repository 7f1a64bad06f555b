"""`fit`: the one training loop. It knows phases, steps and callables, and no method.

Supervised training is one phase, a GAN two, a piecewise CRF two calls.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, get_args

import torch
from torch import nn

from hyperseg.core import RunError, SettingError, TrainingError
from hyperseg.core.words import counted, listed
from hyperseg.engine.device import Precision
from hyperseg.engine.distributed import (
    average_buffers,
    average_gradients,
    average_number,
    copy_from_first,
    rank,
    world_size,
)
from hyperseg.engine.ema import Ema
from hyperseg.engine.interrupt import Interrupt
from hyperseg.engine.training import History, Phase, Training

Report = Callable[[int, Mapping[str, float]], None]
"""Called with (steps done, latest value of every loss term and of "validation")."""


def fit(
    phases: Sequence[Phase],
    batches: Callable[[int], Any],
    steps: int,
    *,
    modules: Mapping[str, nn.Module],
    seed: int,
    averages: Sequence[Ema] = (),
    precision: Precision = "fp32",
    device: torch.device | str = "cpu",
    validate: Callable[[], float] | None = None,
    validate_every: int = 0,
    patience: int | None = None,
    keep: Literal["best", "last"] = "best",
    checkpoint: Path | None = None,
    checkpoint_every: int = 0,
    resume: bool = False,
    report: Report | None = None,
) -> History:
    """Train until `steps`, or until validation has not improved for `patience` validations.

    Randomness of a step depends on (seed, step) alone, so an interrupted and resumed run ends with the same
    bytes as an uninterrupted one (on a CPU). Ctrl-C takes effect between two steps: the state is saved and
    KeyboardInterrupt raised; a second Ctrl-C does not wait.

    A step of one phase changes no parameter outside its optimiser, leaves no gradient anywhere, and leaves
    the buffers (batch statistics) of modules that only other phases train as they were.

    Args:
        phases: objectives, run in order at every step they are due.
        batches: step -> batch; a pure function of the step. Under torchrun torch's random numbers are the same in
            every process here and differ in the losses: make the whole batch, then take `share`.
        steps: number of steps.
        modules: everything with weights, by name; trained, checkpointed, and left in evaluation mode.
        seed: of dropout and other layers' randomness, not negative.
        averages: moving averages to update after every step; `keep` holds for them too.
        precision: "bf16" runs the losses under autocast; weights stay float32.
        device: where the modules are.
        validate: score to maximise; called without gradients, the modules in evaluation mode.
        validate_every: steps between validations; there is one after the last step too.
        keep: end with the weights of the best validation, where `validate` is given, or with the last ones.
        patience: validations without improvement before stopping, or None.
        checkpoint: file for the training state, or None.
        checkpoint_every: steps between checkpoints, 0 for none but the last.
        resume: continue from `checkpoint` where it exists.
        report: called after every step with (steps done, latest values).

    Raises:
        TrainingError: a loss or gradient is not finite; says phase, term and step. No state is saved then.
        RunError: the checkpoint belongs to another run.
        SettingError: options that contradict each other.
    """
    _check(precision, validate, validate_every, patience)
    device = torch.device(device)
    everything = {**modules, **{f"average{i}": a.module for i, a in enumerate(averages)}}
    run = Training(phases, averages, everything, steps, seed)
    if checkpoint is not None and _all_see(checkpoint, resume):
        run.restore(checkpoint)
    copy_from_first(everything.values())
    _set_training(modules, True)
    agreed = False  # that all processes stop here
    between = True  # no part of a step has been done that the state does not hold whole
    with torch.random.fork_rng([device] if device.type == "cuda" else []), Interrupt() as interrupt:
        try:
            while run.running:
                torch.manual_seed(run.step_seed())
                batch = batches(run.step)  # drawn alike in every process, which takes its share
                if rank() > 0:
                    torch.manual_seed(run.step_seed(rank()))
                between = False
                _step(run, batch, device.type, precision)
                if validate is not None and (run.step % validate_every == 0 or run.step == steps):
                    run.score(_validate(validate, modules, everything))
                    if patience is not None and run.history.stale() >= patience:
                        run.history.ended = f"no better validation in {counted(patience, 'attempt')}"
                between = True
                if report is not None:
                    report(run.step, run.history.latest())
                if average_number(interrupt.asked):
                    agreed = True
                    raise KeyboardInterrupt
                if checkpoint_every and run.step % checkpoint_every == 0 and run.running:
                    run.save(checkpoint)
        except KeyboardInterrupt:
            if between:
                run.save(checkpoint)
            if agreed:  # torchrun stops all when one has ended: nobody leaves before process 0 has saved
                average_number(0.0)
            raise
    if run.history.ended == "running":
        run.history.ended = "all steps done"
    average_buffers(everything.values())
    if keep == "best":
        run.recall_best()
    run.save(checkpoint)
    _set_training(everything, False)
    return run.history


def _all_see(checkpoint: Path, resume: bool) -> bool:
    """Whether there is a state to continue from; all processes must say the same, or they would wait for ever."""
    seen = average_number(float(resume and checkpoint.exists()))
    if 0 < seen < 1:
        raise RunError(
            f"{checkpoint}: only some of the {world_size()} processes see this training state. Give --out on a file "
            "system that all of them share."
        )
    return seen == 1


def _check(precision: str, validate: Callable[[], float] | None, validate_every: int, patience: int | None) -> None:
    if precision not in get_args(Precision):
        raise SettingError(f"precision is {listed(get_args(Precision), last='or')}, got {precision!r}.")
    if validate is not None and validate_every < 1:
        raise SettingError(f"validate_every={validate_every}: `validate` needs at least 1 step between validations.")
    if patience is not None and (validate is None or patience < 1):
        raise SettingError(f"patience={patience} needs `validate` and at least 1 validation to wait for.")


def _step(run: Training, batch: Any, kind: str, precision: Precision) -> None:
    """One step of every phase that is due, then of the averages."""
    terms: dict[str, float] = {}
    for phase in run.phases:
        if run.step % phase.every == 0:
            values = _minimise(phase, batch, run.bystanders(phase), run.step, kind, precision)
            prefix = f"{phase.name}." if len(run.phases) > 1 else ""
            terms |= {prefix + name: value for name, value in values.items()}
    for average in run.averages:
        average.update()
    run.step += 1
    run.history.log(run.step, terms)


def _minimise(
    phase: Phase, batch: Any, bystanders: Iterable[nn.Module], step: int, kind: str, precision: Precision
) -> dict[str, float]:
    """One optimiser step of one phase; returns its loss terms."""
    kept = [(buffer, buffer.clone()) for module in bystanders for buffer in module.buffers()]
    with torch.autocast(kind, torch.bfloat16, enabled=precision == "bf16"):
        named = phase.loss(batch)
    terms = torch.stack([term.float() for term in named.values()])
    parameters = phase.parameters()
    # gradients for this phase's parameters only: a generator's step leaves no trace in the discriminator
    gradients = torch.autograd.grad(terms.sum(), parameters, allow_unused=True)
    for parameter, gradient in zip(parameters, gradients, strict=True):
        parameter.grad = gradient
    for buffer, before in kept:
        buffer.copy_(before)
    average_gradients(parameters)
    norm = nn.utils.clip_grad_norm_(parameters, math.inf if phase.clip is None else phase.clip)
    # terms and norm in one transfer: a GPU is waited for once per phase
    *values, size = torch.cat([terms.detach(), norm.to(terms).reshape(1)]).tolist()
    losses = dict(zip(named, values, strict=True))
    if not math.isfinite(sum(values) + size):
        what = "gradient" if math.isfinite(sum(values)) else "loss"
        raise TrainingError(
            f"phase {phase.name!r}, step {step}: the {what} is not finite ({losses}, gradient norm {size}). "
            "Lower the learning rate, use fp32, or look for extreme values in the cube."
        )
    phase.optimizer.step()
    phase.optimizer.zero_grad(set_to_none=True)
    if phase.scheduler is not None:
        phase.scheduler.step()
    return losses


def _validate(
    validate: Callable[[], float], modules: Mapping[str, nn.Module], everything: Mapping[str, nn.Module]
) -> float:
    """The score in evaluation mode, the same number in every process."""
    average_buffers(everything.values())
    _set_training(modules, False)
    with torch.no_grad():
        score = average_number(float(validate()))
    _set_training(modules, True)
    return score


def _set_training(modules: Mapping[str, nn.Module], mode: bool) -> None:
    for module in modules.values():
        module.train(mode)
