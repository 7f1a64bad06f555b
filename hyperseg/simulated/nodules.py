"""`nodules`: volumes with small objects to be found, and their boxes; nothing here is anatomy.

Textures, nodules and what looks like them (tubes as vessels, bodies too long to be nodules) are drawn, or real crops
are pasted into real backgrounds. All numbers are ours: the unit of brightness is the standard deviation of the
texture, so a contrast of 3 stands out of most of it, and tubes and long bodies are as bright as nodules: shape alone
tells.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import distance_transform_edt, gaussian_filter

from hyperseg.core import SettingError
from hyperseg.simulated.pasted import Real, pasted, usable

Floats = NDArray[np.float64]
SCALES_VX, WEIGHTS = (1.0, 2.5, 7.0), (0.5, 0.6, 0.6)  # of the texture: widths in voxels, and how much of each
ROUND = 1.4  # a nodule's longest axis is up to so many times its shortest
GAP_VX = 3  # between a nodule and anything else
TRIES = 40  # to find a free place
STEPS_VX = 0.5  # between the points that a tube is drawn through
BEND = 0.12  # how much a tube turns at each of them, in radians about


class Simulated(NamedTuple):
    """Volumes and what is in them.

    Attributes:
        volumes: float32 (*S) each, all of one shape.
        boxes: float64 (M, 2n) each, in voxels, half open, all lower bounds before all upper ones; M may be 0.
        groups: of each volume the name of its real background; empty where it is drawn. Volumes of one share voxels.
    """

    volumes: tuple[NDArray[np.float32], ...]
    boxes: tuple[Floats, ...]
    groups: tuple[str, ...]


@dataclass(frozen=True)
class Difficulty:
    """How hard the task is. The defaults leave a small network room to learn, and a bright spot is not enough.

    Attributes:
        sizes: the mean diameter of a nodule in voxels, from and to.
        contrasts: of nodules, tubes and long bodies above the texture, in its standard deviations, from and to.
        most: nodules in a volume at most.
        empty: share of volumes without any.
        tubes, long: how many tubes and long bodies per 48 x 48 x 48 voxels.
        noise: of every voxel, in the same unit.
    """

    sizes: tuple[float, float] = (3.0, 12.0)
    contrasts: tuple[float, float] = (2.0, 4.0)
    most: int = 4
    empty: float = 0.15
    tubes: float = 4.0
    long: float = 3.0
    noise: float = 0.5


@dataclass(frozen=True, eq=False)
class Ellipsoid:
    """Semi-axes (n,) in voxels along the columns of `turn` (n, n), around `centre` (n,)."""

    centre: Floats
    axes: Floats
    turn: Floats

    def radius(self, corner: NDArray[np.int64], size: NDArray[np.int64]) -> Floats:
        """Of each voxel of a window: below 1 inside of the ellipsoid, 1 on its surface."""
        points = np.moveaxis(np.indices(tuple(size)), 0, -1) + corner - self.centre
        return np.asarray(np.sqrt((((points @ self.turn) / self.axes) ** 2).sum(-1)))


def nodules(
    n: int, *, shape: Sequence[int], seed: int, real: Real | None = None, difficulty: Difficulty | None = None
) -> Simulated:
    """Draw `n` volumes with nodules and their exact boxes.

    A nodule is an ellipsoid in any direction with an edge of about a voxel; its box holds the voxels of which more than
    half is nodule. Nodules lie wholly inside and do not touch each other. A volume depends on `seed` and its number
    alone: the first 5 of 60 volumes are those of 5.

    Args:
        n: number of volumes.
        shape: of each, 2 or 3 axes.
        seed: same seed, same bytes.
        real: crops that are pasted into real backgrounds, in place of drawn ones; `difficulty` counts their number.
        difficulty: see there.

    Raises:
        SettingError: no volume, too few voxels along an axis, or real pieces that do not fit.
    """
    volumes, boxes, groups = zip(*one_by_one(n, shape=shape, seed=seed, real=real, difficulty=difficulty), strict=True)
    return Simulated(volumes, boxes, groups)


def one_by_one(
    n: int, *, shape: Sequence[int], seed: int, real: Real | None = None, difficulty: Difficulty | None = None
) -> Iterator[tuple[NDArray[np.float32], Floats, str]]:
    """As `nodules`, one volume, its boxes and group in memory at a time; what cannot be drawn is refused at once."""
    size, hard = tuple(int(k) for k in shape), difficulty or Difficulty()
    least = int(np.ceil(hard.sizes[1] * ROUND)) + 4
    if n < 1 or seed < 0 or len(size) not in (2, 3) or (real is None and min(size) < least):
        raise SettingError(
            f"n={n}, shape={size}, seed={seed}: expected a number of volumes, 2 or 3 axes of {least} voxels at least "
            f"(nodules are up to {hard.sizes[1]:g} wide), and a seed from 0 on."
        )
    if real is not None:
        real = usable(real, size)
    return _each(n, size, hard, seed, real)


def _each(
    n: int, size: tuple[int, ...], hard: Difficulty, seed: int, real: Real | None
) -> Iterator[tuple[NDArray[np.float32], Floats, str]]:
    for number in range(n):
        rng = np.random.default_rng([seed, number])
        many = 0 if rng.random() < hard.empty else int(rng.integers(1, hard.most + 1))
        yield (*drawn(size, many, hard, rng), "") if real is None else pasted(real, size, many, rng)


def drawn(
    shape: tuple[int, ...], many: int, hard: Difficulty, rng: np.random.Generator
) -> tuple[NDArray[np.float32], Floats]:
    """One volume with up to `many` nodules (fewer where there is no free place), and their boxes."""
    volume = texture(shape, rng)
    boxes: list[Floats] = []
    share = float(np.prod(shape)) / 48 ** len(shape)
    for k in range(many + rng.poisson(hard.long * share)):
        body = _free(shape, boxes, hard, rng, long=k >= many)
        if body is not None:
            box = _add(volume, body, rng.uniform(*hard.contrasts))
            boxes.append(box if k < many else np.append(box, np.nan))  # a long body keeps its place, but is no object
    found = [box for box in boxes if len(box) == 2 * len(shape)]
    _add_tubes(volume, rng.poisson(hard.tubes * share), boxes, hard, rng)
    volume += rng.normal(0, hard.noise, shape)
    return volume.astype(np.float32), np.array(found, np.float64).reshape(-1, 2 * len(shape))


def texture(shape: tuple[int, ...], rng: np.random.Generator) -> Floats:
    """Noise that is correlated over several lengths, with mean 0 and standard deviation 1."""
    total = np.zeros(shape)
    for width, weight in zip(SCALES_VX, WEIGHTS, strict=True):
        smooth = gaussian_filter(rng.normal(size=shape), width, mode="wrap", truncate=3.0)
        total += weight * smooth / smooth.std()
    return np.asarray((total - total.mean()) / total.std())


def _free(
    shape: tuple[int, ...], taken: list[Floats], hard: Difficulty, rng: np.random.Generator, *, long: bool
) -> Ellipsoid | None:
    """A nodule, or a body 3 to 5 times as long as wide, whose box is away from those that are there; None without."""
    n = len(shape)
    for _ in range(TRIES):
        turn, _ = np.linalg.qr(rng.normal(size=(n, n)))
        wide = rng.uniform(*hard.sizes) / 2
        axes = wide * np.exp(rng.uniform(-0.5, 0.5, n) * np.log(ROUND))
        if long:
            wide = rng.uniform(1.2, 2.2)
            axes = np.array([wide * rng.uniform(3, 5), *([wide] * (n - 1))])
        reach = np.sqrt(((turn * axes) ** 2).sum(1))  # half of the sides of the ellipsoid's box
        room = np.array(shape) - 1 - 2 * (reach + 1)
        if (room <= 0).any():
            continue
        centre = reach + 1 + rng.uniform(size=n) * room
        low, high = centre - reach - GAP_VX, centre + reach + 1 + GAP_VX
        if not any(((low < box[n : 2 * n]) & (box[:n] < high)).all() for box in taken):
            return Ellipsoid(centre, axes, turn)
    return None


def _add(volume: Floats, body: Ellipsoid, contrast: float) -> Floats:
    """Lay a body into the volume, and give the box (2n,) of the voxels of which it is more than half."""
    reach = np.sqrt(((body.turn * body.axes) ** 2).sum(1)) + 2
    low = np.maximum(np.floor(body.centre - reach), 0).astype(np.int64)
    high = np.minimum(np.ceil(body.centre + reach) + 1, volume.shape).astype(np.int64)
    away = (body.radius(low, high - low) - 1) * body.axes.min()  # voxels from the surface, about
    part = np.clip(0.5 - away, 0, 1)
    window = tuple(slice(a, b) for a, b in zip(low, high, strict=True))
    volume[window] += contrast * part
    inside = np.argwhere(part > 0.5)
    return np.concatenate([inside.min(0) + low, inside.max(0) + low + 1]).astype(np.float64)


def _add_tubes(volume: Floats, many: int, taken: list[Floats], hard: Difficulty, rng: np.random.Generator) -> None:
    """Lay bent tubes, as bright as nodules, through the volume; a tube that would meet a body is left out."""
    shape = np.array(volume.shape)
    wide: Floats = np.zeros(volume.shape)
    bright: Floats = np.zeros(volume.shape)
    for _ in range(many):
        radius, contrast = rng.uniform(0.7, 1.8), rng.uniform(*hard.contrasts)
        points = _course(shape, rng)
        n, room = len(shape), radius + GAP_VX - 1
        if any(((points > box[:n] - room) & (points < box[n : 2 * n] + room)).all(1).any() for box in taken):
            continue
        at = tuple(np.rint(points).astype(int).T)
        wide[at], bright[at] = radius, contrast
    if not wide.any():
        return
    away, nearest = distance_transform_edt(wide == 0, return_indices=True)
    nearest = tuple(nearest)
    volume += bright[nearest] * np.clip(wide[nearest] + 0.5 - away, 0, 1)


def _course(shape: NDArray[Any], rng: np.random.Generator) -> Floats:
    """Points (k, n) of a curve that enters through a face and ends where it leaves the volume."""
    n = len(shape)
    at, way = rng.uniform(size=n) * (shape - 1), rng.normal(size=n)
    face = int(rng.integers(n))
    at[face], way[face] = 0.0, np.abs(way[face]) + 0.5
    points: list[Floats] = []
    while ((at >= 0) & (at <= shape - 1)).all() and len(points) < 8 * shape.max():
        points.append(at)
        way = way / np.linalg.norm(way) + rng.normal(0, BEND, n)
        at = at + STEPS_VX * way / np.linalg.norm(way)
    return np.array(points)
