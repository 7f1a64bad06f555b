"""The baseline: discs that touch are parted, and its settings are learnt from images."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from hyperseg.core import LabelError
from hyperseg.metrics.instances.panoptic import panoptic, panoptic_of
from hyperseg.recipes.instances.watershed import WatershedSettings, otsu, segmented, tuned

PLACES = ((10, 10), (10, 22), (30, 14), (28, 34))
RADIUS = 7


def discs(places: tuple[tuple[int, ...], ...] = PLACES, shape: tuple[int, ...] = (40, 44)) -> NDArray[np.int32]:
    far = [sum((axis - c) ** 2 for axis, c in zip(np.indices(shape), place, strict=True)) for place in places]
    return np.where(np.min(far, 0) <= RADIUS**2, 1 + np.argmin(far, 0), 0).astype(np.int32)


def painted(found: NDArray[np.int32], *, seed: int = 0, dark: bool = False, channel: int = 1) -> NDArray[np.float64]:
    """Three channels of noise, one of which shows the objects."""
    image = np.random.default_rng(seed).normal(0, 1, (*found.shape, 3))
    image[..., channel] /= 10
    image[..., channel] += np.where(found > 0, -1.0 if dark else 1.0, 0.0)
    return image


def test_a_threshold_between_two_heaps() -> None:
    assert 0 < otsu(np.array([0.0] * 30 + [1.0] * 5)) < 1
    assert otsu(np.full(4, 3.0)) == 3
    values = np.concatenate([np.random.default_rng(0).normal(m, 0.2, 500) for m in (0, 2)])

    def between(at: float) -> float:
        low, high = values[values <= at], values[values > at]
        return float(len(low) * len(high) * (low.mean() - high.mean()) ** 2)

    splits = np.linspace(values.min(), values.max(), 300)[1:-1]
    assert between(otsu(values)) == pytest.approx(max(between(at) for at in splits), rel=1e-2)


@pytest.mark.parametrize("dark", [False, True])
def test_discs_that_touch_are_parted(dark: bool) -> None:
    truth = discs()
    found = segmented(painted(truth, dark=dark), WatershedSettings(channel=1))
    assert panoptic(found, truth).hits == len(PLACES)
    assert panoptic(found, truth).quality > 0.85
    assert sorted(set(found.ravel())) == list(range(len(PLACES) + 1))


def test_balls_are_parted_too() -> None:
    truth = discs(((9, 9, 9), (9, 9, 22)), (18, 18, 32))
    assert panoptic(segmented(painted(truth), WatershedSettings(channel=1)), truth).hits == 2


def test_an_image_of_one_value_has_no_objects() -> None:
    assert segmented(np.ones((5, 6, 1)), WatershedSettings()).max() == 0


def test_small_objects_are_left_out() -> None:
    truth = discs()
    assert segmented(painted(truth), WatershedSettings(channel=1, least=1000)).max() == 0


def test_settings_are_learnt() -> None:
    maps = [discs(), discs(((9, 9), (25, 20), (25, 33)))]
    images = [painted(one, seed=k, channel=2, dark=k == 1) for k, one in enumerate(maps)]
    told: list[tuple[int, int]] = []
    chosen = tuned(images, maps, progress=lambda done, total: told.append((done, total)))
    assert chosen.channel == 2
    assert chosen == tuned(images, maps)
    assert told[-1][0] == told[-1][1]
    total = panoptic_of((segmented(image, chosen), one) for image, one in zip(images, maps, strict=True))
    before = panoptic_of((segmented(image, WatershedSettings()), one) for image, one in zip(images, maps, strict=True))
    assert total.quality >= max(before.quality, 0.9)


def test_learning_needs_images() -> None:
    with pytest.raises(LabelError, match="a map for each"):
        tuned([np.zeros((4, 4, 1))], [])
