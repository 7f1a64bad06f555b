"""Geometry of the permutohedral lattice: the simplex around a point, its corners as integers, who is whose neighbour.

Every step is one correctly rounded operation after the other (no fused multiply-add, no division by a reciprocal), so
that a CPU and a GPU find the same corners, also for points that lie on the border of two simplices, as grids often do.
"""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import Tensor

from hyperseg.core import SettingError


def enclosing_simplices(features: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """The simplex around every point: its corner of remainder 0, the order of its residuals, the weights.

    Args:
        features: (N, d) in units of the standard deviation.

    Returns:
        remainder0 (d + 1, N) lattice point with coordinates in multiples of d + 1; place (d + 1, N) int64, 0 for the
        coordinate with the smallest residual; weights (d + 1, N), barycentric, row k for the corner of remainder k.
    """
    n, d = features.shape
    # unit standard deviation of the input becomes that of splat, blur and slice together
    spread = np.sqrt(2.0 / 3.0) * (d + 1) / np.sqrt(np.arange(1, d + 1) * np.arange(2, d + 2))
    elevated = features.new_empty(d + 1, n)  # coordinates in the plane that sums to zero
    tail = features.new_zeros(n)
    for j in range(d, 0, -1):
        scaled = features[:, j - 1] * spread[j - 1].item()
        torch.sub(tail, scaled * j, out=elevated[j])
        tail += scaled
    elevated[0] = tail

    side = features.new_full((1,), d + 1)  # a tensor: by a number, a GPU would multiply by the rounded reciprocal
    nearest = (elevated / side).round_()
    place = _places(elevated - nearest * side)
    # rounding left the plane: move the coordinates that were rounded the furthest back into it
    place -= nearest.sum(0).to(place.dtype)
    shift = (place > d).to(place.dtype) - (place < 0).to(place.dtype)
    place -= shift * (d + 1)
    nearest = (nearest + shift) * side
    position = place.long().clamp_(0, d)  # out of range only for numbers that `corner_codes` refuses
    offset = torch.empty_like(elevated).scatter_(0, position, (elevated - nearest) / side)
    weights = torch.cat([(1 + offset[:1]) - offset[d:], offset[1:] - offset[:-1]])
    return nearest, position, weights


def _places(residual: Tensor) -> Tensor:
    """(d + 1, N) number of coordinates with a smaller residual; of equals the first counts as larger.

    By comparing all pairs, which for so few coordinates is many times faster than sorting.
    """
    count = len(residual)
    place = torch.arange(count - 1, -1, -1, dtype=torch.int16, device=residual.device)[:, None]
    place = place.repeat(1, residual.shape[1])
    for i in range(count - 1):
        for j in range(i + 1, count):
            smaller = (residual[i] < residual[j]).to(place.dtype)
            place[j] += smaller
            place[i] -= smaller
    return place


def corner_codes(remainder0: Tensor, place: Tensor) -> tuple[Tensor, list[int]]:
    """One integer per corner of every simplex; the last coordinate follows from the others.

    Codes are linear in the coordinates: the neighbour in direction j is a constant step away. The corner of remainder k
    adds k to every coordinate and takes d + 1 from those of the k smallest residuals.

    Args:
        remainder0, place: as `enclosing_simplices` returns them.

    Returns:
        codes (d + 1, N), row k for remainder k, int32 where that is enough and int64 elsewhere; d + 1 steps.

    Raises:
        SettingError: coordinates that are not finite or too large to be exact.
    """
    d = len(remainder0) - 1
    # the only numbers that decide how to count: they come to the host together
    low, high = torch.stack(torch.aminmax(remainder0, dim=1)).cpu().double().numpy()
    if not max(np.abs(low).max(), np.abs(high).max()) < 2 / torch.finfo(remainder0.dtype).eps:
        raise SettingError(
            "a lattice needs finite features of moderate size, got features with NaN, infinite or huge values "
            f"({remainder0.shape[1]} points, {d} dimensions). Mask pixels without data before building it."
        )
    # a corner lies up to d from the corner of remainder 0, a neighbour up to d from there: no two may collide
    spans = [int(s) for s in (high - low)[:d] + (4 * d + 2)]
    if (count := math.prod(spans)) < 2**62:
        whole = torch.int32 if count < 2**31 else torch.int64
        strides = torch.tensor([math.prod(spans[:j]) for j in range(d)] + [0])
        first = [int(s) - 2 * d for s in low[:d]]
    else:
        # too many dimensions to count: odd multipliers modulo 2^64; a collision among a million corners has a
        # chance of about 1e-7, and the multipliers are constants, so the result is the same every time
        whole = torch.int64
        strides = torch.from_numpy(np.random.default_rng(2010).integers(2**60, 2**62, size=d + 1) | 1)
        strides[d] = 0
        first = [0] * d
    steps = (d + 1) * strides - strides.sum()
    codes = torch.empty(remainder0.shape, dtype=whole, device=remainder0.device)
    back = (-steps).to(codes)[:, None].expand(codes.shape)
    codes[1:] = torch.empty_like(codes).scatter_(0, place, back)[:d]
    codes[0] = sum((remainder0[j].to(whole) - first[j]) * int(strides[j]) for j in range(d))
    for k in range(d):
        codes[k + 1] += codes[k]
    return codes, steps.tolist()


def neighbours(vertices: Tensor, steps: list[int]) -> Tensor:
    """(len(steps), M + 1, 2) int32: per step the numbers of the vertices one step before and after.

    Args:
        vertices: (M,) rising codes.
        steps: what is added to a code.

    Returns:
        Numbers of vertices, M where there is none. Row M is made of M: it stands for no vertex and has no neighbour.
    """
    m = len(vertices)
    none = torch.full((1,), m, dtype=torch.int64, device=vertices.device)
    here = torch.arange(m, device=vertices.device)
    out = torch.empty(len(steps), m + 1, 2, dtype=torch.int32, device=vertices.device)
    for step, pairs in zip(steps, out, strict=True):
        wanted = vertices + step
        ahead = torch.searchsorted(vertices, wanted).clamp_(max=m - 1)
        ahead = torch.where(vertices[ahead] == wanted, ahead, none)
        behind = none.repeat(m + 1).scatter_(0, ahead, here)
        behind[m:] = none  # where those without a neighbour ahead have written
        pairs[:, 0] = behind
        pairs[:m, 1] = ahead
        pairs[m:, 1] = none
    return out
