"""Exponential moving average of a module's weights."""

from __future__ import annotations

from copy import deepcopy
from itertools import chain

import torch
from torch import nn

from hyperseg.core import SettingError


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

    @torch.no_grad()
    def update(self) -> None:
        """Move the average towards the source by one step."""
        decay = min(self.decay, (1 + self.updates) / (10 + self.updates))
        self.updates += 1
        # parameters() and buffers() name a shared tensor once, state_dict() would average it twice
        means = chain(self.module.parameters(), self.module.buffers())
        for mean, new in zip(means, chain(self.source.parameters(), self.source.buffers()), strict=True):
            if mean.is_floating_point():
                mean.lerp_(new.to(mean.dtype), 1 - decay)
            else:
                mean.copy_(new)
