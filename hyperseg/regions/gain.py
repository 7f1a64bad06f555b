"""What it is worth to know the class of a region: the pixels probably mapped wrong that nothing labelled resembles."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

NEIGHBOURHOOD = 2.0  # widths of resemblance: times the usual distance between a region and the one most like it


@dataclass(frozen=True)
class Chosen:
    """Regions to label, best first.

    Attributes:
        regions: (n,) their numbers.
        gains: (n,) pixels, see `choose`; never rising where walking costs nothing.
        resemblance: (n,) to the most similar region that is labelled or was chosen before, 0 to 1.
        nearest: (n,) that region, -1 where there is none.
        walked: (n,) metres from the place before, 0 for the first without a start; None without places.
    """

    regions: NDArray[np.int64]
    gains: NDArray[np.float64]
    resemblance: NDArray[np.float64]
    nearest: NDArray[np.int64]
    walked: NDArray[np.float64] | None


def expected_wrong(probs: NDArray[np.floating], pixels: NDArray[np.integer]) -> NDArray[np.float64]:
    """(R,) pixels that are not of their region's most probable class, by its (R, K) mean probabilities."""
    return np.asarray(pixels * (1 - probs.max(1)), np.float64)


def usual_distance(spectra: NDArray[np.floating]) -> float:
    """Median distance between a region's (R, P) spectrum and the most similar other one; 1 where none is."""
    from scipy.spatial import cKDTree

    if len(spectra) < 2:
        return 1.0
    apart = cKDTree(spectra).query(spectra, k=2)[0][:, 1]
    found = float(np.median(apart))
    return found if found > 0 else 1.0


def choose(
    wrong: NDArray[np.floating],
    spectra: NDArray[np.floating],
    *,
    labelled: NDArray[np.bool_],
    open_to: NDArray[np.bool_] | None = None,
    budget: int,
    width: float | None = None,
    places: NDArray[np.floating] | None = None,
    start: NDArray[np.floating] | None = None,
    cost_per_km: float = 0.0,
) -> Chosen:
    """Choose regions one after the other, each time the one with the largest gain.

    The gain of region r is wrong_r (1 - max_q exp(-d(r, q)^2 / 2 w^2)) over the regions q that are labelled or were
    chosen before: pixels that are probably wrong there and that no other label speaks for. A region like a chosen
    one is worth little, so that the choice is spread. With a cost, what is compared is the gain less the cost of the
    way from the last place, and nothing is chosen that does not pay for its way.

    Args:
        wrong: (R,) of `expected_wrong`.
        spectra: (R, P) mean spectra in which Euclidean distance d means something.
        labelled: (R,) regions that hold labels; they are never chosen.
        open_to: (R,) regions that may be chosen; None for all.
        budget: how many at most.
        width: w; None is twice the `usual_distance`.
        places: (R, 2) in metres, for the way.
        start: (2,) where the way begins; None: the first region is reached without one.
        cost_per_km: gain, in pixels, that a kilometre has to bring.

    Source: uncertainty sampling with a penalty for what is similar, after Brinker 2003 and Tuia et al. 2011, IEEE J.
        Sel. Top. Signal Process. 5:606. Differs: units are regions of a segmentation, uncertainty is a number of
        pixels, and labelled regions count as chosen ones.
    """
    w = NEIGHBOURHOOD * usual_distance(spectra) if width is None else width
    left = ~labelled if open_to is None else open_to & ~labelled
    near, nearest = _nearest_labelled(spectra, labelled)
    alike = np.exp(-(near**2) / (2 * w**2))
    here, found, told = start, [], []
    for _ in range(min(budget, int(left.sum()))):
        gain = wrong * (1 - alike)
        way = np.zeros(len(wrong)) if places is None or here is None else np.linalg.norm(places - here, axis=1)
        net = np.where(left, gain - cost_per_km * way / 1000, -np.inf)
        r = int(net.argmax())
        if not net[r] > 0:
            break
        found.append(r)
        told.append((gain[r], alike[r], nearest[r], way[r]))
        left = left & (np.arange(len(left)) != r)
        here = None if places is None else places[r]
        mine = np.exp(-((spectra - spectra[r]) ** 2).sum(1) / (2 * w**2))
        nearest = np.where(mine > alike, r, nearest)
        alike = np.maximum(alike, mine)
    gains, resemblance, whose, walked = np.array(told, np.float64).reshape(-1, 4).T
    return Chosen(
        np.array(found, np.int64), gains, resemblance, whose.astype(np.int64), None if places is None else walked
    )


def _nearest_labelled(
    spectra: NDArray[np.floating], labelled: NDArray[np.bool_]
) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """(R,) distance to the most similar labelled region, and its number; infinite and -1 where none is labelled."""
    from scipy.spatial import cKDTree

    numbers = np.flatnonzero(labelled)
    if not len(numbers):
        return np.full(len(spectra), np.inf), np.full(len(spectra), -1)
    apart, place = cKDTree(spectra[numbers]).query(spectra)
    return apart, numbers[place]
