"""The device's part of a step, recorded once and played at every later step: on CUDA a graph.

Launching the kernels of a small network takes longer than running them; a CUDA graph launches them all at once.
Everything that Python decides in a recorded step (branches, floats, shapes) stays as it was; what changes from step to
step comes through tensors that are refilled, and random numbers from torch's generator, which is seeded before.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Hashable
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from hyperseg.engine.step.drawn import Tree, changed, form_of, refill, sent

WARM = 3  # real steps before one is recorded: libraries choose algorithms, optimisers make their state
Work = Callable[[], Tensor]


class Graphs(Protocol):
    """How work on a device is recorded. `record` must not change any value on the device."""

    def warm(self, work: Work) -> Tensor:
        """Do the work as it will be recorded."""

    def record(self, work: Work) -> Work:
        """What does the work again without asking Python; raises whatever went wrong."""


@dataclass
class Recording:
    """One kind of step: the same phases, shapes and types."""

    form: Hashable
    inputs: Tree
    warmed: int = 0
    play: Work | None = None
    failed: bool = False


class Recorder:
    """Plays steps, each kind from its recording once it has been warmed up by real steps.

    Args:
        graphs: how to record.
        device: where `inputs` go.
    """

    def __init__(self, graphs: Graphs, device: torch.device) -> None:
        self.graphs, self.device = graphs, device
        self.kinds: dict[Hashable, Recording] = {}

    def run(self, kind: Hashable, inputs: Tree, work: Callable[[Tree], Tensor]) -> Tensor:
        """`work` on `inputs`, from a recording where there can be one.

        The first form of inputs of a kind is recorded; others, and kinds whose recording failed, are worked on as they
        come, to the same numbers.

        Args:
            kind: what of Python's decides about the work.
            inputs: a tree of the host's tensors.
            work: inputs on the device -> result.
        """
        form = form_of(inputs)
        if form is None:
            return work(sent(inputs, self.device))
        if kind not in self.kinds:
            own = changed(sent(inputs, self.device), torch.clone)  # what was drawn may be kept by whoever drew it
            self.kinds[kind] = Recording(form, own)
        found = self.kinds[kind]
        if found.failed or found.form != form:
            return work(sent(inputs, self.device))
        refill(found.inputs, inputs)
        if found.play is not None:
            return found.play()
        if found.warmed < WARM:
            found.warmed += 1
            return self.graphs.warm(lambda: work(found.inputs))
        try:
            found.play = self.graphs.record(lambda: work(found.inputs))
        except Exception:  # whatever cannot be recorded still can be done
            found.failed = True
            return work(found.inputs)
        return found.play()


def graphs_of(device: torch.device) -> Graphs | None:
    """How steps on this device are recorded, None where they are not."""
    return CudaGraphs(device) if device.type == "cuda" else None


class CudaGraphs:
    """CUDA graphs, recorded on a stream of their own, in memory that they share.

    Random numbers of a graph follow torch's generator of the device, as it is seeded when the graph is played.
    """

    def __init__(self, device: torch.device) -> None:
        index = torch.cuda.current_device() if device.index is None else device.index
        self.device = torch.device("cuda", index)
        self.stream, self.pool = torch.cuda.Stream(self.device), torch.cuda.graph_pool_handle()
        self.waits = False  # the last step that was warmed up waited for the device

    def warm(self, work: Work) -> Tensor:
        """Do the work on the stream of the recording, and see whether it waits for the device."""
        now, mode = torch.cuda.current_stream(self.device), torch.cuda.get_sync_debug_mode()
        self.stream.wait_stream(now)
        with warnings.catch_warnings(record=True) as told, torch.cuda.stream(self.stream):
            warnings.simplefilter("always")
            torch.cuda.set_sync_debug_mode("warn")
            try:
                result = work()
            finally:
                torch.cuda.set_sync_debug_mode(mode)
        now.wait_stream(self.stream)
        self.waits = any("synchronizing CUDA operation" in str(warning.message) for warning in told)
        return result

    def record(self, work: Work) -> Work:
        """Record the work; the result of every play is a tensor of its own."""
        if self.waits:  # recording it would fail, and leave the stream and the generator in a bad state
            raise RuntimeError("the step waits for the device")
        graph, now = torch.cuda.CUDAGraph(), torch.cuda.current_stream(self.device)
        try:
            with (
                torch.cuda.device(self.device),  # which a capture that fails would leave as the current one
                torch.cuda.graph(graph, pool=self.pool, stream=self.stream, capture_error_mode="thread_local"),
            ):
                result = work()
        except BaseException:
            torch.cuda.set_stream(now)
            # the generator would go on counting for the graph that was not made
            fresh = torch.Generator(self.device).manual_seed(torch.initial_seed())
            torch.cuda.default_generators[self.device.index].graphsafe_set_state(fresh.graphsafe_get_state())
            raise

        def play() -> Tensor:
            graph.replay()
            return result.clone()

        return play
