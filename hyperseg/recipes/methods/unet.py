"""A U-Net whose size follows from the task: of a scene by rules of its own, of images and volumes by nnU-Net's."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Literal

from hyperseg.core import SettingError
from hyperseg.core.parts import Method, OnCases, Saved
from hyperseg.core.settings import from_json, option, settings
from hyperseg.core.task import Task
from hyperseg.data.augment import SpectralNoise
from hyperseg.losses import parse_loss
from hyperseg.recipes.methods.network import check_memory, prepared
from hyperseg.recipes.training.settings import (
    NOISE,
    check_odd_window,
    flips_option,
    groups_option,
    loss_option,
    planned_window_option,
    respell_loss,
)

if TYPE_CHECKING:
    from hyperseg.core.runtime import Runtime
    from hyperseg.data.preprocess import Preprocess
    from hyperseg.recipes.training.model import NetworkModel


@settings
class UnetSettings:
    """A planned U-Net; 0 leaves a choice to the plan, which `hyperseg plan SCENE` explains."""

    window: int = planned_window_option()
    groups: int = groups_option()
    width: int = option(0, "Feature maps of the finest stage; 0 is planned.", low=0, high=8_192)
    depth: int = option(0, "Stages of the U-Net; 0 is planned.", low=0, high=9)
    batch: int = option(0, "Windows per step; 0 is planned.", low=0, high=65_536)
    steps: int = option(0, "Steps of the training; 0 is planned.", low=0, high=10_000_000, shown="steps")
    whiten: bool = option(True, "Within-class whitening; false standardises the bands.")
    lr: float = option(1e-3, "Peak learning rate of the one-cycle schedule (AdamW).", above=0)
    weight_decay: float = option(1e-2, "Of AdamW.", low=0)
    average: float = option(
        0.98, "Decay of the weights' moving average, which is what predicts; 0 turns it off.", low=0, below=1
    )
    noise: SpectralNoise = option(NOISE, "Disturbance of the standardised or whitened spectra.")
    centre: Literal["auto", "always", "never"] = option(
        "auto",
        "Give batch norms the means of the whole scene, without labels (transductive); auto does so where the split "
        "keeps a guard. Instance norms, of images and volumes, have nothing to centre.",
        shown="centre",
    )
    flips: bool = flips_option()
    loss: str = loss_option()

    def __post_init__(self) -> None:
        check_odd_window(self.window)
        respell_loss(self)


def plan_of(task: Task, chosen: UnetSettings) -> tuple[Any, Preprocess, Any]:
    """What is planned, the preprocessing, and the spec of the network."""
    from hyperseg.hsi.plan import Given
    from hyperseg.recipes.training.planned import planned, spec_of

    given = Given(chosen.window, chosen.groups, chosen.width, chosen.depth, chosen.batch, chosen.steps)
    made = planned(task, given)
    preprocess = prepared(task, whiten=chosen.whiten, averaged=made.groups)
    return made, preprocess, spec_of(made, preprocess.n_out, task.n_classes)


def same(spec: Any) -> Any:
    """The network that is planned."""
    return spec


def check(task: Task, chosen: UnetSettings, *, changed: Callable[[Any], Any] = same) -> None:
    """Raise for what would stop `fit`; `changed` as there."""
    check_memory(task)
    made, _, spec = plan_of(task, chosen)
    changed(spec)
    check_loss(chosen.loss, made)


def check_loss(loss: str, made: Any) -> None:
    """Raise for a loss that needs a background where the plan's task has none."""
    if getattr(parse_loss(loss), "needs_background", False) and not made.background:
        raise SettingError(
            f"the loss {loss} gives background a weight of its own, and no class of a scene is background: "
            "choose another, or leave that weight out."
        )


def fit(
    task: Task, chosen: UnetSettings, runtime: Runtime, *, name: str = "unet", changed: Callable[[Any], Any] = same
) -> NetworkModel:
    """Train the planned U-Net, or another network in its place.

    Args:
        task, chosen, runtime: as of every method.
        name: of the method.
        changed: spec of the planned network (`recipes.training.unet.UNetSpec`) -> of the one that is built.
    """
    from hyperseg.core.sections import Section
    from hyperseg.recipes.training.unet import build

    made, preprocess, planned = plan_of(task, chosen)
    spec = changed(planned)
    section = Section("The plan of the U-Net", made.sentences, numbers={"plan": made.numbers})
    return learnt(
        task, chosen, runtime, made, preprocess, build(spec, runtime.seed), name=name, tell=lambda *_: section
    )  # fmt: skip


def learnt(
    task: Task, chosen: UnetSettings, runtime: Runtime, made: Any, preprocess: Preprocess, network: Any, *, name: str,
    tell: Any,
) -> NetworkModel:  # fmt: skip
    """A network of windows, trained as the settings and the plan `made` say.

    Args:
        network: fresh; has `tile`, `terms` and `spec`.
        name, tell: of the model, see `NetworkModel`.
    """
    from hyperseg.recipes.training.model import NetworkModel
    from hyperseg.recipes.training.windowed import Lesson, centred_windows, fit_windows

    lesson = Lesson(
        made.steps, made.batch, chosen.lr, chosen.weight_decay, chosen.average, chosen.noise, made.background,
        parse_loss(chosen.loss),
    )  # fmt: skip
    history = fit_windows(task, network, preprocess, lesson, runtime, name=name)
    centred = centred_windows(task, network, preprocess, runtime, centre=chosen.centre)
    return NetworkModel(
        name, network, network.spec, preprocess, task.n_classes, history, chosen.flips, tell=tell, centred=centred
    )  # fmt: skip


def load(saved: Saved) -> NetworkModel:
    from hyperseg.recipes.training.model import load_network
    from hyperseg.recipes.training.unet import UNetSpec, build

    spec = from_json(UNetSpec, saved.record["spec"])
    return load_network(saved, spec, build(spec, 0))


@settings
class CaseSettings:
    """Of folders: the plan decides everything but the loss."""

    loss: str = loss_option()

    def __post_init__(self) -> None:
        respell_loss(self)


def build_for_cases(configuration: Any, n_classes: int, chosen: CaseSettings) -> Any:
    from hyperseg.medical.networks import build_unet

    return build_unet(configuration, n_classes)


def lesson_on_cases(
    net: Any, plan: Any, configuration: Any, steps: int, chosen: CaseSettings, loss: Any
) -> tuple[Any, Any]:  # fmt: skip
    from hyperseg.recipes.training.nnunet import phase_of

    return [phase_of(net, plan, configuration, steps, loss)], {}


def loss_on_cases(chosen: CaseSettings) -> Any:
    return parse_loss(chosen.loss)


def score_on_cases(networks: Any, n_classes: int, how: Any, mirror: bool, chosen: CaseSettings) -> Any:
    from hyperseg.recipes.segment.sliding import averaged

    return averaged(networks, how, mirror=mirror)


UNET = Method(
    "unet", UnetSettings, fit, load, check, takes=frozenset({"scene", "images", "volumes"}), has_features=False,
    on_cases=OnCases(CaseSettings, build_for_cases, lesson_on_cases, score_on_cases, loss=loss_on_cases),
)  # fmt: skip
