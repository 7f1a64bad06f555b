"""Pieces of a map smaller than a limit are given to what is around them: a minimum mapping unit."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from hyperseg.regions.ward import Ints


def sieved(
    labels: NDArray[np.int16], smallest: float, area: NDArray[np.float64] | None = None
) -> NDArray[np.int16]:  # fmt: skip
    """The labels with every piece below a limit given to the class that touches it by most faces of pixels.

    Only pieces that are large enough take others. What they have taken is theirs and takes others in its turn, so that
    a piece within a crowd of small ones is reached in the next round, and stays where what it touches now is of its own
    class; all pieces of a round change together. In the end no piece is below the limit, but where nothing large is
    connected to it through pixels with data: such pieces stay. So doing it once more changes nothing. Of classes that
    touch by as many faces the first one takes.

    Args:
        labels: (*S) classes, -1 for none; pixels without one belong to no piece, and take none.
        smallest: what a piece has to have, in the unit of `area`; none is below 1 pixel.
        area: of pixels, of any shape that goes with (*S); None counts pixels.

    Differs: GDAL's sieve gives a piece to the largest neighbour and does one round.
    """
    first, second = _faces(labels)
    piece = _pieces(labels, first, second)
    there = labels.ravel() >= 0
    classes = np.full(int(piece.max(initial=-1)) + 1, -1, np.int64)
    classes[piece] = labels.ravel()  # of each piece they are all the same
    weight = None if area is None else np.broadcast_to(area, labels.shape).ravel()[there]
    size = np.bincount(piece[there], weight, minlength=len(classes))
    large = (size >= smallest) & (classes >= 0)
    a, b, faces = _borders(piece[first], piece[second])
    inside = (classes[a] >= 0) & (classes[b] >= 0)
    a, b, faces = a[inside], b[inside], faces[inside]
    while (asks := ~large[a] & large[b]).any():
        most = int(classes.max()) + 1
        votes, place = np.unique(a[asks] * most + classes[b[asks]], return_inverse=True)
        counts = np.bincount(place, faces[asks])
        taken, takes = votes // most, votes % most
        counts[takes == classes[taken]] = labels.size * labels.ndim  # it has become a part of what is large
        order = np.lexsort((takes, -counts, taken))
        best = order[np.unique(taken[order], return_index=True)[1]]
        classes[taken[best]] = takes[best]
        large[taken[best]] = True
    return classes[piece].reshape(labels.shape).astype(np.int16)


def exchanged(
    probs: NDArray[np.float32], before: NDArray[np.int16], after: NDArray[np.int16]
) -> NDArray[np.float32]:  # fmt: skip
    """(*S, K) probabilities in which, where the class changes, those of both classes change places.

    The new class is the most probable one then: by the smallest step where it would be as probable as another.
    """
    at = np.flatnonzero(before != after)
    old, new = before.ravel()[at], after.ravel()[at]
    found = np.array(probs, order="C")
    rows = found.reshape(-1, found.shape[-1])
    high, low = rows[at, old], rows[at, new]
    rows[at, old], rows[at, new] = low, high
    tied = (rows[at] == high[:, None]).sum(1) > 1
    above, below = np.nextafter(high, np.float32(1)), np.nextafter(low, np.float32(0))
    rows[at, new] = np.where(tied, above, high)  # where it is 1 already, below tells them apart
    rows[at, old] = np.where(tied & (low == high), below, low)
    return found


def _faces(labels: NDArray[np.int16]) -> tuple[Ints, Ints]:
    """Numbers of the pixels on both sides of every face."""
    number = np.arange(labels.size, dtype=np.int64).reshape(labels.shape)
    sides = [(np.moveaxis(number, axis, 0)[:-1], np.moveaxis(number, axis, 0)[1:]) for axis in range(labels.ndim)]
    first, second = (np.concatenate([side[k].ravel() for side in sides]) for k in (0, 1))
    return first, second


def _pieces(labels: NDArray[np.int16], first: Ints, second: Ints) -> Ints:
    """(pixels,) piece of every pixel, from 0: pixels of one label that touch by faces."""
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    flat = labels.ravel()
    same = flat[first] == flat[second]
    graph = coo_array((np.ones(int(same.sum()), bool), (first[same], second[same])), shape=(flat.size, flat.size))
    return np.asarray(connected_components(graph, directed=False)[1], np.int64)


def _borders(first: Ints, second: Ints) -> tuple[Ints, Ints, Ints]:
    """(piece, other piece, faces between them) for every two that touch, in both orders."""
    across = first != second
    a, b = first[across], second[across]
    n = int(max(first.max(initial=0), second.max(initial=0))) + 1
    pairs, counts = np.unique(np.concatenate([a * n + b, b * n + a]), return_counts=True)
    return pairs // n, pairs % n, counts
