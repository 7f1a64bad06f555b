"""From class scores on a network's grid back to the classes of a case on its own grid, a slice at a time."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from hyperseg.medical.fingerprint import Size, Spacing
from hyperseg.medical.resample import LABELS, neighbours

Side = tuple[int, int]


@dataclass(frozen=True)
class Back:
    """The way back from a network's grid to that of the case.

    Attributes:
        shape: of the case, in its own order of axes.
        box: (start, stop) per axis of the case: what is not zero; outside of it all is background.
        axes: axis of the case that is the plan's first, second, ...
        spacing: of the case, in the plan's order.
        read: voxels of the network's grid, in the plan's order.
        orders: of the splines along each axis on the way back, in the plan's order.
        part: (start, stop) per axis of the plan: voxels of the box that are decided; () for all of them.
        seen: the same of the network's grid: where there are scores; () for everywhere.
    """

    shape: Size
    box: tuple[Side, ...]
    axes: Size
    spacing: Spacing
    read: Size
    orders: Size
    part: tuple[Side, ...] = ()
    seen: tuple[Side, ...] = ()

    @property
    def size(self) -> Size:
        """Of the box, in the plan's order."""
        return tuple(self.box[axis][1] - self.box[axis][0] for axis in self.axes)

    def within(self, part: tuple[Side, ...], patch: Size) -> Back:
        """The way back of a part of the box, (start, stop) per axis of the plan, from the scores that it needs.

        Scores are there for a patch at least, or as many voxels as there are: what surrounds the part is seen, not
        padded with zeros.
        """
        lead = len(part) - len(patch)
        sides = []
        for axis, (start, stop) in enumerate(part):
            low, high, _ = neighbours(self.read[axis], self.size[axis], self._order(axis))
            first, last = int(low[start]), int(high[stop - 1]) + 1
            least = min(patch[axis - lead] if axis >= lead else 1, self.read[axis])
            first = max(min(first, (first + last - least) // 2), 0)
            last = min(max(last, first + least), self.read[axis])
            sides.append((min(first, last - least), last))
        return replace(self, part=part, seen=tuple(sides))

    def lines(self) -> list[Line]:
        """How each axis of the plan is brought back."""
        every = enumerate(zip(self.read, self.size, strict=True))
        return [
            Line.of(old, n, self._order(axis), *(sides[axis] if sides else None for sides in (self.part, self.seen)))
            for axis, (old, n) in every
        ]

    def _order(self, axis: int) -> int:
        return self.orders[axis] if self.read[axis] != self.size[axis] else 0


@dataclass(frozen=True)
class Line:
    """One axis on the way back: each voxel of the case lies between two of the network's, see `neighbours`.

    Attributes:
        old: scores along the axis.
        low, high, share: of each voxel; of order 0 all shares are 0.
    """

    old: int
    low: NDArray[np.int64]
    high: NDArray[np.int64]
    share: NDArray[np.float32]

    @staticmethod
    def of(old: int, n: int, order: int, part: Side | None, seen: Side | None) -> Line:
        """Of `n` voxels on `old` scores; those from `part` alone, where only the scores from `seen` are there."""
        first, last = seen or (0, old)
        here = slice(*(part or (0, n)))
        low, high, share = neighbours(old, n, order)
        return Line(last - first, low[here] - first, high[here] - first, share[here])

    def __len__(self) -> int:
        return len(self.low)


def restore(logits: Tensor, back: Back) -> NDArray[np.int16]:
    """(K, *S) scores on a network's grid -> the class with the largest one for each voxel of the case, in its axes.

    Slice by slice, so that scores of the whole case on its own grid are never in memory.
    """
    return decided(restored([logits], back), back)


def restored(parts: Iterable[Tensor], back: Back) -> Iterator[Tensor]:
    """Scores of each slice of the box on the case's grid, (K, h, w), along the plan's first axis; a picture is one.

    Class by class, so that what is worked on stays in the processor's cache; every slice lies where the one before did,
    and is to be used before the next is asked for: new memory for each costs more than the arithmetic.

    Args:
        parts: scores on the network's grid that follow each other along that axis, (K, n, ...), without gaps. No more
            than one is held; those of pictures, which are rows, are put together.
        back: of the case.
    """
    lines = back.lines()
    if len(lines) == 2:
        parts = [torch.cat(list(parts), 1)[:, None]]
        lines.insert(0, Line.of(1, 1, 0, None, None))
    rows: _Along | None = None
    for low, high, share in _pairs(parts, lines[0]):
        if rows is None:
            rows, columns = (_Along(line, axis, low.device) for axis, line in enumerate(lines[1:]))
            found = low.new_empty((len(low), len(lines[1]), len(lines[2])))
            between = torch.empty_like(low[0])
        for k, (a, b) in enumerate(zip(low, high, strict=True)):
            one = torch.lerp(a, b, share, out=between) if share else a
            found[k] = columns(rows(one))
        yield found


def decided(slices: Iterable[Tensor], back: Back, found: NDArray[np.int16] | None = None) -> NDArray[np.int16]:
    """(*shape) classes in the case's axes: the largest score in `restored` slices, background around the box.

    Args:
        slices: (K, h, w) each; of equal scores the first wins.
        back: of the case.
        found: what is written to, and returned; new and all background where it is left out.
    """
    made = np.zeros(back.shape, LABELS) if found is None else found
    inside = made[tuple(slice(*side) for side in back.box)].transpose(back.axes)  # a view, filled slice by slice
    if back.part:
        inside = inside[tuple(slice(*side) for side in back.part)]
    best: Tensor | None = None
    for index, scores in enumerate(slices):
        if best is None:
            best, wins = torch.empty_like(scores[0]), torch.empty_like(scores[0], dtype=torch.bool)
            classes = torch.empty_like(wins, dtype=torch.int16)
        best.copy_(scores[0])
        classes.zero_()
        for k, score in enumerate(scores[1:], start=1):
            classes.masked_fill_(torch.gt(score, best, out=wins), k)
            torch.maximum(best, score, out=best)
        inside[index if inside.ndim > 2 else slice(None)] = classes.cpu().numpy()
    return made


def placed(slices: Iterable[Tensor], back: Back, around: Sequence[float]) -> NDArray[np.float32]:
    """(C, *shape) in the case's axes: `restored` slices (C, h, w), and C numbers around the box."""
    found = np.empty((len(around), *back.shape), np.float32)
    found[:] = np.reshape(around, (-1, *(1,) * len(back.shape)))
    inside = found[:, *(slice(*side) for side in back.box)].transpose(0, *(axis + 1 for axis in back.axes))
    for index, values in enumerate(slices):
        inside[:, index if inside.ndim > 3 else slice(None)] = values.cpu().numpy()
    return found


class _Along:
    """An axis of (h, w) scores brought back, each time to the same place in memory."""

    def __init__(self, line: Line, axis: int, device: torch.device) -> None:
        self.axis, self.line = axis, line
        self.low, self.high, share = (torch.from_numpy(x).to(device) for x in (line.low, line.high, line.share))
        self.share = share.view(-1, *(1,) * (1 - axis))
        self.plain, self.nearest = bool((np.diff(line.low) == 1).all()), not line.share.any()
        self.room: list[Tensor] = []

    def __call__(self, values: Tensor) -> Tensor:
        if self.nearest and self.plain:  # the axis keeps its size
            return values.narrow(self.axis, int(self.line.low[0]), len(self.line))
        if not self.room:
            shape = list(values.shape)
            shape[self.axis] = len(self.line)
            self.room = [values.new_empty(shape) for _ in range(1 if self.nearest else 2)]
        found = torch.index_select(values, self.axis, self.low, out=self.room[0])
        if self.nearest:
            return found
        return torch.lerp(
            found, torch.index_select(values, self.axis, self.high, out=self.room[1]), self.share, out=found
        )


def _pairs(slabs: Iterable[Tensor], line: Line) -> Iterator[tuple[Tensor, Tensor, float]]:
    """For each slice: the two (K, h, w) it lies between, and the share of the second, of slabs without gaps."""
    done, start = 0, 0
    last: Tensor | None = None  # slice before the slab

    def slice_of(slab: Tensor, at: int) -> Tensor:
        if at >= start:
            return slab[:, at - start]
        assert last is not None
        return last

    for slab in slabs:
        end = start + slab.shape[1]
        while done < len(line) and line.high[done] < end:
            a, b, part = int(line.low[done]), int(line.high[done]), float(line.share[done])
            yield slice_of(slab, a), slice_of(slab, b if part else a), part
            done += 1
        last, start = slab[:, -1].clone(), end
        del slab  # let go before the next one is made
    assert (done, start) == (len(line), line.old), f"scores of {start} slices, expected {line.old}"
