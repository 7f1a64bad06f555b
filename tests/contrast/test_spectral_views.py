"""Views of spectra: each change by its invariance or limit."""

from __future__ import annotations

from typing import get_args

import numpy as np
import pytest
import torch
from torch import Tensor

from hyperseg.contrast.pairs import PAIRS
from hyperseg.contrast.spectra import SpectralViews, mixed_with_neighbours, without_bands
from hyperseg.recipes.pretraining.scene_settings import ScenePairs

NOTHING = {"gain": 0.0, "path": 0.0, "noise": 0.0, "dropout": 0.0, "mixing": 0.0}


@pytest.fixture
def patches() -> Tensor:
    torch.manual_seed(0)
    return torch.randn(6, 1, 40, 5, 5)


def test_no_change_is_no_change(patches: Tensor) -> None:
    assert SpectralViews(**NOTHING)(patches, torch.zeros(40)) is patches


def test_gain_keeps_ratios_of_raw_bands(patches: Tensor) -> None:
    """Standardised bands are (raw - mean) / std with mean 3 and std 1/2: dark ones are -6."""
    dark = torch.full((40,), -6.0)
    seen = SpectralViews(**NOTHING | {"gain": 0.3})(patches, dark)
    raw, lit = 3 + patches / 2, 3 + seen / 2
    factors = (lit / raw).flatten(1)
    torch.testing.assert_close(factors, factors[:, :1].expand_as(factors), rtol=1e-4, atol=1e-5)
    assert factors[:, 0].std() > 0.05


def test_path_radiance_is_one_slow_curve_for_a_patch(patches: Tensor) -> None:
    added = SpectralViews(**NOTHING | {"path": 0.5})(patches, torch.zeros(40)) - patches
    torch.testing.assert_close(added, added[..., :1, :1].expand_as(added), rtol=0, atol=1e-5)
    curve = added[:, 0, :, 0, 0]
    assert curve.std() > 0.2
    assert curve.diff(dim=1).abs().max() < 0.5  # white noise of this spread has steps of 2


def test_noise_has_the_spread_that_is_asked_for(patches: Tensor) -> None:
    added = SpectralViews(**NOTHING | {"noise": 0.3})(patches, torch.zeros(40)) - patches
    assert added.std().item() == pytest.approx(0.3, rel=0.05)
    assert added.mean().item() == pytest.approx(0, abs=0.02)


def test_lost_bands_are_the_mean_for_a_whole_patch_and_others_stay(patches: Tensor) -> None:
    seen = without_bands(patches, 0.25)
    lost = (seen == 0).all((3, 4)).squeeze(1)
    torch.testing.assert_close(seen[:, 0][~lost], patches[:, 0][~lost])
    assert (seen[:, 0][lost] == 0).all()
    assert 0.1 < lost.float().mean() < 0.4
    assert (lost.float().sum(0) < 6).all()  # each patch loses its own


def test_mixing_leaves_equal_ground_and_single_pixels_alone(patches: Tensor) -> None:
    equal = patches[..., :1, :1].expand(-1, -1, -1, 5, 5).contiguous()
    torch.testing.assert_close(mixed_with_neighbours(equal, 0.9), equal, rtol=0, atol=1e-5)
    single = patches[..., :1, :1]
    torch.testing.assert_close(mixed_with_neighbours(single, 0.9), single)


def test_mixing_is_a_share_of_the_mean_around(patches: Tensor) -> None:
    seen = mixed_with_neighbours(patches, 0.5)
    inner, around = patches[:, 0, :, 2, 2], patches[:, 0, :, 1:4, 1:4].mean((2, 3))
    share = ((seen[:, 0, :, 2, 2] - inner) / (around - inner)).median(1).values
    assert ((share >= 0) & (share <= 0.5)).all()
    torch.testing.assert_close(seen[:, 0, :, 2, 2], torch.lerp(inner, around, share[:, None]), rtol=0, atol=1e-4)


def test_views_are_drawn_anew_and_repeat_with_the_seed(patches: Tensor) -> None:
    views, dark = SpectralViews(), torch.zeros(40)
    torch.manual_seed(1)
    first, second = views(patches, dark), views(patches, dark)
    torch.manual_seed(1)
    assert torch.equal(views(patches, dark), first)
    assert not torch.equal(first, second)


def test_pairs_of_scenes_are_those_of_the_losses() -> None:
    """Settings are imported without torch and spell the choices themselves."""
    assert get_args(ScenePairs) == PAIRS
    assert np.isfinite(SpectralViews().gain)
