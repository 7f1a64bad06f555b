"""Which levels of a pyramid have anchors, and which anchors they have."""

from __future__ import annotations

from collections.abc import Sequence

from hyperseg.core import SettingError


def check_levels(widths: Sequence[int], levels: Sequence[int], anchors: Sequence[float]) -> None:
    """Raise SettingError unless levels are some of the pyramid's, in order, with as many anchors each.

    Args:
        widths: channels of every level, fine to coarse.
        levels: that have anchors.
        anchors: sizes of all levels together, from small to large; none are planned.
    """
    if not levels or list(levels) != sorted(set(levels)) or levels[-1] >= len(widths):
        raise SettingError(
            f"levels {levels} do not fit widths {widths}, whose levels are 0..{len(widths) - 1}: "
            "give some of these, each once and from fine to coarse, or more widths."
        )
    if len(anchors) % len(levels) or list(anchors) != sorted(anchors):
        raise SettingError(
            f"anchors {anchors}: give as many for each of the {len(levels)} levels, from small to large."
        )
