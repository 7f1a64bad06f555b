"""MixUp of patches and of objects: what changes, by how much, and what does not."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from hyperseg.detection.mixing import mix_images, mix_objects, mixed, shaken, shares, voxels

ETAS = st.floats(0.05, 5)


def batch(n_axes: int = 3) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    return torch.randn(4, 2, *(12,) * n_axes, generator=generator), torch.rand(4, 30, generator=generator)


def boxes(*rows: tuple[float, ...]) -> torch.Tensor:
    return torch.tensor(rows, dtype=torch.float32).reshape(-1, 6)


@given(ETAS, st.integers(0, 1000))
def test_the_own_share_is_at_least_a_half(eta: float, seed: int) -> None:
    found = shares(50, eta, np.random.default_rng(seed))
    assert ((found >= 0.5) & (found <= 1)).all()


def test_a_share_of_one_is_the_identity() -> None:
    images, targets = batch()
    found = mixed(images, targets, torch.ones(4), torch.tensor([2, 3, 1, 0]))
    assert torch.equal(found.images, images)
    assert torch.equal(found.targets, targets)


def test_images_and_targets_mix_by_the_same_shares() -> None:
    images, targets = batch()
    found = mix_images(images, targets, eta=1.0, rng=np.random.default_rng(0))
    for i, (share, j) in enumerate(zip(found.share, found.partner, strict=True)):
        torch.testing.assert_close(found.images[i], share * images[i] + (1 - share) * images[j])
        torch.testing.assert_close(found.targets[i], share * targets[i] + (1 - share) * targets[j])
    assert (found.share < 1).any()


@given(ETAS, st.integers(0, 1000))
def test_targets_stay_between_zero_and_one(eta: float, seed: int) -> None:
    images, targets = batch()
    found = mix_images(images[:, :, :1, :1, :1], targets.round(), eta=eta, rng=np.random.default_rng(seed)).targets
    assert ((found >= 0) & (found <= 1)).all()


def test_every_patch_is_a_partner_once() -> None:
    images, targets = batch()
    found = mix_images(images, targets, eta=0.2, rng=np.random.default_rng(1))
    assert sorted(found.partner.tolist()) == [0, 1, 2, 3]


def test_only_voxels_in_boxes_change_and_nothing_is_written_to() -> None:
    images, _ = batch()
    given_images = images.clone()
    own = [boxes((1, 1, 1, 5, 4, 6), (7.2, 7, 7, 11, 10, 10.5)), boxes(), boxes((0, 2, 3, 4, 6, 7)), boxes()]
    found = mix_objects(images, own, eta=1.0, rng=np.random.default_rng(0))
    inside = torch.zeros(4, 1, 12, 12, 12, dtype=torch.bool)
    for i, some in enumerate(own):
        for box in some:
            grid = torch.stack(torch.meshgrid(*[torch.arange(12.0)] * 3, indexing="ij"))
            low, high = (side[:, None, None, None] for side in box.split(3))
            inside[i] |= ((low <= grid) & (grid < high)).all(0)
    assert torch.equal(images, given_images)
    changes = (found != images).any(1, keepdim=True)
    assert not (changes & ~inside).any()
    assert changes[0, 0, 1:5, 1:4, 1:6].float().mean() > 0.9
    assert changes[2, 0, 0:4, 2:6, 3:7].float().mean() > 0.9


def test_an_object_is_mixed_with_the_other_one_resized() -> None:
    """Two bright constant objects of different size: each becomes a mixture of the two values, throughout its box."""
    images = torch.zeros(2, 1, 12, 12, 12)
    images[0, 0, 1:5, 1:5, 1:5], images[1, 0, 4:6, 4:7, 4:8] = 1.0, 3.0
    own = [boxes((1, 1, 1, 5, 5, 5)), boxes((4, 4, 4, 6, 7, 8))]
    found = mix_objects(images, own, eta=1.0, rng=np.random.default_rng(0))
    first, second = found[0, 0, 1:5, 1:5, 1:5], found[1, 0, 4:6, 4:7, 4:8]
    torch.testing.assert_close(first, torch.full_like(first, float(first.mean())))
    torch.testing.assert_close(second, torch.full_like(second, float(second.mean())))
    assert 1 < float(first.mean()) <= 2 <= float(second.mean()) < 3  # the own part is the larger one


def test_a_box_beyond_the_border_counts_as_far_as_the_image_goes() -> None:
    images, _ = batch()
    own = [boxes((-3, -2, 9, 4, 4, 15)), boxes((20, 20, 20, 25, 25, 25)), boxes((5, 5, 5, 9, 9, 9)), boxes()]
    found = mix_objects(images, own, eta=1.0, rng=np.random.default_rng(0))
    assert torch.equal(found[1], images[1])
    assert (found[0, :, :4, :4, 9:] != images[0, :, :4, :4, 9:]).float().mean() > 0.9
    changes = found[0] != images[0]
    changes[:, :4, :4, 9:] = False
    assert not changes.any()


@pytest.mark.parametrize("own", [[], [(2, 2, 2, 5, 5, 5)]])
def test_without_another_object_nothing_changes(own: list[tuple[float, ...]]) -> None:
    images, _ = batch()
    found = mix_objects(images, [boxes(*own), *[boxes()] * 3], eta=1.0, rng=np.random.default_rng(0))
    assert torch.equal(found, images)


def test_images_of_two_axes_mix_too() -> None:
    images, _ = batch(2)
    own = [torch.tensor([[1.0, 1, 4, 4]]), torch.tensor([[5.0, 5, 9, 8]]), torch.zeros(0, 4), torch.zeros(0, 4)]
    found = mix_objects(images, own, eta=1.0, rng=np.random.default_rng(0))
    assert ((found != images).flatten(1).any(1) == torch.tensor([True, True, False, False])).all()


def test_a_voxel_is_inside_from_its_lower_bound_on() -> None:
    images, _ = batch()
    assert voxels((0.5, 1, 2, 3, 4.5, 20), images) == (slice(1, 3), slice(1, 5), slice(2, 12))
    assert voxels((0.5, 1, 2, 0.9, 4, 6), images) == ()


def test_shaking_by_nothing_is_the_identity() -> None:
    images = torch.randn(3, 1, 8, 8)
    assert shaken(images, 0.0, np.random.default_rng(0)) is images


@pytest.mark.parametrize("n_axes", [2, 3])
def test_shaking_is_of_each_patch_in_its_own_spread(n_axes: int) -> None:
    """It goes along with any change of contrast and brightness of the patch, and stays within its bounds."""
    images = torch.randn(4, 2, *(24,) * n_axes, dtype=torch.float64)
    ours = shaken(images, 0.3, np.random.default_rng(1))
    scale = torch.tensor([7.0, 0.1], dtype=torch.float64).view(1, 2, *(1,) * n_axes)
    torch.testing.assert_close(shaken(scale * images - 3, 0.3, np.random.default_rng(1)), scale * ours - 3)
    axes = tuple(range(2, images.ndim))
    spread = images.std(axes)
    assert ((ours.mean(axes) - images.mean(axes)).abs() <= 0.33 * spread).all()
    assert (ours.std(axes) <= 1.4 * spread).all()
    assert (ours.std(axes) >= 0.65 * spread).all()
    assert len({round(ratio, 3) for ratio in (ours.std(axes) / spread)[:, 0].tolist()}) == 4
