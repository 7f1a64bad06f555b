"""Collapse: all embeddings become equal, the loss sits at a known value and nothing is learnt."""

from __future__ import annotations

from collections import deque

import torch
from torch import Tensor

from hyperseg.contrast.global_loss import unit

NEAR = 0.02  # of the value, that the loss is within
FEW = 0.05  # spread below which vectors count as equal
STEPS = 50  # that are looked back on


def spread(z: Tensor) -> Tensor:
    """How far directions are from each other, a scalar: 0 where all are equal, 1 where they cancel out.

    The root of the mean squared distance of unit vectors from their mean.

    Args:
        z: (..., E) vectors along the last axis.
    """
    vectors = unit(z.detach()).flatten(0, -2)
    return (1 - vectors.mean(0).square().sum()).clamp(min=0).sqrt()


def told(loss: float, value: float, spread: float) -> str | None:
    """The sentence that warns of collapse, or None.

    Args:
        loss: mean over the last steps.
        value: what it is when all embeddings are equal, see `collapse_value`.
        spread: see `spread`.
    """
    if abs(loss - value) > NEAR * value or spread > FEW:
        return None
    return (
        f"The contrastive loss sits at {loss:.4f}, and {value:.4f} is its value when all embeddings are equal; their "
        f"spread is {spread:.3f} (0 equal, 1 far apart). Nothing is being learnt: use a lower learning rate or a "
        "higher temperature, check that images differ, and train longer."
    )


class Watcher:
    """Sees the loss and the embeddings of every step, and can be asked whether they have collapsed.

    Values stay on their device until they are asked for: watching waits for nobody.
    """

    def __init__(self, value: float, *, steps: int = STEPS) -> None:
        self.value = value
        self._seen: deque[Tensor] = deque(maxlen=steps)

    def see(self, loss: Tensor, z: Tensor) -> None:
        """A scalar loss and the (..., E) vectors that it was of."""
        self._seen.append(torch.stack((loss.detach().float(), spread(z).float())))

    def told(self) -> str | None:
        """The warning, or None; None too before so many steps were seen."""
        if len(self._seen) < (self._seen.maxlen or 0):
            return None
        loss, apart = torch.stack(list(self._seen)).mean(0).tolist()
        return told(loss, self.value, apart)
