"""A room seen by a camera: its picture, and the depth of every pixel."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hyperseg.core import SettingError
from hyperseg.simulated.rooms.solids import Floats, Point, Solid

Pictures = NDArray[np.float32]
SHIFTS = ((0.0, 0.0), (-0.25, -0.25), (0.25, -0.25), (-0.25, 0.25), (0.25, 0.25))  # of a pixel's rays: depth, colour


@dataclass(frozen=True)
class Camera:
    """A pinhole at the origin.

    Attributes:
        focal: focal length, in widths of the picture.
        pitch: how far it looks down, radians.
    """

    focal: float
    pitch: float = 0.0

    @property
    def axes(self) -> Floats:
        """(3, 3): its right, its down and its forward as rows."""
        c, s = math.cos(self.pitch), math.sin(self.pitch)
        return np.array([[1.0, 0.0, 0.0], [0.0, c, -s], [0.0, s, c]])

    def rays(self, size: int, right: float = 0.0, down: float = 0.0) -> Floats:
        """(size * size, 3), row by row: one step along each advances by one along the axis.

        Args:
            right, down: shift from the middle of the pixels, in pixels.
        """
        places = np.arange(size) + 0.5 - size / 2
        across, below = np.meshgrid((places + right) / (self.focal * size), (places + down) / (self.focal * size))
        return np.stack([across.ravel(), below.ravel(), np.ones(size * size)], 1) @ self.axes


@dataclass(frozen=True)
class Room:
    """Solids, a camera, and a light far away.

    Attributes:
        solids: the nearest one on a ray is seen. A pixel that meets none is black and infinitely far.
        light: (3,) direction from the solids to the light, of length one.
        ambient: share of the light that comes from everywhere, 0 to 1.
    """

    camera: Camera
    solids: tuple[Solid, ...]
    light: Point = (0.0, -1.0, 0.0)
    ambient: float = 0.4


def render(room: Room, size: int) -> tuple[Pictures, Pictures]:
    """The picture, and its depth.

    Depth is along the camera's axis, not along the ray, and belongs to the middle of the pixel. The colour of a
    pixel is the mean of four rays: albedo * (ambient + (1 - ambient) * max(0, normal . light)).

    Args:
        size: rows and columns of the picture.

    Returns:
        (size, size, 3) colours from 0 to 1, and (size, size) depths.

    Raises:
        SettingError: a size below one.
    """
    if size < 1:
        raise SettingError(f"a picture has one pixel a side or more, got {size}.")
    rays = np.concatenate([room.camera.rays(size, *shift) for shift in SHIFTS])
    z, colours = _seen(room, rays)
    mean = colours.reshape(len(SHIFTS), size, size, 3)[1:].mean(0)
    return mean.astype(np.float32), z[: size * size].reshape(size, size).astype(np.float32)


def _seen(room: Room, rays: Floats) -> tuple[Floats, Floats]:
    """(n, 3) rays to (n,) depths and (n, 3) colours of what they meet first."""
    nearest, first = np.full(len(rays), np.inf), np.full(len(rays), -1)
    for k, solid in enumerate(room.solids):
        z = solid.met(rays)
        nearer = z < nearest
        nearest[nearer], first[nearer] = z[nearer], k
    colours = np.zeros_like(rays)
    for k, solid in enumerate(room.solids):
        seen = np.flatnonzero(first == k)
        if seen.size:
            toward = rays[seen]
            lit = np.maximum(solid.facing(nearest[seen, None] * toward, toward) @ np.asarray(room.light), 0)
            colours[seen] = (room.ambient + (1 - room.ambient) * lit)[:, None] * np.asarray(solid.albedo)
    return nearest, colours
