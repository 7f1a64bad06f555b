"""Large images looked at more coarsely where a CPU has too little time for all their pixels."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from hyperseg.medical.plan import Plan, at_spacing
from hyperseg.medical.v2 import FEWEST, FIRST_WIDTH, LOW_STEP
from hyperseg.recipes.segment.narrowing import LEAST_WIDTH

SHORTEST = 96  # voxels that the long axes keep
APART = 2  # times as coarse as a short axis: v2 does not halve such an axis before the short one is as coarse
LONG = 0.5  # of the longest axis: axes of at least so many voxels are made coarser, together


def coarsened(
    plan: Plan, name: str, *, patience: float, pace: float, shortest: int = SHORTEST, least_width: int = LEAST_WIDTH
) -> Plan:  # fmt: skip
    """The plan at the finest spacing at which a step of two patches of the narrowest network takes `patience` seconds.

    Long axes alone become coarser, as those of few voxels are coarse already; predictions are brought back to the
    grid of each image. Images of at most `shortest` voxels keep theirs.

    Source: ours, after the low resolution of nnU-Net's cascades. Fundus images of 439 x 512 pixels, fold 0, one seed,
    Dice of both classes on their own grid: 0.54 after 84 CPU seconds (92 steps, width 8), 0.66 after 64 s with pixels
    1.75 times as large (92 steps, width 16), 0.76 after 45 s with 2.7 times as large ones (150 steps, width 16). Not as
    coarse as that by default, since small objects are lost: nuclei, 0.89 with all pixels (331 steps, 206 s), 0.83 with
    pixels twice as large (150 steps, 88 s).

    Args:
        plan: for a card.
        name: of the network whose steps are counted.
        patience: seconds.
        pace: feature values a second of networks with the usual width, as in `narrowing.narrowed`.
        shortest: voxels that the long axes keep.
        least_width: channels first of the narrowest network.
    """
    found, spacing = plan, np.array(plan.spacing)
    while FEWEST * found.configuration(name).values * (least_width / FIRST_WIDTH) ** 2 > patience * pace:
        size = np.array(found.size)
        long = size >= LONG * size.max()
        coarser = np.where(long, spacing * LOW_STEP, spacing)
        if size.max() / LOW_STEP < shortest or _apart(coarser, long):
            break
        spacing = coarser
        found = at_spacing(plan, tuple(map(float, spacing)))
    return found


def _apart(spacing: NDArray[np.float64], long: NDArray[np.bool_]) -> bool:
    """Whether a long axis would be too coarse beside a short one to be halved first, or with it."""
    return bool((~long).any() and spacing[long].max() >= APART * spacing[~long].min())
