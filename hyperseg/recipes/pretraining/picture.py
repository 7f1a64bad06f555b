"""A picture of what was learnt: slices by their features before and after, and the loss on the way."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from hyperseg.contrast.partitions import partition_of
from hyperseg.core.words import percent
from hyperseg.recipes.pretraining.slices import Slices

MOST = 600  # slices that are looked at, evenly thinned
AT_ONCE = 32
Numbers = NDArray[np.float64]


@dataclass(frozen=True)
class Seen:
    """Slices by their features.

    Attributes:
        features: (n, C) mean of the encoder's coarsest map.
        volume, group: (n,) of each; volumes of one group show one patient.
        partition: (n,), or None where there are none.
    """

    features: Numbers
    volume: NDArray[np.int64]
    group: NDArray[np.int64]
    partition: NDArray[np.int64] | None

    @property
    def alike(self) -> float | None:
        """Share of slices whose nearest one (cosine) of all other patients is of the same partition."""
        if self.partition is None or len(set(self.group)) < 2:
            return None
        length = np.linalg.norm(self.features, axis=1, keepdims=True)
        unit = self.features / np.maximum(length, 1e-12)
        near = unit @ unit.T
        near[self.group[:, None] == self.group] = -np.inf
        return float((self.partition[near.argmax(1)] == self.partition).mean())

    @property
    def chance(self) -> float:
        """What `alike` is of features that know nothing."""
        if self.partition is None:
            return 0.0
        share = np.bincount(self.partition) / len(self.partition)
        return float((share**2).sum())

    @property
    def plane(self) -> Numbers:
        """(n, 2) the first two principal components."""
        middle = self.features - self.features.mean(0)
        _, _, axes = np.linalg.svd(middle, full_matrices=False)
        found: Numbers = middle @ axes[:2].T
        return found if found.shape[1] == 2 else np.pad(found, ((0, 0), (0, 2 - found.shape[1])))


def look(encoder: nn.Module, slices: Slices, parts: int | None, device: str) -> Seen:
    """Features of the slices by an encoder, which is left as it was.

    Args:
        parts: partitions of a volume, or None.
    """
    every = [(v, s) for v, n in enumerate(slices.counts) for s in range(n)]
    kept = [every[i] for i in np.linspace(0, len(every) - 1, min(MOST, len(every))).astype(int)]
    was, found = encoder.training, []
    encoder.eval()
    with torch.no_grad():
        for first in range(0, len(kept), AT_ONCE):
            images = np.stack([slices.read(v, s) for v, s in kept[first : first + AT_ONCE]])
            coarsest = encoder(torch.from_numpy(images).to(device))[-1]
            found.append(coarsest.flatten(2).mean(2).double().cpu().numpy())
    encoder.train(was)
    volume = np.array([v for v, _ in kept], np.int64)
    partition = None
    if parts is not None:
        of = [partition_of(n, parts) for n in slices.counts]
        partition = np.array([of[v][s] for v, s in kept], np.int64)
    return Seen(np.concatenate(found), volume, np.array(slices.groups, np.int64)[volume], partition)


def figure(before: Seen, after: Seen, losses: Mapping[str, tuple[Sequence[float], float]]) -> bytes:
    """A PNG file: both clouds of slices, and the loss of each stage.

    Args:
        losses: stage -> (loss of every step, what it is when all has become equal).
    """
    from hyperseg.report.charts import blank, png

    drawn = blank(12.5, 3.9)
    one, other, curve = drawn.subplots(1, 3)
    cloud(one, before, "before")
    cloud(other, after, "after")
    curves(curve, losses)
    return png(drawn)


def cloud(axes: Any, seen: Seen, when: str) -> None:
    from hyperseg.report.charts import LINE_COLOURS, tidy

    points, partition = seen.plane, seen.partition
    if partition is None:
        axes.plot(*points.T, ".", color=LINE_COLOURS[0], markersize=5, alpha=0.7)
    else:
        from matplotlib import colormaps

        n = int(partition.max()) + 1
        for part in range(n):
            colour = colormaps["viridis"](part / max(n - 1, 1) * 0.92)
            named = f"partition {part + 1}" if n <= 8 or part in (0, n - 1) else None
            axes.plot(*points[partition == part].T, ".", color=colour, markersize=6, alpha=0.75, label=named)
        axes.legend(fontsize=8, frameon=False, loc="best", handletextpad=0.1)
    title = f"slices {when}"
    if seen.alike is not None:
        alike, chance = percent(100 * seen.alike), percent(100 * seen.chance)
        title += f": nearest of another patient\nat the same height {alike} (chance {chance})"
    axes.set_title(title, fontsize=10)
    axes.set_xlabel("first principal component of features", fontsize=9)
    axes.set_ylabel("second", fontsize=9)
    axes.set_xticks([])
    axes.set_yticks([])
    tidy(axes)


def curves(axes: Any, losses: Mapping[str, tuple[Sequence[float], float]]) -> None:
    from hyperseg.report.charts import LINE_COLOURS, tidy

    for i, (name, (values, collapsed)) in enumerate(losses.items()):
        loss, colour = np.asarray(values, np.float64), LINE_COLOURS[i]
        width = max(1, len(loss) // 25)
        at = np.arange(1, len(loss) + 1)
        axes.plot(at, loss, color=colour, alpha=0.2, linewidth=0.8)
        means = np.convolve(loss, np.ones(width) / width, "valid")
        axes.plot(at[width - 1 :], means, color=colour, linewidth=1.6, label=f"{name} loss")
        axes.axhline(collapsed, color=colour, linestyle=":", linewidth=1, label=f"all equal: {collapsed:.2f}")
    axes.set_xlabel("steps", fontsize=9)
    axes.set_ylim(bottom=0)
    axes.set_title("contrastive loss", fontsize=10)
    axes.legend(fontsize=8, frameon=False, loc="best")
    tidy(axes)
