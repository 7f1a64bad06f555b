"""`metered`: what a piece of work has taken."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from hyperseg.engine.meter.energy import Counter, counters
from hyperseg.engine.meter.memory import forget_peak, peak_bytes
from hyperseg.engine.meter.waiting import waited


@dataclass
class Usage:
    """What work has taken; filled when it ends.

    Attributes:
        seconds: on the clock; waited_s: of them, those in which it waited for a processor that other work had.
        peak_bytes: most memory of this process or of the card meanwhile; None where the system does not tell.
        joules: of all counters together; None where there is none.
    """

    seconds: float = 0.0
    waited_s: float = 0.0
    peak_bytes: int | None = None
    joules: float | None = None


@contextmanager
def metered(device: str, found: Sequence[Counter] | None = None) -> Iterator[Usage]:
    """Measure what is done within.

    Args:
        device: where networks are.
        found: counters of energy; those of the machine by default.
    """
    read = counters(device) if found is None else found
    usage, ended = Usage(), threading.Event()
    forget_peak(device)
    before = [counter.joules() for counter in read]

    def ask() -> None:
        while not ended.wait(min(counter.every_s for counter in read)):
            for counter in read:
                counter.joules()

    thread = threading.Thread(target=ask, daemon=True)
    if read:
        thread.start()
    began, stood = time.perf_counter(), waited()
    try:
        yield usage
    finally:
        usage.seconds, usage.waited_s = time.perf_counter() - began, waited() - stood
        usage.peak_bytes = peak_bytes(device)
        ended.set()
        if read:
            thread.join()
            usage.joules = sum(counter.joules() - then for counter, then in zip(read, before, strict=True))
