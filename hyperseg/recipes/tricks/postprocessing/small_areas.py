"""Small areas: pieces too small to be meant are removed, or given to what is around them."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from hyperseg.core import SettingError
from hyperseg.core.parts import OnCases, Refiner, Trick
from hyperseg.core.settings import option, settings
from hyperseg.recipes.refiners.sieve import PIXELS, SIEVE, SieveSettings, check_one_limit
from hyperseg.recipes.tricks.slots import with_finish


@settings
class SmallAreas:
    """What is too small."""

    pixels: int = option(PIXELS, "Pieces of fewer pixels go, of volumes those of fewer voxels.", low=2)
    hectares: float = option(0.0, "On scenes: pieces of less ground go; 0 is by pixels.", low=0)

    def __post_init__(self) -> None:
        check_one_limit(self)


def on_cases(on: OnCases, chosen: SmallAreas) -> OnCases:
    """Pieces of a foreground class below the limit become background, see `medical.components.without_small`.

    Source: the "RSA-CS" of arXiv 2209.10307, phase 6; 10 pixels of images.
    Differs: one limit for all classes, of volumes too, where it has 1000 voxels of one class and 80 of another.

    Raises:
        SettingError: a limit in hectares.
    """
    if chosen.hectares:
        raise SettingError("hectares are of scenes, the sizes of images and volumes are in pixels and voxels.")

    def change(classes: NDArray[np.int16]) -> NDArray[np.int16]:
        from hyperseg.medical.components import without_small

        return without_small(classes, chosen.pixels)

    return with_finish(on, change)


def refiner(chosen: SmallAreas) -> tuple[Refiner, Any]:
    """A minimum mapping unit: pieces of any class below it get the class around them, see `regions.sieve.sieved`.

    It is the last refiner of the chain, a step of its own in the table. The probabilities of the two classes change
    places, so that they still sum to one. What is in hectares is measured in each scene that is mapped.

    Source: arXiv 2209.10307, phase 6, removes them; giving them to what is around is our reconstruction for scenes,
    where no class is background.
    """
    return SIEVE, SieveSettings(chosen.pixels, chosen.hectares)


SMALL_AREAS = Trick(
    "small-areas", "post-processing", on_cases, settings=SmallAreas, trains=False, refiner=refiner
)  # fmt: skip
