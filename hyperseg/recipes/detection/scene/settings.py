"""How targets of a scene are made up, learned and counted. No torch."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

from hyperseg.core import SettingError
from hyperseg.core.settings import option, settings

Detectors = Literal["plain", "ace", "focalmix"]
ROWS: dict[Detectors, str] = {
    "plain": "detector",
    "ace": "detector + ACE channel",
    "focalmix": "FocalMix + ACE channel",
}
"""The detectors there are, and what tables call them."""
Asked = Literal["auto", "plain", "ace", "focalmix"]
AUTO = "auto"  # the best method makes the list
TRAINED: Detectors = "ace"  # where no detector is named


@settings
class SceneTargetSettings:
    """What is implanted, what learns to find it, and what is told."""

    fill_from: float = option(0.05, "Least share of a target's fullest pixel.", above=0, high=1, shown="fill-from")
    fill_to: float = option(0.6, "Largest share of it.", above=0, high=1, shown="fill-to")
    extent: int = option(3, "Largest extent of a target in pixels.", low=1, high=8, shown="extent")
    brightness: float = option(
        0.1, "How differently targets are lit: standard deviation of the logarithm of their brightness.", low=0, high=1,
        shown="brightness",
    )  # fmt: skip
    implants: int | None = option(
        None, "Targets implanted to be counted, in each repeat.  [default: one in 250 pixels, 400 at most]", low=4,
        shown="implants",
    )  # fmt: skip
    repeats: int = option(5, "Times that targets are drawn and detectors trained anew.", low=1, shown="repeats")
    false_alarms: float = option(
        5.0, "False alarms in 10,000 pixels that are put up with: where the list of candidates ends.", above=0,
        shown="false-alarms",
    )  # fmt: skip
    steps: int = option(150, "Training steps of a detector.", low=1, shown="steps")
    components: int = option(
        48, "Whitened components that a detector reads, those in which the target stands out most.", low=1,
        shown="components",
    )  # fmt: skip
    crops: int = option(6, "Windows of a training step.", low=1)
    taught: float = option(
        4.0, "Targets implanted in a window of the training, on average, and as many decoys.", above=0
    )
    width: int = option(24, "Features of the detector's layers.", low=4)
    lr: float = option(3e-3, "Largest learning rate.", above=0)

    def __post_init__(self) -> None:
        if self.fill_from > self.fill_to:
            raise SettingError(f"shares from {self.fill_from:g} to {self.fill_to:g}: give the smaller one first.")

    @property
    def drawn(self) -> dict[str, Any]:
        """What `draw_implants` is told."""
        return {
            "fill": (self.fill_from, self.fill_to), "extent_px": self.extent, "brightness": self.brightness,
        }  # fmt: skip


def trained_rows(asked: Sequence[Asked]) -> tuple[tuple[Detectors, ...], bool]:
    """Which detectors to train, and whether the best of all methods makes the list or else the first of these.

    Raises:
        SettingError: none is asked for, one twice, or one that is not known.
    """
    if not asked or len(set(asked)) < len(asked) or not set(asked) <= {AUTO, *ROWS}:
        given = ", ".join(asked) or "none"
        raise SettingError(f"name each detector once, of {', '.join((AUTO, *ROWS))}; got {given}.")
    rows = tuple(row for row in asked if row != "auto")
    return rows or (TRAINED,), AUTO in asked
