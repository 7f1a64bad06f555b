"""Regions and the local loss: a table of neighbours, equal to loops, its value at collapse, and what it refuses."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor
from torch.nn import functional
from written_losses import NEIGHBOURS, ORDER, written_local

from hyperseg.contrast.local_loss import Regions, local_collapse_value, local_loss
from hyperseg.contrast.views import shaded
from hyperseg.core import SettingError

VOLUME, PARTITION = torch.tensor([0, 0, 1, 1, 2, 2]), torch.tensor([0, 1] * 3)


def maps(*shape: int, seed: int = 0) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    a, b = torch.randn(2, *shape, generator=generator, dtype=torch.float64)
    return a, b


@pytest.mark.parametrize("side", [8, 12, 16, 48])
def test_regions_are_thirteen_with_five_neighbours(side: int) -> None:
    regions = Regions((side, side))
    assert regions.positions.tolist() == [[q * (side - 4) // 4 for q in corner] for corner in ORDER]
    assert [[ORDER[i] for i in row] for row in regions.negatives.tolist()] == [list(near) for _, near in NEIGHBOURS]
    assert len(regions) == 13


def test_the_table_is_the_nearest_by_brute_force() -> None:
    for corner, near in NEIGHBOURS:
        others = [other for other in ORDER if other != corner]
        by_distance = sorted(others, key=lambda other, own=corner: math.dist(own, other))  # type: ignore[misc]
        assert tuple(by_distance[:5]) == near


def test_values_of_regions_are_those_of_unfold() -> None:
    a, _ = maps(2, 3, 20, 13)
    regions = Regions((20, 13))
    every = functional.unfold(a, 3).unflatten(2, (18, 11))
    assert torch.equal(regions.of(a), every[:, :, regions.positions[:, 0], regions.positions[:, 1]].mT)


def test_volumes_have_regions_too() -> None:
    a, b = maps(2, 3, 8, 9, 10)
    regions = Regions((8, 9, 10))
    assert (len(regions), regions.of(a).shape, regions.negatives.shape) == (35, (2, 35, 81), (35, 5))
    first = regions.positions[4]
    cut = a[1][:, first[0] : first[0] + 3, first[1] : first[1] + 3, first[2] : first[2] + 3]
    assert torch.equal(regions.of(a)[1, 4], cut.flatten())
    assert torch.isfinite(local_loss(a, b, regions))


@pytest.mark.parametrize("shape", [(12, 4, 16, 16), (8, 3, 12, 9), (12, 2, 8, 8)])
def test_it_is_what_loops_give(shape: tuple[int, ...]) -> None:
    a, b = maps(*shape)
    assert float(local_loss(a, b, Regions(shape[2:]))) == pytest.approx(written_local(a, b, 0.1), abs=1e-12)


def test_across_volumes_it_is_what_loops_give() -> None:
    a, b = maps(6, 3, 12, 12)
    found = local_loss(a, b, Regions((12, 12)), volume=VOLUME, partition=PARTITION)
    assert float(found) == pytest.approx(written_local(a, b, 0.1, VOLUME.tolist(), PARTITION.tolist()), abs=1e-12)


def test_equal_regions_have_a_known_loss() -> None:
    a = torch.ones(6, 4, 16, 16, dtype=torch.float64)
    assert float(local_loss(a, a, Regions((16, 16)))) == pytest.approx(math.log(11), abs=1e-12)
    assert local_collapse_value() == pytest.approx(2.3979, abs=5e-5)
    across = local_loss(a, a, Regions((16, 16)), volume=VOLUME, partition=PARTITION)
    assert float(across) == pytest.approx(local_collapse_value(VOLUME, PARTITION), abs=1e-12)
    assert float(across) == pytest.approx((math.log(11) + math.log(9)) / 2, abs=1e-12)  # 12 terms of each


def test_neither_the_order_of_images_nor_a_rotation_matters() -> None:
    a, b = maps(6, 3, 12, 12)
    regions = Regions((12, 12))
    index = {"volume": VOLUME, "partition": PARTITION}
    loss = local_loss(a, b, regions, **index)
    order = torch.tensor([4, 5, 0, 1, 2, 3])
    moved = local_loss(a[order], b[order], regions, volume=VOLUME[order], partition=PARTITION[order])
    turn, _ = torch.linalg.qr(torch.randn(3, 3, generator=torch.Generator().manual_seed(1), dtype=torch.float64))
    turned = local_loss(*(torch.einsum("bchw,cd->bdhw", one, turn) for one in (a, b)), regions, **index)
    assert torch.allclose(moved, loss, atol=1e-12)
    assert torch.allclose(turned, loss, atol=1e-12)


def test_it_falls_when_two_views_become_alike() -> None:
    a, b = maps(4, 3, 16, 16)
    regions = Regions((16, 16))
    assert local_loss(a, (a + b) / 2, regions) < local_loss(a, b, regions)


def test_shades_commute_with_the_grid_of_regions() -> None:
    """The regions of a shaded image are the shaded regions of the image."""
    images = torch.rand(3, 1, 16, 16, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    places = torch.arange(256.0, dtype=torch.float64).view(1, 1, 16, 16).expand(3, -1, -1, -1)
    regions = Regions((16, 16))
    changed = shaded(images, torch.Generator().manual_seed(1), clip=None)
    slope = (changed[:, :, 0, 1] - changed[:, :, 0, 0]) / (images[:, :, 0, 1] - images[:, :, 0, 0])
    offset = changed[:, :, 0, 0] - slope * images[:, :, 0, 0]
    assert torch.allclose(regions.of(changed), slope[..., None] * regions.of(images) + offset[..., None], atol=1e-10)
    assert torch.equal(regions.of(places)[0].long(), regions.elements)


def test_what_does_not_fit_is_refused() -> None:
    a, b = maps(2, 3, 16, 16)
    with pytest.raises(SettingError, match="at least 8 positions"):
        Regions((16, 7))
    with pytest.raises(SettingError, match="one shape"):
        local_loss(a, b[:1], Regions((16, 16)))
    with pytest.raises(SettingError, match="of maps of"):
        local_loss(a, b, Regions((12, 16)))
    with pytest.raises(SettingError, match="give both"):
        local_loss(a, b, Regions((16, 16)), volume=VOLUME[:2])
    with pytest.raises(SettingError, match="more volumes"):
        local_loss(a, b, Regions((16, 16)), volume=VOLUME[:2], partition=PARTITION[:2])
