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
        remainder0 (d + 1, N) lattice point, coordinates over d + 1, whole numbers; place (d + 1, N) int64, 0 for the
        coordinate with the smallest residual; weights (d + 1, N), barycentric, row k for the corner of remainder k.
    """
    n, d = features.shape
    # unit standard deviation of the input becomes that of splat, blur and slice together
    spread = np.sqrt(2.0 / 3.0) * (d + 1) / np.sqrt(np.arange(1, d + 1) * np.arange(2, d + 2))
    elevated = features.new_empty(d + 1, n)  # coordinates in the plane that sums to zero
    scaled = torch.mul(features.T, features.new_tensor(spread)[:, None], out=features.new_empty(d, n))
    torch.mul(scaled, torch.arange(1, d + 1, device=features.device)[:, None], out=elevated[1:])
    tail = features.new_zeros(n)
    for j in range(d, 0, -1):
        torch.sub(tail, elevated[j], out=elevated[j])
        tail += scaled[j - 1]
    elevated[0] = tail

    side = features.new_full((1,), d + 1)  # a tensor: by a number, a GPU would multiply by the rounded reciprocal
    nearest = (elevated / side).round_()
    place = _places(elevated - nearest * side)
    # rounding left the plane: move the coordinates that were rounded the furthest back into it
    place -= nearest.sum(0).to(place.dtype)
    shift = (place > d).to(place.dtype) - (place < 0).to(place.dtype)
    place -= shift * (d + 1)
    nearest += shift
    position = place.long().clamp_(0, d)  # out of range only for numbers that `corner_codes` refuses
    offset = torch.empty_like(elevated).scatter_(0, position, (elevated - nearest * side) / side)
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
        smaller = (residual[i] < residual[i + 1 :]).to(place.dtype)
        place[i + 1 :] += smaller
        place[i] -= smaller.sum(0, dtype=place.dtype)
    return place


def corner_codes(remainder0: Tensor, place: Tensor) -> tuple[Tensor, list[int]]:
    """One integer per corner of every simplex; the neighbours in direction j are a constant step before and after.

    The direction j adds 1 to every coordinate and takes d + 1 from the jth. The d + 1 directions add up to zero and any
    d of them span the lattice, so a corner is known by how often it goes along each of the first d: by the last
    coordinate minus the jth, over d + 1. The corner of remainder k follows from that of remainder k - 1 by one step,
    in the direction of the kth smallest residual.

    Args:
        remainder0: (d + 1, N) corner of remainder 0, coordinates over d + 1.
        place: as `enclosing_simplices` returns it.

    Returns:
        codes (d + 1, N), row k for remainder k, int32 where that is enough and int64 elsewhere; d + 1 steps.

    Raises:
        SettingError: coordinates that are not finite or too large to be exact.
    """
    d = len(remainder0) - 1
    along = remainder0[d] - remainder0[:d]
    # the only numbers that decide how to count: they come to the host together
    low, high = torch.stack([along.amin(1), along.amax(1)]).double().cpu().numpy()
    if not max(np.abs(low).max(), np.abs(high).max()) * (d + 1) < 1 / torch.finfo(along.dtype).eps:
        raise SettingError(
            "a lattice needs finite features of moderate size, got features with NaN, infinite or huge values "
            f"({along.shape[1]} points, {d} dimensions). Mask pixels without data before building it."
        )
    # a corner lies up to one step from the corner of remainder 0, a neighbour one more: no two may collide
    spans = [int(span) for span in high - low + 5]
    if (count := math.prod(spans)) < 2**62:
        whole = torch.int32 if count < 2**31 else torch.int64
        strides = torch.tensor([math.prod(spans[:j]) for j in range(d)])
    else:
        # too many dimensions to count: odd multipliers modulo 2^64; a collision among a million corners has a
        # chance of about 1e-7, and the multipliers are constants, so the result is the same every time
        whole = torch.int64
        strides = torch.from_numpy(np.random.default_rng(2010).integers(2**60, 2**62, size=d) | 1)
    steps = torch.cat([strides, -strides.sum(0, keepdim=True)])
    codes = torch.empty(remainder0.shape, dtype=whole, device=remainder0.device)
    onwards = torch.empty_like(codes).scatter_(0, place, steps.to(codes)[:, None].expand(codes.shape))
    counted = (along - along.new_tensor(low - 2)[:, None]).to(whole)
    codes[0] = counted.mul_(strides.to(codes)[:, None]).sum(0, dtype=whole)
    for k in range(d):
        torch.add(codes[k], onwards[k], out=codes[k + 1])
    return codes, steps.tolist()


def neighbours(vertices: Tensor, steps: list[int]) -> Tensor:
    """(len(steps), M + 1, 3) int32: per step the numbers of a vertex, of the one a step before and of the one after.

    Args:
        vertices: (M,) rising codes.
        steps: what is added to a code.

    Returns:
        Numbers of vertices, M where there is none. Row M is made of M: it stands for no vertex and has no neighbour.
    """
    m = len(vertices)
    here = torch.arange(m + 1, device=vertices.device)
    wanted = vertices + torch.tensor(steps).to(vertices)[:, None]
    ahead = torch.searchsorted(vertices, wanted).clamp_(max=m - 1)
    missing = vertices.index_select(0, ahead.view(-1)).view_as(wanted) != wanted
    ahead.masked_fill_(missing, m)
    behind = torch.full((len(steps), m + 1), m, device=vertices.device)
    behind.scatter_(1, ahead, here[:m].expand_as(ahead))
    behind[:, m] = m  # where those without a neighbour ahead have written
    out = torch.full((len(steps), m + 1, 3), m, dtype=torch.int32, device=vertices.device)
    out[..., 0], out[..., 1], out[:, :m, 2] = here, behind, ahead
    return out
