"""The sieve, a minimum mapping unit: pieces of a map that are too small get the class around them."""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from hyperseg.core import Scene, SceneError, SegmentationMap, SettingError, Split
from hyperseg.core.parts import Context, Method, Model, Refiner, Saved
from hyperseg.core.sections import Section
from hyperseg.core.settings import from_json, option, settings, to_json
from hyperseg.core.task import Task
from hyperseg.core.words import counted, percent
from hyperseg.recipes.refiners.tuned import with_changes

if TYPE_CHECKING:
    from hyperseg.core.runtime import Runtime

HECTARE_M2 = 1e4
PIXELS = 10


@settings
class SieveSettings:
    """What is too small."""

    pixels: int = option(PIXELS, "Pieces of fewer pixels get the class around them.", low=2)
    hectares: float = option(0.0, "Pieces of less ground do, where pixels have a size; 0 is by pixels.", low=0)

    def __post_init__(self) -> None:
        check_one_limit(self)

    @property
    def told(self) -> str:
        """The limit in words."""
        return f"{self.hectares:g} hectares" if self.hectares else counted(self.pixels, "pixel")


def check_one_limit(chosen: Any) -> None:
    """Raise (SettingError) where both are given, of which one alone counts; `chosen` has `pixels` and `hectares`."""
    if chosen.hectares and chosen.pixels != PIXELS:
        raise SettingError(f"hectares={chosen.hectares:g} and pixels={chosen.pixels} are two limits: give one of them.")


@dataclass(frozen=True)
class FittedSieve:
    """A limit, ready for maps of scenes; see `hyperseg.core.parts.Fitted`.

    Attributes:
        chosen: the limit; hectares are measured in each scene that is mapped.
        reach_px: the limit in pixels of the run's scene: a smaller piece fits in so many, so that a window tells
            whether a piece of its core is small. What a small piece touches may go on beyond the window, and crowds of
            small pieces always may: there windows can differ from the whole scene.
    """

    chosen: SieveSettings
    reach_px: int
    name: str = "sieve"
    margin_px: int = 0
    exact: bool = False
    changes_nothing: bool = False

    def window_px(self, before: int) -> int:
        return before  # as of regions: what is changed was decided by those who have the ground around it

    def apply(self, map: SegmentationMap, scene: Scene, runtime: Runtime) -> SegmentationMap:
        from hyperseg.regions.sieve import exchanged, sieved

        before = map.labels()
        if self.chosen.hectares:
            area = pixel_m2(scene).reshape(-1, *(1,) * (before.ndim - 1))
            after = sieved(before, self.chosen.hectares * HECTARE_M2, area)
        else:
            after = sieved(before, self.chosen.pixels)
        return map.refined(exchanged(map.probs, before, after), self.name)

    def joined(self, map: SegmentationMap, scene: Scene, train: NDArray[np.bool_]) -> None:
        return None

    def saved(self) -> Saved:
        return Saved({"settings": to_json(self.chosen), "reach_px": self.reach_px})

    def section(self, before: SegmentationMap, after: SegmentationMap, scene: Scene, split: Split) -> Section:
        from hyperseg.crf.section import changes_table

        old, new = before.labels(), after.labels()
        changed, mapped = int((old != new).sum()), int((old >= 0).sum())
        numbers: dict[str, Any] = {"name": self.name, "settings": to_json(self.chosen), "changed_pixels": changed}
        numbers = with_changes(numbers, before, after, scene, split)
        told = any(change["changed"] for change in numbers["changes"])
        said = [
            f"Pieces of less than {self.chosen.told} got the class that they share most sides with: "
            f"{counted(changed, 'pixel')} changed, {percent(100 * changed / max(mapped, 1))} of the map.",
            "The limit is what a reader of the map wants, no measure of what is right: what is truly smaller is lost.",
        ]
        if not told:
            said.append("It changed the class of no test pixel.")
        return Section(SIEVE.title, tuple(said), tables=(changes_table(numbers["changes"]),) * told, numbers=numbers)


def fit(map: SegmentationMap, task: Task, settings: SieveSettings, context: Context) -> FittedSieve:
    """Nothing is learnt; see `hyperseg.regions.sieve.sieved`."""
    return FittedSieve(settings, limit_px(task.scene, settings))


def pixel_m2(scene: Scene) -> NDArray[np.float64]:
    """Area of the pixels of every row, also of a window's.

    Raises:
        SceneError: the scene does not tell.
    """
    from hyperseg.io.pixel_area import pixel_areas

    first = scene.origin[0] if scene.origin else 0
    found = pixel_areas(scene.grid, (first + scene.shape[0], *scene.shape[1:]))
    if found is None:
        raise SceneError(f"{scene.name}: has no coordinate system that tells how large a pixel is.")
    return found[first:]


def limit_px(scene: Scene, chosen: SieveSettings) -> int:
    """The limit in pixels, of the smallest ones where they differ.

    Raises:
        SettingError: it is larger than the scene, or in hectares where nobody knows the size of a pixel.
    """
    most, limit = int(np.prod(scene.shape)), chosen.pixels
    if chosen.hectares:
        try:
            smallest = float(pixel_m2(scene).min())
        except SceneError as error:
            raise SettingError(f"a limit in hectares needs the size of a pixel. {error} Give pixels=N.") from None
        limit = ceil(chosen.hectares * HECTARE_M2 / smallest)
    if limit > most:
        raise SettingError(
            f"pieces of less than {chosen.told} are to go, but all of {scene.name} is {most} pixels: give less."
        )
    return limit


def check(task: Task, settings: SieveSettings, method: Method, chosen: Any, place: int) -> None:
    for scene in task.scenes:
        _ = limit_px(scene, settings)


def load(saved: Saved, model: Model) -> FittedSieve:
    return FittedSieve(from_json(SieveSettings, saved.record["settings"]), int(saved.record["reach_px"]))


SIEVE = Refiner(
    "sieve", SieveSettings, fit, load, check, title="The minimum mapping unit", keeps_calibration=True
)  # fmt: skip
