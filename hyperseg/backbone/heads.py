"""Heads: what is read off a pyramid. All of them give logits; none holds an encoder.

`level` counts from the finest map, 0; -1 is the coarsest, which is what a classification net without decoder reads.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from hyperseg.backbone.blocks import ConvBlock
from hyperseg.backbone.conv import Conv
from hyperseg.backbone.encoder import Pyramid
from hyperseg.backbone.spec import POSITIVE, BackboneSpec, ConvSpec
from hyperseg.core import SettingError
from hyperseg.core.settings import converted


class ClassHead(nn.Module):
    """K class scores at every position of one level: a 1x1 convolution."""

    def __init__(self, spec: BackboneSpec, n_classes: int, *, level: int = 0) -> None:
        super().__init__()
        converted(n_classes, int, "n_classes", POSITIVE)
        self.level = level
        self.score = Conv(spec.conv, width_at(spec, level), n_classes, 1, bias=True)

    def forward(self, pyramid: Pyramid) -> Tensor:
        """Pyramid -> (B, K, *S_level)."""
        return self.score(pyramid[self.level])


class PoolHead(nn.Module):
    """K scores for the whole input: mean over all positions of one level, then a linear map."""

    def __init__(self, spec: BackboneSpec, n_classes: int, *, level: int = -1) -> None:
        super().__init__()
        converted(n_classes, int, "n_classes", POSITIVE)
        self.level = level
        self.score = nn.Linear(width_at(spec, level), n_classes)
        if spec.conv.spectral_norm:
            nn.utils.parametrizations.spectral_norm(self.score)

    def forward(self, pyramid: Pyramid) -> Tensor:
        """Pyramid -> (B, K)."""
        return self.score(pyramid[self.level].flatten(2).mean(2))


class PairHead(nn.Module):
    """K x K scores for every ordered pair of positions, index a * K + b with `a` the left one's class.

    Swapping the two maps is another question with another answer: the table is not symmetric.

    Source: Lin et al., "Efficient Piecewise Training of Deep Structured Models", CVPR 2016, two
    fully connected layers on the concatenated features.
    """

    def __init__(self, spec: BackboneSpec, n_classes: int, *, level: int = -1, hidden: int = 128) -> None:
        super().__init__()
        converted(n_classes, int, "n_classes", POSITIVE)
        converted(hidden, int, "hidden", POSITIVE)
        # no normalisation and no condition between the two layers: a pair is scored by itself
        plain = ConvSpec(spec.conv.ndim, norm="none", spectral_norm=spec.conv.spectral_norm)
        self.mix = ConvBlock(plain, 2 * width_at(spec, level), hidden, 1)
        self.score = Conv(plain, hidden, n_classes * n_classes, 1, bias=True)

    def forward(self, left: Tensor, right: Tensor) -> Tensor:
        """Two maps (B, width, *S) -> (B, K * K, *S)."""
        return self.score(self.mix(torch.cat((left, right), dim=1)))


class DeepSupervision(nn.Module):
    """One `ClassHead` per level, fine to coarse; None takes all levels but the coarsest, as nnU-Net does."""

    def __init__(self, spec: BackboneSpec, n_classes: int, *, levels: Sequence[int] | None = None) -> None:
        super().__init__()
        chosen = range(max(1, len(spec.widths) - 1)) if levels is None else levels
        self.heads = nn.ModuleList(ClassHead(spec, n_classes, level=level) for level in chosen)

    def forward(self, pyramid: Pyramid) -> list[Tensor]:
        """Pyramid -> [(B, K, *S_level) for each level]."""
        return [head(pyramid) for head in self.heads]


def width_at(spec: BackboneSpec, level: int) -> int:
    """Channels of a level.

    Raises:
        SettingError: the backbone has no such level.
    """
    if not -len(spec.widths) <= level < len(spec.widths):
        raise SettingError(
            f"level {level} of a backbone with {len(spec.widths)} levels: use 0..{len(spec.widths) - 1}."
        )
    return spec.widths[level]
