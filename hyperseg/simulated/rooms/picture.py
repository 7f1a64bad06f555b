"""A room seen by a camera: its picture, and the depth of every pixel."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hyperseg.core import SettingError
from hyperseg.simulated.rooms.solids import Floats, Point, Solid

Pictures = NDArray[np.float32]
SUB_RAYS = ((-0.25, -0.25), (0.25, -0.25), (-0.25, 0.25), (0.25, 0.25))  # of a pixel, for its colour


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
    camera = room.camera
    middle = camera.rays(size)
    z = np.min([solid.met(middle) for solid in room.solids], 0) if room.solids else np.full(len(middle), np.inf)
    parts = np.concatenate([camera.rays(size, *shift) for shift in SUB_RAYS])
    colours = _coloured(room, parts).reshape(len(SUB_RAYS), size, size, 3).mean(0)
    return colours.astype(np.float32), z.reshape(size, size).astype(np.float32)


def _coloured(room: Room, rays: Floats) -> Floats:
    """(n, 3) rays to the (n, 3) colours of what they meet first."""
    colours = np.zeros_like(rays)
    if not room.solids:
        return colours
    depths = np.stack([solid.met(rays) for solid in room.solids])
    first, nearest = depths.argmin(0), depths.min(0)
    for k, solid in enumerate(room.solids):
        seen = np.flatnonzero((first == k) & np.isfinite(nearest))
        if seen.size:
            points = nearest[seen, None] * rays[seen]
            lit = np.maximum(solid.facing(points, rays[seen]) @ np.asarray(room.light), 0)
            colours[seen] = np.asarray(solid.albedo) * (room.ambient + (1 - room.ambient) * lit)[:, None]
    return colours
