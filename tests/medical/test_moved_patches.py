"""Changes that only tricks draw: quarter turns, shifts, adaptive histograms, and noise that ends somewhere."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from planned import fingerprint

from hyperseg.medical.augment import Changes, change_patch, draw_changes
from hyperseg.medical.changes.equalisation import BINS, equalised
from hyperseg.medical.patches import cut, patch_at, store
from hyperseg.medical.plan import make_plan
from hyperseg.medical.training import V2, Change, unchanged

STILL = unchanged(V2.augmentation)
THREE = make_plan(fingerprint("Hippocampus")).configuration("3d")


@pytest.mark.parametrize("patch", [(4, 6, 5), (6, 3)])
@pytest.mark.parametrize("quarters", range(5))
def test_quarter_turns_move_voxels_and_mix_none(patch: tuple[int, ...], quarters: int) -> None:
    """As NumPy turns them; image and labels alike; four are none."""
    changes = Changes(quarters=quarters)
    size = changes.source(patch)
    image = torch.arange(float(np.prod(size))).reshape(1, *size)
    labels = image[0].long()
    moved, classes = change_patch(image, labels, changes, patch, in_plane=False)
    assert moved.shape[1:] == patch
    assert np.array_equal(moved[0].numpy(), np.rot90(image[0].numpy(), quarters, (-2, -1)))
    assert torch.equal(moved[0].long(), classes)
    if quarters % 4 == 0:
        assert torch.equal(moved, image)


def test_a_turned_patch_that_is_made_larger_has_its_size() -> None:
    half = Changes(turn=((1.0, 0.0), (0.0, 0.5)), quarters=1)
    size = half.source((6, 4))
    moved, classes = change_patch(torch.rand(2, *size), torch.zeros(size), half, (6, 4), in_plane=False)
    assert (moved.shape, classes.shape) == ((2, 6, 4), (6, 4))


def test_a_shift_is_another_place(tmp_path: Path) -> None:
    """Beyond the case are zeros."""
    image = np.random.default_rng(0).random((1, 9, 9, 9)).astype(np.float32)
    case = store(tmp_path, "c", image, np.ones((9, 9, 9)), 2)
    one = replace(THREE, patch=(4, 4, 4))
    for shift in ((0, 0, 0), (1, -2, 3), (-5, 0, 7)):
        found = patch_at(case, one, (2, 3, 4), Changes(shift=shift))
        at = tuple(a + b for a, b in zip((2, 3, 4), shift, strict=True))
        assert np.array_equal(found.image.numpy(), cut(image, at, (4, 4, 4)))
        assert found.labels.sum() == np.count_nonzero(cut(np.ones((9, 9, 9)), at, (4, 4, 4)))


def test_noise_ends_at_so_many_deviations() -> None:
    """And has the deviation of a normal distribution cut there: 0.88 of the whole one at two deviations."""
    torch.manual_seed(0)
    x = torch.zeros(1, 100, 200)
    ended, _ = change_patch(x, x[0], Changes(noise=0.1, within=2.0), (100, 200), in_plane=False)
    free, _ = change_patch(x, x[0], Changes(noise=0.1), (100, 200), in_plane=False)
    assert ended.abs().max() == pytest.approx(0.2)
    assert free.abs().max() > 0.3
    clipped = (1 - 0.0455) - 2 * 2 * 0.05399 + 4 * 0.0455  # variance: within, and at the ends
    assert ended.std() == pytest.approx(0.1 * clipped**0.5, rel=0.02)


def by_hand(x: np.ndarray, limit: float, tiles: int) -> np.ndarray:
    """Adaptive histograms pixel by pixel; the sides are multiples of the tiles."""
    low, span = x.min(), x.max() - x.min()
    bins = np.minimum(((x - low) / span * BINS).astype(int), BINS - 1)
    h, w = (n // tiles for n in x.shape)
    maps = {}
    for a in range(tiles):
        for b in range(tiles):
            share = np.bincount(bins[a * h : (a + 1) * h, b * w : (b + 1) * w].ravel(), minlength=BINS) / (h * w)
            cut = np.minimum(share, limit / BINS)
            cut = cut + (1 - cut.sum()) / BINS
            maps[a, b] = [cut[:v].sum() + cut[v] / 2 for v in range(BINS)]
    found = np.zeros(x.shape)
    for i in range(x.shape[0]):
        for j in range(x.shape[1]):
            for a in range(tiles):
                for b in range(tiles):
                    apart = []
                    for at, size, tile in ((i, h, a), (j, w, b)):
                        place = min(max((at + 0.5) / size - 0.5, 0), tiles - 1)
                        apart.append(max(0, 1 - abs(place - tile)))
                    found[i, j] += apart[0] * apart[1] * maps[a, b][bins[i, j]]
    return low + span * found


@pytest.mark.parametrize(("limit", "tiles"), [(1.0, 1), (256.0, 1), (2.0, 2), (4.0, 4)])
def test_adaptive_histograms_by_brute_force(limit: float, tiles: int) -> None:
    x = np.random.default_rng(tiles).gamma(2.0, size=(16, 20))
    found = equalised(torch.from_numpy(x), limit, tiles=tiles).numpy()
    np.testing.assert_allclose(found, by_hand(x, limit, tiles), rtol=1e-9)
    assert x.min() <= found.min() <= found.max() <= x.max()


def test_adaptive_histograms_change_nothing_where_nothing_is_to_be_spread() -> None:
    """A constant picture; one whose values are spread evenly already, but for half a bin; one tile keeps the order."""
    flat = torch.full((8, 8), 3.0)
    assert torch.equal(equalised(flat, 2.0), flat)
    even = torch.linspace(0, 1, BINS, dtype=torch.float64)[torch.randperm(BINS)].reshape(16, 16)
    assert (equalised(even, 4.0, tiles=1) - even).abs().max() < 1 / BINS
    x = torch.rand(30, 20, dtype=torch.float64).square()
    once = equalised(x, 3.0, tiles=1)
    order = x.flatten().argsort()
    assert (once.flatten()[order].diff() >= 0).all()
    assert once.std() > x.std() * 0.5


def test_they_are_drawn_where_they_are_asked_for_and_change_no_other_draw() -> None:
    asked = replace(
        V2.augmentation,
        equalisation=Change(1, 4, 0.5),
        quarter_turns=True,
        shift=Change(-0.1, 0.1, 0.5),
        noise_within=2.0,
    )
    both = [
        (draw_changes(np.random.default_rng(i), V2.augmentation, THREE, 1),
         draw_changes(np.random.default_rng(i), asked, THREE, 1))
        for i in range(200)
    ]  # fmt: skip
    assert all(a == replace(b, quarters=0, shift=(), within=0.0, equalisation=()) for a, b in both)
    assert {b.quarters for _, b in both} == {0, 1, 2, 3}
    shifts = [b.shift for _, b in both]
    assert 60 < sum(s == () for s in shifts) < 140
    assert max(abs(n) for s in shifts for n in s) <= round(0.1 * max(THREE.patch))
    assert draw_changes(np.random.default_rng(0), STILL, THREE, 1) == Changes()
