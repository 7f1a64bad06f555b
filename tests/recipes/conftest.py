"""Small runs: a toy scene, few steps, and pictures only where a test looks at them."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from hyperseg.core import Scene
from hyperseg.recipes.run import outputs
from hyperseg.recipes.run.classify import ClassifySettings, classify
from hyperseg.recipes.training.network import TrainSettings
from hyperseg.simulated.scenes import toy_scene

Quick = Callable[..., ClassifySettings]
Run = Callable[..., Path]


@pytest.fixture(scope="session")
def toy() -> Scene:
    """24 x 21 pixels, 16 bands, 3 classes."""
    return toy_scene(shape=(24, 21), n_bands=16)


@pytest.fixture(scope="session")
def quick() -> Quick:
    """Settings of a run of a second; options override."""

    def settings(*, steps: int = 4, **options: Any) -> ClassifySettings:
        usual: dict[str, Any] = {"split": "random_per_class:8", "baselines": (), "refine": (), "repeats": 1}
        return ClassifySettings(
            **{**usual, **options}, train=TrainSettings(epochs=1, min_steps=steps, batch=16)
        )

    return settings


def without_pictures(patch: pytest.MonkeyPatch) -> None:
    """Drawing takes longer than these runs."""
    from matplotlib.image import imsave

    png = io.BytesIO()
    imsave(png, [[0.0, 1.0]], format="png")
    patch.setattr(outputs, "draw_figures", lambda *a, **k: {"map": png.getvalue()})


@pytest.fixture(scope="session")
def run() -> Run:
    """Classify quietly and without pictures; the run folder."""

    def run(scene: Scene, settings: ClassifySettings, out: Path | None, **options: Any) -> Path:
        with pytest.MonkeyPatch.context() as patch:
            without_pictures(patch)
            return classify(scene, settings, out=out, quiet=True, device="cpu", **options)[0].root

    return run
