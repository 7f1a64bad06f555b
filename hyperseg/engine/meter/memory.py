"""Memory of this process and of a card: the most since the last time one looked."""

from __future__ import annotations

import sys
from contextlib import suppress
from pathlib import Path

STATUS, FORGET = Path("/proc/self/status"), Path("/proc/self/clear_refs")
KIB = 1024


def peak_bytes(device: str) -> int | None:
    """The most that was held since `forget_peak`, or since the process began where a system cannot forget."""
    if device.startswith("cuda"):
        import torch

        return torch.cuda.max_memory_reserved(device)
    if (found := _status("VmHWM")) is not None:
        return found
    try:
        from resource import RUSAGE_SELF, getrusage
    except ImportError:
        return None
    return getrusage(RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else KIB)


def forget_peak(device: str) -> None:
    """Count the peak from now on; on Linux and on cards."""
    if device.startswith("cuda"):
        import torch

        torch.cuda.reset_peak_memory_stats(device)
        return
    with suppress(OSError):
        FORGET.write_text("5", encoding="ascii")  # 5: forget the peak, see proc(5)


def _status(name: str) -> int | None:
    try:
        for line in STATUS.read_text(encoding="ascii").splitlines():
            if line.startswith(f"{name}:"):
                return int(line.split()[1]) * KIB
    except (OSError, ValueError):
        pass
    return None
