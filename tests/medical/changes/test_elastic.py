"""Elastic deformation: SciPy's filter, its strength, its reach, and what it leaves alone."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from planned import fingerprint
from scipy import ndimage

from hyperseg.medical.augment import Changes, change_patch, draw_changes, turned
from hyperseg.medical.changes.elastic import Bend, displacements, draw_bend
from hyperseg.medical.configuration import Configuration
from hyperseg.medical.plan import make_plan
from hyperseg.medical.training import MSD2018, V2

ELASTIC = MSD2018.augmentation.elastic
assert ELASTIC is not None


def configuration(task: str, name: str = "3d") -> Configuration:
    return make_plan(fingerprint(task), preset="msd2018").configuration(name)


def test_noise_is_smoothed_as_scipy_does() -> None:
    bend, patch = Bend(40.0, 3.0, 3), (20, 24, 18)
    torch.manual_seed(0)
    found = displacements(bend, patch).double().numpy()
    torch.manual_seed(0)
    noise = (torch.rand((3, *patch)) * 2 - 1).double().numpy()
    for axis in range(3):
        expected = 40 * ndimage.gaussian_filter(noise[axis], 3.0, mode="constant", truncate=4)
        assert np.abs(found[..., axis] - np.clip(expected, -bend.reach, bend.reach)).max() < 1e-4


@pytest.mark.parametrize(("axes", "patch"), [(2, (90, 100)), (3, (40, 44, 48))])
def test_the_reach_is_three_deviations_of_what_there_is(axes: int, patch: tuple[int, ...]) -> None:
    bend = Bend(100.0, 2.5, axes)
    torch.manual_seed(1)
    inner = displacements(bend, patch)[(slice(8, -8),) * axes]
    assert float(inner.std()) == pytest.approx(bend.reach / 3, rel=0.1)
    assert float(inner.abs().max()) <= bend.reach * (1 + 1e-6)


def test_no_strength_is_the_identity() -> None:
    image, labels = torch.randn(2, 9, 8, 7), torch.randint(-1, 3, (9, 8, 7)).short()
    still = Bend(0.0, 9.0, 3)
    assert Changes(bend=still).source((9, 8, 7)) == (9, 8, 7)
    found = change_patch(image, labels, Changes(bend=still), (9, 8, 7), in_plane=False)
    assert torch.allclose(found[0], image, atol=1e-5)
    assert torch.equal(found[1], labels)


def test_everybody_moved_by_one_is_a_shift() -> None:
    image, labels = torch.randn(1, 8, 9), torch.randint(0, 3, (8, 9)).short()
    moved = torch.zeros(6, 7, 2)
    moved[..., 1] = 1
    found = turned(image, labels, None, (6, 7), moved)
    assert torch.allclose(found[0], image[:, 1:7, 2:9], atol=1e-5)
    assert torch.equal(found[1], labels[1:7, 2:9])


def test_flat_patches_are_bent_within_their_planes_and_all_slices_alike() -> None:
    torch.manual_seed(0)
    found = displacements(Bend(100.0, 9.0, 2), (4, 20, 22))
    assert not found[..., 0].any()
    assert found[..., 1:].any()
    assert torch.equal(found[0], found[3])
    assert Changes(bend=Bend(100.0, 9.0, 2)).source((4, 20, 22))[0] == 4
    rng = np.random.default_rng(0)
    one = configuration("Prostate")
    assert one.in_plane
    bends = [draw_changes(rng, MSD2018.augmentation, one, 1).bend for _ in range(200)]
    assert {bend.axes for bend in bends if bend is not None} == {2}


def test_what_is_brought_in_was_cut() -> None:
    rng, size = np.random.default_rng(0), (16, 20, 18)
    often = (replace(ELASTIC[0], p=1.0), replace(ELASTIC[1], p=1.0))
    augmentation = replace(MSD2018.augmentation, elastic=often, rotation_p=1.0)
    for _ in range(30):
        changes = draw_changes(rng, augmentation, configuration("Hippocampus"), 1)
        assert changes.bend is not None
        assert changes.turn is not None
        moved = displacements(changes.bend, size)
        axes = [torch.arange(n, dtype=torch.float32) - (n - 1) / 2 for n in size]
        at = (torch.stack(torch.meshgrid(*axes, indexing="ij"), -1) + moved) @ torch.tensor(changes.turn).T
        half = (torch.tensor(changes.source(size)) - 1) / 2
        assert bool((at.abs() <= half + 1e-4).all())


def test_it_comes_as_often_and_as_strong_as_planned_and_only_in_its_preset() -> None:
    rng = np.random.default_rng(0)
    for axes in (2, 3):
        found = [draw_bend(rng, ELASTIC, axes) for _ in range(2000)]
        bends = [bend for bend in found if bend is not None]
        assert len(bends) / len(found) == pytest.approx(0.2, abs=0.03)
        most = (200, 900)[axes - 2]
        assert 0.98 * most < max(bend.strength for bend in bends) <= most
        assert all(9 <= bend.width <= 13 for bend in bends)
        assert max(bend.reach for bend in bends) < 4 * math.sqrt(axes) * 4
    one = configuration("Hippocampus")
    assert all(draw_changes(rng, V2.augmentation, one, 1).bend is None for _ in range(300))
