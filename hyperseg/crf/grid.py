"""A grid of nodes with a full table per edge: which nodes are linked, and which may be updated together.

E(y) = sum_p U_p(y_p) + sum_(p,q) V_pq(y_p, y_q). The edges of one kind join every node p with q = p + offset, so
that all tables of a kind lie in one tensor. V is not symmetric: V_pq(a, b) gives label a to p and b to q.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from hyperseg.core import SettingError
from hyperseg.crf.settings import Order, colours

Offset = tuple[int, int]  # (dy, dx) from the first node of an edge to the second
Tables = Mapping[Offset, Tensor]  # energies (..., K, K, h - |dy|, w - |dx|), axes [label of first, of second]
Direction = Literal["right", "below"]
Slices = tuple[slice, slice]
Index = Slices | tuple[Tensor, Tensor]


def offsets(radius: int) -> tuple[Offset, ...]:
    """One offset per pair of nodes within `radius` steps of the 4-neighbour grid, "right" ones first.

    Radius 1 gives ((0, 1), (1, 0)), the 4-neighbour grid; radius r gives r (r + 1) offsets.

    Raises:
        SettingError: a radius below 1.
    """
    if radius < 1:
        raise SettingError(f"radius must be 1 (the 4-neighbour grid) or more, got {radius}.")
    steps = range(-radius, radius + 1)
    near = [(dy, dx) for dy in steps for dx in steps if abs(dy) + abs(dx) <= radius and _kind((dy, dx))]
    return tuple(sorted(near, key=lambda o: (_kind(o) == "below", abs(o[0]) + abs(o[1]), o)))


def direction(offset: Offset) -> Direction:
    """Kind of edge: "right" where dx >= |dy|, "below" where dy > |dx|.

    Raises:
        SettingError: an offset that points left or up; its edges are those of the opposite offset.
    """
    kind = _kind(offset)
    if kind is None:
        swapped = f"use {(-offset[0], -offset[1])} with both label axes swapped"
        advice = swapped if any(offset) else "a node is not linked to itself"
        raise SettingError(f"the offset (dy, dx) = {offset} points neither right nor below: {advice}.")
    return kind


def _kind(offset: Offset) -> Direction | None:
    dy, dx = offset
    if dx > 0 and dx >= abs(dy):
        return "right"
    return "below" if dy > abs(dx) else None


def ends(offset: Offset) -> tuple[Slices, Slices]:
    """Slices of (h, w) maps that give the first and the second nodes of all edges of an offset.

    `f[(..., *first)]` and `f[(..., *second)]` are (..., h - |dy|, w - |dx|), edge by edge.
    """
    dy, dx = offset
    return (_beyond(-dy), _beyond(-dx)), (_beyond(dy), _beyond(dx))


def _beyond(shift: int) -> slice:
    """What an axis shares with itself, moved by `shift`."""
    return slice(max(0, shift), min(0, shift) or None)


def check_grid(unary: Tensor, tables: Tables) -> None:
    """Compare the tables of energies, per offset, with the grid they belong to, (..., K, h, w) unary energies.

    Raises:
        SettingError: an empty grid, an offset that is not of the half plane, or a table whose shape, type or
            device is not the one that `unary` asks for.
    """
    if unary.ndim < 3 or 0 in unary.shape or not unary.is_floating_point():
        given = f"{unary.dtype} of shape {tuple(unary.shape)}"
        raise SettingError(f"unary must be floating point energies (..., classes, h, w), got {given}.")
    *batch, k, h, w = unary.shape
    for (dy, dx), table in tables.items():
        direction((dy, dx))
        wanted = (k, k, max(h - abs(dy), 0), max(w - abs(dx), 0))
        leading = table.shape[:-4]
        fits = len(leading) <= len(batch) and all(
            a in (1, b) for a, b in zip(reversed(leading), reversed(batch), strict=False)
        )
        if table.shape[-4:] != wanted or not fits:
            raise SettingError(
                f"the table of offset {(dy, dx)} is {tuple(table.shape)}; with unary energies "
                f"{tuple(unary.shape)} it must be {(*batch, *wanted)}: label of the first node, label of the "
                "second, then the first nodes' grid."
            )
        if table.dtype != unary.dtype or table.device != unary.device:
            raise SettingError(
                f"the table of offset {(dy, dx)} is {table.dtype} on {table.device}, unary is {unary.dtype} on "
                f"{unary.device}: bring both to one type and device."
            )


@dataclass(frozen=True)
class Link:
    """Edges of one offset that nodes of a block have, all at the same end."""

    offset: Offset
    summed: int  # axis of the table that holds the neighbour's label
    inside: Slices  # nodes of the block that have such an edge
    edge: Index
    neighbour: Index


@dataclass(frozen=True)
class Block:
    """Nodes that are updated in one operation."""

    nodes: Index
    links: tuple[Link, ...]
    chosen: Tensor | None = None  # (rows, w) or (w,), the nodes to update; None: all of them


def blocks(
    shape: tuple[int, int],
    kinds: Collection[Offset],
    *,
    order: Order,
    origin: tuple[int, int] = (0, 0),
    device: torch.device | None = None,
) -> Iterator[Block]:
    """Blocks in the order in which a sweep updates them.

    Args:
        shape: (h, w) of the grid.
        kinds: offsets of the edges.
        order: "parallel" gives one block of all nodes; in the others no block updates both ends of an edge.
        origin: (y, x) of the first node in the grid whose checkerboard is meant.
        device: of index tensors and masks.
    """
    h, w = shape
    radius = max((abs(dy) + abs(dx) for dy, dx in kinds), default=1)
    match order:
        case "parallel":
            yield _lines(range(h), shape, kinds)
        case "checkerboard":
            # Whole rows are computed and one colour's columns kept: skipping columns costs more than it saves.
            down = torch.arange(h, device=device).unsqueeze(1) + origin[0]
            columns = torch.arange(w, device=device) + origin[1]
            step = radius + 1
            for colour in range(colours(radius)):
                if radius == 1:
                    yield _lines(range(h), shape, kinds, (down + columns) % 2 == colour)
                else:
                    lines = range((colour // step - origin[0]) % step, h, step)
                    if lines:
                        yield _lines(lines, shape, kinds, columns % step == colour % step)
        case "sequential":
            # Nodes with equal radius * y + x share no edge, and every neighbour that comes earlier row by row
            # has a lower value, every later one a higher: updating them together is going row by row.
            for front in range(radius * (h - 1) + w):
                if block := _front(front, radius, shape, kinds, device):
                    yield block
        case _:
            raise SettingError(f'order must be "parallel", "checkerboard" or "sequential", got {order!r}.')


def _sides(kinds: Collection[Offset]) -> Iterator[tuple[Offset, int, Offset, Offset]]:
    """Offset, axis of the neighbour's label, step to the neighbour, and step to the place in the table."""
    for dy, dx in kinds:
        up, left = max(0, -dy), max(0, -dx)  # where the first nodes begin
        yield (dy, dx), -3, (dy, dx), (-up, -left)
        yield (dy, dx), -4, (-dy, -dx), (-dy - up, -dx - left)


def _lines(rows: range, shape: Offset, kinds: Collection[Offset], chosen: Tensor | None = None) -> Block:
    """All columns of some rows. They are addressed by slices, which copy nothing."""
    links = []
    for offset, summed, step, place in _sides(kinds):
        axes = list(zip((rows, range(shape[1])), shape, step, strict=True))
        inside = [_linked(nodes, size, shift) for nodes, size, shift in axes]
        linked = [nodes[part] for (nodes, _, _), part in zip(axes, inside, strict=True)]
        if all(linked):
            neighbour = (_shifted(linked[0], step[0]), _shifted(linked[1], step[1]))
            edge = (_shifted(linked[0], place[0]), _shifted(linked[1], place[1]))
            links.append(Link(offset, summed, (inside[0], inside[1]), edge, neighbour))
    return Block((_shifted(rows, 0), slice(None)), tuple(links), chosen)


def _linked(nodes: range, size: int, shift: int) -> slice:
    """Which of the nodes are still on an axis of that size when shifted."""
    before, until = (len(range(nodes.start, min(nodes.stop, end), nodes.step)) for end in (-shift, size - shift))
    return slice(before, until)


def _shifted(nodes: range, shift: int) -> slice:
    return slice(nodes.start + shift, nodes.stop + shift, nodes.step)


def _front(t: int, slope: int, shape: Offset, kinds: Collection[Offset], device: torch.device | None) -> Block | None:
    """Nodes (y, t - slope * y), from top to bottom, as a column of indices; a narrow grid may have none."""
    h, w = shape

    def span(dy: int, dx: int) -> range:
        """Rows of the nodes that are on the grid when shifted."""
        return range(max(0, -dy, (t + dx - w) // slope + 1), min(h, h - dy, (t + dx) // slope + 1))

    own = span(0, 0)
    if not own:
        return None
    y = torch.arange(own.start, own.stop, device=device).unsqueeze(1)
    nodes = (y, t - slope * y)
    links = []
    for offset, summed, step, place in _sides(kinds):
        reach = span(*step)
        first, last = max(own.start, reach.start), min(own.stop, reach.stop)
        if first < last:
            part = slice(first - own.start, last - own.start)
            neighbour = (nodes[0][part] + step[0], nodes[1][part] + step[1])
            edge = (nodes[0][part] + place[0], nodes[1][part] + place[1])
            links.append(Link(offset, summed, (part, slice(None)), edge, neighbour))
    return Block(nodes, tuple(links))
