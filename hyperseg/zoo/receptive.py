"""How far a network looks, found by trying: what a pixel that is not a number spreads to."""

from __future__ import annotations

from collections.abc import Sequence
from math import nan

import torch
from torch import Tensor, nn


@torch.no_grad()
def reach(net: nn.Module, channels: int, shape: Sequence[int], *, steps: int = 1) -> tuple[int, ...]:
    """Pixels, per axis, from a decision to the farthest pixel it depends on, within a window of this shape.

    One pixel is made not a number (nan), and all that depends on it is nan too, however small its weight: nothing is
    missed behind a weight of zero, and behind a maximum only to which place it goes (see `Member`, `moved`). Kernels
    that compute blocks of pixels together may show a few pixels more. All pixels of the window's diagonal are tried,
    until one reaches the whole window. Where a side is no multiple of `steps`, coarse maps lie a little differently at
    every pixel: half a step is added then.

    Args:
        net: (1, channels, *shape) -> (1, K, *shape); looked at in evaluation mode.
        steps: stride of its coarsest map.
    """
    training = net.training
    net.eval()
    try:
        far = [0] * len(shape)
        for place in tried(shape):
            found = spread(net, channels, shape, place).nonzero()
            for axis, at in enumerate(place):
                if len(found):
                    far[axis] = max(far[axis], int((found[:, axis] - at).abs().max()))
            if all(reached == n - 1 for reached, n in zip(far, shape, strict=True)):
                break  # the whole window: there is no more
        drift = [steps // 2 if n % steps else 0 for n in shape]
        return tuple(min(reached + more, n - 1) for reached, more, n in zip(far, drift, shape, strict=True))
    finally:
        net.train(training)


def tried(shape: Sequence[int]) -> list[tuple[int, ...]]:
    """All pixels of the diagonal, from both ends to the middle.

    From near an end the whole window lies on one side; which of these pixels is seen farthest depends on how strides,
    and windows of attention, lie.
    """
    longest = max(shape)
    turns = (k // 2 if k % 2 == 0 else longest - 1 - k // 2 for k in range(longest))
    return list(dict.fromkeys(tuple(k * (n - 1) // max(longest - 1, 1) for n in shape) for k in turns))


@torch.no_grad()
def spread(net: nn.Module, channels: int, shape: Sequence[int], place: Sequence[int]) -> Tensor:
    """(*shape) bool: decisions that depend on the pixel at `place`."""
    like = next(net.parameters(), torch.zeros(()))
    x = torch.zeros((1, channels, *shape), dtype=like.dtype, device=like.device)
    where: tuple[int | slice, ...] = (0, slice(None), *place)
    x[where] = nan
    answer: Tensor = net(x)
    return answer[0].isnan().any(0)
