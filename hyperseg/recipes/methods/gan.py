"""A semi-supervised GAN: the discriminator also learns from unlabelled pixels and from a generator's cubes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from hyperseg.core import SettingError
from hyperseg.core.parts import Method
from hyperseg.core.settings import option, settings
from hyperseg.core.task import Task
from hyperseg.gan.settings import Weights
from hyperseg.recipes.methods.network import check_memory, whitened
from hyperseg.recipes.methods.twin import TWIN, DiscriminatorSettings, describe, load
from hyperseg.recipes.refiners import REFINERS
from hyperseg.recipes.refiners.dense_crf import DENSE_CRF

if TYPE_CHECKING:
    from hyperseg.core.runtime import Runtime
    from hyperseg.recipes.training.model import NetworkModel


def told(conditional: bool) -> dict[str, Any]:
    """What goes with a generator that is told the class to make: it learns faster, and its cubes are trained on.

    At the default rate the generator stays near the scene's mean spectrum, which is enough to compete with; cubes
    that stand for a class have to look like it.
    """
    if conditional:
        return {"generator_lr": 2e-3, "weights.augment": 1.0}
    return {"generator_lr": 3e-4, "weights.augment": 0.0}


@settings
class GanSettings:
    """How a GAN is trained."""

    discriminator: DiscriminatorSettings = option(DiscriminatorSettings(), "The network that maps the scene.")
    conditional: bool = option(
        False, "Tell the generator the class to make, and train on what it makes.", shown="conditional",
        off="unconditional", also=told,
    )  # fmt: skip
    weights: Weights = option(Weights(), "Weights of the terms of the objective.")
    pool_batch: int = option(16, "Unlabelled patches, and generated ones, per step.", low=2, high=65_536)
    generator_lr: float = option(3e-4, "Learning rate of the generator (Adam, beta1 0.5).", above=0)

    def __post_init__(self) -> None:
        if self.weights.augment and not self.conditional:
            raise SettingError(
                "generated cubes can serve as labelled ones only where the generator was told their class: "
                "conditional=True, or weights with augment=0."
            )
        if self.weights.told != Weights().told and not self.conditional:
            raise SettingError("weights.told counts only where the generator is told a class: conditional=True.")


def check(task: Task, settings: GanSettings) -> None:
    check_memory(task)
    n_features = whitened(task, settings.discriminator).n_out
    describe(n_features, task.n_classes, settings.discriminator, conditional=settings.conditional)


def fit(task: Task, settings: GanSettings, runtime: Runtime) -> NetworkModel:
    from hyperseg.recipes.training.gan import train_gan

    return train_gan(task, settings.discriminator, runtime, name=GAN.name, game=settings)


def beside(settings: GanSettings) -> tuple[tuple[Method, Any], ...]:
    """The supervised twin: the same discriminator, trained on the labels alone."""
    return ((TWIN, settings.discriminator),)


def controls(refiners: tuple[str, ...]) -> tuple[tuple[str, tuple[str, ...]], ...]:
    """The first refiner on the twin too, where it trains nothing."""
    return ((TWIN.step_name, refiners[:1]),) if refiners[:1] in ((REFINERS.default,), (DENSE_CRF.name,)) else ()


GAN = Method(
    "gan", GanSettings, fit, load, check, beside=beside, controls=controls, unlabelled=True,
)  # fmt: skip
