"""Networks that are asked and never change: for as long as they are used, and as they were before afterwards."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from torch import nn


@contextmanager
def frozen(*networks: nn.Module) -> Iterator[None]:
    """Within it the networks are in evaluation mode and no weight asks for a gradient.

    Gradients still pass through them, to what they are given; those of the weights are neither worked out nor kept
    ready, which is less work and less memory. Afterwards every `requires_grad` flag and every mode is as it was, also
    after an error. Backward passes belong inside.
    """
    weights = [(weight, weight.requires_grad) for network in networks for weight in network.parameters()]
    modes = [(module, module.training) for network in networks for module in network.modules()]
    try:
        for network in networks:
            network.eval().requires_grad_(False)
        yield
    finally:
        for weight, flag in weights:
            weight.requires_grad_(flag)
        for module, mode in modes:
            module.training = mode
