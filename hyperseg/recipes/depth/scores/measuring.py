"""What a judge measures of drawn pictures, and of real ones beside them."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from hyperseg.core import SettingError
from hyperseg.recipes.depth.judging import DepthJudge, Judged, distances
from hyperseg.recipes.depth.kept import Drawn
from hyperseg.recipes.depth.sampling import LEVELS
from hyperseg.recipes.depth.scores.table import MEASURES, DepthCell

Float32 = NDArray[np.float32]
Pictures = Callable[[int], tuple[Float32, Float32]]
"""Number of a set -> (n, 3, s, s) real pictures from -1 to 1, and (n, s, s) their inverse depth; sets share none."""
SHOWN = 8  # real pictures that are shown


class Real(NamedTuple):
    """Real pictures that samples are compared with.

    Attributes:
        seen: by the judge.
        floors: of every measure of distance, what as many other real pictures have, one for each of their sets.
        images, y: some of them as values 0..255 (k, s, s, 3), and their true inverse depth.
    """

    seen: Judged
    floors: dict[str, list[float]]
    images: NDArray[np.uint8]
    y: Float32


def look_at_real(judge: DepthJudge, pictures: Pictures, sets: int) -> Real:
    """Set 0 is what samples are compared with; each of the others, as large, gives a floor."""
    x, y = pictures(0)
    seen = judge.look(x)
    floors: dict[str, list[float]] = {m.key: [] for m in MEASURES if m.floored}
    for k in range(1, sets + 1):
        found = distances(judge.look(pictures(k)[0]), seen)
        for key, values in floors.items():
            values.append(found[key])
    return Real(seen, floors, as_images(x[:SHOWN]), y[:SHOWN])


def measure(judge: DepthJudge, real: Real, drawn: Drawn, row: str, seed: int) -> DepthCell:
    """The samples of one row and one seed, judged; ones that the judge cannot look at have a note and no numbers."""
    n = len(drawn.images)
    ratios = drawn.steps[:, 2]
    middle, most = (float(np.median(ratios)), float(ratios.max())) if len(ratios) else (None, None)
    try:
        found = judge.scores(as_values(drawn.images), real.seen, strong=drawn.strong, weak=drawn.weak)
    except SettingError as error:
        return DepthCell(row, seed, n, {}, middle, most, str(error))
    return DepthCell(row, seed, n, {**found, "seconds": drawn.seconds / n}, middle, most)


def as_values(images: NDArray[np.uint8]) -> Float32:
    """(n, s, s, 3) values 0..255 -> (n, 3, s, s) from -1 to 1."""
    return np.ascontiguousarray(np.moveaxis(images.astype(np.float32) * (2 / LEVELS) - 1, -1, 1))


def as_images(x: Float32) -> NDArray[np.uint8]:
    """The way back."""
    values = np.rint((np.clip(x, -1, 1) + 1) / 2 * LEVELS).astype(np.uint8)
    return np.ascontiguousarray(np.moveaxis(values, 1, -1))
