"""How a scene's spectra are learned and scored."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from typing import Any

from hyperseg.core.settings import option, settings

STEPS = 1000
TRIM = 0.05  # where all pixels are learned from: what is sought is among them


@settings
class SpectraSettings:
    """What the density of spectra is, and how strangeness is read from it."""

    components: int | None = option(
        None, "Leading principal components that the network models; a Gaussian takes the others.  [default: 16]",
        low=1, shown="components",
    )  # fmt: skip
    trim: float = option(
        TRIM, "Share of the pixels that is left out of learning: those strangest to a first Gaussian; 0 where other "
        "options say what is learned from.", low=0, below=0.5, shown="trim",
    )  # fmt: skip
    pixels: int = option(20000, "Most spectra to learn from.", low=50, shown="pixels")
    steps: int = option(STEPS, "Training steps.", low=1, shown="steps")
    width: int = option(128, "Features of the network's layers.", low=8)
    batch: int = option(128, "Spectra of a training step.", low=1)
    lr: float = option(2e-3, "Largest learning rate.", above=0)
    levels: int = option(10, "Noise levels of the score.", low=2, shown="levels")
    draws: int = option(1, "Pairs of noise at each of them.", low=1, shown="draws")
    low: float = option(0.05, "Smallest noise, in standard deviations of a whitened component.", above=0)
    high: float = option(20.0, "Largest noise.", above=0)


def chosen(given: Mapping[str, Any], *, narrowed: bool) -> SpectraSettings:
    """The settings with those that are given; None is not given.

    Args:
        narrowed: the user said what to learn from: nothing of it is trimmed unless asked for.

    Raises:
        SettingError: a value outside its bounds.
    """
    values = {f.name: given[f.name] for f in fields(SpectraSettings) if given.get(f.name) is not None}
    return SpectraSettings(**(({"trim": 0.0} if narrowed else {}) | values))
