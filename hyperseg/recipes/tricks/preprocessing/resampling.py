"""Resampling: all images on a grid of the same spacing."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from hyperseg.core.parts import OnCases, Trick
from hyperseg.recipes.tricks.slots import ALREADY, with_plan

if TYPE_CHECKING:
    from hyperseg.medical.plan import Plan


def on_cases(on: OnCases, chosen: None) -> OnCases:
    """Images of every spacing are resampled to the plan's, with its splines, and answers back.

    Without it the baseline changes all spacings by the same factor. Images of the same spacing are the same with and
    without the trick; where files tell no spacing it is refused, as the plan has it already.

    Source: the "ReSam" of arXiv 2209.10307, which takes a common spacing; which one is nnU-Net's rule.
    """

    def change(plan: Plan) -> Plan:
        return replace(plan, training=replace(plan.training, resampling=replace(plan.training.resampling, keep=False)))

    return with_plan(on, change, why=f"{ALREADY}, where files tell their spacing; images without one have one grid")


RESAMPLING = Trick("resampling", "pre-processing", on_cases)
