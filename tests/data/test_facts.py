"""What a plan follows from: known numbers of a drawn scene, and what they must not depend on."""

from __future__ import annotations

import numpy as np
import pytest

from hyperseg.core import Scene, Split, SplitError
from hyperseg.data.facts import SceneFacts, facts_of

SIDE, STEP, BANDS = 12, 20, 40


def squares(*, noise: float = 0.05, every: int = 1, seed: int = 0) -> tuple[Scene, Split]:
    """Nine squares of 12 x 12 pixels, 20 apart, of three classes with smooth spectra; every n-th pixel trains."""
    random = np.random.default_rng(seed)
    labels = np.full((3 * STEP, 3 * STEP), -1, np.int16)
    for i in range(9):
        row, column = (STEP * n for n in divmod(i, 3))
        labels[row : row + SIDE, column : column + SIDE] = i % 3
    wave = np.sin(np.linspace(0, 3, BANDS)[None] + np.arange(3)[:, None])
    cube = np.where(labels[..., None] >= 0, wave[labels.clip(0)], 0) + noise * random.normal(
        size=(*labels.shape, BANDS)
    )
    scene = Scene(cube.astype(np.float32), labels, classes=("a", "b", "c"), colours=((0, 0, 0),) * 3)
    rows, columns = np.indices(labels.shape)
    train = (labels >= 0) & (rows % every == 0) & (columns % every == 0)
    return scene, Split(train, np.zeros_like(train), (labels >= 0) & ~train, "drawn", 0)


@pytest.mark.parametrize("every", [1, 2, 3])
def test_parcels_are_counted_and_measured_however_thin_their_pixels_are(every: int) -> None:
    found = facts_of(*squares(every=every))
    assert found.parcels == 9
    assert SIDE - every < found.parcel_px <= SIDE
    assert found.spacing_px == every
    assert (found.rows, found.columns, found.bands, found.classes) == (3 * STEP, 3 * STEP, BANDS, 3)
    assert found.density == pytest.approx(found.labels / (9 * STEP**2))


@pytest.mark.parametrize("noise", [0.05, 0.3])
def test_noise_is_that_which_was_added(noise: float) -> None:
    scene, split = squares(noise=noise)
    spread = np.median(np.asarray(scene.cube)[split.train].std(0))
    assert facts_of(scene, split).noise == pytest.approx(noise / spread, rel=0.1)


def test_neither_the_numbers_of_classes_nor_the_side_the_scene_is_seen_from_matter() -> None:
    scene, split = squares(every=2)
    assert scene.labels is not None
    expected = facts_of(scene, split)
    renumbered = np.array([2, 0, 1, -1], np.int16)[scene.labels]
    assert facts_of(scene.with_(labels=renumbered), split) == expected
    turned = scene.with_(cube=np.asarray(scene.cube)[::-1].swapaxes(0, 1), labels=scene.labels[::-1].T)
    masks = (mask[::-1].T for mask in (split.train, split.val, split.test))
    assert facts_of(turned, Split(*masks, "drawn", 0)) == expected


def test_nothing_but_training_pixels_is_looked_at() -> None:
    scene, split = squares(every=2)
    assert scene.labels is not None
    other = np.where(split.train, scene.labels, (scene.labels + 1) % 3).astype(np.int16)
    cube = np.where(split.train[..., None], np.asarray(scene.cube), 7).astype(np.float32)
    assert facts_of(scene.with_(labels=other, cube=cube), split) == facts_of(scene, split)


def test_single_pixels_have_facts_too() -> None:
    scene, split = squares()
    train = np.zeros_like(split.train)
    train[0, 0] = train[0, STEP] = True
    found = facts_of(scene, Split(train, np.zeros_like(train), split.test & ~train, "drawn", 0))
    assert isinstance(found, SceneFacts)
    assert (found.labels, found.parcels, found.parcel_px, found.noise) == (2, 2, 1.0, 0.0)
    with pytest.raises(SplitError, match="no training pixel"):
        facts_of(scene, Split(np.zeros_like(train), np.zeros_like(train), train, "drawn", 0))
