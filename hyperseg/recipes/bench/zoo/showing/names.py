"""Where names stand beside points so that none lies on another, on a point, or outside of the chart."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

GAP = 5.0  # pixels between a point's middle and its name, along each axis in which they are apart
PLACES = ((1, 1), (1, -1), (-1, 1), (-1, -1), (1, 0), (-1, 0), (0, 1), (0, -1))  # right or left, above or below


class Box(NamedTuple):
    """A rectangle in pixels, from its left lower corner to its right upper one."""

    left: float
    low: float
    right: float
    high: float

    def meets(self, other: Box) -> bool:
        """Whether both have a pixel in common."""
        beside = self.right <= other.left or other.right <= self.left
        return not (beside or self.high <= other.low or other.high <= self.low)

    def inside(self, other: Box) -> bool:
        return (
            other.left <= self.left and other.low <= self.low and self.right <= other.right and self.high <= other.high
        )


class Label(NamedTuple):
    """A name: its point, its size, and whether it must stand somewhere.

    Attributes:
        x, y: of the point, in pixels.
        width, height: of the name, in pixels.
        must: it stands on what is there already before it is left out.
    """

    x: float
    y: float
    width: float
    height: float
    must: bool = False


def placed(labels: Sequence[Label], within: Box, *, radius: float) -> list[tuple[float, float] | None]:
    """The left lower corner of every name; None of one that finds no room.

    Names are placed in their order, those that must stand first, each in the first of eight places around its point
    that is free: `PLACES`, near the point, then further away.

    Args:
        labels: of all points, as points are what names must not cover.
        within: the chart.
        radius: of a point's marker, in pixels.
    """
    points = [Box(one.x - radius, one.y - radius, one.x + radius, one.y + radius) for one in labels]
    taken: list[Box] = []
    found: list[tuple[float, float] | None] = [None] * len(labels)
    for n in sorted(range(len(labels)), key=lambda n: not labels[n].must):  # the sort keeps their order
        tries = [box for box in _around(labels[n]) if box.inside(within)]
        free = [box for box in tries if not any(box.meets(other) for other in (*taken, *points))]
        if not free and labels[n].must and tries:
            free = [min(tries, key=lambda box: sum(box.meets(other) for other in (*taken, *points)))]
        if free:
            taken.append(free[0])
            found[n] = free[0].left, free[0].low
    return found


def _around(label: Label) -> list[Box]:
    made = []
    for gap in (GAP, 2 * GAP):
        for right, above in PLACES:
            aside = GAP if above and right else gap
            left = label.x + right * aside - label.width * (1 - right) / 2
            low = label.y + above * gap - label.height * (1 - above) / 2
            made.append(Box(left, low, left + label.width, low + label.height))
    return made
