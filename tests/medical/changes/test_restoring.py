"""Disturbances of patches: each has an identity, keeps what it says it keeps, and its loss is 0 at the original."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch
from torch import Tensor

from hyperseg.backbone import BackboneSpec, ConvSpec, Decoder, Encoder, seeded
from hyperseg.medical.changes.restoring import Disturbance, Restorer, bent, disturbed, hidden, restoring_loss, shuffled

SHAPES = [(2, 3, 19, 17), (2, 1, 9, 18, 11)]
NOTHING = Disturbance(0, 0, 0)


def numbers(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def images(shape: tuple[int, ...]) -> Tensor:
    return torch.randn(shape, generator=numbers())


@pytest.mark.parametrize("shape", SHAPES)
def test_nothing_disturbed_is_the_image_bit_for_bit(shape: tuple[int, ...]) -> None:
    x = images(shape)
    assert torch.equal(disturbed(x, NOTHING, numbers()), x)
    assert restoring_loss(x, x) == 0


@pytest.mark.parametrize("shape", SHAPES)
def test_the_same_numbers_disturb_alike_and_the_image_given_stays(shape: tuple[int, ...]) -> None:
    x = images(shape)
    before = x.clone()
    one, same, other = (disturbed(x, Disturbance(1, 1, 0.5), numbers(seed)) for seed in (1, 1, 2))
    assert torch.equal(x, before)
    assert torch.equal(one, same)
    assert not torch.equal(one, other)
    assert one.isfinite().all()
    assert restoring_loss(one, x) > 0


def test_what_one_disturbance_does_does_not_depend_on_the_others() -> None:
    """Each draws its numbers whether they are used or not: hidden cells are where they would be alone."""
    x = images(SHAPES[0])
    alone = disturbed(x, Disturbance(0, 0, 0.3), numbers()) != x
    both = disturbed(x, Disturbance(0, 1e-9, 0.3), numbers()) != x
    assert torch.equal(alone, both)


@pytest.mark.parametrize("shape", SHAPES)
def test_a_curve_is_monotone_keeps_the_ends_and_may_be_straight(shape: tuple[int, ...]) -> None:
    x = images(shape).double()
    straight = torch.tensor([1 / 3, 2 / 3], dtype=torch.float64).expand(*shape[:2], 2)
    assert torch.allclose(bent(x, straight), x, atol=1e-12)
    controls = torch.rand((*shape[:2], 2), generator=numbers()).double().sort(-1).values
    y = bent(x, controls)
    for b, c in itertools.product(*map(range, shape[:2])):
        order = x[b, c].flatten().argsort()
        assert (y[b, c].flatten()[order].diff() >= -1e-12).all()
        assert torch.allclose(y[b, c].amin(), x[b, c].amin())
        assert torch.allclose(y[b, c].amax(), x[b, c].amax())
    flat = torch.full(shape, 3.0)
    assert torch.equal(bent(flat, controls.float()), flat)


@pytest.mark.parametrize(("shape", "cell"), [(SHAPES[0], (4, 3)), (SHAPES[1], (2, 4, 3))])
def test_shuffling_moves_voxels_within_their_cell_alone(shape: tuple[int, ...], cell: tuple[int, ...]) -> None:
    """Brute force over cells: the same values in each, moved alike in all channels; the rest behind them stays."""
    x, count = images(shape), tuple(side // c for side, c in zip(shape[2:], cell, strict=True))
    places = torch.rand((shape[0], *count, int(np.prod(cell))), generator=numbers()).argsort(-1)
    y = shuffled(x, cell, places)
    rest = torch.ones(shape[2:], dtype=torch.bool)
    for where in itertools.product(*map(range, count)):
        inside = tuple(slice(i * c, (i + 1) * c) for i, c in zip(where, cell, strict=True))
        rest[inside] = False
        for b, c in itertools.product(*map(range, shape[:2])):
            wanted = x[(b, c, *inside)].flatten()[places[(b, *where)]]
            assert torch.equal(y[(b, c, *inside)].flatten(), wanted)
    assert torch.equal(y[..., rest], x[..., rest])
    still = torch.arange(places.shape[-1]).expand_as(places)
    assert torch.equal(shuffled(x, cell, still), x)


@pytest.mark.parametrize(("shape", "cell"), [(SHAPES[0], (4, 3)), (SHAPES[1], (2, 4, 3))])
def test_hidden_cells_have_one_value_between_the_ends(shape: tuple[int, ...], cell: tuple[int, ...]) -> None:
    x, count = images(shape), tuple(side // c for side, c in zip(shape[2:], cell, strict=True))
    gone = torch.rand((shape[0], *count), generator=numbers()) < 0.5
    level = torch.rand((*shape[:2], *count), generator=numbers())
    y = hidden(x, cell, gone, level)
    for where in itertools.product(*map(range, count)):
        inside = tuple(slice(i * c, (i + 1) * c) for i, c in zip(where, cell, strict=True))
        for b, c in itertools.product(*map(range, shape[:2])):
            if gone[(b, *where)]:
                low, high = x[b, c].amin(), x[b, c].amax()
                wanted = low + (high - low) * level[(b, c, *where)]
                assert torch.allclose(y[(b, c, *inside)], wanted.expand(cell))
            else:
                assert torch.equal(y[(b, c, *inside)], x[(b, c, *inside)])


def test_shares_of_disturbed_cells_are_those_asked_for() -> None:
    x = images((40, 1, 32, 32))
    cells = (disturbed(x, Disturbance(0, 0, 0.3), numbers()) != x).float().reshape(40, 8, 4, 8, 4).amax((2, 4))
    n = cells.numel()
    assert abs(float(cells.sum()) - 0.3 * n) < 4 * (n * 0.3 * 0.7) ** 0.5


def test_a_restorer_gives_images_of_the_same_shape() -> None:
    spec = BackboneSpec(2, (4, 6), (1, 2), (3, 3), (1, 1), ConvSpec(2))
    with seeded(0):
        restorer = Restorer(Encoder(spec), Decoder(spec))
    x = torch.randn((2, 2, 9, 7), generator=numbers())
    assert restorer(x).shape == x.shape
