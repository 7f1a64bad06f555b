"""Normalisation: intensities are cut to what the foreground has, then scaled."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Literal

from hyperseg.core.parts import Method, OnCases, Trick
from hyperseg.core.settings import option, settings
from hyperseg.recipes.tricks.slots import with_changed, with_plan

if TYPE_CHECKING:
    from hyperseg.medical.plan import Plan


@settings
class NormalisationRule:
    """By which rule."""

    rule: Literal["planned", "foreground"] = option(
        "planned", "planned: nnU-Net's, which cuts a calibrated scale (CT) alone and takes other images by their own "
        "mean and deviation; foreground: every channel is cut to what the foreground of all cases has.",
    )  # fmt: skip


def on_cases(on: OnCases, chosen: NormalisationRule) -> OnCases:
    """Percentiles 0.5 and 99.5 of the foreground, z-scores by its mean and deviation, or nnU-Net's rule.

    Source: the "IntesNorm" of arXiv 2209.10307; the percentiles and z-scores are nnU-Net's.
    Differs: the foreground is that of all labelled cases of the training folder, as nnU-Net has it: cases that a fold
    holds out count too, with four numbers a channel. Cases of another folder, to be predicted or evaluated, never do.
    """

    def change(plan: Plan) -> Plan:
        from hyperseg.medical.plan import by_foreground, normalisations_of

        facts = plan.facts
        if chosen.rule == "planned":
            return replace(plan, normalisations=normalisations_of(facts))
        return replace(plan, normalisations=tuple(map(by_foreground, facts.intensities)))

    return with_plan(on, change)


def on_scene(method: Method, chosen: NormalisationRule) -> Method:
    """Within-class whitening of spectra; no rule can be given there."""
    return with_changed(method, {"whiten": True})


NORMALISATION = Trick("normalisation", "pre-processing", on_cases, on_scene, NormalisationRule, of_cases=("rule",))
