"""What is done with a result while the next one is made."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

from hyperseg.recipes.mapping.windows import WindowMap

Kept = TypeVar("Kept")


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
