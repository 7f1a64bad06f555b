"""Exponential moving average of a module's weights."""

from __future__ import annotations

from copy import deepcopy
from typing import NamedTuple

import torch
from torch import Tensor, nn

from hyperseg.core import SettingError


class Pairs(NamedTuple):
    """Tensors of an average, and of its source: floating ones in `means` and `news`, others in `copies` and `of`."""

    means: list[Tensor]
    news: list[Tensor]
    copies: list[Tensor]
    of: list[Tensor]


class Ema:
    """Keeps `module`, an averaged copy of `source` in evaluation mode; call `update` after every step.

    The decay is warmed up as min(decay, (1 + t) / (10 + t)), so that the random start is forgotten. Floating
    buffers (batch statistics) are averaged like weights, other buffers are copied.

    Args:
        source: the module being trained.
        decay: weight of the past, in [0, 1); 0 makes `module` a copy.
    """

    def __init__(self, source: nn.Module, *, decay: float) -> None:
        if not 0 <= decay < 1:
            raise SettingError(f"the decay of a moving average lies in [0, 1), got {decay}.")
        self.source, self.decay, self.updates = source, decay, 0
        self.module = deepcopy(source).eval().requires_grad_(False)

    def update(self) -> None:
        """Move the average towards the source by one step."""
        self.move(self.next_weight(), self.pairs())

    def next_weight(self) -> float:
        """Weight of the source in the next step; every call counts as a step taken."""
        decay = min(self.decay, (1 + self.updates) / (10 + self.updates))
        self.updates += 1
        return 1 - decay

    def pairs(self) -> Pairs:
        """The tensors of both modules; they stay the same as long as none is moved to another device."""
        # parameters() and buffers() name a shared tensor once, state_dict() would average it twice
        means = [*self.module.parameters(), *self.module.buffers()]
        sources = [*self.source.parameters(), *self.source.buffers()]
        both = list(zip(means, sources, strict=True))
        averaged = [(mean, new) for mean, new in both if mean.is_floating_point()]
        copied = [(mean, new) for mean, new in both if not mean.is_floating_point()]
        return Pairs(*([pair[i] for pair in some] for some in (averaged, copied) for i in (0, 1)))

    @torch.no_grad()
    def move(self, weight: float | Tensor, pairs: Pairs) -> None:
        """Move the average towards the source by `weight`, a number or a tensor of one on the device."""
        if isinstance(weight, Tensor):  # in a recorded step
            way = torch._foreach_sub(pairs.news, pairs.means)
            torch._foreach_mul_(way, weight)
            torch._foreach_add_(pairs.means, way)
        elif pairs.means:
            torch._foreach_lerp_(pairs.means, pairs.news, weight)
        for copy, of in zip(pairs.copies, pairs.of, strict=True):
            copy.copy_(of)
