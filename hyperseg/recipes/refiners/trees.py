"""Segmentation trees: regions from the spectra of all pixels, cut where the map says, in which it is averaged."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from hyperseg.core import Scene, SegmentationMap, Split
from hyperseg.core.parts import Context, Model, Refiner, Saved, prefixed
from hyperseg.core.sections import Section
from hyperseg.core.settings import from_json, option, settings, to_json
from hyperseg.core.task import Task
from hyperseg.core.words import percent
from hyperseg.recipes.refiners.tuned import tuned_numbers, with_changes
from hyperseg.regions.settings import Cut, Growth

if TYPE_CHECKING:
    from hyperseg.core.runtime import Runtime
    from hyperseg.data.preprocess import Preprocess
    from hyperseg.regions.scene import Regions

HALO_PX = 64  # regions go on beyond a window; a halo of a few fields settles most of them


@settings
class TreesSettings:
    """How trees are grown and cut; the defaults were chosen on parcels of Indian Pines."""

    growth: Growth = option(Growth(), "How trees are grown.")
    cut: Cut = option(Cut(), "The usual cut.")
    doubt: float = option(
        3.0,
        "Maps are left alone only where validation pixels say so by more than this many standard errors over classes: "
        "they come from few fields, and with 1 they misled (docs/benchmarks.md).",
        low=0,
    )


@dataclass(frozen=True)
class FittedTrees:
    """Segmentation trees ready for maps of scenes; see `hyperseg.core.parts.Fitted`.

    Attributes:
        chosen: where trees are cut, or None for "leave maps alone".
        growth: how they are grown.
        mnf: raw spectra -> MNF components of the run's scene, with their (P,) `ratios`; None where the scene was too
            small to tell noise from signal.
        numbers: for metrics.json; empty for one taken up again.
        tried: the map it was fitted to, and what the usual cut makes of it; () where it was not tried.
    """

    chosen: Cut | None
    growth: Growth
    mnf: Preprocess | None
    ratios: NDArray[np.float64]
    numbers: dict[str, Any] = field(default_factory=dict)
    tried: tuple[SegmentationMap, ...] = field(default=(), repr=False, compare=False)
    name: str = "trees"
    reach_px: int = HALO_PX
    margin_px: int = 0
    exact: bool = False

    @property
    def changes_nothing(self) -> bool:
        return self.chosen is None or self.mnf is None

    def window_px(self, before: int) -> int:
        return before

    def apply(self, map: SegmentationMap, scene: Scene, runtime: Runtime) -> SegmentationMap:
        if self.chosen is None or self.mnf is None:
            return map
        if self.tried and map is self.tried[0]:
            return self.tried[1]
        return map.refined(self.regions(scene).pooled(map.probs, self.chosen), self.name)

    def regions(self, scene: Scene) -> Regions:
        """The trees of a scene; they are kept, as long as it is the same scene."""
        from hyperseg.regions.scene import regions_of

        assert self.mnf is not None
        return regions_of(scene, self.mnf, self.ratios, self.growth)

    def joined(self, map: SegmentationMap, scene: Scene, train: NDArray[np.bool_]) -> NDArray[np.floating] | None:
        if self.chosen is None or self.mnf is None:
            return None
        return self.regions(scene).joined(map.probs, self.chosen, train)

    def saved(self) -> Saved:
        record = {"chosen": None if self.chosen is None else to_json(self.chosen), "growth": to_json(self.growth)}
        arrays = {} if self.mnf is None else prefixed("mnf", self.mnf.to_arrays())
        return Saved(record, arrays | {"ratios": self.ratios})

    def section(self, before: SegmentationMap, after: SegmentationMap, scene: Scene, split: Split) -> Section:
        from hyperseg.crf.section import refiner_section

        numbers = with_changes(self.numbers, before, after, scene, split)
        said = ["The regions come from the spectra of all pixels of the scene, without labels (transductive)."]
        shared = self.joined(before, scene, split.train)
        if shared is not None and split.test.any():
            numbers["leak_by_region"] = 100 * float(shared[split.test].mean())
            said.append(
                f"{percent(numbers['leak_by_region'])} of the test pixels share a region with a training pixel, on "
                "average over the trees: these were told its class."
            )
        elif self.mnf is None:
            said = ["The scene has too few neighbouring pixels to tell noise from signal: no regions were built."]
        return refiner_section(numbers, title=TREES.title, sentences=said)


def fit(map: SegmentationMap, task: Task, settings: TreesSettings, context: Context) -> FittedTrees:
    """Components from the scene's spectra; the usual cut, unless validation pixels speak against it beyond doubt."""
    from hyperseg.crf.tune import Tuned, choose
    from hyperseg.regions.scene import mnf_of

    scene, split = task.scene, task.split
    assert scene.labels is not None
    found = mnf_of(scene, max(settings.growth.components))
    if found is None:
        return FittedTrees(None, settings.growth, None, np.empty(0), tuned_numbers(TREES.name, Tuned(None, (), 0)))
    usual = FittedTrees(settings.cut, settings.growth, *found)
    tuned: Tuned[Cut] = Tuned(settings.cut, (), 0)
    tried: tuple[SegmentationMap, ...] = ()
    if split.val.any():
        tried = map, usual.apply(map, scene, context.runtime)
        tuned = choose(
            map, [(settings.cut, tried[1])], scene.labels, split.val, usual=settings.cut, errors=settings.doubt
        )
    return replace(
        usual,
        chosen=tuned.settings,
        numbers=tuned_numbers(TREES.name, tuned) | {"usual": True, "errors": settings.doubt},
        tried=() if tuned.settings is None else tried,
    )


def load(saved: Saved, model: Model) -> FittedTrees:
    from hyperseg.data.preprocess import Preprocess

    record, arrays = saved.record, saved.within("mnf")
    chosen = None if record["chosen"] is None else from_json(Cut, record["chosen"])
    mnf = Preprocess.from_arrays(arrays) if arrays else None
    return FittedTrees(chosen, from_json(Growth, record["growth"]), mnf, saved.arrays["ratios"])


TREES = Refiner("trees", TreesSettings, fit, load, title="The segmentation trees")
