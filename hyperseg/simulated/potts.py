"""Label maps drawn from a Markov random field whose energies are known: which classes touch, and on which side.

A CRF that learns pairwise energies can be tested on such maps: what it should find is what was put in.
"""

from __future__ import annotations

import operator
from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from hyperseg.core import UNLABELLED, LabelError, SettingError

# Energy of a pair that never touches. Finite, so that sums stay numbers; exp(-100) never happens all the same.
FORBIDDEN = 100.0
# The smallest standard exponential variate used: a chance draw outweighs an energy of 35 at most.
_LEAST = 1e-15

Energies = NDArray[np.float64]
Pairs = Sequence[tuple[int, int]]


def interaction(n_classes: int, *, smoothness: float = 1.6, apart: Pairs = (), order: Pairs = ()) -> Energies:
    """(K, K) pairwise energies, index [left, right] or [upper, lower].

    Equal classes cost 0, unequal ones `smoothness` (the Potts model), pairs that never touch `FORBIDDEN`.

    Args:
        n_classes: K.
        smoothness: energy of an unequal pair. Above ln(1 + sqrt(K)) (1.24 for 6 classes) one class would
            fill an endless map in equilibrium; `sample_fields` says what this means for a map.
        apart: pairs of classes that never touch.
        order: pairs (a, b): b may lie to the right of or below a, a never to the right of or below b.

    Raises:
        SettingError: a class that does not exist, a pair of equal classes, or pairs that contradict each other.
    """
    if n_classes < 1 or not 0 <= smoothness < FORBIDDEN / 4:
        raise SettingError(
            f"{n_classes} classes with smoothness {smoothness}: expected at least one class and a smoothness "
            f"from 0 to below {FORBIDDEN / 4:g}."
        )
    for a, b in (*apart, *order):
        if not (0 <= a < n_classes and 0 <= b < n_classes) or a == b:
            raise SettingError(f"the pair ({a}, {b}) is not two different classes out of 0..{n_classes - 1}.")
    twice = [p for p in order if p[::-1] in order or p in apart or p[::-1] in apart]
    if twice:
        raise SettingError(
            f"{twice[0]} is given an order and, elsewhere, the opposite order or none at all. Classes that "
            "never touch belong into `apart` alone."
        )
    energies = smoothness * (1 - np.eye(n_classes))
    for a, b in apart:
        energies[a, b] = energies[b, a] = FORBIDDEN
    for a, b in order:
        energies[b, a] = FORBIDDEN
    return energies


def sample_fields(
    n: int, shape: tuple[int, int], right: ArrayLike, below: ArrayLike | None = None, *, seed: int, sweeps: int = 60,
    balance: float = 0.0,
) -> NDArray[np.int16]:  # fmt: skip
    """(n, H, W) int16 independent label maps from P(y) ∝ exp(-sum right[y_p, y_q] - sum below[y_p, y_q]).

    The sums run over the horizontal (left, right) and vertical (upper, lower) neighbours of a 4-neighbour
    grid without wrap-around. Checkerboard Gibbs sampling: no two pixels of one colour are neighbours, so one
    half of the grid is drawn at once given the other.

    All pixels start in the class that has fewest forbidden neighbours. That map holds no forbidden pair (where the
    class may touch itself), so at every pixel there is always a choice without one, and the chain never makes any.
    (From a random start they can survive: a straight edge between two classes in the wrong order is stable.) All
    energies but forbidden ones (`FORBIDDEN` / 2 and more) rise linearly to their full value during the first half of
    the sweeps: all classes appear in the hot map, and regions grow while it cools.

    The second half samples the stated distribution. The chain converges to it as `sweeps` grows, if every allowed map
    can be reached from every other by changing one pixel after the other; a class that may touch no other class
    never appears. In maps larger than a few pixels and with a smoothness above ln(1 + sqrt(K)), equilibrium (one
    class nearly everywhere) is not reached: regions still grow, like sqrt(sweeps). The map is a snapshot of that
    growth, and the pairs along its borders follow the energies.

    Args:
        n: number of maps, drawn at once.
        shape: H, W.
        right: (K, K) energies, index [left, right]; may be asymmetric.
        below: (K, K) energies, index [upper, lower]; None = `right`.
        seed: same seed, same maps.
        sweeps: visits to every pixel.
        balance: strength of an external field that keeps areas about equal: class k costs every pixel `balance`
            (K area_k - 1), with its present share of the area. 0.5 to 1 keeps six classes on 96 x 96 pixels within a
            factor of two. Any value but 0 samples a distribution other than the one above.

    Raises:
        SettingError: energies that are not finite or not square, or options outside their range.
    """
    horizontal = _checked(right, "right")
    vertical = horizontal if below is None else _checked(below, "below")
    k = len(horizontal)
    if len(vertical) != k or min(n, *shape, sweeps) < 1 or not 0 <= balance < np.inf:
        raise SettingError(
            f"{n} maps of {shape} pixels, {sweeps} sweeps, balance {balance}, {k} classes to the right and "
            f"{len(vertical)} below: expected at least one of each, balance 0 or more, equal numbers of classes."
        )
    rng = np.random.default_rng(operator.index(seed))
    # a frame of a class K that costs nothing stands for what is not there beyond the border
    maps = np.full((n, shape[0] + 2, shape[1] + 2), k, np.int16)
    maps[:, 1:-1, 1:-1] = _most_tolerant(horizontal, vertical)
    flat, width = maps.reshape(n, -1), shape[1] + 2
    rows, columns = np.mgrid[1 : shape[0] + 1, 1 : shape[1] + 1]
    colours = [(rows * width + columns)[(rows + columns) % 2 == c] for c in (0, 1)]
    offsets = (-1, 1, -width, width)
    for sweep in range(sweeps):
        heat = min(1.0, 2 * (sweep + 1) / sweeps)
        tables = _neighbour_tables(horizontal, vertical, heat)
        for sites in colours:
            energy = np.zeros((n, len(sites), k))
            for table, offset in zip(tables, offsets, strict=True):
                energy += table[flat[:, sites + offset]]
            if balance:
                energy += balance * _excess(maps[:, 1:-1, 1:-1], k)[:, None]
            # the class of least energy + log(exponential variate) has probability ∝ exp(-energy)
            energy += np.log(np.maximum(rng.standard_exponential(energy.shape), _LEAST))
            flat[:, sites] = energy.argmin(-1)
    return maps[:, 1:-1, 1:-1].copy()


def touching(labels: ArrayLike, n_classes: int) -> NDArray[np.int64]:
    """(2, K, K) counts of neighbours: [0] of (left, right), [1] of (upper, lower) classes; -1 is skipped.

    Args:
        labels: (H, W) integers -1..K-1.
        n_classes: K.

    Raises:
        LabelError: labels of another kind, shape or range.
    """
    y = np.asarray(labels)
    if y.ndim != 2 or y.dtype.kind not in "iu":
        raise LabelError(f"a label map is a (rows, columns) integer array, got {y.dtype} {y.shape}.")
    if y.size and (y.min() < UNLABELLED or y.max() >= n_classes):
        raise LabelError(
            f"labels run from {y.min()} to {y.max()}; expected -1 (unlabelled) or classes 0..{n_classes - 1}."
        )
    y = y.astype(np.int64)
    counts = []
    for p, q in ((y[:, :-1], y[:, 1:]), (y[:-1], y[1:])):
        known = (p != UNLABELLED) & (q != UNLABELLED)
        pairs = n_classes * p[known] + q[known]
        counts.append(np.bincount(pairs, minlength=n_classes**2).reshape(n_classes, n_classes))
    return np.stack(counts)


def _checked(energies: ArrayLike, name: str) -> Energies:
    e = np.asarray(energies, np.float64)
    if e.ndim != 2 or e.shape[0] != e.shape[1] or not e.size or not np.isfinite(e).all():
        raise SettingError(
            f"`{name}` must be a (K, K) table of finite energies, got {e.shape}"
            f"{'' if np.isfinite(e).all() else ' with NaN or infinity'}. For pairs that never touch use "
            f"FORBIDDEN = {FORBIDDEN:g}; `interaction` makes such tables."
        )
    return e


def _most_tolerant(horizontal: Energies, vertical: Energies) -> int:
    """The class with fewest forbidden neighbours among those that may touch themselves."""
    forbidden = np.stack([horizontal, vertical]) >= FORBIDDEN / 2
    itself = np.diag(forbidden.any(0))
    return int(np.argmin(forbidden.sum((0, 1)) + forbidden.sum((0, 2)) + 4 * len(itself) * itself))


def _neighbour_tables(horizontal: Energies, vertical: Energies, heat: float) -> list[Energies]:
    """Four (K + 1, K) tables [neighbour, own]: neighbour left, right, above, below; row K, no neighbour, is 0."""
    right, below = (np.where(e < FORBIDDEN / 2, heat * e, e) for e in (horizontal, vertical))
    return [np.vstack([table, np.zeros(len(table))]) for table in (right, right.T, below, below.T)]


def _excess(maps: NDArray[np.int16], k: int) -> Energies:
    """(n, K) area of every class relative to an equal share, minus 1."""
    n = len(maps)
    numbered = maps.reshape(n, -1) + k * np.arange(n)[:, None]
    area = np.bincount(numbered.ravel(), minlength=n * k).reshape(n, k)
    return k * area / (maps[0].size) - 1
