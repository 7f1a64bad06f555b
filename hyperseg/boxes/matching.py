"""Which anchor stands for which box: adaptive training sample selection (ATSS).

Source: Zhang et al., "Bridging the gap between anchor-based and anchor-free detection via adaptive training sample
selection", CVPR 2020, algorithm 1.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import torch
from torch import Tensor

from hyperseg.boxes.overlap import centres, iou_in_pairs
from hyperseg.core import SettingError

AT_ONCE = 2**21  # distances in memory at a time
ROUNDING = 1e-6  # of an overlap: equal ones stay equal to their mean


def match(anchors_per_level: Sequence[Tensor], boxes: Tensor, *, candidates: int = 4, every: bool = True) -> Tensor:
    """The box that every anchor learns to find.

    For every box, the anchors of the `candidates` nearest cells of every level are looked at. An anchor is positive if
    its overlap (IoU) is at least the mean of theirs plus their standard deviation (of the sample, n - 1), and if its
    centre lies inside the box. An anchor that would be positive for two boxes takes that of larger overlap, the earlier
    one if they are equal.

    Differs: the rule leaves some boxes without an anchor: small ones that hold no centre of a cell, and ones that lie
    evenly between cells, as whole voxels often do (the overlaps of their candidates take two values, and neither is
    as large as mean plus deviation). With `every` such a box has its candidates of largest overlap. Cells that are just
    as near as the last candidate are candidates too, so that mirrored boxes have mirrored anchors; a centre on the
    border is outside, for the same reason. Cells are counted where the paper counts anchors (it has one to a cell); the
    first anchor of a level tells how many share a centre.

    Args:
        anchors_per_level: of every level (N_l, 2n), as `Anchors.boxes` gives them.
        boxes: (M, 2n), on the same device.
        candidates: cells of a level, at least 1.
        every: False is the paper's rule alone.

    Returns:
        (sum of N_l) int64, the index of the box, -1 for none.

    Raises:
        SettingError: fewer than one candidate.
    """
    if candidates < 1:
        raise SettingError(f"matching needs at least one candidate of a level, got {candidates}.")
    n = sum(len(level) for level in anchors_per_level)
    if not len(boxes) or not n:
        return torch.full((n,), -1, dtype=torch.int64, device=boxes.device)
    near, start = [], 0
    for level in anchors_per_level:
        near += [pair + pair.new_tensor([[0], [start]]) for pair in _nearest(level, boxes, candidates)]
        start += len(level)
    owner, anchor = torch.cat(near, 1)
    anchors = torch.cat(list(anchors_per_level))[anchor]
    given = boxes.to(anchors.dtype)[owner]
    overlap = iou_in_pairs(anchors, given)
    lo, hi = given.chunk(2, 1)
    middle = centres(anchors)
    good = overlap >= _threshold(overlap, owner, len(boxes))[owner] - ROUNDING
    good &= ((middle > lo) & (middle < hi)).all(1)
    if every:
        good |= _lonely(overlap, owner, good, len(boxes))
    return _best(owner[good], anchor[good], overlap[good], n, len(boxes))


def _nearest(level: Tensor, boxes: Tensor, candidates: int) -> Iterator[Tensor]:
    """(2, P) each: index of a box, and of an anchor of the level that is near it."""
    if not len(level):
        return
    middle = centres(level)
    together = int((middle == middle[0]).all(1).sum())  # anchors of one cell
    along = middle.T.contiguous()  # each axis in one piece
    most, step = min(candidates * together, len(level)), max(1, AT_ONCE // len(level))
    for begin in range(0, len(boxes), step):
        distance = torch.zeros(len(boxes[begin : begin + step]), len(level), dtype=level.dtype, device=level.device)
        for place, centre in zip(along, centres(boxes[begin : begin + step]).T, strict=True):
            distance += (place - centre[:, None]).square_()
        last = distance.topk(most, largest=False, sorted=True).values[:, -1:]
        pair = (distance <= last).nonzero().T
        yield pair + pair.new_tensor([[begin], [0]])


def _threshold(overlap: Tensor, owner: Tensor, n: int) -> Tensor:
    """(n) mean plus standard deviation of the overlaps of every box's candidates."""
    values = overlap.double()
    zero = values.new_zeros(n)
    count = zero.index_add(0, owner, torch.ones_like(values))
    mean = zero.index_add(0, owner, values) / count.clamp(min=1)
    squares = zero.index_add(0, owner, (values - mean[owner]).square())
    return mean + (squares / (count - 1).clamp(min=1)).sqrt()


def _lonely(overlap: Tensor, owner: Tensor, good: Tensor, n: int) -> Tensor:
    """(P) bool: the candidates of largest overlap of boxes that have no good one."""
    most, served = (overlap.new_zeros(n).scatter_reduce(0, owner, v, "amax") for v in (overlap, good.to(overlap.dtype)))
    return (served[owner] == 0) & (overlap > 0) & (overlap >= most[owner] - ROUNDING)


def _best(owner: Tensor, anchor: Tensor, overlap: Tensor, n: int, none: int) -> Tensor:
    """(n) for every anchor the box of largest overlap, the earliest of equals, -1 without any."""
    most = overlap.new_zeros(n).scatter_reduce(0, anchor, overlap, "amax")
    top = overlap == most[anchor]
    found = torch.full((n,), none, dtype=torch.int64, device=owner.device)
    found = found.scatter_reduce(0, anchor[top], owner[top], "amin")
    return found.masked_fill_(found == none, -1)
