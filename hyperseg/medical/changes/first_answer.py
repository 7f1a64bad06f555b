"""The answer of a cascade's first network as an input of the second one: as channels, and disturbed for training.

The first network is wrong in other places on new images than on those the second one learns from. Disturbing its
answer keeps the second one from copying it.
"""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from hyperseg.medical.training import Stage1Noise

Operation = Literal["erode", "dilate", "open", "close"]
OPERATIONS: tuple[Operation, ...] = ("erode", "dilate", "open", "close")


def channels_of(first: Tensor, n_classes: int) -> Tensor:
    """(*S) classes -> (K - 1, *S) float32: 1 where a foreground class is."""
    kinds = torch.arange(1, n_classes, device=first.device).view(-1, *(1,) * first.ndim)
    return (first.unsqueeze(0) == kinds).float()


def disturb(
    first: NDArray[np.int16], noise: Stage1Noise, n_classes: int, rng: np.random.Generator
) -> NDArray[np.int16]:  # fmt: skip
    """(*S) classes with the mistakes that a first network could have made; the array that came in is left alone.

    With probability `p` every class is eroded, dilated, opened or closed by a ball, each its own way; with probability
    `removal_p` one of the small enough pieces of every class becomes background. All on the host: components are no
    work for a device.

    Source: the published code of both versions of nnU-Net.
    Differs: there the patch is turned before, here afterwards: a ball looks the same, but for the scaling.
    """
    found = first
    if rng.random() < noise.p:
        for class_ in rng.permutation(np.arange(1, n_classes)):
            radius = int(rng.integers(noise.radius[0], noise.radius[1] + 1))
            operation = OPERATIONS[int(rng.integers(len(OPERATIONS)))]
            found = reshaped(found, int(class_), operation, radius)
    if rng.random() < noise.removal_p:
        for class_ in range(1, n_classes):
            found = without_a_piece(found, class_, round(noise.removal_share * found.size), rng)
    return found


def reshaped(labels: NDArray[np.int16], class_: int, operation: Operation, radius: int) -> NDArray[np.int16]:
    """A class changed by a ball (a disc in pictures): what it wins it takes from others, what it loses is background.

    Beyond the border is neither the class nor anything else: an erosion does not begin there.
    """
    mask = labels == class_
    if not mask.any():
        return labels
    match operation:
        case "dilate":
            new = _grown(mask, radius)
        case "erode":
            new = ~_grown(~mask, radius)
        case "close":
            new = ~_grown(~_grown(mask, radius), radius)
        case "open":
            new = _grown(~_grown(~mask, radius), radius)
        case _:
            raise AssertionError(operation)
    found = np.where(new, np.int16(class_), labels)
    found[mask & ~new] = 0
    return found


def without_a_piece(
    labels: NDArray[np.int16], class_: int, most: int, rng: np.random.Generator
) -> NDArray[np.int16]:  # fmt: skip
    """One of the pieces of a class that have at most so many voxels turned to background, drawn among them."""
    from scipy.ndimage import label

    pieces, n = label(labels == class_)
    sizes = np.bincount(pieces.ravel(), minlength=n + 1)[1:]
    small = np.flatnonzero(sizes <= most) + 1
    if not len(small):
        return labels
    return np.where(pieces == small[int(rng.integers(len(small)))], np.int16(0), labels)


def _grown(mask: NDArray[np.bool_], radius: int) -> NDArray[np.bool_]:
    """All voxels no further than `radius` from the mask.

    Squared distances axis after axis, up to the radius: a map of all distances takes ten times as long (160^3 voxels).
    """
    if not mask.any():
        return mask
    most = radius * radius
    near: NDArray[Any] = np.where(mask, 0, most + 1).astype(np.uint8 if 2 * most < 255 else np.int32)
    for axis in range(mask.ndim):
        before = np.moveaxis(near, axis, 0)
        near = near.copy()
        after = np.moveaxis(near, axis, 0)
        for step in range(1, min(radius, len(before) - 1) + 1):
            further = before + np.asarray(step * step, near.dtype)
            np.minimum(after[step:], further[:-step], out=after[step:])
            np.minimum(after[:-step], further[step:], out=after[:-step])
    found: NDArray[np.bool_] = near <= most
    return found
