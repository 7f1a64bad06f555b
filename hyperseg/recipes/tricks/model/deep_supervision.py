"""Deep supervision: coarse levels of the decoder have class scores of their own, which the loss judges too."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Literal

from hyperseg.core import SettingError
from hyperseg.core.parts import OnCases, Trick
from hyperseg.core.settings import option, settings
from hyperseg.recipes.tricks.slots import with_plan

if TYPE_CHECKING:
    from hyperseg.medical.configuration import Configuration
    from hyperseg.medical.plan import Plan

SURVEYED_LEVELS = 4


@settings
class DeepSupervision:
    """How much the levels count."""

    weights: Literal["equal", "halved"] = option(
        "equal",
        "equal: the plain sum of the losses of full, half, quarter and eighth size, as the survey of tricks; halved: "
        "each level counts half of the finer one, the weights come to 1, and the coarsest has none, as nnU-Net.",
    )


def on_cases(on: OnCases, chosen: DeepSupervision) -> OnCases:
    """Labels are brought to the size of a level by taking the nearest, see `losses.loss.at_levels`.

    Source: "DeepS" of arXiv 2209.10307; "halved" is the published code of nnU-Net.
    Differs: networks of fewer levels have fewer scores, and the coarsest stage, which the decoder does not make, has
    none. A plan that has scores of coarse levels, with whatever weights, is refused; so are networks whose levels are
    not the plan's.
    """
    if on.own_levels or on.loss is None:
        raise SettingError("its network itself says which levels are judged, and how much they count: leave it out.")

    def supervised(one: Configuration, n_classes: int) -> Configuration:
        from hyperseg.medical.topology import parameters_of, training_bytes
        from hyperseg.medical.training import supervision

        levels = max(1, len(one.backbone.widths) - 1)
        match chosen.weights:
            case "equal":
                weights: tuple[float, ...] = (1.0,) * min(levels, SURVEYED_LEVELS)
            case "halved":
                weights = supervision(levels, supervised=True)
            case _:
                raise ValueError(f"weights are equal or halved, not {chosen.weights!r}.")
        parameters = parameters_of(one.backbone, n_classes, heads=len(weights))
        needed = training_bytes(one.values, one.batch, parameters)
        return replace(one, supervision=weights, parameters=parameters, training_bytes=needed)

    def change(plan: Plan) -> Plan:
        if any(len(one.supervision) > 1 for one in plan.configurations):
            return plan
        made = tuple(supervised(one, len(plan.facts.classes)) for one in plan.configurations)
        if all(len(one.supervision) == 1 for one in made):
            raise SettingError("the decoders of this plan have one level each, which is judged already.")
        loss = replace(plan.training.loss, supervised=True)
        return replace(plan, configurations=made, training=replace(plan.training, loss=loss))

    return with_plan(on, change)


DEEP_SUPERVISION = Trick("deep-supervision", "model", on_cases, None, DeepSupervision)
