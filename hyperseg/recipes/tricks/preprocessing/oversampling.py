"""Oversampling: patches are laid around what is to be found more often than chance would."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from hyperseg.core.parts import Method, OnCases, Trick
from hyperseg.core.settings import changed, option, settings
from hyperseg.recipes.tricks.slots import with_plan, with_settings

if TYPE_CHECKING:
    from hyperseg.medical.plan import Plan


@settings
class Oversampling:
    """How often."""

    share: float = option(0.3, "Of the patches of a batch that lie around a foreground voxel.", above=0, high=1)


def on_cases(on: OnCases, chosen: Oversampling) -> OnCases:
    """The last `share` of a batch is laid around voxels of foreground classes, see `medical.patches.draw_batch`.

    Source: the "OverSam" of arXiv 2209.10307, share 0.3.
    Differs: a fixed number of the patches of a batch, not each with that probability.
    """

    def change(plan: Plan) -> Plan:
        return replace(plan, training=replace(plan.training, loss=replace(plan.training.loss, forced=chosen.share)))

    return with_plan(on, change)


def on_scene(method: Method, chosen: Oversampling) -> Method:
    """Classes are drawn with equal probability, not pixels; the share does not count there."""
    return with_settings(method, lambda given: changed(given, {"train.balanced": True}))


OVERSAMPLING = Trick("oversampling", "pre-processing", on_cases, on_scene, Oversampling)
