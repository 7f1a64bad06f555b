"""A network of the zoo on folders of images and volumes, in the place of the U-Net that is planned."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

from hyperseg.core import SettingError
from hyperseg.core.parts import OnCases, respelt
from hyperseg.core.settings import option
from hyperseg.core.words import listed
from hyperseg.losses import LOSSES
from hyperseg.recipes.methods.unet import loss_on_cases, score_on_cases
from hyperseg.recipes.methods.zoo.on_scene import class_of
from hyperseg.recipes.training.settings import loss_option, respell_loss

if TYPE_CHECKING:
    from hyperseg.zoo.member import Member
    from hyperseg.zoo.network import ZooNet


def slots_of(member: Member) -> OnCases:
    """What a member does with folders."""

    chosen = class_of(
        "ZooCaseSettings", respell_loss,
        network=(member.settings, option(member.settings(), f"Of {member.title}.", hides=True)),
        loss=(str, loss_option(member.loss or LOSSES.default)),
    )  # fmt: skip

    def build(configuration: Any, n_classes: int, chosen: Any) -> ZooNet:
        from hyperseg.zoo.network import ZooNet, ZooSpec

        body = configuration.backbone
        network = respelt(member.name, chosen.network)
        return ZooNet(ZooSpec(network, body.in_channels, n_classes, body, configuration.patch))

    return OnCases(chosen, build, _lesson, score_on_cases, plan=partial(_narrowed, member), loss=loss_on_cases)


def _narrowed(member: Member, plan: Any, chosen: Any) -> Any:
    """The plan's configurations of as many axes as the member takes."""
    kept = tuple(one for one in plan.configurations if one.n_axes in member.axes)
    if not kept:
        raise SettingError(
            f"zoo:{member.name} is a network for images of {listed(map(str, member.axes), last='or')} axes, and "
            f"the plan has {listed(one.name for one in plan.configurations)}: choose another method."
        )
    return replace(plan, configurations=kept)


def _lesson(net: Any, plan: Any, configuration: Any, steps: int, chosen: Any, loss: Any) -> tuple[Any, Any]:
    from hyperseg.recipes.training.adversary import with_critic
    from hyperseg.recipes.training.nnunet import phase_of

    return with_critic(phase_of(net, plan, configuration, steps, loss), net, steps=steps), {}
