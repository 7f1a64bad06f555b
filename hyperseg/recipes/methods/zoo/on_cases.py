"""A network of the zoo on folders of images and volumes, in the place of the U-Net that is planned."""

from __future__ import annotations

import logging
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

from hyperseg.core import SettingError
from hyperseg.core.parts import OnCases, respelt
from hyperseg.core.settings import option
from hyperseg.core.words import listed
from hyperseg.losses import LOSSES
from hyperseg.recipes.methods.unet import loss_on_cases, score_on_cases
from hyperseg.recipes.methods.zoo.memory import check_room
from hyperseg.recipes.methods.zoo.on_scene import class_of
from hyperseg.recipes.training.settings import loss_option, respell_loss

if TYPE_CHECKING:
    from hyperseg.zoo.member import Member
    from hyperseg.zoo.network import ZooNet

log = logging.getLogger(__name__)


def slots_of(member: Member) -> OnCases:
    """What a member does with folders."""

    chosen = class_of(
        "ZooCaseSettings", respell_loss,
        network=(member.settings, option(member.settings(), f"Of {member.title}.", hides=True)),
        loss=(str, loss_option(member.loss or LOSSES.default)),
    )  # fmt: skip

    def build(configuration: Any, n_classes: int, chosen: Any) -> ZooNet:
        from hyperseg.zoo.network import ZooNet, ZooSpec
        from hyperseg.zoo.stages import TooFewStagesError

        body = configuration.backbone
        network = respelt(member.name, chosen.network)
        try:
            return ZooNet(ZooSpec(network, body.in_channels, n_classes, body, configuration.patch))
        except TooFewStagesError as why:
            raise SettingError(
                f"zoo:{member.name}, configuration {configuration.name}: {why} Its patches are too small for more: "
                "choose another network, or take a folder of larger images."
            ) from None

    return OnCases(
        chosen, build, _lesson, score_on_cases, plan=partial(_narrowed, member), check=partial(_check, member),
        loss=loss_on_cases, ready=_ready, own_levels=True,
        own_terms=member.adversary is not None or hasattr(member.network, "terms"),
    )  # fmt: skip


def _fitting(member: Member, plan: Any) -> list[Any]:
    """The plan's configurations of as many axes as the member takes; raises where there are none."""
    kept = [one for one in plan.configurations if one.n_axes in member.axes]
    if not kept:
        raise SettingError(
            f"zoo:{member.name} is a network for images of {listed(map(str, member.axes), last='or')} axes, and "
            f"the plan has {listed(one.name for one in plan.configurations)}: choose another method."
        )
    return kept


def _check(member: Member, plan: Any, chosen: Any) -> None:
    _fitting(member, plan)


def _narrowed(member: Member, plan: Any, chosen: Any) -> Any:
    """The plan with those alone; what is left out is said."""
    kept = _fitting(member, plan)
    if left := [one.name for one in plan.configurations if one not in kept]:
        log.info(
            "%s of the plan is left out: zoo:%s takes images of %s axes.", listed(left), member.name,
            listed(map(str, member.axes), last="or"),
        )  # fmt: skip
    return replace(plan, configurations=tuple(kept))


def _ready(net: Any, configuration: Any, chosen: Any) -> None:
    """Raise for a step that needs more memory than there is."""
    advice = "Choose a smaller network, or give a plan with smaller patches or a smaller batch (--plan)."
    check_room(net, configuration.batch, configuration.patch, advice=advice)


def _lesson(net: Any, plan: Any, configuration: Any, steps: int, chosen: Any, loss: Any) -> tuple[Any, Any]:
    from hyperseg.recipes.training.adversary import with_critic
    from hyperseg.recipes.training.nnunet import phase_of

    return with_critic(phase_of(net, plan, configuration, steps, loss), net, steps=steps), {}
