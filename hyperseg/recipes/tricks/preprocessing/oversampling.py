"""Oversampling: patches are laid around what is to be found more often than chance would."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from hyperseg.core.parts import Method, OnCases, Trick
from hyperseg.core.settings import option, settings
from hyperseg.recipes.tricks.slots import with_changed, with_plan

if TYPE_CHECKING:
    from hyperseg.medical.plan import Plan


@settings
class Oversampling:
    """How often."""

    share: float = option(0.3, "Probability of a patch to lie around a foreground voxel.", above=0, high=1)


def on_cases(on: OnCases, chosen: Oversampling) -> OnCases:
    """Each patch is laid around a foreground voxel with probability `share`, otherwise anywhere.

    In a case without foreground patches lie anywhere, see `medical.patches.draw_batch`.

    Source: the "OverSam" of arXiv 2209.10307, probability 0.3.
    Differs: the class is drawn first, then one of its voxels, so that small classes are seen as often as large ones.
    """

    def change(plan: Plan) -> Plan:
        loss = replace(plan.training.loss, forced=chosen.share, each=True)
        return replace(plan, training=replace(plan.training, loss=loss))

    return with_plan(on, change)


def on_scene(method: Method, chosen: Oversampling) -> Method:
    """Classes are drawn with equal probability, not pixels; no share can be given there."""
    return with_changed(method, {"balanced": True})


OVERSAMPLING = Trick("oversampling", "pre-processing", on_cases, on_scene, Oversampling, of_cases=("share",))
