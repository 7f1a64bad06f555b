"""Instance norm: every image is normalised by itself within the network, not with the others of its batch."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from hyperseg.core.parts import OnCases, Trick
from hyperseg.recipes.tricks.slots import with_plan

if TYPE_CHECKING:
    from hyperseg.medical.configuration import Configuration
    from hyperseg.medical.plan import Plan


def on_cases(on: OnCases, chosen: None) -> OnCases:
    """All networks of a plan have instance norm; it has as many numbers to learn as batch norm.

    Source: "IntNorm" of arXiv 2209.10307.
    """

    def normed(one: Configuration) -> Configuration:
        spec = one.backbone
        return replace(one, backbone=replace(spec, conv=replace(spec.conv, norm="instance")))

    def change(plan: Plan) -> Plan:
        return replace(plan, configurations=tuple(map(normed, plan.configurations)))

    return with_plan(on, change)


INSTANCE_NORM = Trick("instance-norm", "model", on_cases)
