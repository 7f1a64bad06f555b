"""Generated spectra and patches: what they are made of, and that what judges them knows real ones."""

import numpy as np
import pytest
import torch

from hyperseg.core import LabelError, SettingError
from hyperseg.dpm.denoise import Prediction, per_sample
from hyperseg.dpm.samplers import SAMPLERS
from hyperseg.dpm.schedules.edm import EDM
from hyperseg.recipes.spectra.generation.frames import fit_frames
from hyperseg.recipes.spectra.generation.halves import halve, strata
from hyperseg.recipes.spectra.generation.patches import cut_patches
from hyperseg.recipes.spectra.generation.quality import judged
from hyperseg.recipes.spectra.generation.sampling import draw_samples
from hyperseg.recipes.spectra.model import pixel_spec


class Known:
    """In place of a trained model: its data are N(k + 1, 1/4) for class k."""

    schedule, network, spec = EDM, torch.nn.Linear(1, 1), pixel_spec(3, 8, n_classes=2)

    def denoise(self, labels):
        def ask(x, sigma):
            level, mean = per_sample(sigma, x) ** 2, per_sample(labels, x) + 1.0
            return Prediction(mean + 0.25 / (0.25 + level) * (x - mean))

        return ask


def test_samples_have_the_distribution_of_their_class():
    labels = np.repeat([0, 1], 1500)
    sampler = SAMPLERS[SAMPLERS.default]
    made = draw_samples(Known(), sampler, labels, (3, 1), steps=40, seed=0)
    assert made.shape == (3000, 3, 1)
    for k in (0, 1):
        assert made[labels == k].mean() == pytest.approx(k + 1, abs=0.06)
        assert made[labels == k].std() == pytest.approx(0.5, abs=0.04)
    np.testing.assert_array_equal(draw_samples(Known(), sampler, labels, (3, 1), steps=40, seed=0), made)


def test_components_are_standard_in_the_frame_of_their_class():
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 2, 4000)
    mixing = np.eye(5) + 0.1 * rng.normal(size=(2, 5, 5))
    real = np.einsum("nij,nj->ni", mixing[labels], rng.normal(size=(4000, 5))) + 3 * labels[:, None]
    frames = fit_frames(real, labels)
    standard = frames.inside(real, labels)
    for k in (0, 1):
        np.testing.assert_allclose(standard[labels == k].mean(0), 0, atol=1e-9)
        np.testing.assert_allclose(np.cov(standard[labels == k].T), np.eye(5), atol=0.1)
    np.testing.assert_allclose(frames.outside(standard, labels), real, atol=1e-9)
    # the first components stand for themselves, so that a network may model them and a Gaussian all others
    np.testing.assert_allclose(fit_frames(real[:, :2], labels).inside(real[:, :2], labels), standard[:, :2], atol=1e-4)
    patches = real[:200].reshape(10, 4, 5, 5)
    np.testing.assert_allclose(frames.inside(patches, labels[:10])[3, 2, 1], np.linalg.solve(
        frames.root[labels[3]], patches[3, 2, 1] - frames.mean[labels[3]]
    ))  # fmt: skip


def test_a_class_of_few_pixels_takes_the_shape_that_all_share():
    rng = np.random.default_rng(0)
    labels = np.repeat([0, 1], (3000, 2))
    real = rng.normal(size=(3002, 3)) * [1.0, 2.0, 3.0] + 5 * labels[:, None]
    covariance = fit_frames(real, labels).root[1] @ fit_frames(real, labels).root[1].T
    np.testing.assert_allclose(np.diag(covariance) * 22 / 20, [1, 4, 9], rtol=0.35)


def test_real_samples_in_place_of_generated_ones_reach_floor_and_ceiling():
    rng = np.random.default_rng(0)
    labels = np.repeat([0, 1, 2], 60)
    train, test = (rng.normal(size=(180, 4)) + 2 * labels[:, None] for _ in range(2))
    same = judged(train, labels, train, labels, test, labels, seed=0)
    assert same["frechet"] == same["frechet_floor"]
    assert same["trained_on_generated"] == same["trained_on_real"]
    swapped = judged(train, (labels + 1) % 3, train, labels, test, labels, seed=0)
    assert swapped["trained_on_generated"]["oa"] < 0.2 < 0.9 < swapped["trained_on_real"]["oa"]


def test_halves_share_no_pixel_and_every_class_is_halved(toy):
    halves = halve(toy, only=(), most=10**6, seed=0)
    assert not set(halves.train) & set(halves.test)
    assert len(halves.train) + len(halves.test) == toy.labelled().sum()
    np.testing.assert_array_equal(toy.labels.flat[halves.train], halves.train_labels)
    assert (abs(np.bincount(halves.train_labels) - np.bincount(halves.test_labels)) <= 1).all()
    one = halve(toy, only=[toy.classes[1].upper()], most=40, seed=0)
    assert (toy.labels.flat[one.train] == 1).all()
    assert len(one.train) == 40
    with pytest.raises(LabelError, match="no class"):
        halve(toy, only=["nonsense"], most=9, seed=0)
    with pytest.raises(LabelError, match="no labels"):
        halve(toy.with_(labels=None), only=(), most=9, seed=0)


def test_a_rare_class_is_not_lost_where_few_pixels_are_drawn():
    labels = np.repeat([0, 1, 2], (50_000, 30, 3))
    drawn = labels[strata(labels, 200, rng=np.random.default_rng(0))]
    np.testing.assert_array_equal(np.bincount(drawn), [177, 20, 3])
    np.testing.assert_array_equal(strata(labels, 10**6, rng=np.random.default_rng(0)), np.arange(len(labels)))


def test_a_class_that_cannot_be_halved_is_named(toy):
    labels = np.array(toy.labels)
    own = np.flatnonzero(labels == 2)
    labels.flat[own[2:]] = -1
    with pytest.raises(LabelError, match=r"2 labelled pixels.*at least 3"):
        halve(toy.with_(labels=labels), only=(), most=10**6, seed=0)


def test_patches_lie_around_their_pixels_and_are_reflected_at_the_border(toy):
    cube = np.asarray(toy.cube)
    inner, corner = cut_patches(toy, np.array([5 * cube.shape[1] + 7, 0]), 5)
    np.testing.assert_array_equal(inner, cube[3:8, 5:10])
    np.testing.assert_array_equal(corner, np.pad(cube[:3, :3], ((2, 0), (2, 0), (0, 0)), mode="reflect"))
    for side in (4, 1, 23):
        with pytest.raises(SettingError, match="odd"):
            next(cut_patches(toy, np.array([0]), side))
