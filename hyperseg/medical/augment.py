"""Random changes of training patches: drawn on the host as numbers, done on the device with plain torch functions.

The numbers decide which changes are done at all, so a patch that none was drawn for costs nothing. Ranges and
probabilities are the plan's (`hyperseg.medical.training.Augmentation`).
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from itertools import combinations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from hyperseg.medical.changes.elastic import Bend, displacements, draw_bend
from hyperseg.medical.configuration import Configuration
from hyperseg.medical.topology import Size
from hyperseg.medical.training import Augmentation, Change

Channels = tuple[float | None, ...]  # a number for each channel; None leaves it alone
TINY = 1e-7
SIGMAS = 4  # a Gaussian ends there


@dataclass(frozen=True)
class Changes:
    """What is done to one patch, in this order.

    Attributes:
        turn: (n, n) rows: where a voxel's value comes from, as offset from the middle, in voxels; None for no turn.
        bend: voxels are displaced before that, or None.
        noise: standard deviation of what is added, 0 for none.
        blur: width of a Gaussian in voxels. brightness, contrast: factors. low_resolution: factor of the size.
        gamma_inverted, gamma: exponents.
        flips: axes that are mirrored.
        within: of the noise: it is cut to so many deviations; 0 for not at all.
        quarters: quarter turns of the last two axes, counterclockwise, before the mirrors; moved, not resampled.
        shift: voxels by which the patch lies elsewhere than it was laid; () for none.
    """

    turn: tuple[tuple[float, ...], ...] | None = None
    noise: float = 0.0
    blur: Channels = ()
    brightness: Channels = ()
    contrast: Channels = ()
    low_resolution: Channels = ()
    gamma_inverted: Channels = ()
    gamma: Channels = ()
    flips: tuple[int, ...] = ()
    bend: Bend | None = None
    within: float = 0.0
    quarters: int = 0
    shift: tuple[int, ...] = ()

    def lying(self, patch: Size) -> Size:
        """The patch before its quarter turns."""
        return (*patch[:-2], patch[-1], patch[-2]) if self.quarters % 2 else patch

    def source(self, patch: Size) -> Size:
        """Voxels of the part of a case that the patch is made of."""
        patch = self.lying(patch)
        if self.turn is None and self.bend is None:
            return patch
        half, reach = (np.array(patch) - 1) / 2, np.zeros(len(patch))
        if self.bend is not None:
            reach[len(patch) - self.bend.axes :] = self.bend.reach
        turn = np.eye(len(patch)) if self.turn is None else np.array(self.turn)
        beyond = np.abs(turn) @ (half + reach) - half  # of each end; negative where things become larger
        return tuple(p + 2 * math.ceil(more - TINY) for p, more in zip(patch, beyond, strict=True))


def draw_changes(
    rng: np.random.Generator, augmentation: Augmentation, configuration: Configuration, n_channels: int
) -> Changes:
    """The changes of one patch; factors around 1 are below and above it equally often."""

    def each(change: Change | None, *, around_one: bool = False) -> Channels:
        if change is None or rng.random() >= change.p:
            return ()
        return tuple(
            _draw(rng, change, around_one) if rng.random() < change.channel_p else None for _ in range(n_channels)
        )

    turn = _draw_turn(rng, augmentation, configuration)
    bend = None
    if augmentation.elastic is not None:
        bend = draw_bend(rng, augmentation.elastic, 2 if configuration.in_plane else configuration.n_axes)
    noise = augmentation.noise
    variance = rng.uniform(noise.low, noise.high) if noise is not None and rng.random() < noise.p else 0.0
    found = Changes(
        turn, math.sqrt(variance), each(augmentation.blur), each(augmentation.brightness, around_one=True),
        each(augmentation.contrast, around_one=True), each(augmentation.low_resolution),
        each(augmentation.gamma_inverted, around_one=True), each(augmentation.gamma, around_one=True),
        tuple(axis for axis in range(configuration.n_axes) if augmentation.mirror and rng.random() < 0.5), bend,
        augmentation.noise_within or 0.0,
    )  # fmt: skip
    if augmentation.quarter_turns:
        found = replace(found, quarters=int(rng.integers(4)))
    if (share := augmentation.shift) is not None and rng.random() < share.p:
        found = replace(found, shift=tuple(round(rng.uniform(share.low, share.high) * n) for n in configuration.patch))
    return found


def change_patch(
    image: Tensor, labels: Tensor, changes: Changes, patch: Size, *, in_plane: bool
) -> tuple[Tensor, Tensor]:
    """Do the changes, on whatever device the patch is.

    Args:
        image: (C, *source), source as `changes.source(patch)`.
        labels: (*source) whole numbers, or several such maps (M, *source); they are moved, never mixed.
        patch: size of the result.
        in_plane: a low resolution leaves the first of three axes alone.

    Returns:
        (C, *patch), and (*patch) or (M, *patch).

    Differs: from nnU-Net: labels are turned by the nearest neighbour, not class by class; low resolution is enlarged
    linearly, not with cubic splines.
    """
    if changes.turn is not None or changes.bend is not None:
        lying = changes.lying(patch)
        moved = None if changes.bend is None else displacements(changes.bend, lying, device=image.device)
        image, labels = turned(image, labels, changes.turn, lying, moved)
    if changes.noise:
        noise = torch.randn_like(image)
        image = image + changes.noise * (noise.clamp(-changes.within, changes.within) if changes.within else noise)
    image = _per_channel(image, changes.blur, blurred)
    image = _per_channel(image, changes.brightness, lambda x, factor: x * factor)
    image = _per_channel(image, changes.contrast, contrasted)
    image = _per_channel(image, changes.low_resolution, lambda x, factor: coarsened(x, factor, in_plane=in_plane))
    image = _per_channel(image, changes.gamma_inverted, lambda x, exponent: -gamma(-x, exponent))
    image = _per_channel(image, changes.gamma, gamma)
    if changes.quarters:
        image, labels = (x.rot90(changes.quarters, (-2, -1)) for x in (image, labels))
    if changes.flips:
        axes = [axis - len(patch) for axis in changes.flips]
        image, labels = image.flip(axes), labels.flip(axes)
    return image, labels


def turned(
    image: Tensor, labels: Tensor, turn: tuple[tuple[float, ...], ...] | None, patch: Size,
    moved: Tensor | None = None,
) -> tuple[Tensor, Tensor]:  # fmt: skip
    """Resample (C, *source) and (*source) to the patch: voxel o from the middle has what was at `turn` (o + `moved`).

    Of labels there may be several maps, (M, *source). No turn is the identity.
    """
    device = image.device
    matrix = torch.eye(len(patch), device=device) if turn is None else torch.tensor(turn, device=device)
    axes = [torch.arange(n, dtype=torch.float32, device=image.device) - (n - 1) / 2 for n in patch]
    offsets = torch.stack(torch.meshgrid(*axes, indexing="ij"), -1)
    offsets = (offsets if moved is None else offsets + moved) @ matrix.T
    half = torch.tensor([max(n - 1, 1) / 2 for n in image.shape[1:]], device=image.device)
    grid = (offsets / half).flip(-1).unsqueeze(0)  # torch counts the last axis first
    moved = F.grid_sample(image.unsqueeze(0), grid, mode="bilinear", padding_mode="border", align_corners=True)[0]
    maps = labels.to(image.dtype).reshape(1, -1, *image.shape[1:])
    nearest = F.grid_sample(maps, grid, mode="nearest", padding_mode="border", align_corners=True)[0]
    return moved, nearest.round().to(labels.dtype).reshape(*labels.shape[: -len(patch)], *patch)


def blurred(x: Tensor, width: float) -> Tensor:
    """(*S) smoothed by a Gaussian along every axis; at the border the last value goes on."""
    for axis, n in enumerate(x.shape):
        if n > 1:
            x = torch.tensordot(x, _gaussian(n, width).to(x), dims=([axis], [1])).movedim(-1, axis)
    return x


def contrasted(x: Tensor, factor: float) -> Tensor:
    """Values further from, or nearer to, their mean, within the range they had."""
    mean = x.mean()
    return torch.minimum(torch.maximum((x - mean) * factor + mean, x.min()), x.max())


def coarsened(x: Tensor, factor: float, *, in_plane: bool = False) -> Tensor:
    """(*S) reduced to `factor` of its size and enlarged again; the first of three axes stays where `in_plane`."""
    size = tuple(x.shape)
    less = [max(1, round(n * factor)) for n in size]
    if in_plane and len(size) == 3:
        less[0] = size[0]
    small = F.interpolate(x[None, None], size=less, mode="nearest-exact")
    linear = "bilinear" if len(size) == 2 else "trilinear"
    return F.interpolate(small, size=size, mode=linear, align_corners=False)[0, 0]


def gamma(x: Tensor, exponent: float) -> Tensor:
    """Values raised to a power within their range; mean and standard deviation are kept."""
    low, mean, spread = x.min(), x.mean(), x.std(correction=0)
    span = x.max() - low
    raised = ((x - low) / (span + TINY)).clamp(min=0) ** exponent
    return (raised - raised.mean()) / (raised.std(correction=0) + TINY) * spread + mean


def _per_channel(image: Tensor, numbers: Channels, change) -> Tensor:  # type: ignore[no-untyped-def]
    if not any(number is not None for number in numbers):
        return image
    return torch.stack([x if number is None else change(x, number) for x, number in zip(image, numbers, strict=True)])


def _draw(rng: np.random.Generator, change: Change, around_one: bool) -> float:
    low, high = change.low, change.high
    if around_one and low < 1 < high:
        low, high = (low, 1.0) if rng.random() < 0.5 else (1.0, high)
    return float(rng.uniform(low, high))


def _draw_turn(
    rng: np.random.Generator, augmentation: Augmentation, configuration: Configuration
) -> tuple[tuple[float, ...], ...] | None:
    """Rotation and scaling as one matrix; a factor of the size above 1 makes things larger."""
    n, flat = configuration.n_axes, configuration.in_plane
    rotate, scale = rng.random() < augmentation.rotation_p, rng.random() < augmentation.scale.p
    if not rotate and not scale:
        return None
    matrix = np.eye(n)
    planes = [(n - 2, n - 1)] if flat or n == 2 else list(combinations(range(n), 2))
    if rotate:
        for plane in planes:
            matrix = _rotation(n, plane, math.radians(rng.uniform(-1, 1) * configuration.rotation_deg)) @ matrix
    if scale:
        factor = rng.uniform(augmentation.scale.low, augmentation.scale.high)
        matrix = np.diag([1.0 if flat and n == 3 and axis == 0 else 1 / factor for axis in range(n)]) @ matrix
    return tuple(tuple(map(float, row)) for row in matrix)


def _rotation(n: int, plane: tuple[int, int], angle: float) -> NDArray[np.float64]:
    matrix = np.eye(n)
    a, b = plane
    matrix[a, a] = matrix[b, b] = math.cos(angle)
    matrix[a, b], matrix[b, a] = -math.sin(angle), math.sin(angle)
    return matrix


def _gaussian(n: int, width: float) -> Tensor:
    """(n, n): weights of all voxels of a line for each, rows sum to 1; beyond the ends the last voxel repeats."""
    reach = max(1, math.ceil(SIGMAS * width))
    steps = np.arange(-reach, reach + 1)
    kernel = np.exp(-0.5 * (steps / width) ** 2)
    matrix = np.zeros((n, n))
    at = np.clip(np.arange(n)[:, None] + steps, 0, n - 1)
    np.add.at(matrix, (np.arange(n)[:, None], at), kernel / kernel.sum())
    return torch.from_numpy(matrix)
