"""Pooling that remembers where its maxima were, and its reverse."""

from __future__ import annotations

from itertools import product
from math import ceil

import pytest
import torch

from hyperseg.backbone.context.unpool import pooled, unpooled
from hyperseg.core import SettingError

CASES = [
    ((7,), (2,)),
    ((8, 6), (2, 2)),
    ((7, 9), (2, 2)),
    ((1, 9), (2, 3)),
    ((1, 1), (4, 4)),
    ((6, 5), (1, 3)),
    ((5, 7, 6), (1, 2, 2)),
    ((3, 4, 5), (2, 3, 2)),
]


def random(*shape: int) -> torch.Tensor:
    return torch.randn(shape, dtype=torch.float64, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize(("size", "stride"), CASES)
def test_maxima_stay_in_place_and_all_else_is_zero(size: tuple[int, ...], stride: tuple[int, ...]) -> None:
    x = random(2, 3, *size)
    values, places = pooled(x, stride)
    expected = torch.zeros_like(x)
    for b, c, *cell in product(range(2), range(3), *[range(ceil(n / s)) for n, s in zip(size, stride, strict=True)]):
        pixels = product(*[range(j * s, min(n, (j + 1) * s)) for j, s, n in zip(cell, stride, size, strict=True)])
        best = max(pixels, key=lambda at: float(x[(b, c, *at)]))
        expected[(b, c, *best)] = x[(b, c, *best)]
        assert values[(b, c, *cell)] == x[(b, c, *best)]
    assert torch.equal(unpooled(values, places, size), expected)


@pytest.mark.parametrize(("size", "stride"), CASES)
def test_what_was_put_back_is_what_comes_out_again(size: tuple[int, ...], stride: tuple[int, ...]) -> None:
    values, places = pooled(random(1, 2, *size).abs(), stride)
    again, same = pooled(unpooled(values, places, size), stride)
    assert torch.equal(again, values)
    assert torch.equal(same, places)


def test_the_gradient_of_a_value_is_that_of_the_pixel_it_went_to() -> None:
    x, there = random(2, 3, 5, 6), random(2, 3, 5, 6)
    values, places = pooled(x, 2)
    values = values.detach().requires_grad_()
    (unpooled(values, places, (5, 6)) * there).sum().backward()
    assert torch.equal(values.grad, there.flatten(2).gather(2, places.flatten(2)).view_as(values))


def test_a_map_of_other_channels_or_pixels_is_refused() -> None:
    values, places = pooled(random(1, 2, 6, 6), 2)
    with pytest.raises(SettingError, match="channels and pixels"):
        unpooled(values[:, :1], places, (6, 6))
    with pytest.raises(SettingError, match="channels and pixels"):
        unpooled(values[..., :2], places, (6, 6))
