"""How far pixels lie from the nearest training sample: the arithmetic of the area of applicability, on any device.

It is done in float32, whitening and the turn to the axes in one product. What it says of a pixel does not depend on the
block the pixel comes in: products are always of one size, and sums run in one order.
"""

from __future__ import annotations

from typing import Any

import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import pad

from hyperseg.data.device_preprocess import DevicePreprocess

TOGETHER, TOGETHER_ON_GPU = 256, 1 << 14  # pixels compared with all samples at once
CLOSE = 1e-2  # of a squared length: as the difference of lengths, a smaller squared distance would lose digits
ROUNDING = 1e-10  # of a squared length: a smaller squared distance is none but for rounding


class Dissimilarity:
    """Distance of the mean of 3 x 3 pixels to the nearest of n samples.

    Args:
        standard: raw pixels -> (..., F) standardised; says which device is meant.
        weight: (F, F) what turns these so that the first P - 1 numbers are those along the axes.
        offset: (F,) of the centre, turned likewise.
        samples: (n, P) along the axes, and the distance from their span.
    """

    def __init__(
        self, standard: DevicePreprocess, weight: NDArray[Any], offset: NDArray[Any], samples: NDArray[Any]
    ) -> None:
        self.standard, device = standard, standard.mean.device
        self.together = TOGETHER if device.type == "cpu" else TOGETHER_ON_GPU
        self.weight, self.offset, self.samples = (
            torch.from_numpy(values).to(device, torch.float32) for values in (weight, offset, samples)
        )
        # one product does all of |point - sample|^2 but |point|^2
        self.table = torch.cat([-2 * self.samples.T, self.samples.square().sum(1)[None]])

    @torch.inference_mode()
    def __call__(self, raw: Tensor, valid: Tensor | None, rows: slice) -> Tensor:
        """(m,) float32 distances of the valid pixels of some rows, in reading order.

        Args:
            raw: (h, w, C) of any number type; around it there is nothing.
            valid: (h, w) pixels that count; None for all.
            rows: whose distances are wanted; the others are there for their squares.
        """
        means = self._square_means(self.standard(raw).contiguous(), valid)[rows]
        means = means.reshape(-1, means.shape[-1]) if valid is None else means[valid[rows]]
        m = len(means)
        points = self._points(self._filled(means))
        length = points[:, :-1].square().sum(1)
        square = length + torch.cat([(part @ self.table).amin(1) for part in points.split(self.together)])
        close = torch.nonzero(square[:m] < CLOSE * length[:m])[:, 0]
        if len(close):
            square[close] = self._directly(points[close], length[close])
        return square[:m].clamp_(min=0).sqrt_()

    def _square_means(self, x: Tensor, valid: Tensor | None) -> Tensor:
        """(h, w, F) means of (h, w, F) values over the valid pixels of each square; 0 where there is none."""
        there = torch.ones(x.shape[:2], device=x.device) if valid is None else valid.to(torch.float32)
        if valid is not None:
            x = x * there[..., None]
        count = _box(there[..., None])
        return _box(x).mul_(count.clamp_(min=1).reciprocal_())

    def _points(self, means: Tensor) -> Tensor:
        """(m, P + 1): along the axes, the distance from their span, and 1."""
        p = self.samples.shape[1] - 1
        made = [part @ self.weight - self.offset for part in means.split(self.together)]
        rest = [torch.linalg.vector_norm(part[:, p:], dim=1, keepdim=True) for part in made]
        along = torch.cat([part[:, :p] for part in made])
        return torch.cat([along, torch.cat(rest), torch.ones(len(along), 1, device=along.device)], 1)

    def _directly(self, points: Tensor, length: Tensor) -> Tensor:
        """(m,) squared distances of (m, P + 1) points to the nearest sample, digit by digit."""
        m, points = len(points), self._filled(points)
        nearest = torch.cat([(part @ self.table).argmin(1) for part in points.split(self.together)])
        square = (points[:, :-1] - self.samples[nearest]).square_().sum(1)[:m]
        return square.masked_fill_(square < ROUNDING * length, 0.0)

    def _filled(self, rows: Tensor) -> Tensor:
        """The rows and some of zeros, so that all products are of one size."""
        return pad(rows, (0, 0, 0, -len(rows) % self.together))


def _box(x: Tensor) -> Tensor:
    """(h, w, F) sums over squares of 3 x 3; beyond the border there is nothing."""
    down = x.clone()
    down[1:] += x[:-1]
    down[:-1] += x[1:]
    across = down.clone()
    across[:, 1:] += down[:, :-1]
    across[:, :-1] += down[:, 1:]
    return across
