"""Parameters, multiply-adds and memory of a network, counted on the network itself."""

from __future__ import annotations

import ctypes
import gc
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

from hyperseg.engine.meter.memory import forget_peak, peak_bytes

if TYPE_CHECKING:
    from torch import nn

HOW = (
    "Multiply-adds are those of one window (an image of the plan's size; of a scene what gives one window of the map) "
    "forward: convolutions, matrix products and attention, as torch.utils.flop_counter sees them, half of its flops. "
    "Norms, activations, resizing and filters made of other operations are not counted."
)


def parameters_of(net: nn.Module) -> int:
    """Numbers that are learnt, each counted once; without what a network only plays against in training."""
    critic = getattr(net, "critic", None)
    apart = set() if critic is None else {id(p) for p in critic.parameters()}
    return sum({id(p): p.numel() for p in net.parameters() if p.requires_grad and id(p) not in apart}.values())


def madds_of(net: nn.Module, shape: Sequence[int]) -> int:
    """Multiply-adds of one (1, C, *S) input through a network in evaluation mode; see `HOW`."""
    import torch
    from torch.utils.flop_counter import FlopCounterMode

    device = next((p.device for p in net.parameters()), torch.device("cpu"))
    trained = net.training
    net.eval()
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        net(torch.zeros(tuple(shape), device=device))
    net.train(trained)
    return int(counter.get_total_flops()) // 2


@dataclass
class Headroom:
    """Attributes: bytes: what work needed beside what the process held before; None where the system does not tell."""

    bytes: int | None = None


@contextmanager
def headroom(device: str) -> Iterator[Headroom]:
    """Measure the most memory of what is done within, beside what is there before; of a card all that it held.

    What earlier work left free in this process is given back to the system first, as far as it takes it.
    """
    gc.collect()
    with suppress(OSError, AttributeError):  # glibc alone has it
        ctypes.CDLL(None).malloc_trim(0)
    forget_peak(device)
    before = 0 if device.startswith("cuda") else peak_bytes(device) or 0
    found = Headroom()
    try:
        yield found
    finally:
        found.bytes = max((peak_bytes(device) or 0) - before, 0) or None
