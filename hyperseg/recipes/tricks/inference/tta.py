"""Test-time augmentation: the mean answer to an image and its symmetries."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hyperseg.core.parts import Method, OnCases, Trick
from hyperseg.core.settings import changed
from hyperseg.recipes.tricks.slots import with_score, with_settings

if TYPE_CHECKING:
    from torch import Tensor

    from hyperseg.recipes.segment.sliding import Score


def on_cases(on: OnCases, chosen: None) -> OnCases:
    """The mean over an image and its mirror images along each axis alone."""

    def change(score: Score) -> Score:
        def mean(x: Tensor) -> Tensor:
            views = [(), *((axis,) for axis in range(2, x.ndim))]
            total = score(x)
            for view in views[1:]:
                total = total + score(x.flip(view)).flip(view)
            return total / len(views)

        return mean

    return with_score(on, change)


def on_scene(method: Method, chosen: None) -> Method:
    """The mean over the eight symmetries of the square."""
    return with_settings(method, lambda given: changed(given, {"flips": True}))


TTA = Trick("tta", "inference", on_cases, on_scene, trains=False)
