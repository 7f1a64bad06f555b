"""Cells made side by side: processes with one thread each, as small networks gain nothing from several."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from contextlib import contextmanager
from typing import Any, Protocol

LOOK_S = 1.0  # between two looks whether the parent lives


class Source(Protocol):
    """What a worker makes its bench of; it can be pickled."""

    def open(self) -> Any: ...


Each = Callable[[str, Sequence[Any]], Iterator[Any]]
"""(name of a function of the bench, what it is called with one after the other) -> results, as they come."""
_bench: list[Any] = []  # of this process


@contextmanager
def workers(source: Source, jobs: int) -> Iterator[Each]:
    """So many processes, or this one for a single job; every one works on one thread, so that sums are the same.

    Where the block ends by an error or Ctrl-C, what is being made is given up. Workers end with their parent.
    """
    if jobs == 1:
        with _one_thread():
            bench = source.open()
            yield lambda what, calls: (getattr(bench, what)(call) for call in calls)
        return
    context = multiprocessing.get_context("spawn")
    stop = context.Event()
    pool = ProcessPoolExecutor(jobs, context, _begin, (source, stop, os.getpid()))

    def each(what: str, calls: Sequence[Any]) -> Iterator[Any]:
        futures = [pool.submit(_call, what, call) for call in calls]
        for future in as_completed(futures):
            yield future.result()

    try:
        yield each
    except BaseException:
        stop.set()
        raise
    finally:
        pool.shutdown(cancel_futures=True)


def usual_jobs(device: str) -> int:
    """As many as this process may use cores; one on a GPU."""
    return max(len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1, 1) \
        if device.startswith("cpu") else 1  # fmt: skip


def _begin(source: Source, stop: Any, parent: int) -> None:
    import torch

    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent stops them
    threading.Thread(target=_watch, args=(stop, parent), daemon=True).start()
    torch.set_num_threads(1)
    _bench.append(source.open())


def _watch(stop: Any, parent: int) -> None:
    while not stop.wait(LOOK_S):
        if os.getppid() != parent:
            break
    os._exit(1)


def _call(what: str, call: Any) -> Any:
    return getattr(_bench[0], what)(call)


@contextmanager
def _one_thread() -> Iterator[None]:
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)
