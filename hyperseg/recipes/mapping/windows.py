"""A scene in windows: each is read with what its pixels need around them, and mapped by itself.

A window is the unit of everything that is done to scenes of any size: it is read ahead, computed here or on another
machine, written, and found missing after a crash. What a window's map says does not depend on where or when that is.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hyperseg.core import UNLABELLED, Scene, SegmentationMap, SettingError, Tile, tiles
from hyperseg.core.groups import Fallback
from hyperseg.core.runtime import Runtime
from hyperseg.data.applicability import REACH_PX
from hyperseg.engine import choose_device, choose_precision
from hyperseg.io.look.valid import valid_at
from hyperseg.recipes.run.load import LoadedRun

WINDOW_BYTES = 128 << 20  # of raw pixels, halo included; three windows exist at once
REFINED_BYTES = 256 << 20  # refiners need wide halos: larger windows waste less on them
ALIGNED_PX = 16  # nodes and coarse grids of refiners divide this


@dataclass(frozen=True)
class WindowMap:
    """What one window comes to; arrays are (h, w) of its core.

    Attributes:
        labels: int16 classes, -1 where there is no data.
        confidence: float32 probability of the class.
        entropy: float32, in nats over ln K: 0 (certain) to 1 (no idea).
        probs: (h, w, K) float32, or None where nobody asked for them.
        groups: int16 answers of a fallback, see `Fallback.answers`, or None without one.
        applicability: float32, above 1 outside what was trained on, NaN without data; None where the run kept nothing.
    """

    labels: NDArray[np.int16]
    confidence: NDArray[np.float32]
    entropy: NDArray[np.float32]
    probs: NDArray[np.float32] | None
    groups: NDArray[np.int16] | None = None
    applicability: NDArray[np.float32] | None = None


@dataclass(frozen=True)
class Mapper:
    """A run made ready to map windows of a scene.

    Attributes:
        run: the run.
        halo_px: what a window needs around it.
        refine: whether the run's refiners are applied.
        probabilities: whether windows come with their probabilities.
        runtime: where to compute.
        fallback: what windows fall back to where a class is a guess, or None.
    """

    run: LoadedRun
    halo_px: int
    refine: bool
    probabilities: bool
    runtime: Runtime
    fallback: Fallback | None = None

    def __call__(self, scene: Scene, window: Tile, block: NDArray[Any]) -> WindowMap:
        """Map a window.

        Args:
            scene: the whole scene, for what is known about its pixels.
            window: of `plan_windows`.
            block: the cube at `window.read_slices`.
        """
        part = self._part(scene, window, block)
        inside = tuple(slice(a - r, b - r) for (a, b), (r, _) in zip(window.core, window.read, strict=True))
        valid = None if part.valid is None else part.valid[inside]
        if valid is not None and not valid.any():
            return self._nothing(valid.shape)
        made = self.run.model.map(part, self.runtime)
        if self.refine:
            for fitted in self.run.refiners:
                made = fitted.apply(made, part, self.runtime)
        cut = SegmentationMap(
            np.ascontiguousarray(made.probs[inside]), made.classes, made.colours, made_by=made.made_by, valid=valid
        )
        cut.check_finite(scene.name, first=tuple(start for start, _ in window.core))
        entropy = cut.entropy() / np.float32(np.log(max(len(cut.classes), 2)))
        labels, confidence = cut.labels(), cut.confidence()
        groups = None if self.fallback is None else self.fallback.answers(cut)
        if valid is not None:
            confidence[~valid] = entropy[~valid] = cut.probs[~valid] = np.nan
        return WindowMap(
            labels, confidence, entropy, cut.probs if self.probabilities else None, groups, self._known(part, inside)
        )

    def _known(self, part: Scene, inside: tuple[slice, ...]) -> NDArray[np.float32] | None:
        """How far the core of a window is from what was trained on."""
        known = self.run.applicability
        if known is None:
            return None
        around = tuple(slice(max(s.start - REACH_PX, 0), s.stop + REACH_PX) for s in inside)
        core = tuple(slice(s.start - a.start, s.stop - a.start) for s, a in zip(inside, around, strict=True))
        block = np.asarray(part.cube[around])
        valid = np.ones(block.shape[:2], bool) if part.valid is None else part.valid[around]
        return known.over_threshold(block, valid)[core]

    def _part(self, scene: Scene, window: Tile, block: NDArray[Any]) -> Scene:
        """The window as a scene; where nobody looked for pixels without data, they are looked for here."""
        valid = valid_at(scene, window.read_slices, block)
        return scene.with_(
            cube=block, valid=None if valid.all() else valid, mask=None, labels=None, parcels=None,
            classes=self.run.classes, colours=self.run.colours, groups=None,
        )  # fmt: skip

    def _nothing(self, shape: tuple[int, ...]) -> WindowMap:
        empty = np.full(shape, np.nan, np.float32)
        probs = np.full((*shape, len(self.run.classes)), np.nan, np.float32) if self.probabilities else None
        labels = np.full(shape, UNLABELLED, np.int16)
        return WindowMap(
            labels, empty, empty.copy(), probs, None if self.fallback is None else labels.copy(),
            None if self.run.applicability is None else empty.copy(),
        )  # fmt: skip


def make_mapper(
    run: LoadedRun, *, refine: bool, probabilities: bool, device: str, fallback: Fallback | None = None
) -> Mapper:
    """A run made ready, with the halo that its model and its refiners need."""
    refiners = run.refiners if refine else ()
    where = choose_device(device)
    halo = sum(r.reach_px for r in refiners) + max([run.model.margin_px, *(r.margin_px for r in refiners)])
    if run.applicability is not None:
        halo = max(halo, REACH_PX)
    if refiners:
        halo = _aligned(halo)
    runtime = Runtime(device=str(where), precision=choose_precision(where), quiet=True)
    return Mapper(run, halo, bool(refiners), probabilities, runtime, fallback)


def plan_windows(scene: Scene, *, halo_px: int, side: int | None = None, refined: bool = False) -> list[Tile]:
    """The windows of a scene, row by row; the same for every way of working through them.

    Args:
        scene: (H, W, C).
        halo_px: of the mapper.
        side: of a window in pixels, halo not counted; None follows from the memory a pixel takes.
        refined: whether refiners are applied.

    Raises:
        SettingError: a side below 1.
    """
    if side is not None and side < 1:
        raise SettingError(f"the side of a window is 1 pixel or more, got {side}.")
    if side is None:
        pixel = scene.n_bands * np.dtype(scene.cube.dtype).itemsize
        budget = REFINED_BYTES if refined else WINDOW_BYTES
        fits = int(np.prod(scene.shape)) * pixel <= budget
        side = max(scene.shape) if fits else max(int((budget / pixel) ** 0.5) - 2 * halo_px, 64)
        side = side if fits else side // ALIGNED_PX * ALIGNED_PX
    elif refined:
        side = _aligned(side)
    size = tuple(min(side, n) for n in scene.shape)
    return list(tiles(scene.shape, size=size, halo=halo_px))


def _aligned(pixels: int) -> int:
    return -(-pixels // ALIGNED_PX) * ALIGNED_PX
