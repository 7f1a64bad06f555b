"""Both contrastive losses as they are written: loops over images and regions in Python, without a mask or a matrix."""

from __future__ import annotations

import math
from collections.abc import Sequence

from torch import Tensor

from hyperseg.contrast.pairs import Pairs

NEIGHBOURS = (  # five nearest of 13 regions, corners (row, column) in quarters, of equal ones the first
    ((0, 0), ((1, 1), (0, 2), (2, 0), (2, 2), (1, 3))), ((0, 2), ((1, 1), (1, 3), (0, 0), (0, 4), (2, 2))),
    ((0, 4), ((1, 3), (0, 2), (2, 4), (2, 2), (1, 1))), ((1, 1), ((0, 0), (0, 2), (2, 0), (2, 2), (1, 3))),
    ((1, 3), ((0, 2), (0, 4), (2, 2), (2, 4), (1, 1))), ((2, 0), ((1, 1), (3, 1), (0, 0), (2, 2), (4, 0))),
    ((2, 2), ((1, 1), (1, 3), (3, 1), (3, 3), (0, 2))), ((2, 4), ((1, 3), (3, 3), (0, 4), (2, 2), (4, 4))),
    ((3, 1), ((2, 0), (2, 2), (4, 0), (4, 2), (1, 1))), ((3, 3), ((2, 2), (2, 4), (4, 2), (4, 4), (1, 3))),
    ((4, 0), ((3, 1), (2, 0), (4, 2), (2, 2), (1, 1))), ((4, 2), ((3, 1), (3, 3), (2, 2), (4, 0), (4, 4))),
    ((4, 4), ((3, 3), (2, 4), (4, 2), (2, 2), (1, 3))),
)  # fmt: skip
ORDER = tuple(corner for corner, _ in NEIGHBOURS)


def cosine(a: Tensor, b: Tensor) -> float:
    return float(a @ b) / math.sqrt(float(a @ a) * float(b @ b))


def term(a: Tensor, b: Tensor, others: Sequence[Tensor], temperature: float) -> float:
    """-log of the share that b has."""
    own = math.exp(cosine(a, b) / temperature)
    return -math.log(own / (own + sum(math.exp(cosine(a, c) / temperature) for c in others)))


def written_global(views: dict[tuple[int, int, int], Tensor], pairs: Pairs, temperature: float) -> float:
    """Of views by (volume, partition, number of the view, 0 of the first)."""
    total, n = 0.0, 0
    for i, s, v in views:
        for j, t, w in views:
            slice_, other = (i, s) == (j, t), pairs == "gd" and s == t and i != j and v == w
            if not ((slice_ and v != w) or other):
                continue
            apart = [z for (k, u, _), z in views.items() if (u != s if pairs != "gr" else (k, u) != (i, s))]
            total += term(views[i, s, v], views[j, t, w], apart, temperature)
            n += 1
    return total / n


def region(maps: Tensor, corner: tuple[int, int]) -> Tensor:
    """(C, h, w) -> the values of the 3 x 3 positions at a corner in quarters of side - 4."""
    row, column = (q * (n - 4) // 4 for q, n in zip(corner, maps.shape[1:], strict=True))
    return maps[:, row : row + 3, column : column + 3].flatten()


def written_local(
    a: Tensor, b: Tensor, temperature: float, volume: Sequence[int] = (), partition: Sequence[int] = ()
) -> float:
    """L^R, and with volumes and partitions L^D."""
    terms = []
    for x, y in zip(a, b, strict=True):
        for corner, others in NEIGHBOURS:
            apart = [region(one, other) for other in others for one in (x, y)]
            terms.append(term(region(x, corner), region(y, corner), apart, temperature))
            terms.append(term(region(y, corner), region(x, corner), apart, temperature))
    for i, x in enumerate(a):
        for j, y in enumerate(a):
            if volume and volume[i] != volume[j] and partition[i] == partition[j]:
                for corner, others in NEIGHBOURS:
                    apart = [region(one, other) for other in others[:4] for one in (x, y)]
                    terms.append(term(region(x, corner), region(y, corner), apart, temperature))
    return sum(terms) / len(terms)
