"""Work side by side: several tiles at once on a CPU, and reading ahead of what is computed."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

import torch

Item = TypeVar("Item")
Job = TypeVar("Job")
Result = TypeVar("Result")


def lanes_on(device: torch.device | str) -> int:
    """How many pieces of work to do at a time: as many as torch has threads, on a CPU."""
    return torch.get_num_threads() if torch.device(device).type == "cpu" else 1


def in_order(work: Callable[[Job], Result], jobs: Iterable[Job], *, lanes: int) -> Iterator[Result]:
    """Yield `work(job)` for every job, in the order of the jobs, `lanes` of them at a time.

    torch's own threads meet at a barrier after every operator, so that one busy core holds up all of them; tiles
    need no barrier. On a quiet machine both are equally fast, beside other work this is several times faster.

    Args:
        work: called in other threads; what it calls must allow that.
        jobs: drawn in the calling thread, at most `lanes` + 1 ahead of what was yielded.
        lanes: threads; 1 works in the calling thread.
    """
    if lanes == 1:
        yield from map(work, jobs)
        return
    before = torch.get_num_threads()
    pool = ThreadPoolExecutor(lanes, initializer=torch.set_num_threads, initargs=(1,))
    pending: deque[Future[Result]] = deque()
    try:
        for job in jobs:
            pending.append(pool.submit(work, job))
            if len(pending) > lanes:
                yield pending.popleft().result()
        while pending:
            yield pending.popleft().result()
    finally:
        pool.shutdown(cancel_futures=True)
        torch.set_num_threads(before)  # the pool's setting is also what threads started later would get


def ahead(items: Iterable[Item]) -> Iterator[Item]:
    """The same items, the next one being made in another thread while the caller works on the last.

    What makes an item (reading a window of a file, say) must allow another thread. At most two items exist at a
    time. An error comes out where its item would have.
    """
    following, nothing = iter(items), object()
    with ThreadPoolExecutor(1) as reader:
        pending = reader.submit(next, following, nothing)
        while (item := pending.result()) is not nothing:
            pending = reader.submit(next, following, nothing)
            yield item  # type: ignore[misc]
