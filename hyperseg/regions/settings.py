"""Settings of the trees. No torch."""

from __future__ import annotations

from typing import Literal

from hyperseg.core import SettingError
from hyperseg.core.settings import option, settings

Pool = Literal["mean", "log"]


@settings
class Cut:
    """Where trees are cut, and what a region says."""

    price: float = option(
        10.0, "Of a region, in nats of the tempered log-probabilities: larger prices, larger regions.", low=0, high=1e6
    )
    temper: float = option(
        5.0,
        "Log-probabilities are divided by this before trees are cut: a map's pixels are too sure.",
        low=0.01,
        high=1e6,
    )
    pool: Pool = option("log", "The mean of a region's log-probabilities, or of its probabilities.")
    floor: float = option(
        0.01,
        "Probabilities are raised to this before the logarithm: no pixel can rule out a class for its region.",
        above=0,
        below=0.5,
    )


@settings
class Growth:
    """How trees are grown."""

    components: tuple[int, ...] = option(
        (6, 12, 30),
        "Trees are grown on so many MNF components each, plain and with those of less signal damped.",
        low=1,
    )
    leaf_px: float = option(14.0, "Pixels of the smallest regions, on average.", low=1, high=1e9)
    block_px: int = option(
        1024, "Larger scenes are done in half-overlapping blocks of this side, which are blended.", low=32, high=8192
    )

    def __post_init__(self) -> None:
        if not self.components:
            raise SettingError("components: one number at least is needed, e.g. 6,12,30.")
