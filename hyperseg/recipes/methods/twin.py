"""Few labels: the discriminator of the method "gan" trained on the labels alone, as its supervised twin."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from hyperseg.core.parts import Method, Saved
from hyperseg.core.settings import from_json, option, settings
from hyperseg.core.task import Task
from hyperseg.data.augment import SpectralNoise
from hyperseg.gan.settings import FakeLogit, Norm, Variant
from hyperseg.recipes.methods.network import check_memory, whitened
from hyperseg.recipes.training.settings import NOISE, flips_option

if TYPE_CHECKING:
    from hyperseg.core.runtime import Runtime
    from hyperseg.gan.networks import GanSpec
    from hyperseg.recipes.training.model import NetworkModel


@settings
class DiscriminatorSettings:
    """What a discriminator is and how it is trained on labels; see `hyperseg.gan.networks.GanSpec`."""

    variant: Variant = option(
        "ss", "Kernels: spectral-spatial (ss), spectral (spc), spatial (spa), plain 3-D (conv).", shown="variant"
    )
    maps: int = option(4, "Feature maps of the convolutions that keep a band axis.", low=1, high=4_096)
    width: int = option(64, "Feature maps once the bands are collapsed.", low=1, high=8_192)
    window: int = option(
        9, "Side of the window a decision looks at, odd, 5 pixels or more; features are averaged over what the "
        "convolutions leave of it.", low=5, high=129, shown="window",
    )  # fmt: skip
    fake_logit: FakeLogit = option("explicit", 'Score of "generated": learnt, or fixed to 0 (implicit).')
    norm: Norm = option("batch", "Normalisation of the discriminator.")
    spectral_norm: bool = option(False, "Bound the weights by their largest singular value.")
    dropout: float = option(0.3, "Of the features, in training only.", low=0, below=1)
    epochs: int = option(
        10, "Passes over the training pixels; given, there may be fewer steps than min_steps.", low=1, high=1_000_000,
        shown="epochs", also=lambda n: {"min_steps": 1},
    )  # fmt: skip
    min_steps: int = option(300, "Trained at least this many steps, however few the labels.", low=1, high=10_000_000)
    batch: int = option(32, "Labelled patches per step; batch norm needs two.", low=2, high=65_536)
    lr: float = option(1e-3, "Peak learning rate of a one-cycle schedule (AdamW).", above=0)
    weight_decay: float = option(1e-2, "Of AdamW.", low=0)
    average: float = option(0.98, "Decay of the weights' moving average, which is what predicts.", low=0, below=1)
    whiten: bool = option(True, "Within-class whitening; false standardises the bands.")
    noise: SpectralNoise = option(NOISE, "Disturbance of every patch before the discriminator, real or generated.")
    balanced: bool = option(True, "Draw labelled classes with equal probability.")
    flips: bool = flips_option()


def describe(n_features: int, n_classes: int, of: DiscriminatorSettings, *, conditional: bool = False) -> GanSpec:
    """What the networks are built from.

    Raises:
        SettingError: sizes that cannot be, or too few bands for the variant.
    """
    from hyperseg.gan.networks import GanSpec

    shared = ("variant", "maps", "width", "window", "fake_logit", "norm", "spectral_norm", "dropout")
    shape: dict[str, Any] = {name: getattr(of, name) for name in shared}
    return GanSpec(n_features=n_features, n_classes=n_classes, conditional=conditional, **shape)


def check(task: Task, settings: DiscriminatorSettings) -> None:
    check_memory(task)
    describe(whitened(task, settings).n_out, task.n_classes, settings)


def fit(task: Task, settings: DiscriminatorSettings, runtime: Runtime) -> NetworkModel:
    from hyperseg.recipes.training.gan import train_gan

    return train_gan(task, settings, runtime, name=TWIN.name, title=TWIN.title)


def load(saved: Saved) -> NetworkModel:
    from hyperseg.gan.networks import GanSpec, build_discriminator, build_generator
    from hyperseg.recipes.training.model import load_network

    spec = from_json(GanSpec, saved.record["spec"])
    beside = {"generator": build_generator(spec, seed=0)} if saved.within("generator") else {}
    return load_network(saved, spec, build_discriminator(spec, seed=0), beside=beside)


TWIN = Method("twin", DiscriminatorSettings, fit, load, check, title="supervised twin")
