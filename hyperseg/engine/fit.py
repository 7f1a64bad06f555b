"""`fit`: the one training loop. It knows phases, steps and callables, and no method.

Supervised training is one phase, a GAN two, a piecewise CRF two calls.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, get_args

import torch
from torch import nn

from hyperseg.core import RunError, SettingError
from hyperseg.core.words import counted, listed
from hyperseg.engine.device import Precision, full_float32
from hyperseg.engine.distributed import average_buffers, average_number, copy_from_first, world_size
from hyperseg.engine.ema import Ema
from hyperseg.engine.interrupt import Interrupt
from hyperseg.engine.step.readings import Readings
from hyperseg.engine.step.recorded import Graphs, graphs_of
from hyperseg.engine.step.step import Step
from hyperseg.engine.training import History, Phase, Training

Report = Callable[[int, Mapping[str, float]], None]
"""Called with (steps done, latest value that was read of every loss term and of "validation")."""

READ_EVERY = 32  # steps between two looks at the losses on a device that computes by itself


def fit(
    phases: Sequence[Phase],
    batches: Callable[[int], Any],
    steps: int,
    *,
    modules: Mapping[str, nn.Module],
    seed: int,
    make: Callable[[Any], Any] = lambda drawn: drawn,
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
    read_every: int | None = None,
    graphs: Graphs | Literal["auto"] | None = "auto",
) -> History:
    """Train until `steps`, or until validation has not improved for `patience` validations.

    Randomness of a step depends on (seed, step) alone, so an interrupted and resumed run ends with the same
    bytes as an uninterrupted one (on a CPU). Ctrl-C takes effect between two steps: the state is saved and
    KeyboardInterrupt raised; a second Ctrl-C does not wait.

    A step of one phase changes no parameter outside its optimiser, leaves no gradient anywhere, and leaves
    the buffers (batch statistics) of modules that only other phases train as they were.

    A step has two parts: `batches` draws on the host, `make` and the losses work on the device. On CUDA nobody waits
    for that: losses are read every 32 steps, and before validations, checkpoints and the end; and where all phases
    have the optimiser `hyperseg.engine.step.adam.AdamW`, a step is recorded once and played again.

    Args:
        phases: objectives, run in order at every step they are due.
        batches: step -> what is drawn, a tree of small tensors (indices, turns, codes); a pure function of the step.
        make: that, on the device -> batch (gathered, disturbed), with torch's own random numbers. Under torchrun they
            are the same in every process here and differ in the losses: make the whole batch, then take `share`.
        steps: number of steps.
        modules: everything with weights, by name; trained, checkpointed, and left in evaluation mode.
        seed: of dropout and other layers' randomness, not negative.
        averages: moving averages to update after every step; `keep` holds for them too.
        precision: "bf16" runs the losses under autocast; weights stay float32. "fp32" is float32 in every digit.
        device: where the modules are.
        validate: score to maximise; called without gradients, the modules in evaluation mode.
        validate_every: steps between validations; there is one after the last step too.
        keep: end with the weights of the best validation, where `validate` is given, or with the last ones.
        patience: validations without improvement before stopping, or None.
        checkpoint: file for the training state, or None.
        checkpoint_every: steps between checkpoints, 0 for none but the last.
        resume: continue from `checkpoint` where it exists.
        report: called after every step with (steps done, latest values that were read).
        read_every: steps between two looks at the losses; by default 1, and 32 on CUDA. A loss that is not finite is
            found then.
        graphs: how steps are recorded; "auto" means CUDA graphs on CUDA in a single process, and nothing elsewhere.

    Raises:
        TrainingError: a loss or gradient is not finite; says phase, term and step. No state is saved then.
        RunError: the checkpoint belongs to another run.
        SettingError: options that contradict each other.
    """
    _check(precision, validate, validate_every, patience, read_every)
    device = torch.device(device)
    everything = {**modules, **{f"average{i}": a.module for i, a in enumerate(averages)}}
    run = Training(phases, averages, everything, steps, seed)
    if checkpoint is not None and _all_see(checkpoint, resume):
        run.restore(checkpoint)
    copy_from_first(everything.values())
    _set_training(modules, True)
    step, readings = _prepare(run, make, device, precision, read_every, graphs)
    agreed = False  # that all processes stop here
    between = True  # no part of a step has been done that the state does not hold whole
    own_numbers = torch.random.fork_rng([device] if device.type == "cuda" else [])
    with full_float32(device), own_numbers, Interrupt() as interrupt:
        try:
            while run.running:
                _seed(device, run.step_seed())
                drawn = batches(run.step)
                between = False
                readings.note(run.step, *step(drawn))
                run.step += 1
                if validate is not None and (run.step % validate_every == 0 or run.step == steps):
                    readings.read()
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
                    readings.read()
                    run.save(checkpoint)
            readings.read()
        except KeyboardInterrupt:
            if between:
                readings.read()
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


def _seed(device: torch.device, seed: int) -> None:
    """Seed torch's own generators. Asking the CPU's alone spares a third of a millisecond: the others note who asks."""
    if device.type == "cpu":
        torch.default_generator.manual_seed(seed)
    else:
        torch.manual_seed(seed)


def _all_see(checkpoint: Path, resume: bool) -> bool:
    """Whether there is a state to continue from; all processes must say the same, or they would wait for ever."""
    seen = average_number(float(resume and checkpoint.exists()))
    if 0 < seen < 1:
        raise RunError(
            f"{checkpoint}: only some of the {world_size()} processes see this training state. Give --out on a file "
            "system that all of them share."
        )
    return seen == 1


def _prepare(
    run: Training,
    make: Callable[[Any], Any],
    device: torch.device,
    precision: Precision,
    read_every: int | None,
    graphs: Graphs | Literal["auto"] | None,
) -> tuple[Step, Readings]:
    """How steps are done, and where their losses go."""
    if graphs == "auto":
        graphs = graphs_of(device) if world_size() == 1 else None
    if read_every is None:
        read_every = READ_EVERY if device.type == "cuda" else 1
    at_once = read_every == 1 and graphs is None
    step = Step(run, make, device=device, precision=precision, graphs=graphs, at_once=at_once)
    return step, Readings(run.history, read_every, several=len(run.phases) > 1)


def _check(
    precision: str,
    validate: Callable[[], float] | None,
    validate_every: int,
    patience: int | None,
    read_every: int | None,
) -> None:
    if precision not in get_args(Precision):
        raise SettingError(f"precision is {listed(get_args(Precision), last='or')}, got {precision!r}.")
    if validate is not None and validate_every < 1:
        raise SettingError(f"validate_every={validate_every}: `validate` needs at least 1 step between validations.")
    if patience is not None and (validate is None or patience < 1):
        raise SettingError(f"patience={patience} needs `validate` and at least 1 validation to wait for.")
    if read_every is not None and read_every < 1:
        raise SettingError(f"read_every={read_every}: losses are read every so many steps, 1 or more.")


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
