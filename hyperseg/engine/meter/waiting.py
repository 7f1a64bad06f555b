"""A clock that stands still while other work has the processor."""

from __future__ import annotations

import time
from pathlib import Path

STATISTICS = Path("/proc/thread-self/schedstat")  # nanoseconds on a processor, and waiting for one


def waited() -> float:
    """Seconds that this thread was ready and waited for a processor; 0 where the system (not Linux) does not tell."""
    try:
        return int(STATISTICS.read_text(encoding="ascii").split()[1]) / 1e9
    except (OSError, ValueError, IndexError):
        return 0.0


def quiet_clock() -> float:
    """Seconds since any moment, without those in which this thread waited for a processor that other work had."""
    return time.perf_counter() - waited()
