"""`Step`: every phase that is due, then the averages."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from hyperseg.core.runtime import Precision
from hyperseg.engine.distributed import average_gradients, rank
from hyperseg.engine.step.adam import AdamW, laid_out
from hyperseg.engine.step.drawn import Tree, sent
from hyperseg.engine.step.readings import Named, finite
from hyperseg.engine.step.recorded import Graphs, Recorder
from hyperseg.engine.training import Phase, Training

Make = Callable[[Any], Any]


class Step:
    """One step of a run after the other.

    Args:
        run: its phases and averages; `run.step` is counted up by the caller.
        make: what was drawn, on the device -> batch.
        device: where the modules are.
        precision: of the losses.
        graphs: how steps are recorded, or None. Then numbers that change from step to step are those of the host.
        at_once: look at the losses before the weights move.
    """

    def __init__(
        self,
        run: Training,
        make: Make,
        *,
        device: torch.device,
        precision: Precision,
        graphs: Graphs | None,
        at_once: bool,
    ) -> None:
        self.run, self.make, self.device, self.precision, self.at_once = run, make, device, precision, at_once
        able = graphs is not None and all(isinstance(phase.optimizer, AdamW) for phase in run.phases)
        self.recorder = Recorder(graphs, device) if able and graphs is not None else None
        self.weights = {phase.name: phase.parameters() for phase in run.phases}
        self.apart = {
            phase.name: [buffer for module in run.bystanders(phase) for buffer in module.buffers()]
            for phase in run.phases
        }
        self.pairs = [average.pairs() for average in run.averages]
        self.named: dict[str, tuple[str, ...]] = {}  # of every phase, the names of its terms

    def __call__(self, drawn: Tree) -> tuple[list[Named], Tensor]:
        """Do the step; returns phases with the names of their terms, and the values, for `Readings.note`."""
        due = [phase for phase in self.run.phases if self.run.step % phase.every == 0]
        if self.recorder is None:
            values = self._work(due, sent(drawn, self.device), None)
        else:
            inputs = drawn, torch.tensor(self._numbers(due), dtype=torch.float32)
            kind = tuple(phase.name for phase in due) if all(phase.recorded for phase in due) else None
            if kind is None:
                values = self._given(due, sent(inputs, self.device))
            else:
                values = self.recorder.run(kind, inputs, lambda given: self._given(due, given))
        for phase in due:
            if phase.scheduler is not None:
                phase.scheduler.step()
        return [(phase.name, self.named[phase.name]) for phase in due], values

    def _numbers(self, due: Sequence[Phase]) -> list[float]:
        """What changes from step to step beside what is drawn."""
        found: list[float] = []
        for phase in due:
            assert isinstance(phase.optimizer, AdamW)
            found += phase.optimizer.numbers()
        return found + [average.next_weight() for average in self.run.averages]

    def _given(self, due: Sequence[Phase], inputs: tuple[Tree, Tensor]) -> Tensor:
        return self._work(due, inputs[0], iter(inputs[1].unbind()))

    def _work(self, due: Sequence[Phase], drawn: Tree, numbers: Iterator[Tensor] | None) -> Tensor:
        """The device's part: loss terms and gradient norm of each phase."""
        batch = self.make(drawn)  # alike in every process, which takes its share
        if rank() > 0:
            torch.manual_seed(self.run.step_seed(rank()))
        found = [self._minimise(phase, batch, numbers) for phase in due]
        for average, pairs in zip(self.run.averages, self.pairs, strict=True):
            average.move(average.next_weight() if numbers is None else next(numbers), pairs)
        return torch.cat(found) if found else torch.empty(0, device=self.device)

    def _minimise(self, phase: Phase, batch: Any, numbers: Iterator[Tensor] | None) -> Tensor:
        """One optimiser step of one phase."""
        apart, weights = self.apart[phase.name], self.weights[phase.name]
        before = [buffer.clone() for buffer in apart]
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.precision == "bf16"):
            named = phase.loss(batch)
        self.named[phase.name] = tuple(named)
        terms = torch.stack([term.float() for term in named.values()])
        # gradients for this phase's parameters only: a generator's step leaves no trace in the discriminator
        gradients = torch.autograd.grad(terms.sum(), weights, allow_unused=True)
        for weight, gradient in zip(weights, gradients, strict=True):
            # how they lie in memory must not decide about the last digits of their norm
            weight.grad = None if gradient is None else laid_out(gradient, weight)
        for buffer, kept in zip(apart, before, strict=True):
            buffer.copy_(kept)
        average_gradients(weights)
        norm = nn.utils.clip_grad_norm_(weights, math.inf if phase.clip is None else phase.clip)
        values = torch.cat([terms.detach(), norm.to(terms).reshape(1)])
        if self.at_once:
            finite(phase.name, named, values.tolist(), self.run.step)
        if numbers is None:
            phase.optimizer.step()
        else:
            assert isinstance(phase.optimizer, AdamW)
            phase.optimizer.step(numbers=numbers)
        phase.optimizer.zero_grad(set_to_none=True)
        return values
