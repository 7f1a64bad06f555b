"""A tiny detector and a few bright cubes to find, for tests."""

from __future__ import annotations

import numpy as np
import torch

from hyperseg.backbone import seeded
from hyperseg.detection.batch import Batch, Floats
from hyperseg.detection.network import Detector, detector_spec
from hyperseg.detection.settings import DetectorSettings

TINY = DetectorSettings(widths=(4, 8), head_width=8, levels=(0, 1), anchors=(4.0, 6.0))


def detector(n_axes: int = 3, seed: int = 0) -> Detector:
    with seeded(seed):
        return Detector(detector_spec(1, n_axes, TINY))


def cubes(count: int, *, side: int = 24, n_axes: int = 3, seed: int = 0) -> list[tuple[Floats, Floats]]:
    """Volumes (1, *S) of noise with two bright cubes each, and their boxes."""
    rng, made = np.random.default_rng(seed), []
    for _ in range(count):
        volume = rng.normal(0, 0.3, (1, *(side,) * n_axes)).astype(np.float32)
        boxes = []
        for half in (0, 1):
            size = int(rng.integers(4, 7))
            low = rng.integers(1, side // 2 - size, n_axes)
            low[0] += half * side // 2
            volume[(0, *(slice(a, a + size) for a in low))] += 2
            boxes.append([*low, *(low + size)])
        made.append((volume, np.array(boxes, np.float32)))
    return made


def batch(step: int = 0, *, n_axes: int = 3, empty: bool = False) -> Batch:
    """Two labelled patches and two without labels."""
    known, bare = cubes(2, side=16, n_axes=n_axes), cubes(2, side=16, n_axes=n_axes, seed=1)
    images = torch.from_numpy(np.stack([volume for volume, _ in known]))
    boxes = [torch.from_numpy(own[:0] if empty else own) for _, own in known]
    return Batch(images, boxes, torch.from_numpy(np.stack([volume for volume, _ in bare])), seed=5, step=step)
