"""The FF-Parser: the identity at first, a filter of frequencies after, at any size of map."""

import math

import pytest
import torch
from torch import Tensor

from hyperseg.dpm.masks.ff_parser import FFParser
from hyperseg.engine.ema import Ema
from hyperseg.engine.step.adam import AdamW


def noise(*shape: int) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(0))


def wave(size: tuple[int, ...], cycles: float, axis: int) -> Tensor:
    """(1, 1, *size) cosine with so many cycles along an axis."""
    place = torch.arange(size[axis]) / size[axis]
    shape = [-1 if a == axis else 1 for a in range(len(size))]
    return torch.cos(2 * math.pi * cycles * place).reshape(shape).expand(size)[None, None]


@pytest.mark.parametrize("size", [(31, 45), (32, 32), (64, 48), (11, 9, 14), (5, 7, 3)])
def test_it_starts_as_the_identity_at_every_size(size: tuple[int, ...]) -> None:
    x = noise(2, 3, *size)
    for learnt in (size, (8,) * len(size)):
        torch.testing.assert_close(FFParser(3, learnt)(x), x, rtol=0, atol=2e-6)


def test_a_map_of_zeros_gives_zeros() -> None:
    parser = FFParser(2, (9, 6))
    with torch.no_grad():
        parser.change[0] = -1
    assert parser(noise(1, 2, 9, 6)).abs().max() == 0


@pytest.mark.parametrize("size", [(32, 32), (31, 45), (64, 96)])
def test_a_low_pass_removes_a_wave_and_leaves_another(size: tuple[int, int]) -> None:
    """A is learnt at 32 x 32; equal are frequencies in cycles per pixel."""
    parser = FFParser(1, (32, 32))
    high = torch.fft.fftfreq(32).abs()[:, None].maximum(torch.fft.rfftfreq(32)) > 0.25
    with torch.no_grad():
        parser.change[0] = -high.float()
    for axis in (0, 1):
        slow, fast = wave(size, size[axis] // 8, axis), wave(size, 3 * size[axis] // 8, axis)
        torch.testing.assert_close(parser(slow + fast), slow, rtol=0, atol=1e-5)


def test_a_shift_of_phase_moves_the_map() -> None:
    """A = exp(-2 pi i f d) moves by d pixels: imaginary parts and negative frequencies are in their places."""
    parser, x = FFParser(1, (15, 13)), noise(1, 1, 15, 13)
    turn = torch.polar(torch.ones(15), -2 * math.pi * 3 * torch.fft.fftfreq(15))[:, None].expand(15, 7)
    with torch.no_grad():
        parser.change.copy_(torch.stack((turn.real - 1, turn.imag))[:, None])
    torch.testing.assert_close(parser(x), x.roll(3, 2), rtol=0, atol=1e-5)


def test_interpolated_is_what_is_linear_in_frequency() -> None:
    parser = FFParser(1, (16, 16))
    line = torch.fft.fftfreq(16).abs()[:, None] + torch.fft.rfftfreq(16)
    with torch.no_grad():
        parser.change[0] = line
    for rows, columns in ((24, 64), (9, 12)):
        wanted = 1 + torch.fft.fftfreq(rows).abs()[:, None] + torch.fft.rfftfreq(columns)
        torch.testing.assert_close(parser.factors((rows, columns))[0].real, wanted)


def test_bfloat16_changes_nothing_inside() -> None:
    parser, x = FFParser(2, (8, 8)), noise(1, 2, 8, 8)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert torch.equal(parser(x), parser(x.clone()))
        torch.testing.assert_close(parser(x), x, rtol=0, atol=2e-6)
        assert parser(x.bfloat16()).dtype == torch.bfloat16


def test_what_is_stored_is_real_small_and_pulled_to_the_identity() -> None:
    assert FFParser(4, (200, 300)).change.shape == (2, 4, 64, 33)
    parser = FFParser(2, (12, 12, 12))
    mean = Ema(parser, decay=0.5)
    with torch.no_grad():
        parser.change.normal_(generator=torch.Generator().manual_seed(0))
    far, adam = parser.change.detach().norm(), AdamW(parser.parameters(), lr=0.1, weight_decay=1.0)
    (0 * parser(noise(1, 2, 12, 12, 12))).sum().backward()
    adam.step()
    mean.update()
    torch.testing.assert_close(parser.change.detach().norm(), 0.9 * far)
    assert 0 < mean.module.change.norm() < far
    assert all(not t.is_complex() for t in parser.state_dict().values())


def test_gradients_are_finite_where_it_is_interpolated() -> None:
    parser, x = FFParser(2, (8, 6)), noise(1, 2, 13, 11).requires_grad_()
    parser(x).square().sum().backward()
    for given in (x, parser.change):
        assert given.grad is not None
        assert given.grad.isfinite().all()
        assert given.grad.abs().max() > 0
