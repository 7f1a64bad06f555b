"""The feed-forward twin of MedSegDiff: the same network, shown no mask, trained by Dice and cross-entropy."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from hyperseg.core.parts import Method, Saved
from hyperseg.core.runtime import Runtime
from hyperseg.core.sections import Section
from hyperseg.core.settings import from_json, option, settings
from hyperseg.core.task import Task
from hyperseg.core.words import thousands
from hyperseg.data.augment import SpectralNoise
from hyperseg.dpm.masks.settings import FeedForwardSettings, MaskNetworkSettings
from hyperseg.recipes.methods.network import check_memory, prepared
from hyperseg.recipes.training.masks.cases import TWIN_ON_CASES
from hyperseg.recipes.training.settings import (
    NOISE,
    check_odd_window,
    flips_option,
    groups_option,
    planned_window_option,
)

if TYPE_CHECKING:
    from hyperseg.data.preprocess import Preprocess
    from hyperseg.dpm.masks.codes import MaskCode
    from hyperseg.dpm.masks.network import MaskDenoiser, MaskDenoiserSpec
    from hyperseg.recipes.training.model import NetworkModel


@settings
class WindowSettings:
    """What a network learns of a scene; 0 leaves a choice to the plan, which `hyperseg plan SCENE` explains."""

    window: int = planned_window_option()
    groups: int = groups_option()
    width: int = option(32, "Feature maps of every stage; 0 is planned.", low=0, high=8_192)
    stages: int = option(0, "Stages of the network; 0 is planned.", low=0, high=9)
    batch: int = option(0, "Windows per step; 0 is planned.", low=0, high=65_536)
    steps: int = option(0, "Steps of the training; 0 is planned.", low=0, high=10_000_000, shown="steps")
    stem: Literal["pixel", "cube"] = option(
        "pixel", "How spectra are read: pixel by pixel, or by 3-D convolutions along the bands (slower).", shown="stem"
    )
    whiten: bool = option(True, "Within-class whitening; false standardises the bands.")
    noise: SpectralNoise = option(NOISE, "Disturbance of the standardised or whitened spectra.")

    def __post_init__(self) -> None:
        check_odd_window(self.window)


@settings
class TwinSettings:
    """The twin on a scene."""

    windows: WindowSettings = option(WindowSettings(), "What is learnt of a scene.")
    masks: FeedForwardSettings = option(FeedForwardSettings(), "The model.")
    flips: bool = flips_option()


class Design(NamedTuple):
    """What follows from a task and the settings before anything is learnt.

    Attributes:
        made: the plan.
        preprocess: raw spectra -> what the network reads.
        noise: disturbance of these.
        code: of the masks.
        spec: of the network.
    """

    made: Any
    preprocess: Preprocess
    noise: SpectralNoise
    code: MaskCode
    spec: MaskDenoiserSpec


def design(task: Task, chosen: WindowSettings, network: MaskNetworkSettings) -> Design:
    """Plan the windows, the preprocessing and the network, as those of the planned U-Net."""
    from hyperseg.dpm.masks.codes import MaskCode
    from hyperseg.dpm.masks.network import mask_denoiser_spec
    from hyperseg.hsi.plan import SMALLEST, Given
    from hyperseg.recipes.training.planned import planned

    usual = ("width",) if chosen.width == WindowSettings().width else ()
    given = Given(chosen.window, chosen.groups, chosen.width, chosen.stages, chosen.batch, chosen.steps, usual)
    made = planned(task, given)
    if not chosen.window and max(made.tile) < SMALLEST:  # of a scene of a few rows, beyond which windows are reflected
        made = planned(task, replace(given, window=SMALLEST, usual=(*usual, "window")))
    preprocess = prepared(task, whiten=chosen.whiten, averaged=made.groups)
    code = MaskCode(task.n_classes, network.codes)
    spec = mask_denoiser_spec(
        made.body, channels=code.channels, size=made.tile, image_channels=preprocess.n_out, chosen=network,
        stem=chosen.stem,
    )  # fmt: skip
    return Design(made, preprocess, chosen.noise, code, spec)


def build(spec: MaskDenoiserSpec, seed: int) -> MaskDenoiser:
    """The network with weights drawn from `seed`."""
    from hyperseg.backbone import seeded
    from hyperseg.dpm.masks.network import MaskDenoiser

    with seeded(seed):
        return MaskDenoiser(spec)


def told(made: Design, net: Any, *more: str) -> Section:
    """What the report shows of the network."""
    weights = sum(weight.numel() for weight in net.parameters())
    said = (f"A network with two encoders, of image and mask: {thousands(weights)} weights.", *more)
    return Section("The masks", (*said, *made.made.sentences), numbers={"plan": made.made.numbers, "weights": weights})


def check(task: Task, chosen: TwinSettings) -> None:
    check_memory(task)
    build(design(task, chosen.windows, chosen.masks.network).spec, 0)


def fit(task: Task, chosen: TwinSettings, runtime: Runtime) -> NetworkModel:
    from hyperseg.dpm.masks.learning import twin_loss
    from hyperseg.recipes.training.masks.scene import MOST_NOISE, FeedForward, fit_windows
    from hyperseg.recipes.training.model import NetworkModel

    made = design(task, chosen.windows, chosen.masks.network)
    net = build(made.spec, runtime.seed)
    network = FeedForward(net, task.n_classes)
    loss = twin_loss(net, made.code, MOST_NOISE, batch_dice=True, first=0)
    history = fit_windows(task, network, made, loss, chosen.masks.train, runtime, name=FEED_FORWARD.name)
    section = told(made, net, "It is shown no mask, and answers once.")
    return NetworkModel(
        FEED_FORWARD.name, network, made.spec, made.preprocess, task.n_classes, history, chosen.flips,
        tell=lambda *_: section,
    )  # fmt: skip


def load(saved: Saved) -> NetworkModel:
    from hyperseg.dpm.masks.network import MaskDenoiserSpec
    from hyperseg.recipes.training.masks.scene import FeedForward
    from hyperseg.recipes.training.model import load_network

    spec = from_json(MaskDenoiserSpec, saved.record["spec"])
    return load_network(saved, spec, FeedForward(build(spec, 0), int(saved.record["n_classes"])))


FEED_FORWARD = Method(
    "feed-forward", TwinSettings, fit, load, check, takes=frozenset({"scene", "images", "volumes"}),
    title="feed-forward twin", has_features=False, on_cases=TWIN_ON_CASES,
)  # fmt: skip
