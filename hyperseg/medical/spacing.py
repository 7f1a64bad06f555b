"""From the spacings and sizes of cases to those of the images that a network sees."""

from __future__ import annotations

import numpy as np

from hyperseg.medical.fingerprint import Fingerprint, Size, Spacing

COARSE = 3  # times coarser than the others: an axis of its own kind
FINE_PERCENTILE = 10


def median_spacing(fingerprint: Fingerprint) -> Spacing:
    """The median per axis."""
    return tuple(map(float, np.median(np.array(fingerprint.spacings), 0)))


def target_spacing(fingerprint: Fingerprint) -> Spacing:
    """The median, finer along a coarse axis.

    An axis of volumes three times as coarse as the others, and with three times fewer voxels, gets the tenth percentile
    of its spacings (but no less than the next coarsest): the median would throw away what the finest images show.
    """
    spacing = list(median_spacing(fingerprint))
    size = np.median(np.array(fingerprint.sizes), 0)
    worst = int(np.argmax(spacing))
    others = [axis for axis in range(len(spacing)) if axis != worst]
    coarsest = max(spacing[axis] for axis in others)
    if len(spacing) == 3 and spacing[worst] > COARSE * coarsest and size[worst] * COARSE < size[others].min():
        fine = float(np.percentile(np.array(fingerprint.spacings)[:, worst], FINE_PERCENTILE))
        spacing[worst] = max(fine, coarsest + 1e-5)
    return tuple(spacing)


def median_size(fingerprint: Fingerprint, spacing: Spacing) -> Size:
    """The median size in voxels once the cases are resampled to `spacing`; halves are rounded up."""
    sizes, spacings = np.array(fingerprint.sizes), np.array(fingerprint.spacings)
    resampled = np.round(sizes * spacings / np.array(spacing))
    return tuple(max(1, int(n)) for n in np.ceil(np.median(resampled, 0)))


def axis_order(spacing: Spacing) -> Size:
    """Axes of the data in the plan's order: of volumes the coarsest first, the others as they were."""
    if len(spacing) < 3:
        return tuple(range(len(spacing)))
    worst = int(np.argmax(spacing))
    return (worst, *(axis for axis in range(len(spacing)) if axis != worst))
