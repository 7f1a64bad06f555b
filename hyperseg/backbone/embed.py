"""Numbers and classes as condition vectors."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from hyperseg.core import SettingError


class TimeEmbedding(nn.Module):
    """A number for each sample, some hundreds, as a vector: sines and cosines, then two linear layers.

    Source: Ho et al., "Denoising Diffusion Probabilistic Models", NeurIPS 2020; waves of 2 pi to 2 pi 10 000.
    """

    waves: Tensor

    def __init__(self, dim: int, *, waves: int = 32) -> None:
        super().__init__()
        powers = torch.arange(waves, dtype=torch.float32) / max(waves - 1, 1)
        self.register_buffer("waves", torch.exp(-math.log(10_000.0) * powers), persistent=False)
        self.layers = nn.Sequential(nn.Linear(2 * waves, dim), nn.SiLU(), nn.Linear(dim, dim), nn.SiLU())

    def forward(self, place: Tensor) -> Tensor:
        """(B,) -> (B, dim)."""
        angle = place[:, None] * self.waves
        return self.layers(torch.cat((angle.sin(), angle.cos()), 1))


class ClassEmbedding(nn.Module):
    """A class for each sample, 0..K-1 or -1 for "not told", as a vector that starts at zero."""

    def __init__(self, n_classes: int, dim: int) -> None:
        super().__init__()
        self.n_classes = n_classes
        self.table = nn.Embedding(n_classes + 1, dim)
        nn.init.zeros_(self.table.weight)

    def forward(self, labels: Tensor) -> Tensor:
        """(B,) -> (B, dim).

        Raises:
            SettingError: not one label for each sample.
        """
        if labels.ndim != 1:
            raise SettingError(f"classes are one number for each sample, got a tensor of shape {tuple(labels.shape)}.")
        return self.table(torch.where(labels < 0, self.n_classes, labels))
