"""Folds whose test pixels lie as far from training pixels as the pixels of the map lie from labels."""

from __future__ import annotations

import heapq
from dataclasses import dataclass
from itertools import product
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from hyperseg.core import UNLABELLED, Split, SplitError
from hyperseg.core.settings import option, settings
from hyperseg.core.words import counted, listed
from hyperseg.data.splits.drawing import Draw, Pixels, held_share, hold_out
from hyperseg.data.splits.spelling import Splitter, described

ANCHORS = 3000  # pixels that are clustered; the others follow the nearest one
LOOKED = 2000  # pixels of the map, and of the folds, whose distances choose among divisions
MEASURED = 20_000  # of the map, and of the test, whose distances are compared in the end
TRIED = 12  # numbers of clusters between one for each fold and one for each anchor
LOOSE = (0.0, 1 / 3, 2 / 3)  # shares of the labels that are dealt pixel by pixel, beside all of them
LARGEST = 0.5  # share of the labels in one fold at most, as in the paper's code; half as much again as its part of few
NEAREST_PX = 2.0  # a test pixel is 1 px from training at least: shorter mean distances cannot be matched
FAR_OFF = 0.5  # Wasserstein distance in mean distances to be mapped, from which on a reader is warned: our choice

Places = NDArray[np.float64]
Numbers = NDArray[np.float64]
Groups = NDArray[np.intp]


@settings
class KnndmSettings:
    """How folds are made."""

    k: int = option(5, "Folds, of which one tests: seeds 0 to k-1 (--repeats k) test each of them once.", low=2)
    to: Literal["all", "unlabelled"] = option(
        "all", "Pixels of the map whose distances to labels are matched: all that hold data, or those without a label."
    )
    val: float = held_share("clusters")


@dataclass(frozen=True)
class _Division:
    """Labelled pixels in units, and these in folds.

    Attributes:
        unit, fold: (n) of every labelled pixel.
        w: Wasserstein distance, the mean over folds, in pixels.
    """

    unit: Groups
    fold: Groups
    w: float


def knndm(draw: Draw, chosen: KnndmSettings) -> Split:
    """Clusters of labelled pixels go whole to one of `k` folds; one of these tests, the others train.

    From few large clusters to single pixels, that division is taken for which the distances from the pixels of a fold
    to the nearest labelled pixel outside it are distributed most like those from the pixels of the map to the nearest
    label (0 where there is one): the smallest Wasserstein distance, on the mean of the folds. The note gives what is
    left of it, in pixels, between the test pixels of this fold and its training pixels. Some training clusters are held
    out whole for validation, but only those whose classes remain in another. Classes play no other part.

    Raises:
        SplitError: fewer labelled pixels than folds, no pixel without a label where distances to such are asked for, or
            fewer than two classes to train.

    Source: Linnenbrink et al., "kNNDM: k-fold nearest-neighbour distance matching cross-validation for map accuracy
        estimation", Geosci. Model Dev. 17 (2024); Milà et al., Methods Ecol. Evol. 13 (2022).
    Differs: one fold tests and the map is that of the others, instead of a cross-validation and a map from all labels;
        so every fold is matched by itself. Clusters are Ward's of at most 3000 pixels; the larger ones are dealt first,
        each to the smallest fold, instead of in turn along the main axis. Some clusters, or all, are dealt pixel by
        pixel where that matches better: a scene with whole labelled fields has many pixels at distance 0 and many far
        off, as no clusters of one size have. There is no test beforehand whether random folds would do.
    """
    shape, k = draw.labels.shape, chosen.k
    known = np.flatnonzero(draw.mask(draw.pixels))
    if known.size < k:
        raise SplitError(f"{counted(known.size, 'labelled pixel')} cannot be dealt to {k} folds: label more.")
    turn, tested = divmod(int(draw.seed), k)
    rng = np.random.default_rng([turn, int(known[0])])
    places = _places(known, shape)
    mapped = _mapped(draw, chosen)
    wanted = _distances(_places(_some(mapped, MEASURED, rng), shape), places)
    found = _divide(places, _some(wanted, LOOKED, rng), k, rng)
    number = np.full(shape, -1, np.int64)
    number.reshape(-1)[known] = found.unit
    side = rng.permutation(np.unique(found.unit[found.fold != tested]))
    test, inside = draw.mask([known[found.fold == tested]]), draw.mask([known[found.fold != tested]])
    held = hold_out(draw, number, side, inside, chosen.val)
    val = inside & np.isin(number, held)
    train = inside & ~val
    tests = _some(np.flatnonzero(test), MEASURED, rng)
    reached = _distances(_places(tests, shape), _places(np.flatnonzero(train), shape))
    notes = _notes(found, reached, wanted, chosen)
    if chosen.val > 0 and not held.size:
        notes.append("no cluster could be held out for validation without its class losing all training pixels")
    return draw.finish(f"knndm({described(chosen)})", train=train, val=val, test=test, notes=notes)


KNNDM = Splitter(
    "knndm",
    KnndmSettings,
    knndm,
    estimates="accuracy of this map at places as far from labels as its pixels are; it says little of new fields",
)


def wasserstein(a: Numbers, b: Numbers) -> float:
    """Wasserstein distance of two samples: the area between their empirical distribution functions."""
    a, b = np.sort(a), np.sort(b)
    both = np.sort(np.concatenate([a, b]))
    shares = [np.searchsorted(some, both[:-1], side="right") / some.size for some in (a, b)]
    return float(np.abs(shares[0] - shares[1]) @ np.diff(both))


def _mapped(draw: Draw, chosen: KnndmSettings) -> Pixels:
    """Pixels of the map whose distances are matched."""
    asked = np.ones(draw.labels.size, bool) if draw.valid is None else draw.valid.reshape(-1).copy()
    match chosen.to:
        case "all":
            pass
        case "unlabelled":
            asked &= draw.labels.reshape(-1) == UNLABELLED
        case _:
            raise ValueError(f"distances are matched to all or to unlabelled pixels, not to {chosen.to!r}.")
    if not asked.any():
        raise SplitError("every pixel is labelled, none is left to match distances to: write to=all.")
    return np.flatnonzero(asked)


def _divide(places: Places, wanted: Numbers, k: int, rng: np.random.Generator) -> _Division:
    """The division with the least Wasserstein distance; of equal ones that with the fewest units."""
    merges, nearest = _tree(places, rng)
    looked, anchors = _some(np.arange(len(places)), LOOKED, rng), len(merges) + 1
    tried = np.unique(np.geomspace(min(k, anchors), anchors, TRIED).round().astype(int))
    best = None
    for clusters, share in [*product(tried, LOOSE), (anchors, 1.0)]:
        unit, fold = _deal(_cut(merges, int(clusters))[nearest], share, k, rng)
        sizes = np.bincount(fold, minlength=k)
        if share < 1 and (sizes.min() == 0 or sizes.max() > len(places) * max(LARGEST, 1.5 / k)):
            continue
        reached = _to_other_folds(places, fold, looked, k)
        w = float(np.mean([wasserstein(reached[mine], wanted) for i in range(k) if (mine := fold[looked] == i).any()]))
        if best is None or w < best.w:
            best = _Division(unit, fold, w)
    assert best is not None
    return best


def _tree(places: Places, rng: np.random.Generator) -> tuple[NDArray[Any], Groups]:
    """(a - 1, 2) merges of Ward's tree of a places, in their order, and which of these a is nearest to every place."""
    from scipy.cluster.hierarchy import linkage
    from scipy.spatial import KDTree

    chosen = places[_some(np.arange(len(places)), ANCHORS, rng)]
    return linkage(chosen, "ward")[:, :2].astype(np.intp), KDTree(chosen).query(places)[1]


def _cut(merges: NDArray[np.intp], clusters: int) -> Groups:
    """(a) cluster of every leaf once as many are left; a threshold on heights gives fewer where some are equal."""
    leaves = len(merges) + 1
    done = leaves - clusters
    top = np.arange(leaves + done)
    for i in range(done - 1, -1, -1):  # from the last merge down: what was merged belongs to its merger
        top[merges[i]] = top[leaves + i]
    return np.unique(top[:leaves], return_inverse=True)[1]


def _deal(cluster: Groups, share: float, k: int, rng: np.random.Generator) -> tuple[Groups, Groups]:
    """(n) unit and (n) fold of every pixel.

    Clusters in random order are loosened while they hold no more than `share` of the pixels: these are dealt one by
    one. Of the others the larger ones go first, each to the smallest fold.
    """
    sizes = np.bincount(cluster)
    order = rng.permutation(sizes.size)
    loosened = np.zeros(sizes.size, bool)
    loosened[order[sizes[order].cumsum() <= share * cluster.size]] = True
    whole, of_cluster = order[~loosened[order]], np.zeros(sizes.size, np.intp)
    folds = [(0, i) for i in range(k)]
    for c in whole[np.argsort(-sizes[whole], kind="stable")]:
        size, smallest = folds[0]
        of_cluster[c] = smallest
        heapq.heapreplace(folds, (size + int(sizes[c]), smallest))
    alone = np.flatnonzero(loosened[cluster])
    fold, unit = of_cluster[cluster], (np.cumsum(~loosened) - 1)[cluster]
    fold[rng.permutation(alone)] = np.arange(alone.size) % k
    unit[alone] = whole.size + np.arange(alone.size)
    return unit, fold


def _to_other_folds(places: Places, fold: Groups, looked: Groups, k: int) -> Numbers:
    """Distance from every place looked at to the nearest one of another fold."""
    from scipy.spatial import KDTree

    nearest = np.full(looked.size, np.inf)
    for i in range(k):
        # not balanced: a tree is made for few questions
        tree = KDTree(places[fold == i], compact_nodes=False, balanced_tree=False)
        others = fold[looked] != i
        nearest[others] = np.minimum(nearest[others], tree.query(places[looked[others]])[0])
    return nearest


def _distances(here: Places, there: Places) -> Numbers:
    from scipy.spatial import KDTree

    return np.asarray(KDTree(there).query(here)[0], np.float64)


def _places(pixels: Pixels, shape: tuple[int, ...]) -> Places:
    return np.stack(np.unravel_index(pixels, shape), 1).astype(np.float64)


def _some(values: NDArray[Any], most: int, rng: np.random.Generator) -> NDArray[Any]:
    """At most so many of them, in ascending order where they are drawn."""
    return values if values.size <= most else np.sort(rng.choice(values, most, replace=False))


def _notes(found: _Division, reached: Numbers, wanted: Numbers, chosen: KnndmSettings) -> list[str]:
    """How near the distances come to those of the map."""
    w, off = wasserstein(reached, wanted), reached.mean() - wanted.mean()
    sizes = np.bincount(found.unit)
    many, single = (int(np.count_nonzero(some)) for some in (sizes > 1, sizes == 1))
    units = [counted(many, "cluster")] * bool(many) + [counted(single, "single pixel")] * bool(single)
    notes = [
        f"the nearest training pixel of a test pixel lies {reached.mean():.1f} px away, the nearest label of "
        f"{'an unlabelled pixel' if chosen.to == 'unlabelled' else 'a pixel of the map'} {wanted.mean():.1f} px "
        f"(means); Wasserstein distance between the two {w:.2f} px, with {listed(units)} in {chosen.k} folds"
    ]
    if w > FAR_OFF * max(float(wanted.mean()), NEAREST_PX):
        said = "nearer: accuracies read too high" if off < 0 else "farther: accuracies read too low"
        notes.append(f"these distances do not match well; test pixels lie {said} for the map")
    return notes
