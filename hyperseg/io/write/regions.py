"""Connected regions of a class map, and the merging of regions too small to be shown."""

from __future__ import annotations

import heapq
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import label

from hyperseg.core import UNLABELLED

Edges = list[dict[int, int]]  # per region: its neighbours and the length of the border with each, in pixel sides


def find_regions(labels: NDArray[Any]) -> tuple[NDArray[np.int32], NDArray[np.int16]]:
    """Regions of one class, of labels (H, W), -1 = none, whose pixels are connected over sides (not diagonally).

    Returns:
        (H, W) numbers 1..n of the regions, 0 where there is no class; (n + 1) class of every number, -1 for 0.
    """
    numbers = np.zeros(labels.shape, np.int32)
    classes = [np.array([UNLABELLED], np.int16)]
    n = 0
    for k in np.unique(labels[labels != UNLABELLED]):
        where = labels == k
        found, count = label(where)
        np.add(found, n, out=numbers, where=where)
        classes.append(np.full(count, k, np.int16))
        n += count
    return numbers, np.concatenate(classes)


def region_sums(numbers: NDArray[np.int32], values: NDArray[Any] | None, n: int) -> NDArray[np.float64]:
    """Sum of `values` over every region 0..n-1, row by row: (H, W), (H) one value per row, or None to count."""
    sums = np.zeros(n)
    for i, line in enumerate(numbers):
        weights = None if values is None else np.broadcast_to(values[i], line.shape)
        found, inverse = np.unique(line, return_inverse=True)
        sums[found] += np.bincount(inverse, weights, minlength=len(found))
    return sums


def merge_small(
    labels: NDArray[Any], *, smallest: float, row_areas: NDArray[np.float64] | None = None
) -> NDArray[np.int16]:
    """Give every region below a size to the class that most of its border is with, the smallest region first.

    Pixels without a class keep none and are no neighbours: a small region among nothing else stays. Afterwards no
    region is smaller than `smallest`, but for those. Ties go to the lower class. Sizes are in pixels, or in the unit of
    `row_areas`, (H) the size of a pixel of each row.
    """
    numbers, classes = find_regions(labels)
    sizes = region_sums(numbers, row_areas, len(classes)).tolist()
    edges = _borders(numbers, len(classes))
    kept = classes.tolist()
    parent = list(range(len(kept)))
    heap = [(size, i) for i, size in enumerate(sizes) if i and size < smallest]
    heapq.heapify(heap)
    while heap:
        size, i = heapq.heappop(heap)
        if parent[i] != i or size != sizes[i] or not edges[i]:
            continue
        shared: dict[int, int] = {}
        for j, sides in edges[i].items():
            shared[kept[j]] = shared.get(kept[j], 0) + sides
        taken = min(shared, key=lambda k: (-shared[k], k))
        whole = i
        kept[i] = taken
        for j in [j for j in edges[i] if kept[j] == taken]:
            whole = _joined(whole, j, edges, sizes, parent)
        if sizes[whole] < smallest:
            heapq.heappush(heap, (sizes[whole], whole))
    table = np.array([kept[_root(i, parent)] for i in range(len(kept))], np.int16)
    return table[numbers]


def _borders(numbers: NDArray[np.int32], n: int) -> Edges:
    edges: Edges = [{} for _ in range(n)]
    for one, other in ((numbers[:, :-1], numbers[:, 1:]), (numbers[:-1], numbers[1:])):
        meeting = (one != other) & (one > 0) & (other > 0)
        pairs = np.sort(np.stack([one[meeting], other[meeting]], 1).astype(np.int64), 1)
        keys, counts = np.unique(pairs[:, 0] * n + pairs[:, 1], return_counts=True)
        for key, count in zip(keys.tolist(), counts.tolist(), strict=True):
            a, b = divmod(key, n)
            edges[a][b] = edges[b][a] = edges[a].get(b, 0) + count
    return edges


def _joined(a: int, b: int, edges: Edges, sizes: list[float], parent: list[int]) -> int:
    """Make one region of two; returns its number. The one with fewer neighbours moves."""
    a, b = (a, b) if len(edges[a]) >= len(edges[b]) else (b, a)
    for c, sides in edges[b].items():
        del edges[c][b]
        if c != a:
            edges[a][c] = edges[c][a] = edges[a].get(c, 0) + sides
    edges[b] = {}
    sizes[a] += sizes[b]
    parent[b] = a
    return a


def _root(i: int, parent: list[int]) -> int:
    while parent[i] != i:
        parent[i] = parent[parent[i]]
        i = parent[i]
    return i
