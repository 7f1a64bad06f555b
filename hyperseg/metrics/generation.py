"""How near generated data are to real ones, in the features of a network: Frechet distance, inception score, precision
and recall."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from hyperseg.core import SettingError

Floats = NDArray[np.float64]
PART_BYTES = 2**23  # of a table of distances at once
ROUNDING = 1e-10  # of the largest squared distance to the middle: what two equal points may be apart
SUMS_TO = 1e-3  # how far from one the probabilities of a sample may sum


@dataclass(frozen=True)
class Moments:
    """Mean and covariance of n samples, the latter as a factor: covariance = factor' factor.

    A factor keeps twice the digits of a covariance, and is smaller where samples are fewer than dimensions.

    Attributes:
        mean: (d,).
        factor: (r, d), r = min(n, d).
        n: samples.
    """

    mean: Floats
    factor: Floats
    n: int

    @property
    def dims(self) -> int:
        return len(self.mean)


def moments(features: ArrayLike) -> Moments:
    """Of (n, d) features, unbiased.

    Raises:
        SettingError: another shape, fewer than two samples, or values that are not finite.
    """
    found = _samples(features, "features", least=2)
    mean = found.mean(0)
    rest = (found - mean) / math.sqrt(len(found) - 1)
    factor = np.asarray(np.linalg.qr(rest, mode="r")) if len(found) > found.shape[1] else rest
    return Moments(mean, factor, len(found))


def frechet_distance(a: ArrayLike | Moments, b: ArrayLike | Moments) -> float:
    """|mean_a - mean_b|^2 + tr(A + B - 2 (A B)^(1/2)), A and B being the covariances: 0 where both are equal.

    The trace of the root is the sum of the singular values of F_a F_b', the F being factors of the covariances: nothing
    is squared, no root of a matrix that is not symmetric is taken, and singular covariances are as good as others.

    The result depends on the number of samples: fewer make it larger. Compare numbers of the same counts only, and see
    `few_samples`.

    Args:
        a, b: (n, d) and (m, d) features, or their `moments`.

    Raises:
        SettingError: as `moments`, or features of different length.

    Source: Dowson & Landau, "The Frechet distance between multivariate normal distributions", 1982; for images Heusel
        et al., NeurIPS 2017, who take the features of an Inception network.
    Differs: singular values instead of a matrix root.
    """
    p, q = (m if isinstance(m, Moments) else moments(m) for m in (a, b))
    if p.dims != q.dims:
        raise SettingError(f"features of length {p.dims} cannot be compared with features of length {q.dims}.")
    spread = np.square(p.factor).sum() + np.square(q.factor).sum()
    common = np.linalg.svd(p.factor @ q.factor.T, compute_uv=False).sum()
    return max(float(np.square(p.mean - q.mean).sum() + spread - 2 * common), 0.0)


def few_samples(n: int, dims: int) -> str:
    """What is to be said of a Frechet distance from n samples of so many dimensions; nothing where they are enough."""
    if n > 2 * dims:
        return ""
    return (
        f"{n} samples for {dims} features: the covariance is {'of lower rank' if n <= dims else 'poorly known'} and "
        "the distance too large; it compares with others of as many samples only."
    )


def inception_score(probs: ArrayLike, *, splits: int = 1) -> float:
    """exp of the mean divergence of p(class | sample) from p(class): from 1 (all samples alike, or nothing known) to K.

    Args:
        probs: (n, K) probabilities of a classifier.
        splits: parts in which it is worked out, in the order of the samples; their mean is given. Published scores have
            10 parts. Fewer samples make it smaller.

    Raises:
        SettingError: no probabilities, or more parts than samples.

    Source: Salimans et al., "Improved Techniques for Training GANs", NeurIPS 2016.
    """
    found = _samples(probs, "probabilities", least=1)
    sums = found.sum(1)
    if found.min() < 0 or np.abs(sums - 1).max() > SUMS_TO:
        raise SettingError(
            f"probabilities are 0 or more and sum to 1 for each sample, got sums from {sums.min():.4g} to "
            f"{sums.max():.4g} and a least value of {found.min():.4g}: give the softmax of the scores."
        )
    if not 1 <= splits <= len(found):
        raise SettingError(f"{splits} parts of {len(found)} samples: use 1 to {len(found)}.")
    return float(np.mean([_score(part) for part in np.array_split(found / sums[:, None], splits)]))


def _score(probs: Floats) -> float:
    def entropy(p: Floats) -> Any:
        return -np.where(p > 0, p * np.log(np.maximum(p, np.finfo(float).tiny)), 0.0).sum(-1)

    gain = entropy(probs.mean(0)) - entropy(probs).mean()
    return float(np.exp(min(max(gain, 0.0), math.log(probs.shape[1]))))


def precision_recall(real: ArrayLike, made: ArrayLike, *, k: int = 3) -> tuple[float, float]:
    """Share of generated samples that lie among the real ones (precision), and of real ones among the generated.

    A point lies among others where one of them has it within the distance of its own k-th nearest neighbour. Memory
    does not grow with the product of the numbers of samples.

    Args:
        real, made: (n, d) and (m, d) features.
        k: neighbours.

    Raises:
        SettingError: shapes that do not fit, k not in 1..n - 1, or values that are not finite.

    Source: Kynkaanniemi et al., "Improved Precision and Recall Metric for Assessing Generative Models", NeurIPS 2019.
    """
    a, b = (_samples(f, "features", least=2) for f in (real, made))
    if a.shape[1] != b.shape[1]:
        raise SettingError(f"features of length {a.shape[1]} and {b.shape[1]} cannot be compared.")
    fewest = min(len(a), len(b))
    if not 1 <= k < fewest:
        raise SettingError(f"k = {k} neighbours of {fewest} samples: use 1 to {fewest - 1}.")
    middle = a.mean(0)  # large coordinates would cost digits
    a, b = a - middle, b - middle
    slack = ROUNDING * max(float(np.square(f).sum(1).max()) for f in (a, b))
    return _covered(b, a, k, slack), _covered(a, b, k, slack)


def _covered(points: Floats, by: Floats, k: int, slack: float) -> float:
    """Share of `points` within the reach of one of `by`: the distance to its k-th neighbour among themselves."""
    reach = np.concatenate([np.partition(part, k, axis=1)[:, k].copy() for part in _squares(by, by)])
    inside = [(part <= reach + slack).any(1) for part in _squares(points, by)]
    return float(np.concatenate(inside).mean())


def _squares(a: Floats, b: Floats) -> Iterator[Floats]:
    """Squared distances of all points of a to all of b, some rows at a time."""
    norms, rows = np.square(b).sum(1), max(PART_BYTES // (8 * len(b)), 1)
    for start in range(0, len(a), rows):
        part = a[start : start + rows]
        table = part @ b.T
        table *= -2
        table += norms
        table += np.square(part).sum(1)[:, None]
        yield np.maximum(table, 0, out=table)


def _samples(values: ArrayLike, what: str, *, least: int) -> Floats:
    found = np.asarray(values, np.float64)
    if found.ndim != 2 or len(found) < least or not found.shape[1]:
        raise SettingError(f"{what} are an array (samples, length) of {least} samples or more, got {found.shape}.")
    if not np.isfinite(found).all():
        wrong = int((~np.isfinite(found)).any(1).sum())
        raise SettingError(f"{what} of {wrong} of {len(found)} samples are not finite: the samples are broken.")
    return found
