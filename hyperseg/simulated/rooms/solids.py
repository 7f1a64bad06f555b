"""Planes, spheres and boxes, and where rays from the camera meet them."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Point = tuple[float, float, float]
LEAST = 1e-12  # a ray's part along an axis is never smaller than this, so that nothing is divided by zero


@dataclass(frozen=True)
class Plane:
    """All points X with normal . X = offset. The camera is at the origin; x runs to the right, y down, z forward.

    Attributes:
        normal: (3,), of length one.
        offset: distance of the plane from the camera, above zero.
        albedo: share of red, green and blue light that comes back, 0 to 1.
    """

    normal: Point
    offset: float
    albedo: Point

    def met(self, rays: Floats) -> Floats:
        """(n, 3) rays to (n,) depths: how many times a ray is taken to reach the plane; inf where it never does."""
        toward = rays @ np.asarray(self.normal)
        return np.divide(self.offset, toward, out=np.full(len(rays), np.inf), where=toward * self.offset > LEAST)

    def facing(self, points: Floats, rays: Floats) -> Floats:
        """(n, 3) points of the plane to their normals on the camera's side."""
        return np.broadcast_to(-np.sign(self.offset) * np.asarray(self.normal), points.shape)


@dataclass(frozen=True)
class Sphere:
    """All points at `radius` from the `centre`."""

    centre: Point
    radius: float
    albedo: Point

    def met(self, rays: Floats) -> Floats:
        """Smaller positive root z of |z ray - centre|^2 = radius^2; inf where there is none."""
        centre = np.asarray(self.centre)
        a, b, c = np.einsum("nk,nk->n", rays, rays), rays @ centre, float(centre @ centre) - self.radius**2
        inside = b * b - a * c
        root = np.sqrt(np.maximum(inside, 0))
        near, far = (b - root) / a, (b + root) / a
        return np.where((inside < 0) | (far <= 0), np.inf, np.where(near > 0, near, far))

    def facing(self, points: Floats, rays: Floats) -> Floats:
        return (points - np.asarray(self.centre)) / self.radius


@dataclass(frozen=True)
class Box:
    """A box that stands upright and is turned about the vertical.

    Attributes:
        centre: (3,).
        half: half of its width, height and depth.
        yaw: how far it is turned, radians.
    """

    centre: Point
    half: Point
    yaw: float
    albedo: Point

    @property
    def axes(self) -> Floats:
        """(3, 3): its own axes as rows."""
        c, s = math.cos(self.yaw), math.sin(self.yaw)
        return np.array([[c, 0.0, s], [0.0, 1.0, 0.0], [-s, 0.0, c]])

    def met(self, rays: Floats) -> Floats:
        """Slabs: the last entry of the three comes before the first exit, or the ray passes by (inf)."""
        near, far = self._slabs(rays)
        z_in, z_out = near.max(0), far.min(0)
        return np.where((z_in < z_out) & (z_in > 0), z_in, np.inf)

    def facing(self, points: Floats, rays: Floats) -> Floats:
        axis = self._slabs(rays)[0].argmax(0)
        along = np.take_along_axis(rays @ self.axes.T, axis[:, None], 1)
        normals: Floats = -np.sign(along) * self.axes[axis]
        return normals

    def _slabs(self, rays: Floats) -> tuple[Floats, Floats]:
        """(3, n) depths at which rays enter and leave the box's three slabs."""
        own = self.axes @ rays.T
        own[np.abs(own) < LEAST] = LEAST
        own = 1 / own
        middle, half = own * (self.axes @ np.asarray(self.centre))[:, None], np.abs(own)
        half *= np.asarray(self.half)[:, None]
        return middle - half, middle + half


Solid = Plane | Sphere | Box
