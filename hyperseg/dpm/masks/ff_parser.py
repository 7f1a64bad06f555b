"""FF-Parser: a learnt filter of the spatial frequencies of a map, for each channel one."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

MOST = {1: 64, 2: 64, 3: 16}  # frequencies of an axis that are learnt, by the number of axes


class FFParser(nn.Module):
    """Multiply every frequency of every channel by a complex number A; it starts as the identity.

    A is learnt at the frequencies of one size of map and interpolated, linearly, to those of any other: equal are
    frequencies in cycles per pixel. Arithmetic is float32, under autocast too.

    Args:
        channels: C.
        size: sides of the map whose frequencies A has; longer axes than `MOST` are learnt at fewer frequencies.

    Source: Wu et al., "MedSegDiff", 2023, Eq. 4-6.
    Differs: A has the frequencies of a real transform, so what comes out is real. A free complex A over all frequencies
        would give a complex map, which the paper does not discuss. At the first and (of an even side) the last
        frequency of the last axis, what breaks the symmetry of a real map's spectrum is ignored. Stored is A - 1, as
        real and imaginary parts: weight decay pulls towards the identity.
    """

    def __init__(self, channels: int, size: Sequence[int]) -> None:
        super().__init__()
        self.size = tuple(min(n, MOST[len(size)]) for n in size)
        self.change = nn.Parameter(torch.zeros(2, channels, *self.size[:-1], self.size[-1] // 2 + 1))

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, *S) -> (B, C, *S)."""
        axes, size = tuple(range(2, x.ndim)), x.shape[2:]
        with torch.autocast(x.device.type, enabled=False):
            found = torch.fft.rfftn(x.float(), dim=axes, norm="ortho") * self.factors(size)
            return torch.fft.irfftn(found, s=size, dim=axes, norm="ortho").to(x.dtype)

    def factors(self, size: Sequence[int]) -> Tensor:
        """A, (C, *S, of the last axis S // 2 + 1) complex, for maps of this size."""
        change: Tensor = self.change
        for axis, (n, learnt) in enumerate(zip(size, self.size, strict=True), start=2):
            if n != learnt:
                change = at_frequencies(change, n, learnt, axis, half=axis == change.ndim - 1)
        return torch.complex(1 + change[0], change[1])


def at_frequencies(values: Tensor, n: int, learnt: int, axis: int, *, half: bool) -> Tensor:
    """Values at the frequencies of an axis of `learnt` pixels -> at those of one of n, linear between neighbours.

    Frequencies are periodic; `half` of an axis has none below zero and ends at its last.
    """
    count = values.shape[axis]
    frequencies = torch.fft.rfftfreq if half else torch.fft.fftfreq
    place = frequencies(n, device=values.device) * learnt
    low = place.floor()
    share = (place - low)[(...,) + (None,) * (values.ndim - 1 - axis)]
    low, high = low.long(), low.long() + 1
    low, high = (at.clamp(max=count - 1) if half else at % count for at in (low, high))
    return torch.lerp(values.index_select(axis, low), values.index_select(axis, high), share)
