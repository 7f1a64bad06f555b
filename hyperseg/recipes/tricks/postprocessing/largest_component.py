"""Largest component: of what is one thing in every image, only the largest piece is kept."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from hyperseg.core.parts import OnCases, Trick
from hyperseg.core.settings import option, settings
from hyperseg.recipes.tricks.slots import with_finish


@settings
class LargestComponent:
    """What is one thing."""

    together: bool = option(False, "All foreground classes together are one thing, not each for itself.")


def on_cases(on: OnCases, chosen: LargestComponent) -> OnCases:
    """Smaller pieces become background, see `medical.components.keep_largest`.

    It is done whatever cross-validation says of it, before the pieces that cross-validation itself chose to keep;
    where both keep the same, the answer is the same. A scene has many fields of a class: there is no such trick.

    Source: the "ABL-CS" of arXiv 2209.10307, phase 6.
    """

    def change(classes: NDArray[np.int16]) -> NDArray[np.int16]:
        from hyperseg.medical.components import keep_largest

        every = range(1, int(classes.max(initial=0)) + 1)
        return keep_largest(classes, (tuple(every),) if chosen.together else tuple((k,) for k in every))

    return with_finish(on, change)


LARGEST_COMPONENT = Trick(
    "largest-component", "post-processing", on_cases, settings=LargestComponent, trains=False
)  # fmt: skip
