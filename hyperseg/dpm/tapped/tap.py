"""Which levels of a decoder are read: fractions of its depth, so that a choice holds for networks of any depth."""

from __future__ import annotations

from collections.abc import Sequence

from hyperseg.core import SettingError

STRONG, WEAK = (2 / 17, 4 / 17, 5 / 17, 6 / 17, 7 / 17), (6 / 17,)
"""Blocks {2, 4, 5, 6, 7} and {6} of the 18 output blocks of ADM-256, counted from 0.

Source: Kim et al., "DAG: Depth-Aware Guidance with Denoising Diffusion Probabilistic Models", arXiv 2212.08861, as
    secondary accounts tell its ablation of blocks. That they are counted so, and mean fractions, is a reconstruction.
"""


def blocks_at(fractions: Sequence[float], n: int) -> tuple[int, ...]:
    """The blocks at these fractions of a decoder's depth: 0 is the coarsest of n, n - 1 the finest; each once, rising.

    Raises:
        SettingError: no fractions, or one that is not between 0 and 1.
    """
    if not fractions or not all(0 <= f <= 1 for f in fractions):
        raise SettingError(f"taps are one or more fractions of a decoder's depth, 0 to 1, got {list(fractions)}.")
    return tuple(sorted({round(f * (n - 1)) for f in fractions}))


def check_unlike(strong: Sequence[int], weak: Sequence[int]) -> None:
    """Raise SettingError where two heads read the same blocks: they would always agree."""
    if sorted(strong) == sorted(weak):
        raise SettingError(
            f"the strong and the weak head both read the blocks {list(strong)} and would agree without a reason: give "
            "them different taps, or a network of more stages."
        )
