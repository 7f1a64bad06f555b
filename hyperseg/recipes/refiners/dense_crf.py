"""The dense CRF: guide from training pixels, settings from validation pixels."""

from __future__ import annotations

from dataclasses import dataclass
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

from hyperseg.core import Scene, SegmentationMap, SettingError, Split
from hyperseg.core.parts import Context, Method, Model, Refiner, Saved, prefixed
from hyperseg.core.sections import Section
from hyperseg.core.settings import from_json, option, settings, to_json
from hyperseg.core.task import Task
from hyperseg.crf.settings import DenseCRF
from hyperseg.recipes.refiners.tuned import tuned_numbers, with_changes

if TYPE_CHECKING:
    from hyperseg.core.runtime import Runtime
    from hyperseg.data.preprocess import Preprocess
    from hyperseg.filters.kernels import GuideRange

REACH_PX = 64  # a fully connected model has no reach; what lies further away hardly counts


@settings
class DenseCrfSettings:
    """What is not chosen on validation pixels."""

    engine: Literal["lattice", "pydensecrf"] = option(
        "lattice", "What computes the dense CRF: our lattice, or the package pydensecrf.", shown="crf-engine"
    )


@dataclass(frozen=True)
class FittedDenseCrf:
    """A fitted dense CRF; see `hyperseg.core.parts.Fitted`.

    Attributes:
        chosen: its settings, or None for "leave maps alone".
        guide: raw spectra -> the guide's components; `limits`: their range in the scene of the run.
        engine: what computes it.
        numbers: for metrics.json; empty for one taken up again.
    """

    chosen: DenseCRF | None
    guide: Preprocess
    limits: GuideRange
    engine: Literal["lattice", "pydensecrf"]
    numbers: dict[str, Any]
    name: str = "dense-crf"
    reach_px: int = REACH_PX
    margin_px: int = 0
    exact: bool = False

    @property
    def changes_nothing(self) -> bool:
        return self.chosen is None

    def window_px(self, before: int) -> int:
        return before

    def apply(self, map: SegmentationMap, scene: Scene, runtime: Runtime) -> SegmentationMap:
        from hyperseg.crf.dense import refine
        from hyperseg.filters.kernels import guide_from_components

        if self.chosen is None:
            return map
        values = scene.features(self.guide)
        guide = guide_from_components(values, valid=scene.valid, limits=self.limits)
        return refine(map, guide, self.chosen, engine=self.engine, device=runtime.device, by=self.name)

    def joined(self, map: SegmentationMap, scene: Scene, train: NDArray[np.bool_]) -> None:
        return None

    def saved(self) -> Saved:
        chosen = None if self.chosen is None else to_json(self.chosen)
        record = {"chosen": chosen, "engine": self.engine, "limits": to_json(self.limits)}
        return Saved(record, prefixed("guide", self.guide.to_arrays()))

    def section(self, before: SegmentationMap, after: SegmentationMap, scene: Scene, split: Split) -> Section:
        from hyperseg.crf.section import refiner_section

        numbers = with_changes(self.numbers, before, after, scene, split)
        return refiner_section(numbers, title=DENSE_CRF.title)


def fit(map: SegmentationMap, task: Task, settings: DenseCrfSettings, context: Context) -> FittedDenseCrf:
    """Choose the settings on validation pixels; without any, maps are left alone.

    The guide are the first three principal components, fitted on training spectra.
    """
    from hyperseg.crf.tune import Tuned, tune
    from hyperseg.data.preprocess import gather_spectra, principal_components
    from hyperseg.filters.kernels import guide_from_components, guide_range

    scene, split = task.scene, task.split
    assert scene.labels is not None
    components = principal_components(gather_spectra(scene, split.train), good_bands=scene.good_bands)
    values = scene.features(components)
    limits = guide_range(values, valid=scene.valid)
    tuned: Tuned[DenseCRF] = Tuned(None, (), 0)
    if split.val.any():
        guide = guide_from_components(values, valid=scene.valid, limits=limits)
        tuned = tune(map, guide, scene.labels, split.val, engine=settings.engine, device=context.runtime.device)
    numbers = tuned_numbers(DENSE_CRF.name, tuned) | {"engine": settings.engine}
    return FittedDenseCrf(tuned.settings, components, limits, settings.engine, numbers)


def load(saved: Saved, model: Model) -> FittedDenseCrf:
    from hyperseg.data.preprocess import Preprocess

    record, guide = saved.record, Preprocess.from_arrays(saved.within("guide"))
    chosen = None if record["chosen"] is None else from_json(DenseCRF, record["chosen"])
    return FittedDenseCrf(chosen, guide, record["limits"], record["engine"], {})


def check(task: Task, settings: DenseCrfSettings, method: Method, chosen: Any, place: int) -> None:
    if settings.engine == "pydensecrf" and find_spec("pydensecrf") is None:
        raise SettingError(
            "--crf-engine pydensecrf is not installed: pip install 'hyperseg[crf]' (a C++ compiler is needed), or "
            "use lattice, which gives the same map and needs nothing."
        )


DENSE_CRF = Refiner("dense-crf", DenseCrfSettings, fit, load, check, title="The dense CRF")
