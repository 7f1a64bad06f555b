"""Batch norm and batches that must not mix."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from torch import nn

from hyperseg.backbone.fusion import BATCH_NORMS


@contextmanager
def own_statistics(net: nn.Module) -> Iterator[None]:
    """Batch norms normalise by each batch alone inside this block; what they keep for prediction stays.

    Without it, batches of another kind (generated ones, unlabelled ones) would move the statistics that the
    network predicts with. Nets without batch norm, or in evaluation mode, are not affected.
    """
    norms = [m for m in net.modules() if isinstance(m, BATCH_NORMS)]
    kept = [m.momentum for m in norms]
    for m in norms:
        m.momentum = 0.0
    try:
        yield
    finally:
        for m, momentum in zip(norms, kept, strict=True):
            m.momentum = momentum
