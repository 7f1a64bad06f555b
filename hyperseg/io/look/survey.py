"""A look at a cube: what its values are, and which bands look wrong, on a sample of stretches of rows."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hyperseg.core import Scene
from hyperseg.io.look.sample import row_spans
from hyperseg.io.look.valid import valid_at

FEWEST_PAIRS = 200
# neighbours differ this much of what pixels far apart differ, and this many times what is usual in the scene
NOISY_SHARE, NOISY_TIMES = 0.7, 2.0
SATURATED_SHARE, SATURATED_FEWEST, PILED_TIMES = 0.01, 20, 3.0
RULES = {
    "noisy": (
        f"pixels side by side differ at least {NOISY_SHARE:g} times as much as pixels far apart (medians), and "
        f"{NOISY_TIMES:g} times more so than in the median band"
    ),
    "saturated": (
        f"{SATURATED_SHARE:.0%} of the pixels or more share the largest value, {PILED_TIMES:g} times as many as "
        "lie within 1 % of the range below it"
    ),
}


@dataclass(frozen=True)
class Survey:
    """What a sample of a cube's pixels says."""

    pixels: int  # how many were looked at
    empty: float  # share of them without data
    values: tuple[float, float, float, float, float]  # smallest, 2nd percentile, median, 98th, largest, of good bands
    noisy: tuple[int, ...]  # good bands that look noisy or striped, by the rule in `RULES`
    saturated: tuple[int, ...]  # good bands with too many pixels at their largest value, by the rule in `RULES`


def survey(scene: Scene, *, max_pixels: int = 20000) -> Survey:
    """Look at about `max_pixels` pixels of a scene (H, W, C), lazy or not, so that a large one is not read whole.

    Only its good bands are judged.
    """
    cube, good = scene.cube, scene.good_bands
    chosen = np.arange(cube.shape[-1]) if good is None else np.flatnonzero(good)
    seen, pixels, near = [], 0, []
    for row, span in row_spans(cube, max_pixels):
        at = slice(row, row + 1), span
        whole = np.asarray(cube[at])
        valid, block = valid_at(scene, at, whole)[0], whole[0][:, chosen]
        pixels += len(block)
        seen.append(block[valid].astype(np.float64))
        pairs = valid[1:] & valid[:-1]
        near.append(np.abs(block[1:].astype(np.float64) - block[:-1])[pairs])
    values, steps = np.concatenate(seen), np.concatenate(near)
    if not len(values):
        return Survey(pixels, 1.0, (np.nan,) * 5, (), ())
    low, p2, middle, p98, high = np.percentile(values, (0, 2, 50, 98, 100)).tolist()
    noisy, saturated = (tuple(chosen[which].tolist()) for which in (_noisy(values, steps), _saturated(values)))
    return Survey(pixels, 1 - len(values) / pixels, (low, p2, middle, p98, high), noisy, saturated)


def _noisy(values: NDArray[np.float64], steps: NDArray[np.float64]) -> NDArray[np.bool_]:
    """(C,) bands whose neighbouring pixels have little to do with each other: noise, or stripes along the rows."""
    if len(steps) < FEWEST_PAIRS:
        return np.zeros(values.shape[1], bool)
    near = np.median(steps, axis=0)
    far = np.median(np.abs(values - np.roll(values, len(values) // 2, axis=0)), axis=0)
    share = np.divide(near, far, out=np.zeros_like(near), where=far > 0)
    return (share >= NOISY_SHARE) & (share >= NOISY_TIMES * np.median(share))


def _saturated(values: NDArray[np.float64]) -> NDArray[np.bool_]:
    """(C,) bands whose values pile up at their maximum."""
    low, high = values.min(0), values.max(0)
    piled = (values == high).mean(0)
    enough = piled * len(values) >= SATURATED_FEWEST  # of few pixels, one is a large share
    close = ((values < high) & (values >= high - 0.01 * (high - low))).mean(0)
    return enough & (high > low) & (piled >= SATURATED_SHARE) & (piled >= PILED_TIMES * close)
