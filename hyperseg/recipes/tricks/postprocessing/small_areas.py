"""Small areas: pieces too small to be meant are removed, or given to what is around them."""

from __future__ import annotations

from dataclasses import replace
from math import ceil

import numpy as np
from numpy.typing import NDArray

from hyperseg.core import Scene, SceneError, SegmentationMap, SettingError
from hyperseg.core.parts import Method, OnCases, Trick
from hyperseg.core.settings import option, settings
from hyperseg.core.task import Task
from hyperseg.recipes.tricks.postprocessing.on_maps import with_maps
from hyperseg.recipes.tricks.slots import with_finish

HECTARE_M2 = 1e4


@settings
class SmallAreas:
    """What is too small."""

    pixels: int = option(10, "Pieces of fewer pixels go, of volumes those of fewer voxels; 1 keeps all.", low=1)
    hectares: float = option(0.0, "On scenes: pieces of less ground go; 0 is by pixels.", low=0)


def on_cases(on: OnCases, chosen: SmallAreas) -> OnCases:
    """Pieces of a foreground class below the limit become background, see `medical.components.without_small`.

    Source: the "RSA-CS" of arXiv 2209.10307, phase 6; 10 pixels of images.
    Differs: one limit for all classes, of volumes too, where it has 1000 voxels of one class and 80 of another.

    Raises:
        SettingError: a limit in hectares.
    """
    if chosen.hectares:
        raise SettingError("hectares are of scenes, the sizes of images and volumes are in pixels and voxels.")

    def change(classes: NDArray[np.int16]) -> NDArray[np.int16]:
        from hyperseg.medical.components import without_small

        return without_small(classes, chosen.pixels)

    return with_finish(on, change)


def on_scene(method: Method, chosen: SmallAreas) -> Method:
    """A minimum mapping unit: pieces of any class below it get the class around them, see `regions.sieve.sieved`.

    There the probabilities of the two classes change places, so that they still sum to one. It is done to the map of
    the method itself, before refiners. A window of a large scene is read with twice the limit around it: all that a
    small piece beside a large one depends on. Crowds of small pieces reach further, and may differ where windows meet.
    What is in hectares is measured in each scene that is mapped.

    Source: arXiv 2209.10307, phase 6, removes them; giving them to what is around is our reconstruction for scenes,
    where no class is background.

    Raises (before training):
        SettingError: the limit is larger than the scene, or in hectares where nobody knows the size of a pixel.
    """

    def check(task: Task, given: object) -> None:
        for scene in task.scenes:
            _ = _limit(scene, chosen)
        method.check(task, given)

    def reach_px(task: Task) -> int:
        return 2 * max(_limit(scene, chosen) for scene in task.scenes)

    def change(map: SegmentationMap, scene: Scene) -> SegmentationMap:
        from hyperseg.regions.sieve import sieved

        before = map.labels()
        if chosen.hectares:
            area = pixel_m2(scene).reshape(-1, *(1,) * (before.ndim - 1))
            after = sieved(before, chosen.hectares * HECTARE_M2, area)
        else:
            after = sieved(before, chosen.pixels)
        return replace(map, probs=exchanged(map.probs, before, after))

    return replace(with_maps(method, change, reach_px), check=check)


def exchanged(
    probs: NDArray[np.float32], before: NDArray[np.int16], after: NDArray[np.int16]
) -> NDArray[np.float32]:  # fmt: skip
    """(*S, K) probabilities in which, where the class changes, those of both classes change places.

    The new class is the most probable one then, by the smallest step where they were equal.
    """
    at = np.flatnonzero(before != after)
    old, new = before.ravel()[at], after.ravel()[at]
    found = np.array(probs, order="C")
    rows = found.reshape(-1, found.shape[-1])
    high, low = rows[at, old], rows[at, new]
    tied = high == low
    rows[at, old] = np.where(tied, np.nextafter(low, np.float32(0)), low)
    rows[at, new] = np.where(tied, np.nextafter(high, np.float32(1)), high)
    return found


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


def _limit(scene: Scene, chosen: SmallAreas) -> int:
    """The limit in pixels, of the smallest ones where they differ.

    Raises:
        SettingError: as `on_scene`.
    """
    most, limit, told = int(np.prod(scene.shape)), chosen.pixels, f"{chosen.pixels} pixels"
    if chosen.hectares:
        try:
            smallest = float(pixel_m2(scene).min())
        except SceneError as error:
            raise SettingError(f"a limit in hectares needs the size of a pixel. {error} Give pixels=N.") from None
        limit, told = ceil(chosen.hectares * HECTARE_M2 / smallest), f"{chosen.hectares:g} hectares"
    if limit > most:
        raise SettingError(f"pieces below {told} are to go, but all of {scene.name} is {most} pixels: give less.")
    return limit


SMALL_AREAS = Trick("small-areas", "post-processing", on_cases, on_scene, SmallAreas, trains=False)
