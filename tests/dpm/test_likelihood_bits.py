"""Bits per dimension and levels made continuous."""

from __future__ import annotations

import math

import pytest
import torch
from mixtures import gaussian

from hyperseg.core import SettingError
from hyperseg.dpm.likelihood.bits import bits_per_dim, dequantise


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def test_the_entropy_of_a_normal_distribution() -> None:
    data = gaussian([0.25])
    x = data.draw(200_000, seeded())
    assert float(bits_per_dim(-data.log_density(x), 1).mean()) == pytest.approx(1.04710, abs=0.01)
    nats = torch.tensor(0.5 * math.log(2 * math.pi * math.e * 0.25), dtype=torch.float64)
    assert float(bits_per_dim(nats, 1)) == pytest.approx(1.04710, abs=5e-6)


def test_a_uniform_density_has_the_bits_of_its_levels() -> None:
    nats = torch.tensor(3 * math.log(2.0))  # a density of 1/2 in three dimensions
    assert float(bits_per_dim(nats, 3, bins=256)) == pytest.approx(8)
    assert float(bits_per_dim(nats, 3, bins=17)) == pytest.approx(math.log2(17))


@pytest.mark.parametrize("bins", [2, 17, 256])
def test_levels_become_uniform_noise_in_their_own_bins(bins: int) -> None:
    whole = torch.arange(bins).repeat(500).reshape(500, 1, bins)
    x = dequantise(whole / (bins - 1) * 2 - 1, generator=seeded(), bins=bins)  # float32, as pictures are
    assert torch.equal(((x + 1) / 2 * bins).floor().long(), whole)
    inside = (x + 1) / 2 * bins - whole
    assert x.dtype == torch.float64
    assert float(inside.mean()) == pytest.approx(0.5, abs=0.02)
    assert float(inside.var()) == pytest.approx(1 / 12, abs=0.005)


def test_what_has_no_such_levels_is_refused() -> None:
    with pytest.raises(SettingError, match="bits of 256 levels"):
        dequantise(torch.tensor([[[0.5, 0.5001]]]), generator=seeded())
    with pytest.raises(SettingError, match="bits of 17 levels"):
        dequantise(torch.tensor([[[1.125]]]), generator=seeded(), bins=17)
