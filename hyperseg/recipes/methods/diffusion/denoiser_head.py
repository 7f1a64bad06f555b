"""Few labels: a denoiser learns the scene without them, and a small head reads the classes from its features."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, Literal

from hyperseg.core import SceneError, SettingError
from hyperseg.core.parts import Method, Saved
from hyperseg.core.runtime import Runtime
from hyperseg.core.settings import from_json, option, settings
from hyperseg.core.task import Task
from hyperseg.recipes.methods.network import check_memory
from hyperseg.recipes.training.settings import check_odd_window, flips_option

if TYPE_CHECKING:
    from hyperseg.data.preprocess import Preprocess
    from hyperseg.recipes.training.model import NetworkModel
    from hyperseg.recipes.training.tapped.network import TappedSpec


MOST_STAGES = 5  # a decision of six would look 127 pixels far


@settings
class DenoiseSettings:
    """How the denoiser learns, without labels."""

    steps: int = option(
        1000, "Steps of the denoiser; 0 leaves it as it was drawn, the control.", low=0, high=10_000_000,
        shown="denoise-steps",
    )  # fmt: skip
    batch: int = option(32, "Windows per step.", low=1, high=65_536)
    lr: float = option(2e-3, "Peak learning rate of a one-cycle schedule (AdamW).", above=0)
    weight_decay: float = option(0.0, "Of AdamW.", low=0)
    average: float = option(0.99, "Decay of the weights' moving average, which is what is kept.", low=0, below=1)
    objective: Literal["x0", "eps", "v"] = option(
        "x0", "What it says: the clean data, whose features hold classes best; the noise; or a mixture."
    )
    schedule: str | None = option(None, "Noise schedule; by default the one that the objective goes with.")


@settings
class ReadSettings:
    """How the head learns from the labels."""

    steps: int = option(300, "Steps of the head.", low=1, high=10_000_000, shown="head-steps")
    batch: int = option(16, "Windows per step.", low=1, high=65_536)
    lr: float = option(3e-3, "Peak learning rate of a one-cycle schedule (AdamW).", above=0)
    weight_decay: float = option(1e-2, "Of AdamW.", low=0)
    ema: float = option(0.98, "Decay of the weights' moving average, which is what predicts.", low=0, below=1)
    hidden: tuple[int, ...] = option(
        (512,), "Widths of its layers; one wide layer does best with few labels.", low=1, high=8_192
    )
    mean: int = option(
        9, "Side of the box, an odd number of pixels, over which features are averaged before the head reads them; 1 "
        "takes each pixel as it is.", low=1, high=129,
    )  # fmt: skip
    times: tuple[float, ...] = option(
        (0.05, 0.15, 0.3), "Times at which it reads features, above 0 (no noise) and at most 1 (all noise); a map is "
        "the mean over them.", above=0, high=1,
    )  # fmt: skip

    def __post_init__(self) -> None:
        if not self.times or not self.hidden:
            raise SettingError("a head reads features at one time or more, through one layer or more.")
        if self.mean % 2 == 0:
            raise SettingError(f"features are averaged over a box of an odd side, got mean={self.mean}.")


@settings
class DenoiserHeadSettings:
    """A head on a frozen denoiser."""

    components: int = option(
        16, "Components of the spectra (minimum noise fractions of the pool) that the denoiser reads.", low=1,
        high=1_024, shown="components",
    )  # fmt: skip
    window: int = option(
        15, "Side of the windows that are learnt, an odd number of pixels.", low=5, high=257, shown="window"
    )
    widths: tuple[int, ...] = option(
        (32, 64),
        "Channels of the denoiser's stages, each of which looks twice as far as the one before.",
        low=4,
        high=8_192,
    )
    denoise: DenoiseSettings = option(DenoiseSettings(), "The denoiser's training.")
    read: ReadSettings = option(ReadSettings(), "The head's training, and when it is asked.")
    flips: bool = flips_option()

    def __post_init__(self) -> None:
        check_odd_window(self.window)
        if not 1 <= len(self.widths) <= MOST_STAGES:
            raise SettingError(
                f"the denoiser has 1 to {MOST_STAGES} stages, one for each of widths, got {self.widths}."
            )


def check(task: Task, chosen: DenoiserHeadSettings) -> None:
    from hyperseg.dpm.training import check_objective
    from hyperseg.recipes.training.tapped.network import build_tapped
    from hyperseg.recipes.training.tapped.unlabelled import objective_of

    check_memory(task)
    if not any(pool.any() for pool in task.looked_at):
        raise SceneError(f"{task.scenes[0].name}: no pixel may be looked at without a label: give another --pool.")
    spec = describe(chosen.components, task.n_classes, chosen)
    objective, schedule = objective_of(chosen.denoise.objective, chosen.denoise.schedule)
    check_objective(objective, spec.denoiser, schedule)
    if late := [time for time in chosen.read.times if not schedule.t_min < time <= schedule.t_max]:
        raise SettingError(
            f"times lie above {schedule.t_min:g} and at most at {schedule.t_max:g} in the schedule {schedule.name!r}, "
            f"got {late[0]:g}."
        )
    build_tapped(spec, 0)


def describe(channels: int, n_classes: int, chosen: DenoiserHeadSettings) -> TappedSpec:
    """What the networks are built from."""
    from hyperseg.recipes.training.tapped.network import tapped_spec
    from hyperseg.recipes.training.tapped.unlabelled import objective_of

    objective, schedule = objective_of(chosen.denoise.objective, chosen.denoise.schedule)
    return tapped_spec(
        channels, n_classes, widths=chosen.widths, hidden=chosen.read.hidden, schedule=schedule.name,
        predicts=objective.predicts, window=chosen.window, times=chosen.read.times, mean=chosen.read.mean,
    )  # fmt: skip


def fit(task: Task, chosen: DenoiserHeadSettings, runtime: Runtime) -> NetworkModel:
    """Denoiser first, without labels, then the head; an interrupted run goes on in whichever it was.

    Source: Kim et al., "DAG", arXiv 2212.08861 (features of a frozen denoiser, one head told the time); Baranchuk et
        al., "Label-Efficient Semantic Segmentation with Diffusion Models", ICLR 2022; Zhou et al., "Diff-HSI", arXiv
        2306.08964 (features of a diffusion model of a hyperspectral scene, as its abstract says).
    Differs: the denoiser works on minimum noise fractions of the same scene, without norms, and says the clean data;
        one head is asked at several times and its answers are averaged, instead of features side by side.
    """
    from functools import partial

    from hyperseg.dpm.tapped.learning import HeadSettings
    from hyperseg.recipes.training.model import NetworkModel
    from hyperseg.recipes.training.tapped.labelled import learn_head
    from hyperseg.recipes.training.tapped.network import build_tapped
    from hyperseg.recipes.training.tapped.telling import tell_tapped
    from hyperseg.recipes.training.tapped.unlabelled import components_of, learn_denoiser

    preprocess: Preprocess = components_of(task, chosen.components)
    net = build_tapped(describe(preprocess.n_out, task.n_classes, chosen), runtime.seed)
    learnt = learn_denoiser(
        task, net, preprocess, chosen.denoise, runtime, name="denoiser", title="denoiser without labels"
    )
    read = chosen.read
    how = HeadSettings(steps=read.steps, batch=read.batch, lr=read.lr, weight_decay=read.weight_decay, ema=read.ema)
    history = learn_head(task, net, preprocess, how, runtime, name="head", title="head on the labels")
    tell = partial(tell_tapped, pool=None if task.pools is None else task.pools[0], learnt=learnt)
    return NetworkModel(
        DENOISER_HEAD.name, net.eval(), net.spec, preprocess, task.n_classes, history, chosen.flips, tell=tell
    )


def load(saved: Saved) -> NetworkModel:
    from hyperseg.recipes.training.model import load_network
    from hyperseg.recipes.training.tapped.network import TappedSpec, build_tapped

    spec = from_json(TappedSpec, saved.record["spec"])
    return load_network(saved, spec, build_tapped(spec, 0))


def beside(chosen: DenoiserHeadSettings) -> tuple[tuple[Method, Any], ...]:
    """The same head on the same network that never learnt to denoise: what the denoiser's training is worth."""
    if not chosen.denoise.steps:
        return ()
    return ((UNTRAINED, replace(chosen, denoise=replace(chosen.denoise, steps=0))),)


DENOISER_HEAD = Method(
    "denoiser-head", DenoiserHeadSettings, fit, load, check, beside=beside, unlabelled=True, has_features=False
)
UNTRAINED = replace(DENOISER_HEAD, step="untrained-head", title="head on an untrained denoiser")
