"""A scene searched for targets: by ACE, by the matched filter, and by detectors that learned on its other part."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from hyperseg.core import Scene
from hyperseg.detection.finding import Lazy, find
from hyperseg.detection.network import Detector
from hyperseg.io.look.valid import valid_at
from hyperseg.recipes.detection.scene.background import Background, Float32
from hyperseg.recipes.detection.scene.candidates import Candidates, merged, peaks, ranked
from hyperseg.recipes.detection.scene.local import OUTER, LocalBackground
from hyperseg.recipes.detection.scene.parts import N_PARTS, Parts
from hyperseg.recipes.mapping.windows import plan_windows

HELD_BYTES = 512 << 20  # channels of a scene up to here are computed once and held
TILE = 64
THRESHOLD = 1e-3  # least probability of a candidate
FILTERS = ("ACE", "ACE, signed", "ACE, signed, local mean", "matched filter")


def filtered(scene: Scene, background: Background, local: LocalBackground) -> Float32:
    """(H, W, 4) of every pixel what `FILTERS` say, window by window; NaN without data."""
    out = np.full((*scene.shape, len(FILTERS)), np.nan, np.float32)
    for window in plan_windows(scene, halo_px=OUTER // 2):
        block = np.asarray(scene.cube[window.read_slices])
        inside = valid_at(scene, window.read_slices, block)
        ace, matched = background.ace(block), background.matched(block)
        made = np.stack([ace, ace * np.sign(matched), local.signed_ace(block), matched], -1)
        made[~inside] = np.nan
        own = tuple(slice(a - r, b - r) for (a, b), (r, _) in zip(window.core, window.read, strict=True))
        out[window.core_slices] = made[own]
    return out


def filter_candidates(scores: Float32) -> dict[str, Candidates]:
    """Local maxima of the maps of `filtered`."""
    most = most_of(scores.shape[0] * scores.shape[1])
    return {name: peaks(scores[..., i], most=most) for i, name in enumerate(FILTERS)}


def channels_of(scene: Scene, background: Background, *, with_ace: bool) -> Float32 | Lazy:
    """What detectors read of a scene, channels first: computed once where it fits, else window by window."""

    def read(where: tuple[slice, ...]) -> Float32:
        block = np.asarray(scene.cube[where])
        inside = valid_at(scene, where, block)
        made = np.where(inside[..., None], background.channels(block, with_ace=with_ace), np.float32(0))
        return np.ascontiguousarray(np.moveaxis(made, -1, 0))

    n = len(background.components) + with_ace
    if 4 * n * int(np.prod(scene.shape)) > HELD_BYTES:
        return Lazy(scene.shape, read)
    out = np.zeros((n, *scene.shape), np.float32)
    for window in plan_windows(scene, halo_px=0):
        out[(slice(None), *window.core_slices)] = read(window.core_slices)
    return out


def detected(
    networks: Sequence[Sequence[Detector]], volume: Float32 | Lazy, parts: Parts, *, device: str = "cpu",
    valid: NDArray[np.bool_] | None = None, done: Callable[[int, int], None] = lambda done, of: None,
) -> Candidates:  # fmt: skip
    """Candidates of a scene, each from the networks that learned on the part that it does not lie in.

    Args:
        networks: of each part those that learned on it; several are averaged.
        valid: (H, W) bool; a candidate elsewhere is none.
        done: told how many tiles are done, of how many.
    """
    found = []
    shape = volume.shape if isinstance(volume, Lazy) else volume.shape[1:]
    for part, nets in enumerate(networks):
        objects = find(
            nets, volume, nets[0].spec, patch=(TILE, TILE), overlap=0.5, threshold=THRESHOLD,
            most=2 * most_of(int(np.prod(shape))), suppress=0.1, device=device,
            done=_onward(done, part, len(networks)),
        )  # fmt: skip
        found.append(ranked(objects.boxes, objects.scores).within(parts, (part + 1) % N_PARTS))
    every = merged(found)
    if valid is None:
        return every
    rows, columns = np.clip(every.centres.astype(int), 0, np.array(shape) - 1).T
    return every.only(valid[rows, columns])


def most_of(pixels: int) -> int:
    """Candidates of a scene of so many pixels that are looked at, at most."""
    return max(pixels // 40, 50)


def _onward(done: Callable[[int, int], None], before: int, of: int) -> Callable[[int, int], None]:
    """Tells of one part's tiles as of those of all parts, `before` of which are done."""
    return lambda tiles, each: done(before * each + tiles, of * each)
