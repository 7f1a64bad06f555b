"""How a network is trained on labelled pixels: the settings that methods share. No torch."""

from __future__ import annotations

from typing import Any, Literal

from hyperseg.core import SettingError
from hyperseg.core.settings import option, settings
from hyperseg.data.augment import SpectralNoise
from hyperseg.losses import LOSSES, PLAIN, parse_loss, respelt_loss

NOISE = SpectralNoise(noise=0.3)


def loss_option(default: str = LOSSES.default) -> str:
    """What is minimised, of the table of losses."""
    known = "; ".join(f"{name}, {entry.help}" for name, entry in LOSSES.entries.items())
    found: str = option(
        default, f"What is minimised, with its settings after a colon, NAME:SETTING=VALUE,... These are: {known}.",
        shown="loss",
    )  # fmt: skip
    return found


def respell_loss(settings: Any) -> None:
    """Settings that are being made keep their `loss` as it is always spelled: equal losses are equal texts.

    Raises:
        SettingError: there is no such loss. One without settings is known by its name, and needs no torch for that.
    """
    object.__setattr__(settings, "loss", respelt_loss(settings.loss))


@settings
class TrainSettings:
    """How a network is trained; every default is ours, chosen on parcel splits of Indian Pines."""

    epochs: int = option(
        30, "Passes over the training pixels; given, there may be fewer steps than min_steps.", low=1, high=1_000_000,
        shown="epochs", also=lambda n: {"min_steps": 1},
    )  # fmt: skip
    min_steps: int = option(300, "Trained at least this many steps, however few the labels.", low=1, high=10_000_000)
    batch: int = option(64, "Patches per step; batch norm needs two.", low=2, high=65_536)
    lr: float = option(1e-3, "Peak learning rate of the one-cycle schedule (AdamW).", above=0)
    weight_decay: float = option(1e-2, "Of AdamW.", low=0)
    loss: str = loss_option(PLAIN)
    label_smoothing: float = option(0.0, f"Of the loss {PLAIN}; others have none.", low=0, below=1)
    average: float = option(
        0.98, "Decay of the weights' moving average, which is what predicts; 0 turns it off.", low=0, below=1
    )
    noise: SpectralNoise = option(NOISE, "Disturbance of the standardised or whitened spectra.")
    illumination: float = option(
        0.0,
        "Train under varied light, for models that will map other scenes: spread of a factor on raw values, drawn per "
        "patch, e.g. 0.05. 0 is best on the scene itself.",
        low=0, below=1, shown="illumination",
    )  # fmt: skip
    centre: Literal["auto", "always", "never"] = option(
        "auto",
        "Give batch norms the means of the whole scene, without labels (transductive): it helps on fields that were "
        "not trained on and harms between training pixels. auto does so where the split keeps a guard.",
        shown="centre",
    )
    balanced: bool = option(False, "Draw classes, not pixels, with equal probability.")
    keep: Literal["best", "last"] = option(
        "last",
        "The weights at the end of the schedule, or those that validated best; a few held-out parcels are a poor "
        "judge, and best is no better on parcel splits (docs/benchmarks.md).",
    )

    def __post_init__(self) -> None:
        respell_loss(self)
        if self.loss == PLAIN:
            return
        if self.label_smoothing:
            raise SettingError(
                f"label_smoothing is of the loss {PLAIN} alone, got {self.label_smoothing:g} with {self.loss}: leave "
                "one of them out."
            )
        if getattr(parse_loss(self.loss), "needs_background", False):
            raise SettingError(
                f"the loss {self.loss} gives background a weight of its own, and no class of a scene is background: "
                "choose another, or leave that weight out."
            )


def window_option(help: str = "") -> int:
    """The side of the window that a decision looks at, in steps of two 3x3 convolutions."""
    found: int = option(
        9, f"Side of the window a decision looks at: 1, 5, 9, ... 129 pixels.{help}", low=1, high=129, shown="window"
    )
    return found


def planned_window_option() -> int:
    """The side of the windows that a network of windows learns from, where the plan may decide it."""
    found: int = option(
        0, "Side of the windows that are learnt, an odd number of pixels; 0 is planned.", low=0, high=1023,
        shown="window",
    )  # fmt: skip
    return found


def check_odd_window(window: int) -> None:
    """Raise for a window without a middle pixel."""
    if window and window % 2 == 0:
        raise SettingError(f"window is an odd number of pixels, a pixel and what is around it, got {window}.")


def groups_option() -> int:
    """How many neighbouring bands are averaged, where the plan may decide it."""
    found: int = option(
        0, "Neighbouring bands of a scene that are averaged first; 0 is planned, 1 leaves them.", low=0, high=10_000
    )
    return found


def flips_option() -> bool:
    """Whether predictions are averaged over the symmetries of the square."""
    found: bool = option(
        False, "Average over eight flips and rotations: slower, slightly better.", shown="flips", off="no-flips"
    )
    return found


def check_window(window: int) -> None:
    """Raise for a window that residual blocks of two 3x3 steps cannot have."""
    if window % 4 != 1:
        raise SettingError(f"window is 1, 5, 9, 13, 17, ... pixels (two 3x3 steps a block), got {window}.")
