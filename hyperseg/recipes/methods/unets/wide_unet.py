"""The planned U-Net, widened until it has as many parameters as a bridged one: what that has to beat."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

from hyperseg.core.parts import Method
from hyperseg.core.settings import option, settings
from hyperseg.core.task import Task
from hyperseg.medical.bridged.settings import BridgeSettings
from hyperseg.recipes.methods.unet import UNET, UnetSettings, check, fit, load
from hyperseg.recipes.training.settings import loss_option, respell_loss

if TYPE_CHECKING:
    from hyperseg.core.runtime import Runtime
    from hyperseg.medical.networks import UNet
    from hyperseg.recipes.training.model import NetworkModel
    from hyperseg.recipes.training.unet import UNetSpec

WIDE = "wide-unet"


@settings
class WideSettings:
    """On a scene."""

    unet: UnetSettings = option(UnetSettings(), "The U-Net that is widened, and how it learns.")
    size: BridgeSettings = option(BridgeSettings(), "The bridged U-Net of the same plan whose size it gets.")


@settings
class WideCaseSettings:
    """On folders, where the plan decides all else."""

    size: BridgeSettings = option(BridgeSettings(), "The bridged U-Net of the same plan whose size it gets.")
    loss: str = loss_option()

    def __post_init__(self) -> None:
        respell_loss(self)


def widened(spec: UNetSpec, chosen: BridgeSettings) -> UNetSpec:
    """A scene's network with a wider body."""
    from hyperseg.medical.bridged.controls import equal_parameters

    return replace(spec, body=equal_parameters(spec.body, spec.n_classes, chosen, heads=spec.scored))


def check_wide(task: Task, chosen: WideSettings) -> None:
    check(task, chosen.unet, changed=partial(widened, chosen=chosen.size))


def fit_wide(task: Task, chosen: WideSettings, runtime: Runtime) -> NetworkModel:
    return fit(task, chosen.unet, runtime, name=WIDE, changed=partial(widened, chosen=chosen.size))


def build_for_cases(configuration: Any, n_classes: int, chosen: WideCaseSettings) -> UNet:
    from hyperseg.medical.bridged.controls import equal_parameters
    from hyperseg.medical.networks import build_unet

    wide = equal_parameters(
        configuration.backbone, n_classes, chosen.size, heads=len(configuration.supervision), down=configuration.down
    )
    return build_unet(replace(configuration, backbone=wide), n_classes)


assert UNET.on_cases is not None
WIDE_UNET = Method(
    WIDE, WideSettings, fit_wide, load, check_wide, takes=UNET.takes, has_features=False,
    on_cases=replace(UNET.on_cases, settings=WideCaseSettings, build=build_for_cases),
)  # fmt: skip
