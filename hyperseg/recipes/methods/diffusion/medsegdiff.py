"""MedSegDiff: masks drawn by a diffusion model that sees the image; of scenes, and of folders of images and volumes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from hyperseg.core.parts import Method, Saved
from hyperseg.core.runtime import Runtime
from hyperseg.core.settings import option, settings
from hyperseg.core.task import Task
from hyperseg.dpm.masks.settings import DrawSettings, FeedForwardSettings, MedSegDiffSettings
from hyperseg.recipes.methods.diffusion.feed_forward import (
    FEED_FORWARD,
    TwinSettings,
    WindowSettings,
    build,
    design,
    told,
)
from hyperseg.recipes.methods.network import check_memory
from hyperseg.recipes.training.masks.cases import ON_CASES

if TYPE_CHECKING:
    from hyperseg.recipes.training.masks.scene import MaskSceneModel

DRAWN = DrawSettings(samples=4, calls=5)  # more masks of a scene say the same


@settings
class SceneSettings:
    """A diffusion model over the classes of a scene's pixels."""

    windows: WindowSettings = option(WindowSettings(), "What is learnt of a scene.")
    hide: float = option(
        0.9, "Share of a window's pixels, in a region, whose labels the network is asked for and sees nothing of: when "
        "a scene is mapped no label is known.", low=0, below=1,
    )  # fmt: skip
    masks: MedSegDiffSettings = option(MedSegDiffSettings(draw=DRAWN), "The model.")


def check(task: Task, chosen: SceneSettings) -> None:
    from hyperseg.dpm.masks.sampling import check_draw
    from hyperseg.dpm.schedules import SCHEDULES

    check_memory(task)
    check_draw(chosen.masks.draw, SCHEDULES[chosen.masks.schedule])
    build(design(task, chosen.windows, chosen.masks.network).spec, 0)


def fit(task: Task, chosen: SceneSettings, runtime: Runtime) -> MaskSceneModel:
    from hyperseg.dpm.masks.learning import diffusion_loss
    from hyperseg.dpm.schedules import SCHEDULES
    from hyperseg.recipes.training.masks.scene import MaskSceneModel, fit_windows

    masks = chosen.masks
    made = design(task, chosen.windows, masks.network)
    net = build(made.spec, runtime.seed)
    schedule = SCHEDULES[masks.schedule]
    loss = diffusion_loss(
        net, made.code, schedule, masks.says, batch_dice=True, first=0, hide=chosen.hide, pure=masks.pure
    )
    history = fit_windows(task, net, made, loss, masks.train, runtime, name=MEDSEGDIFF.name)
    how = masks.draw
    section = told(made, net, f"{how.samples} masks are drawn with {how.calls} network calls each ({how.sampler}).")
    return MaskSceneModel(MEDSEGDIFF.name, net, made.preprocess, task.n_classes, masks, runtime.seed, history, section)


def load(saved: Saved) -> MaskSceneModel:
    from hyperseg.recipes.training.masks.scene import load_masks

    return load_masks(saved)


def beside(chosen: SceneSettings) -> tuple[tuple[Method, Any], ...]:
    """The feed-forward twin: the same network, on the same windows for as many steps."""
    twin = FeedForwardSettings(network=chosen.masks.network, train=chosen.masks.train)
    return ((FEED_FORWARD, TwinSettings(windows=chosen.windows, masks=twin)),)


MEDSEGDIFF = Method(
    "medsegdiff", SceneSettings, fit, load, check, takes=frozenset({"scene", "images", "volumes"}), beside=beside,
    has_features=False, disagrees=True, on_cases=ON_CASES,
)  # fmt: skip
