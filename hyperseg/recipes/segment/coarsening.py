"""Large images looked at more coarsely where a CPU has too little time for all their pixels."""

from __future__ import annotations

import numpy as np

from hyperseg.medical.plan import Plan, at_spacing
from hyperseg.medical.v2 import FEWEST, FIRST_WIDTH, LOW_STEP

WIDTH = 16  # of the first stage: narrower networks learn less than coarser images show
SHORTEST = 128  # voxels that the long axes keep
LONG = 0.5  # of the longest axis: axes of at least so many voxels are made coarser, together


def coarsened(plan: Plan, *, patience: float, pace: float) -> Plan:
    """The plan at the finest spacing at which a step of two patches, with 16 channels first, takes `patience` seconds.

    Long axes alone become coarser, as those of few voxels are coarse already; predictions are brought back to the
    grid of each image. Images of fewer than 128 voxels keep theirs.

    Source: ours, after the low resolution of nnU-Net's cascades; measured on pictures (docs/decisions.md).

    Args:
        plan: for a card.
        patience: seconds.
        pace: feature values a second of networks with the usual width, as in `narrowing.narrowed`.
    """
    found, first = plan, np.array(plan.spacing)
    spacing = first.copy()
    while not _fits(found, patience * pace):
        size = np.array(found.size)
        long = size >= LONG * size.max()
        if size.max() / LOW_STEP < SHORTEST:
            break
        spacing = np.where(long, spacing * LOW_STEP, spacing)
        found = at_spacing(plan, tuple(map(float, spacing)))
    return found


def _fits(plan: Plan, values: float) -> bool:
    """Of the network that is trained where nothing is asked for."""
    network = plan.configurations[min(1, len(plan.configurations) - 1)]
    return FEWEST * network.values * (WIDTH / FIRST_WIDTH) ** 2 <= values
