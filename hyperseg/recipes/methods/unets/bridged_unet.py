"""Two U-Nets of the planned shape in a row, maps of the first bridged into the second; single ones are its controls.

Source: arXiv 1807.04459, the network; that it beats a single U-Net is its claim.
Differs: a reconstruction, see `medical.bridged.network.BridgedUNet`: no table of its layers is known to us, nor which
half has ReLU and which ELU. No table of the paper is claimed. Plan, patches and training are those of `unet`.
"""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

from hyperseg.core.parts import Method
from hyperseg.core.settings import option, settings
from hyperseg.core.task import Task
from hyperseg.medical.bridged.settings import BridgeSettings
from hyperseg.recipes.methods.unet import UNET, CaseSettings, UnetSettings, check, fit, lesson_on_cases, load
from hyperseg.recipes.methods.unets.wide_unet import WIDE_UNET, WideCaseSettings, WideSettings
from hyperseg.recipes.training.settings import loss_option, respell_loss

if TYPE_CHECKING:
    from hyperseg.core.runtime import Runtime
    from hyperseg.medical.bridged.network import BridgedUNet
    from hyperseg.recipes.training.model import NetworkModel
    from hyperseg.recipes.training.unet import UNetSpec

BRIDGED = "bridged-unet"


@settings
class BridgedSettings:
    """On a scene."""

    unet: UnetSettings = option(UnetSettings(), "Each of the two U-Nets, and how both learn.")
    network: BridgeSettings = option(BridgeSettings(), "How the two are joined.")


@settings
class BridgedCaseSettings:
    """On folders, where the plan decides all else."""

    network: BridgeSettings = option(BridgeSettings(), "How the two U-Nets are joined.")
    loss: str = loss_option()

    def __post_init__(self) -> None:
        respell_loss(self)


def bridged(spec: UNetSpec, chosen: BridgeSettings) -> UNetSpec:
    """A scene's network with two bodies in a row."""
    return replace(spec, bridged=chosen)


def check_bridged(task: Task, chosen: BridgedSettings) -> None:
    check(task, chosen.unet, changed=partial(bridged, chosen=chosen.network))


def fit_bridged(task: Task, chosen: BridgedSettings, runtime: Runtime) -> NetworkModel:
    return fit(task, chosen.unet, runtime, name=BRIDGED, changed=partial(bridged, chosen=chosen.network))


def beside(chosen: BridgedSettings) -> tuple[tuple[Method, Any], ...]:
    """Single U-Nets of equal depth and widths, and of equal parameters."""
    return (UNET, chosen.unet), (WIDE_UNET, WideSettings(unet=chosen.unet, size=chosen.network))


def build_for_cases(configuration: Any, n_classes: int, chosen: BridgedCaseSettings) -> BridgedUNet:
    from hyperseg.medical.bridged.controls import bridged_unet

    return bridged_unet(
        configuration.backbone, n_classes, chosen.network, heads=len(configuration.supervision),
        down=configuration.down,
    )  # fmt: skip


def lesson_for_cases(
    net: Any, plan: Any, configuration: Any, steps: int, chosen: BridgedCaseSettings, loss: Any
) -> tuple[Any, Any]:  # fmt: skip
    """As the planned U-Net's; the plan's weights are those of the second half's levels."""
    from hyperseg.medical.bridged.network import with_auxiliary

    weights = with_auxiliary(configuration.supervision, auxiliary=chosen.network.auxiliary)
    return lesson_on_cases(net, plan, replace(configuration, supervision=weights), steps, CaseSettings(), loss)


def beside_on_cases(chosen: BridgedCaseSettings) -> tuple[tuple[str, Any], ...]:
    """`beside`, of folders: with the same loss."""
    wide = WideCaseSettings(size=chosen.network, loss=chosen.loss)
    return (UNET.name, CaseSettings(chosen.loss)), (WIDE_UNET.name, wide)


assert UNET.on_cases is not None
BRIDGED_UNET = Method(
    BRIDGED, BridgedSettings, fit_bridged, load, check_bridged, takes=UNET.takes, has_features=False, beside=beside,
    on_cases=replace(
        UNET.on_cases, settings=BridgedCaseSettings, build=build_for_cases, lesson=lesson_for_cases,
        beside=beside_on_cases,
    ),
)  # fmt: skip
