"""What is measured of samples: distance to the training data in features, score, precision and recall."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray

from hyperseg.core import SettingError
from hyperseg.metrics.generation import Moments, frechet_distance, inception_score, moments, precision_recall
from hyperseg.recipes.bench.data import Pictures

if TYPE_CHECKING:
    from torch import Tensor

    from hyperseg.dpm.features import Features

Floats = NDArray[np.float64]
AGAIN = 10  # times that samples are drawn from those that were made, for the spread of the distance
SEED = 1  # of these draws
BRIGHT = (0.02, 0.98)  # quantiles of what is black and white in pictures of other than one or three channels


class Scores(NamedTuple):
    """Of samples; see `rows.Row`."""

    fd: float
    fd_sd: float
    inception: float
    precision: float
    recall: float


@dataclass(frozen=True)
class Judge:
    """Features of real data, and what samples are in them.

    Attributes:
        features: the network that looks.
        reference: moments of the features of all training data.
        real: (m, d) features of training data that precision and recall compare with, as many as samples are made.
        levels: see `Pictures`; samples are rounded to them as a file would.
    """

    features: Features
    reference: Moments
    real: Floats
    levels: int | None

    def scores(self, x: Tensor) -> Scores:
        """Of samples (n, C, *S).

        Raises:
            SettingError: samples that are not finite.
        """
        bad = int((~x.isfinite()).flatten(1).any(1).sum())
        if bad:
            raise SettingError(f"{bad} of {len(x)} samples are not finite: this method fails with so few calls.")
        features, probs = self.features.of(as_files(x, self.levels))
        made = np.asarray(features, np.float64)
        rng = np.random.default_rng(SEED)
        drawn = [made[rng.integers(0, len(made), len(made))] for _ in range(AGAIN)]
        again = [frechet_distance(self.reference, one) for one in drawn]
        return Scores(
            frechet_distance(self.reference, made), float(np.std(again, ddof=1)), inception_score(probs),
            *precision_recall(self.real, made),
        )  # fmt: skip


def make_judge(pictures: Pictures, features: Features, *, samples: int, file: Path | None = None) -> Judge:
    """A judge of as many samples as are made in every cell.

    Precision and recall depend on how many there are of both kinds, so no more real data are looked at than are made.

    Args:
        file: .npz in which what the network says of the training data is kept.
    """
    from hyperseg.dpm.features import real_features

    real = real_features(features, pictures.x, checksum=pictures.checksum, file=file)
    found = np.asarray(real.features, np.float64)
    chosen = np.random.default_rng(SEED).permutation(len(found))[:samples]
    return Judge(features, moments(found), found[chosen], pictures.levels)


def floor_of(judge: Judge, pictures: Pictures) -> Scores:
    """The scores of test data, which no generator needs to beat."""
    return judge.scores(pictures.test_x)


def as_files(x: Tensor, levels: int | None) -> Tensor:
    """float32 samples as they would be read back: within [-1, 1], at one of the levels."""
    x = x.float().clamp(-1, 1)
    return x if levels is None else ((x + 1) / 2 * (levels - 1)).round() * 2 / (levels - 1) - 1


def as_pictures(x: Tensor, *, spread: Callable[[Floats], tuple[float, float]] | None = None) -> NDArray[np.uint8]:
    """(n, C, *S) as (n, h, w) grey or (n, h, w, 3) values 0..255.

    Of more channels than three, three are shown; of cubes the middle; spectra are drawn as a strip of grey.
    """
    values = x.detach().float().cpu().numpy().astype(np.float64)
    while values.ndim > 4:  # (n, C, L, h, w): the bands of a cube take the place of channels
        values = values.reshape(values.shape[0], -1, *values.shape[3:])
    if values.ndim == 3:
        values = np.repeat(values[:, :, None], max(values.shape[-1] // 8, 1), 2)
    channels = values.shape[1]
    shown = (
        values if channels in (1, 3) else values[:, [channels * k // 6 for k in ((5, 3, 1) if channels > 3 else (3,))]]
    )
    low, high = (-1.0, 1.0) if channels in (1, 3) or spread is None else spread(shown)
    scaled = np.clip((shown - low) / max(high - low, 1e-9), 0, 1)
    pictures = (255 * np.nan_to_num(scaled)).round().astype(np.uint8)
    return pictures[:, 0] if pictures.shape[1] == 1 else np.moveaxis(pictures, 1, -1)


def quantiles(values: Floats) -> tuple[float, float]:
    """What is black and what is white where values have no usual range."""
    low, high = np.quantile(values[np.isfinite(values)], BRIGHT) if np.isfinite(values).any() else (-1.0, 1.0)
    return (float(low), float(high)) if math.isfinite(low) and high > low else (-1.0, 1.0)
