"""What is alike in scenes without labels, and which pixels a step draws."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from hyperseg.contrast.pairs import masks, views
from hyperseg.core import Scene, SceneError, SettingError
from hyperseg.core.settings import changed
from hyperseg.recipes.pretraining.alike.draws import Draws
from hyperseg.recipes.pretraining.alike.ground import clusters_of, fit_scenes, numbered, superpixels
from hyperseg.recipes.pretraining.alike.strata import Pool, ndvi, ndvi_bands, places_of, pool_of, strata_of
from hyperseg.recipes.pretraining.scene_settings import SceneContrast
from hyperseg.simulated.scenes import toy_scene


def contrast(**changes: Any) -> SceneContrast:
    few = {"strata": 4} if changes.get("partitions") == "strata" else {}
    return changed(SceneContrast(), {"batch": 16, "superpixel_px": 6.0, **few, **changes})


def pooled(scenes: list[Scene], **changes: Any) -> Pool:
    """The pool of scenes, with small superpixels and few clusters."""
    few = {} if changes.get("partitions", "clusters") != "clusters" else {"clusters": 8}
    chosen = contrast(**few | changes)
    number = numbered(scenes, chosen.superpixel_px)
    return pool_of(scenes, number, fit_scenes(scenes, number, whiten=True), chosen)


def with_holes(scene: Scene) -> Scene:
    valid = np.ones(scene.shape, bool)
    valid[:3, :5] = valid[10] = False
    return scene.with_(valid=valid)


def test_strata_are_runs_of_equally_many() -> None:
    values = np.random.default_rng(0).standard_normal(1000) ** 3
    found = strata_of(values, 8)
    assert np.bincount(found).tolist() == [125] * 8
    assert (np.diff(found[np.argsort(values)]) >= 0).all()
    assert np.array_equal(strata_of(np.exp(values), 8), found)  # only the order counts
    assert set(strata_of(np.zeros(10), 4)) == {3}  # equal values are one stratum


def test_ndvi_ignores_illumination_and_needs_its_bands() -> None:
    waves = np.array([500.0, 675.0, 850.0, 1600.0])
    cube = np.random.default_rng(0).random((4, 5, 4)) + 0.1
    scene = Scene(cube, wavelengths_nm=waves)
    bands = ndvi_bands(scene)
    assert bands == (1, 2)
    brighter = Scene(cube * np.linspace(0.5, 2, 20).reshape(4, 5, 1), wavelengths_nm=waves)
    np.testing.assert_allclose(ndvi(scene, *bands), ndvi(brighter, *bands))
    assert ndvi_bands(Scene(cube)) is None
    assert ndvi_bands(scene.with_(good_bands=np.array([True, False, True, True]))) is None
    assert (ndvi(Scene(np.zeros((2, 2, 4))), 1, 2) == 0).all()


def test_superpixels_are_connected_and_leave_out_what_is_not_there(toy: Scene) -> None:
    from scipy import ndimage

    scene = with_holes(toy)
    found = superpixels(scene, 6.0)
    assert ((found < 0) == ~scene.valid).all()
    assert all(ndimage.label(found == k)[1] == 1 for k in range(found.max() + 1))


def test_superpixels_of_several_scenes_have_their_own_numbers(toy: Scene) -> None:
    scene = with_holes(toy)
    found = numbered([scene, toy.with_(valid=np.zeros(toy.shape, bool)), toy], 6.0)
    first, second = np.split(found, [int(scene.valid.sum())])
    assert np.array_equal(first, superpixels(scene, 6.0)[scene.valid])
    assert np.array_equal(second, superpixels(toy, 6.0).reshape(-1) + first.max() + 1)


def test_whitening_makes_differences_within_superpixels_alike_in_all_directions() -> None:
    """Noise of very different spread in each band, over two kinds of ground: afterwards it is nearly white."""
    rng = np.random.default_rng(0)
    spread = np.geomspace(0.1, 1, 10)
    ground = np.outer(np.repeat([1.0, 3.0], 900), np.ones(10)).reshape(60, 30, 10)
    scene = Scene(ground + spread * rng.standard_normal((60, 30, 10)))
    number = np.repeat(np.arange(150), 12)
    plain, white = (fit_scenes([scene], number, whiten=w) for w in (False, True))
    noise = scene.with_(cube=scene.cube - ground).cube.reshape(-1, 10)
    before, after = (np.linalg.eigvalsh(np.cov((p(noise) - p(np.zeros((1, 10)))).T)) for p in (plain, white))
    assert before[-1] / before[0] > 25
    assert after[-1] / after[0] < 6  # shrunk towards the identity, as within classes
    assert white.n_out == plain.n_out == 10


def test_clusters_put_ground_that_looks_alike_together_wherever_it_lies() -> None:
    """Stripes of three spectra, each of them twice and in another scene once more."""
    kinds = np.array([0, 1, 2, 0, 1, 2])
    spectra = np.eye(3)[:, [0, 1, 2, 0]] * 5.0
    rng = np.random.default_rng(0)

    def striped(kinds: np.ndarray) -> Scene:
        return Scene(np.repeat(spectra[kinds], 4, 0)[:, None] + 0.1 * rng.standard_normal((4 * len(kinds), 3, 4)))

    scenes = [striped(kinds), striped(np.array([2]))]
    stripe = np.repeat(np.arange(7), 12)
    found = clusters_of(scenes, stripe, fit_scenes(scenes, stripe, whiten=False), 3)
    of = found[::12]
    assert np.array_equal(found, np.repeat(of, 12))
    assert np.array_equal(of[:3], of[3:6])
    assert of[6] == of[2]
    assert len(set(of)) == 3


@pytest.mark.parametrize("partitions", ["strata", "superpixels", "clusters"])
def test_the_pool_is_all_valid_pixels_of_all_scenes(toy: Scene, partitions: str) -> None:
    scenes = [with_holes(toy), toy_scene(shape=(12, 15), n_bands=16, seed=1)]
    pool = pooled(scenes, partitions=partitions)
    assert len(pool.places) == scenes[0].valid.sum() + 180
    assert len({tuple(p) for p in pool.places}) == len(pool.places)
    shared = set(pool.partition[pool.places[:, 0] == 0]) & set(pool.partition[pool.places[:, 0] == 1])
    assert bool(shared) == (partitions != "superpixels")  # the others are the same everywhere


def test_labels_are_not_looked_at(toy: Scene) -> None:
    bare = toy.with_(labels=None, classes=(), colours=())
    one, other = (pooled([s]) for s in (toy, bare))
    assert np.array_equal(one.partition, other.partition)
    number = numbered([toy], 6.0)
    assert np.array_equal(number, numbered([bare], 6.0))
    both = zip(*(fit_scenes([s], number, whiten=True).to_arrays().values() for s in (toy, bare)), strict=True)
    assert all(np.array_equal(a, b) for a, b in both)


def pool(*partition: int, scene: tuple[int, ...] | None = None) -> Pool:
    of = np.zeros(len(partition), int) if scene is None else np.array(scene)
    places = np.stack([of, np.arange(len(of)), np.zeros(len(of), int)], 1)
    return Pool(places, np.array(partition), "partitions")


def test_every_partition_is_drawn_as_often() -> None:
    """Pixels of a large one each more rarely."""
    many = pool(*[0] * 90, *[1] * 5, *[2] * 4, *[3])
    draws = Draws(many, contrast(pairs="gd-"))
    for step in range(5):
        drawn = draws(np.random.default_rng(step))
        assert np.bincount(many.partition[drawn.pixel]).tolist() == [4] * 4


def test_two_pixels_of_one_superpixel_are_two_volumes() -> None:
    """Superpixels of one pixel have no second one."""
    of = pool(*np.repeat(np.arange(20), 3), 20, 21)
    drawn = Draws(of, contrast(pairs="gd", partitions="superpixels"))(np.random.default_rng(0))
    assert drawn.volume.tolist() == [0] * 8 + [1] * 8
    first, second = drawn.pixel[:8], drawn.pixel[8:]
    assert (of.partition[first] == of.partition[second]).all()
    assert (first != second).all()
    assert of.partition[drawn.pixel].max() < 20


def test_strata_are_paired_across_scenes() -> None:
    scene = (*[0] * 8, *[1] * 8)
    of = pool(*[0, 0, 0, 0, 1, 1, 1, 2] * 2, scene=scene)
    drawn = Draws(of, contrast(pairs="gd", partitions="strata"))(np.random.default_rng(0))
    first, second = drawn.pixel[:8], drawn.pixel[8:]
    assert (of.partition[first] == of.partition[second]).all()
    assert (of.places[first, 0] != of.places[second, 0]).all()


@pytest.mark.parametrize("pairs", ["gr", "gd-", "gd"])
@pytest.mark.parametrize("partitions", ["strata", "superpixels"])
def test_every_batch_can_be_compared_though_pixels_come_twice(pairs: Any, partitions: str) -> None:
    of = pool(*[0, 0, 1, 1, 2, 2, 2, 3, 3] * 2, scene=(*[0] * 9, *[1] * 9))
    counting = {} if pairs == "gr" else {"partitions": partitions}
    draws, twice = Draws(of, contrast(pairs=pairs, **counting)), 0
    for step in range(200):
        drawn = draws(np.random.default_rng([0, step]))
        twice += len(set(drawn.pixel)) < len(drawn.pixel)
        every = torch.from_numpy(drawn.indices(of.partition)).repeat(1, views(pairs).number)
        masks(*every, pairs=pairs)  # refuses views that have no partner
    assert (twice > 0) == (pairs != "gr")


def test_what_cannot_be_compared_is_refused(toy: Scene) -> None:
    with pytest.raises(SettingError, match="two scenes, and one is given: give more scenes"):
        Draws(pooled([toy], partitions="strata"), contrast(pairs="gd", partitions="strata"))
    with pytest.raises(SceneError, match="two partitions or more"):
        Draws(pool(0, 0, 0), contrast(pairs="gd-"))
    with pytest.raises(SceneError, match="valid pixels, found 0"):
        places_of([toy.with_(valid=np.zeros(toy.shape, bool))])
    with pytest.raises(SceneError, match="superpixels cannot be sorted into 1000 clusters"):
        pooled([toy], clusters=1000)
    with pytest.raises(SettingError, match="even number"):
        contrast(batch=17)
