"""A scene in windows: each is read with what its pixels need around them, and mapped by itself.

A window is the unit of everything that is done to scenes of any size: it is read ahead, computed here or on another
machine, written, and found missing after a crash. What a window's map says does not depend on where or when that is.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hyperseg.core import UNLABELLED, Decisions, Scene, SegmentationMap, SettingError, Tile, tiles
from hyperseg.core.groups import Fallback
from hyperseg.core.maps import check_finite
from hyperseg.core.parts import Decider
from hyperseg.core.runtime import Runtime
from hyperseg.data.applicability import REACH_PX, Each
from hyperseg.engine import choose_device, choose_precision, full_float32
from hyperseg.engine.lanes import in_order, lanes_on
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
        entropy: float32, in nats over ln K: 0 (certain) to 1 (no idea); None where nobody asked for it.
        probs: (h, w, K) float32, or None where nobody asked for them.
        groups: int16 answers of a fallback, see `Fallback.answers`, or None without one.
        applicability: float32, above 1 outside what was trained on, NaN without data; None where the run kept nothing.
        disagreement: float32, of answers as in `SegmentationMap`; None where the run's method answers once.
    """

    labels: NDArray[np.int16]
    confidence: NDArray[np.float32]
    entropy: NDArray[np.float32] | None
    probs: NDArray[np.float32] | None
    groups: NDArray[np.int16] | None = None
    applicability: NDArray[np.float32] | None = None
    disagreement: NDArray[np.float32] | None = None


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
        entropy: whether windows come with their entropy.
    """

    run: LoadedRun
    halo_px: int
    refine: bool
    probabilities: bool
    runtime: Runtime
    fallback: Fallback | None = None
    entropy: bool = False

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
        made, probs, groups = decide(self, part, inside, first=tuple(start for start, _ in window.core))
        known = self._known(part, inside)
        return WindowMap(made.labels, made.confidence, made.entropy, probs, groups, known, made.disagreement)

    def _known(self, part: Scene, inside: tuple[slice, ...]) -> NDArray[np.float32] | None:
        """How far the core of a window is from what was trained on."""
        known = self.run.applicability
        if known is None:
            return None
        around = tuple(slice(max(s.start - REACH_PX, 0), s.stop + REACH_PX) for s in inside)
        if self.runtime.device != "cpu":  # what lies in one piece is sent in one piece
            around = tuple(slice(0, n) for n in part.shape)
        core = tuple(slice(s.start - a.start, s.stop - a.start) for s, a in zip(inside, around, strict=True))
        block = np.asarray(part.cube[around])
        valid = np.ones(block.shape[:2], bool) if part.valid is None else part.valid[around]
        device = self.runtime.device
        with full_float32(device):
            found = known.over_threshold(block, valid, device=device, each=side_by_side(device))
        return found[core]

    def _part(self, scene: Scene, window: Tile, block: NDArray[Any]) -> Scene:
        """The window as a scene; where nobody looked for pixels without data, they are looked for here."""
        valid = valid_at(scene, window.read_slices, block)
        return scene.with_(
            cube=block, valid=None if valid.all() else valid, mask=None, labels=None, parcels=None,
            classes=self.run.classes, colours=self.run.colours, groups=None,
            origin=tuple(start for start, _ in window.read),
        )  # fmt: skip

    def _nothing(self, shape: tuple[int, ...]) -> WindowMap:
        empty = np.full(shape, np.nan, np.float32)
        probs = np.full((*shape, len(self.run.classes)), np.nan, np.float32) if self.probabilities else None
        labels = np.full(shape, UNLABELLED, np.int16)
        entropy, groups = empty if self.entropy else None, None if self.fallback is None else labels
        known, disagreement = (
            empty if there else None for there in (self.run.applicability is not None, self.run.disagrees)
        )
        return WindowMap(labels, empty, entropy, probs, groups, known, disagreement)


def decide(
    mapper: Mapper, part: Scene, inside: tuple[slice, ...], *, first: tuple[int, ...]
) -> tuple[Decisions, NDArray[np.float32] | None, NDArray[np.int16] | None]:
    """Decisions in the core of a window; probabilities and answers of the fallback where they are wanted.

    Where nothing else is wanted, and the model can tell classes without the probabilities of all of them, it does.

    Args:
        mapper: what is wanted.
        part: the window as a scene.
        inside: its core.
        first: row and column of the core in the whole scene, for messages.

    Raises:
        SceneError: probabilities that are not finite.
    """
    model, runtime = mapper.run.model, mapper.runtime
    valid = None if part.valid is None else part.valid[inside]
    if isinstance(model, Decider) and not (mapper.refine or mapper.probabilities or mapper.fallback):
        made = model.decided(part, runtime, entropy=mapper.entropy)
        entropy = None if made.entropy is None else made.entropy[inside]
        made = Decisions(made.labels[inside], made.confidence[inside], entropy)
        check_finite(made.confidence, valid, (model.name,), part.name, first=first)
        return made, None, None
    map = model.map(part, runtime)
    if mapper.refine:
        for fitted in mapper.run.refiners:
            map = fitted.apply(map, part, runtime)
    cut = SegmentationMap(
        np.ascontiguousarray(map.probs[inside]), map.classes, map.colours, made_by=map.made_by, valid=valid
    )
    if not np.isfinite(cut.probs).all():
        cut.check_finite(part.name, first=first)
    best = cut.probs.argmax(-1)
    labels, confidence = best.astype(np.int16), np.take_along_axis(cut.probs, best[..., None], -1)[..., 0]
    entropy = cut.entropy() / np.float32(np.log(max(len(cut.classes), 2))) if mapper.entropy else None
    groups = None if mapper.fallback is None else mapper.fallback.answers(cut)
    disagreement = None if map.disagreement is None else np.array(map.disagreement[inside])
    made = Decisions(labels, confidence, entropy, disagreement)
    made.blank(valid)
    if valid is not None:
        cut.probs[~valid] = np.nan
    return made, cut.probs if mapper.probabilities else None, groups


def side_by_side(device: str) -> Each:
    """How many strips of a window are worked through at a time: as many as torch has threads, on a CPU."""
    return partial(in_order, lanes=lanes_on(device))


def make_mapper(
    run: LoadedRun,
    *,
    refine: bool,
    probabilities: bool,
    device: str,
    fallback: Fallback | None = None,
    entropy: bool = False,
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
    return Mapper(run, halo, bool(refiners), probabilities, runtime, fallback, entropy)


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
