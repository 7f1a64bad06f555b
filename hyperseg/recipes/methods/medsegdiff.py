"""MedSegDiff: masks drawn by a diffusion model that sees the image; of scenes, and of folders of images and volumes."""

from __future__ import annotations

from typing import Any

from hyperseg.core.parts import Method, Model, Saved
from hyperseg.core.runtime import Runtime
from hyperseg.core.settings import option, settings
from hyperseg.core.task import Task
from hyperseg.dpm.masks.settings import MedSegDiffSettings
from hyperseg.recipes.training.masks.cases import ON_CASES


@settings
class SceneSettings:
    """A diffusion model over the classes of a scene's pixels."""

    masks: MedSegDiffSettings = option(MedSegDiffSettings(), "The model.")


def check(task: Task, chosen: SceneSettings) -> None:
    raise NotImplementedError


def fit(task: Task, chosen: SceneSettings, runtime: Runtime) -> Model:
    raise NotImplementedError


def load(saved: Saved) -> Model:
    raise NotImplementedError


def beside(chosen: SceneSettings) -> tuple[tuple[Method, Any], ...]:
    return ()


MEDSEGDIFF = Method(
    "medsegdiff", SceneSettings, fit, load, check, takes=frozenset({"scene", "images", "volumes"}), beside=beside,
    has_features=False, on_cases=ON_CASES,
)  # fmt: skip
