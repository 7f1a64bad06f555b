"""What several masks of one image come to, and how far they disagree."""

from __future__ import annotations

from collections.abc import Iterable

from torch import Tensor

from hyperseg.core.parts import Fused
from hyperseg.dpm.masks.settings import Rule


def fuse(samples: Iterable[Tensor], rule: Rule) -> Fused:
    """(K, *S) probabilities each -> what they come to; only sums are kept, but for STAPLE, which keeps decisions."""
    raise NotImplementedError
