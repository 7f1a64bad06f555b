"""Changes of patches: identities, ranges, and that labels stay labels."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from planned import fingerprint
from scipy import ndimage
from torch import Tensor

from hyperseg.medical.augment import Changes, blurred, change_patch, coarsened, contrasted, draw_changes, gamma, turned
from hyperseg.medical.configuration import Configuration
from hyperseg.medical.plan import make_plan
from hyperseg.medical.training import MSD2018, V2, Augmentation, Change

NEVER = Change(1.0, 1.0, 0.0)


def configuration(task: str = "Hippocampus", name: str = "3d") -> Configuration:
    return make_plan(fingerprint(task)).configuration(name)


def picture(*size: int, channels: int = 2) -> tuple[Tensor, Tensor]:
    rng = torch.Generator().manual_seed(0)
    return torch.randn(channels, *size, generator=rng), torch.randint(-1, 4, size, generator=rng).short()


def drawn(n: int, augmentation: Augmentation = V2.augmentation, task: str = "Hippocampus") -> list[Changes]:
    rng = np.random.default_rng(0)
    return [draw_changes(rng, augmentation, configuration(task), 2) for _ in range(n)]


@pytest.mark.parametrize("size", [(6, 8), (4, 6, 8)])
def test_no_change_is_the_identity(size: tuple[int, ...]) -> None:
    image, labels = picture(*size)
    found = change_patch(image, labels, Changes(), size, in_plane=False)
    assert torch.equal(found[0], image)
    assert torch.equal(found[1], labels)
    never = Augmentation(0.0, NEVER, NEVER, mirror=False, stage1=V2.augmentation.stage1)
    assert set(drawn(50, never)) == {Changes()}


def test_every_change_comes_as_often_and_as_strong_as_planned() -> None:
    n, plan = 4000, V2.augmentation
    found = drawn(n)
    turns = [np.array(c.turn) for c in found if c.turn is not None]
    assert len(turns) / n == pytest.approx(1 - 0.8 * 0.8, abs=0.03)
    scales = [np.linalg.det(turn) ** (-1 / 3) for turn in turns]
    assert 0.7 <= min(scales) < 0.72
    assert 1.38 < max(scales) <= 1.4 + 1e-9
    for name in ("blur", "brightness", "contrast", "low_resolution", "gamma", "gamma_inverted"):
        change = getattr(plan, name)
        some = [getattr(c, name) for c in found if getattr(c, name)]
        assert len(some) / n == pytest.approx(change.p, abs=0.03), name
        numbers = [x for one in some for x in one if x is not None]
        assert len(numbers) / (2 * len(some)) == pytest.approx(change.channel_p, abs=0.05), name
        assert change.low <= min(numbers) < max(numbers) <= change.high, name
        if change.low < 1 < change.high:
            assert np.mean(np.array(numbers) < 1) == pytest.approx(0.5, abs=0.08), name
    noise = [c.noise**2 for c in found if c.noise]
    assert len(noise) / n == pytest.approx(0.1, abs=0.03)
    assert 0.09 < max(noise) <= 0.1
    for axis in range(3):
        assert np.mean([axis in c.flips for c in found]) == pytest.approx(0.5, abs=0.03)


def test_angles_stay_in_their_range_and_flat_patches_in_their_planes() -> None:
    only = replace(V2.augmentation, rotation_p=1.0, scale=NEVER)
    flat = [np.array(c.turn) for c in drawn(300, only, "Prostate")]
    for turn in flat:
        assert np.allclose(turn[0], [1, 0, 0])
        assert np.allclose(turn @ turn.T, np.eye(3))
    angles = [np.degrees(np.arctan2(turn[2, 1], turn[1, 1])) for turn in flat]
    assert min(angles) < -150
    assert max(angles) > 150
    rng = np.random.default_rng(0)
    plane = configuration("Hippocampus", "2d")
    assert plane.rotation_deg == 180
    narrow = replace(plane, rotation_deg=15.0)
    turns = [np.array(draw_changes(rng, only, narrow, 1).turn) for _ in range(300)]
    assert max(abs(np.degrees(np.arctan2(t[1, 0], t[0, 0]))) for t in turns) == pytest.approx(15, abs=1)


def test_a_quarter_turn_is_one_and_a_turn_there_and_back_nothing() -> None:
    image, labels = picture(7, 7)
    quarter = Changes(turn=((0.0, -1.0), (1.0, 0.0)))
    assert quarter.source((7, 7)) == (7, 7)
    found = turned(image, labels, quarter.turn, (7, 7))
    assert torch.allclose(found[0], torch.rot90(image, -1, (1, 2)), atol=1e-5)
    assert torch.equal(found[1], torch.rot90(labels, -1))
    back = turned(*found, ((0.0, 1.0), (-1.0, 0.0)), (7, 7))
    assert torch.allclose(back[0], image, atol=1e-5)
    assert torch.equal(back[1], labels)


def test_what_a_turn_brings_in_was_cut() -> None:
    """Every voxel of the patch comes from inside the source, which is no larger than that takes."""
    for change in drawn(300):
        if change.turn is None:
            continue
        patch, source = (40, 56, 40), change.source((40, 56, 40))
        corners = np.stack(np.meshgrid(*[[-1, 1]] * 3), -1).reshape(-1, 3) * (np.array(patch) - 1) / 2
        reach = np.abs(corners @ np.array(change.turn).T).max(0)
        left = (np.array(source) - 1) / 2 - reach
        assert left.min() > -1e-6
        assert left.max() < 1
        assert all((a - b) % 2 == 0 for a, b in zip(source, patch, strict=True))


def test_labels_stay_labels() -> None:
    size = (12, 14, 10)
    for seed, change in enumerate(drawn(60)):
        image, labels = picture(*change.source(size))
        torch.manual_seed(seed)
        found, moved = change_patch(image, labels, change, size, in_plane=False)
        assert (tuple(found.shape), tuple(moved.shape)) == ((2, *size), size)
        assert moved.dtype == labels.dtype
        assert set(moved.unique().tolist()) <= {-1, 0, 1, 2, 3}
        assert torch.isfinite(found).all()


def test_flips_move_image_and_labels_alike() -> None:
    image, labels = picture(4, 5, 6)
    found = change_patch(image, labels, Changes(flips=(0, 2)), (4, 5, 6), in_plane=False)
    assert torch.equal(found[0], image.flip(1, 3))
    assert torch.equal(found[1], labels.flip(0, 2))


def test_blur_is_that_of_scipy() -> None:
    x = picture(11, 9, 7)[0][0]
    expected = ndimage.gaussian_filter(x.double().numpy(), 0.8, mode="nearest", truncate=5)
    assert np.abs(blurred(x, 0.8).numpy() - expected).max() < 1e-4
    assert torch.allclose(blurred(torch.full((5, 6), 3.0), 1.0), torch.full((5, 6), 3.0))


@pytest.mark.parametrize("exponent", [0.7, 1.0, 1.5])
def test_gamma_keeps_mean_and_deviation(exponent: float) -> None:
    x = picture(8, 9)[0][0]
    found = gamma(x, exponent)
    assert float(found.mean()) == pytest.approx(float(x.mean()), abs=1e-5)
    assert float(found.std()) == pytest.approx(float(x.std()), abs=1e-5)
    assert torch.equal(found.flatten().argsort(), x.flatten().argsort())
    if exponent == 1:
        assert torch.allclose(found, x, atol=1e-5)
    assert torch.allclose(gamma(torch.ones(4, 4), exponent), torch.ones(4, 4))


def test_contrast_stays_in_the_range_and_has_its_identity() -> None:
    x = picture(8, 9)[0][0]
    assert torch.allclose(contrasted(x, 1.0), x, atol=1e-6)
    more, less = contrasted(x, 1.25), contrasted(x, 0.75)
    assert (float(more.min()), float(more.max())) == (float(x.min()), float(x.max()))
    assert float(less.std()) == pytest.approx(0.75 * float(x.std()), rel=1e-4)


def test_low_resolution_has_its_identity_and_spares_coarse_axes() -> None:
    x = picture(4, 8, 8)[0][0]
    assert torch.allclose(coarsened(x, 1.0), x)
    ramp = torch.arange(4.0)[:, None, None].expand(4, 8, 8)
    assert torch.allclose(coarsened(ramp, 0.5, in_plane=True), ramp)
    assert not torch.allclose(coarsened(ramp, 0.5), ramp)


def test_the_first_preset_knows_fewer_changes() -> None:
    found = drawn(500, MSD2018.augmentation)
    assert all(c.noise == 0 and not c.blur + c.brightness + c.contrast + c.low_resolution for c in found)
