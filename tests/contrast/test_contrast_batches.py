"""Partitions, batches of slices and views: what is left over, what moves, and the same numbers for the same seed."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from hyperseg.contrast.partitions import draw_slices, partition_of
from hyperseg.contrast.views import FRACTION, cropped, shaded, view
from hyperseg.core import SettingError


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@pytest.mark.parametrize(
    ("n", "parts", "wanted"),
    [
        (8, 4, [0, 0, 1, 1, 2, 2, 3, 3]), (11, 4, [0, 0, 1, 1, 2, 2, 3, 3, 3, 3, 3]),
        (4, 4, [0, 1, 2, 3]), (7, 4, [0, 1, 2, 3, 3, 3, 3]), (5, 1, [0] * 5),
    ],
)  # fmt: skip
def test_slices_left_over_are_of_the_last_partition(n: int, parts: int, wanted: list[int]) -> None:
    assert partition_of(n, parts).tolist() == wanted


def test_too_few_slices_are_refused() -> None:
    with pytest.raises(SettingError, match="3 slices cannot be cut into 4"):
        partition_of(3, 4)
    with pytest.raises(SettingError, match="3 slices"):
        draw_slices([8, 3], 4, 2, np.random.default_rng(0))


def test_a_batch_has_a_slice_of_every_partition_of_different_volumes() -> None:
    rng, counts = np.random.default_rng(0), [9, 4, 11, 7]
    seen = set()
    for _ in range(300):
        drawn = draw_slices(counts, 4, 3, rng)
        assert [one.partition for one in drawn] == [0, 1, 2, 3] * 3
        assert len({one.volume for one in drawn}) == 3
        assert all(partition_of(counts[v], 4)[i] == part for v, i, part in drawn)
        seen |= {(v, i) for v, i, _ in drawn}
    assert len(seen) == sum(counts)  # leftover slices too
    assert draw_slices(counts, 4, 3, np.random.default_rng(5)) == draw_slices(counts, 4, 3, np.random.default_rng(5))
    with pytest.raises(SettingError, match="5 volumes cannot be drawn from 4"):
        draw_slices(counts, 4, 5, rng)


@pytest.mark.parametrize("shape", [(192, 96), (24, 36, 48)])
def test_a_crop_is_a_part_of_its_share_within_the_image(shape: tuple[int, ...]) -> None:
    """Of a picture of coordinates the values of the crop tell where it was."""
    for axis, n in enumerate(shape):
        ramp = (torch.arange(n, dtype=torch.float64) + 0.5) / n
        images = ramp.view([1, 1, *(n if i == axis else 1 for i in range(len(shape)))]).expand(40, 1, *shape)
        found = cropped(images, generator()).movedim(2 + axis, 1).flatten(2)[:, :, 0]
        step = found.diff(dim=1) * n
        assert torch.allclose(step, torch.full_like(step, FRACTION), atol=1e-6)
        start = found[:, 0] - FRACTION / n / 2
        assert (start > (10 - 1e-3) / 192).all()
        assert (start < (70 + 1e-3) / 192).all()
        assert start.std() > 0.05


def test_axes_of_a_crop_have_places_of_their_own() -> None:
    rows, columns = torch.meshgrid(torch.arange(32.0), torch.arange(32.0), indexing="ij")
    moved = cropped(torch.stack((rows, columns)).expand(20, -1, -1, -1), generator())[:, :, 0, 0]
    assert abs(float(torch.corrcoef(moved.T)[0, 1])) < 0.6
    assert len(moved.unique(dim=0)) == 20


def test_a_whole_crop_changes_nothing() -> None:
    images = torch.rand(3, 2, 12, 10, generator=generator())
    assert torch.allclose(cropped(images, generator(), 1.0), images, atol=1e-5)
    sizes = cropped(torch.linspace(0, 1, 64).view(1, 1, 64, 1).expand(50, 1, 64, 8), generator(), 0.3, 0.9)
    shares = (sizes[:, 0, 40, 0] - sizes[:, 0, 20, 0]) * 63 / 20
    assert 0.3 < shares.min() < 0.45
    assert 0.75 < shares.max() < 0.9


def test_shades_are_linear_and_within_their_bounds() -> None:
    images = torch.rand(200, 2, 6, 5, generator=generator(), dtype=torch.float64)
    found = shaded(images, generator(1), clip=None)
    mean, after = images.flatten(2).mean(2), found.flatten(2).mean(2)
    added = after - mean
    factor = (found.flatten(2)[:, :, 0] - after) / (images.flatten(2)[:, :, 0] - mean)
    assert torch.allclose(added[:, 0], added[:, 1])  # channels share the amounts
    assert torch.allclose(factor[:, 0], factor[:, 1])
    assert 0.25 < added.abs().max() <= 0.3
    assert 0.7 <= factor.min() < 0.75
    assert 1.25 < factor.max() <= 1.3
    clipped = shaded(images, generator(1))
    assert torch.equal(clipped, found.clamp(0, 1.5))


def test_the_same_seed_gives_the_same_views() -> None:
    images = torch.rand(4, 1, 16, 16, generator=generator())
    first, again = (view(images, generator(3), use="global") for _ in range(2))
    assert torch.equal(first, again)
    assert not torch.equal(first, view(images, generator(4), use="global"))


def test_the_local_loss_refuses_a_crop() -> None:
    images = torch.rand(4, 1, 16, 16, generator=generator())
    with pytest.raises(SettingError, match="same place"):
        view(images, generator(), use="local", crop=True)
    assert torch.equal(view(images, generator(3), use="local"), shaded(images, generator(3)))
    with pytest.raises(SettingError, match="global or local"):
        view(images, generator(), use="both")  # type: ignore[arg-type]


def test_impossible_crops_are_refused() -> None:
    with pytest.raises(SettingError, match="share of a side"):
        cropped(torch.rand(1, 1, 8, 8), generator(), 1.2)
    with pytest.raises(SettingError, match="images"):
        cropped(torch.rand(1, 1, 8), generator())
