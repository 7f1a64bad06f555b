"""Energy that the machine counts itself: Intel's and AMD's counters of a processor, NVIDIA's of a card."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

POWERCAP = Path("/sys/class/powercap")
PACKAGE = "package"  # a processor with all its cores; "core", "uncore" and "dram" are parts of it or beside it
MICRO, MILLI = 1e-6, 1e-3


@dataclass(frozen=True)
class Counter:
    """Energy since any moment.

    Attributes:
        what: in words: whose energy it is.
        joules: reads it; to be asked again within `every_s`, as counters start over when they are full.
        every_s: seconds.
    """

    what: str
    joules: Callable[[], float]
    every_s: float = 60.0


def counters(device: str, *, powercap: Path = POWERCAP) -> tuple[Counter, ...]:
    """The counters that can be read: of the processors and, where networks are on it, of the card.

    They count all that runs on a processor or a card, other people's work too. No counter is found where the system
    keeps them from users (Linux lets only root read those of processors unless told otherwise), and in most virtual
    machines.

    Args:
        device: of networks, "cpu" or "cuda:0".
        powercap: the system's folder.
    """
    found = [_package(place) for place in sorted(powercap.glob("*rapl:*")) if _is_package(place)]
    if device.startswith("cuda") and (card := _card(device)) is not None:
        found.append(card)
    return tuple(found)


def _is_package(place: Path) -> bool:
    try:
        name = (place / "name").read_text(encoding="ascii")
        int((place / "energy_uj").read_text(encoding="ascii"))
    except (OSError, ValueError):
        return False
    return name.startswith(PACKAGE)


def _package(place: Path) -> Counter:
    """Counts microjoules up to `max_energy_range_uj`, then from 0 again: some minutes at full power."""

    def read(name: str) -> int:
        return int((place / name).read_text(encoding="ascii"))

    last, total = read("energy_uj"), 0

    def joules() -> float:
        nonlocal last, total
        now = read("energy_uj")
        total += now - last if now >= last else now - last + read("max_energy_range_uj")
        last = now
        return total * MICRO

    return Counter(f"processor {place.name.rpartition(':')[2]}", joules)


def _card(device: str) -> Counter | None:
    """The card's own counter where the library for it is there, else its power over time."""
    import torch

    index = torch.device(device).index or 0
    with suppress(Exception):  # no library, another version of it, or a card that does not count
        import pynvml  # type: ignore[import-not-found, import-untyped, unused-ignore]

        pynvml.nvmlInit()
        handle = pynvml.nvmlDeviceGetHandleByUUID(f"GPU-{torch.cuda.get_device_properties(index).uuid}")
        pynvml.nvmlDeviceGetTotalEnergyConsumption(handle)
        return Counter(f"card {index}", lambda: pynvml.nvmlDeviceGetTotalEnergyConsumption(handle) * MILLI)
    with suppress(Exception):
        torch.cuda.power_draw(index)
        return Counter(f"card {index}", integrated(lambda: torch.cuda.power_draw(index) * MILLI), every_s=1.0)
    return None


def integrated(watts: Callable[[], float], *, clock: Callable[[], float] = time.monotonic) -> Callable[[], float]:
    """Joules from watts that are asked now and then: straight lines between the answers."""
    last: tuple[float, Any] = (clock(), watts())
    total = 0.0

    def joules() -> float:
        nonlocal last, total
        now = (clock(), watts())
        total += (now[0] - last[0]) * (now[1] + last[1]) / 2
        last = now
        return total

    return joules
