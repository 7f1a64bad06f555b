"""Windows to the unfinished map while the next one is made, and from there to the files of the map."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing, nullcontext
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from hyperseg.core import UNLABELLED, Tile
from hyperseg.data.applicability import OUTSIDE
from hyperseg.engine import scene_progress
from hyperseg.io.write import MapWriter
from hyperseg.io.write.files import BLOCK_PX, small_cache
from hyperseg.recipes.mapping.applicability import APPLICABILITY, share_outside
from hyperseg.recipes.mapping.layers import DISAGREES, GROUPS
from hyperseg.recipes.mapping.probabilities import ProbabilityWriter
from hyperseg.recipes.mapping.resume import UnfinishedMap
from hyperseg.recipes.mapping.windows import WindowMap

ASSEMBLED_PIXELS = 1 << 22  # in whole rows of the blocks of the map's file
CODED = ("codes", GROUPS)  # layers that hold labels, one more than in memory
Kept = TypeVar("Kept")
Mapped = Iterator[tuple[int, WindowMap]]


def write_windows(
    store: UnfinishedMap,
    windows: list[Tile],
    maps: Mapped,
    probs: ProbabilityWriter | None,
    *,
    label: str,
    quiet: bool,
    on_window: Callable[[int], None] | None,
) -> None:
    """Store windows, each in another thread while the next one is computed."""
    total = int(np.prod(store.shape))
    done = total - sum(_pixels(windows[n]) for n in store.missing())

    def keep(number: int, made: WindowMap) -> int:
        if probs is not None and made.probs is not None:
            probs.write(windows[number], made.probs)
        store.write(number, windows[number], _layers_of(made))
        return number

    with scene_progress(label, total, quiet=quiet) as progress, closing(maps):  # type: ignore[type-var]
        progress(done, total)
        for number in behind(keep, maps):
            done += _pixels(windows[number])
            progress(done, total)
            if on_window is not None:
                on_window(number)


def _layers_of(made: WindowMap) -> dict[str, NDArray[Any]]:
    """What is stored of a window, by layer; codes are one more than labels."""
    layers = {
        "codes": made.labels, GROUPS: made.groups, "confidence": made.confidence, "entropy": made.entropy,
        APPLICABILITY: made.applicability, DISAGREES: made.disagreement,
    }  # fmt: skip
    return {
        name: values - np.int16(UNLABELLED) if name in CODED else values
        for name, values in layers.items()
        if values is not None
    }


def assemble(store: UnfinishedMap, writer: MapWriter, answers: MapWriter | None) -> float | None:
    """Write the files; returns the percent of pixels outside the area of applicability, None where it is not known."""
    outside = known = 0
    step = max(1, ASSEMBLED_PIXELS // (BLOCK_PX * store.shape[1])) * BLOCK_PX
    with small_cache(), writer, answers or nullcontext():  # the map itself appears last
        for start in range(0, store.shape[0], step):
            rows = slice(start, min(start + step, store.shape[0]))
            window = (rows, slice(0, store.shape[1]))
            more = {name: store.read(name, rows) for name in store.layers}
            labels = {name: more.pop(name).astype(np.int16) + np.int16(UNLABELLED) for name in CODED if name in more}
            writer.write(window, labels["codes"], **more)
            if answers is not None:
                answers.write(window, labels[GROUPS])
            if APPLICABILITY in more:
                outside += int(np.count_nonzero(more[APPLICABILITY] > OUTSIDE))
                known += int(np.count_nonzero(np.isfinite(more[APPLICABILITY])))
    return share_outside(outside, known) if APPLICABILITY in store.layers else None


def behind(keep: Callable[[int, WindowMap], Kept], maps: Iterable[tuple[int, WindowMap]]) -> Iterator[Kept]:
    """Yield what `keep` returns for every map, in order, while the next map is made in the calling thread.

    At most two maps exist at a time. Whatever ends the work, a map that is being kept then is kept to the end; an
    error of `keep` comes out where its result would have.
    """
    with ThreadPoolExecutor(1) as writer:
        pending: Future[Kept] | None = None
        for number, made in maps:
            if pending is not None:
                yield pending.result()
            pending = writer.submit(keep, number, made)
        if pending is not None:
            yield pending.result()


def _pixels(window: Tile) -> int:
    return int(np.prod([b - a for a, b in window.core]))
