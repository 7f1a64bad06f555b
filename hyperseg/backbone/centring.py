"""Batch norms centred on data that have no labels."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from hyperseg.backbone.layers import BATCH_NORMS


def centre_batch_norms(net: nn.Module, inputs: Tensor) -> None:
    """Give every batch norm of `net` the mean of what reaches it, in place; variances and weights stay.

    It is done layer after layer in one pass: a layer sees what the layers before it make once they are centred. Where
    nothing but the mean of the data has moved, the answers are those that were given before.

    Args:
        net: in evaluation mode; without batch norms nothing happens.
        inputs: a batch as the network reads it, drawn from what it will be used on.

    Source: batch norm statistics of the target domain, Li et al. 2018 ("AdaBN"), Pattern Recognit. 80:109. Differs: the
        means alone; what a scene's variances differ by is the shares of its classes first of all.
    """

    def centre(norm: Any, given: tuple[Tensor]) -> None:
        x = given[0]
        norm.running_mean.copy_(x.mean([axis for axis in range(x.ndim) if axis != 1]))

    hooks = [m.register_forward_pre_hook(centre) for m in net.modules() if isinstance(m, BATCH_NORMS)]
    try:
        with torch.no_grad():
            net(inputs)
    finally:
        for hook in hooks:
            hook.remove()
