"""`classical_method`: how a classifier of spectra becomes a method."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from hyperseg.core import Scene, SegmentationMap, Split
from hyperseg.core.parts import Method, Saved, prefixed
from hyperseg.core.runtime import Runtime
from hyperseg.core.sections import Section
from hyperseg.core.settings import settings
from hyperseg.core.task import Task
from hyperseg.data.preprocess import Preprocess
from hyperseg.hsi.classical import Fit, SpectralClassifier, fit_spectral, predict_map, refit
from hyperseg.recipes.methods.network import standardised


@settings
class NoSettings:
    """Nothing to choose: what there is, is chosen on the training pixels."""


@dataclass(frozen=True)
class ClassicalModel:
    """A fitted classifier of spectra that maps scenes; see `hyperseg.core.parts.Model`.

    Attributes:
        name: first link of the chain of its maps.
        classifier: the classifier, with its preprocessing and what it was fitted on: it is kept by refitting.
        seed: it was fitted with.
    """

    name: str
    classifier: SpectralClassifier
    seed: int
    history: None = None

    @property
    def n_classes(self) -> int:
        return self.classifier.n_classes

    @property
    def margin_px(self) -> int:
        return self.classifier.window // 2

    @property
    def preprocess(self) -> Preprocess:
        assert self.classifier.preprocess is not None
        return self.classifier.preprocess

    def map(self, scene: Scene, runtime: Runtime) -> SegmentationMap:
        from hyperseg.engine.progress import scene_progress

        height, width = scene.shape
        with scene_progress(runtime.label(self.name), height * width, quiet=runtime.quiet) as progress:
            probs = predict_map(
                self.classifier, scene.cube, valid=scene.valid,
                on_rows=lambda done, _: progress(done * width, height * width),
            )  # fmt: skip
        return SegmentationMap(probs, scene.classes, scene.colours, scene.grid, (self.name,), scene.valid, scene.codes)

    def features(self, scene: Scene, runtime: Runtime) -> None:
        return None

    def saved(self) -> Saved:
        assert self.classifier.training is not None
        features, labels = self.classifier.training
        record = {
            "name": self.name, "window": self.classifier.window, "seed": self.seed, "n_classes": self.n_classes,
            "chosen": self.classifier.settings,
        }  # fmt: skip
        arrays = {"features": features, "labels": labels} | prefixed("preprocess", self.preprocess.to_arrays())
        return Saved(record, arrays)

    def section(self, scene: Scene, split: Split, runtime: Runtime) -> Section | None:
        return None


def classical_method(
    name: str, fit: Fit, *, window: int = 1, check: Callable[[Task, Any], None] | None = None, **more: Any
) -> Method:
    """A method that classifies preprocessed spectra, averaged over squares of `window` pixels.

    Args:
        name: as in the table.
        fit: one of the `fit_` functions of `hyperseg.hsi.classical`.
        window: see there.
        check: what else would stop it; that no band is left to look at is checked for all.
        more: further fields of `Method`.
    """

    def checked(task: Task, settings: NoSettings) -> None:
        standardised(task)
        if check is not None:
            check(task, settings)

    def fitted(task: Task, settings: NoSettings, runtime: Runtime) -> ClassicalModel:
        model = fit_spectral(task.scene, task.split, fit, window=window, seed=runtime.seed)
        return ClassicalModel(name, model, runtime.seed)

    def load(saved: Saved) -> ClassicalModel:
        record, seed = saved.record, int(saved.record["seed"])
        model = refit(
            saved.arrays["features"], saved.arrays["labels"], fit, seed=seed, n_classes=int(record["n_classes"]),
            window=int(record["window"]), preprocess=Preprocess.from_arrays(saved.within("preprocess")),
        )  # fmt: skip
        return ClassicalModel(record["name"], model, seed)

    return Method(name, NoSettings, fitted, load, checked, has_features=False, **more)
