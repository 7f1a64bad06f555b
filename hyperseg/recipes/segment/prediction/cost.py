"""What a prediction costs: where its time goes, and how much of the images is looked at."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Literal

import torch
from torch import Tensor

from hyperseg.recipes.segment.sliding import Score

Stage = Literal["reading", "preparing", "first look", "network", "export", "pieces", "writing"]
LEAST = 0.05  # of everything but the network: smaller parts are not told
NETWORKS: tuple[Stage, ...] = ("network", "first look")


@dataclass
class Cost:
    """Seconds on the clock by stage; of stages within each other, each has its own alone.

    Attributes:
        spent: seconds. "export" is everything between scores of a window and classes on the case's grid: blending,
            resampling, deciding; "pieces" is keeping the largest ones.
        shares: of each case whose region was found first: the share of its voxels that all networks saw then.
    """

    spent: dict[str, float] = field(default_factory=dict)
    shares: list[float] = field(default_factory=list)
    _running: list[str] = field(default_factory=list)
    _since: float = 0.0

    @contextmanager
    def of(self, stage: Stage) -> Iterator[None]:
        """What runs within counts for the stage."""
        self._turn()
        self._running.append(stage)
        try:
            yield
        finally:
            self._turn()
            self._running.pop()

    def counted(self, score: Score, device: torch.device, stage: Stage = "network") -> Score:
        """The score, its time counted; a GPU is waited for, or its time would be found elsewhere."""

        def timed(x: Tensor) -> Tensor:
            with self.of(stage):
                found = score(x)
                if device.type == "cuda":
                    torch.cuda.synchronize(device)
                return found

        return timed

    @property
    def network(self) -> float:
        """Seconds of networks."""
        return sum(self.spent.get(stage, 0.0) for stage in NETWORKS)

    @property
    def rest(self) -> float:
        """Seconds of everything else."""
        return sum(self.spent.values()) - self.network

    def told(self, cases: int) -> str:
        """As in "12 s a case: network 10.1, the rest 1.9 (reading 0.9, export 1.0)"."""
        each = {stage: seconds / cases for stage, seconds in self.spent.items() if stage not in NETWORKS}
        network, rest = self.network / cases, self.rest / cases
        parts = ", ".join(f"{stage} {_short(seconds)}" for stage, seconds in each.items() if seconds >= LEAST * rest)
        whole = f"{_short(network + rest)} s a case: network {_short(network)}, the rest {_short(rest)}"
        return f"{whole} ({parts})" if parts else whole

    def _turn(self) -> None:
        """What has passed goes to the stage that was running."""
        now = time.perf_counter()
        if self._running:
            stage = self._running[-1]
            self.spent[stage] = self.spent.get(stage, 0.0) + now - self._since
        self._since = now


def _short(seconds: float) -> str:
    """Two digits, or all whole ones."""
    return f"{seconds:.0f}" if seconds >= 10 else f"{seconds:.2g}"
