"""A denoising network whose calls are recorded once for each shape and played again: on CUDA a graph.

A trajectory asks the network many times with tensors of one shape, and on a card launching the kernels of a small
network takes longer than running them. Only the network is recorded: what a sampler does between its calls is a handful
of operations, and differs from sampler to sampler.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

from hyperseg.engine.step.drawn import form_of
from hyperseg.engine.step.recorded import Graphs, Recorder, graphs_of

Ask = Callable[..., Tensor]
"""(x, place) or (x, place, labels) -> what the network says."""


def captured(network: nn.Module, *, graphs: Graphs | None = None) -> Ask:
    """The network, to the same numbers; each shape is recorded after a few calls and played from then on.

    Where gradients are asked for it is called as it is, and so it is on devices that record nothing (the CPU). Weights
    may be changed in place; a network that was moved has to be captured anew.

    Args:
        network: in evaluation mode; its inputs are on its device.
        graphs: how to record; None takes what its device has.
    """
    device = next(network.parameters()).device
    graphs = graphs_of(device) if graphs is None else graphs
    if graphs is None:
        return network
    recorder = Recorder(graphs, device)

    def ask(*inputs: Tensor) -> Tensor:
        if torch.is_grad_enabled():
            return network(*inputs)
        return recorder.run(form_of(inputs), inputs, lambda given: network(*given))

    return ask
