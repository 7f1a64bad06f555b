"""Rooms drawn at random: a floor, a wall, at times a second one, and one to four things that stand on the floor."""

from __future__ import annotations

import colorsys
import math

import numpy as np

from hyperseg.core import SettingError
from hyperseg.simulated.rooms.picture import Camera, Pictures, Room, render
from hyperseg.simulated.rooms.solids import Box, Plane, Point, Sphere

Z_MIN, Z_MAX = 1.0, 10.0  # no depth of a drawn room lies outside

# how far the floor is can be read where the camera is high and looks down: a camera twice as high in a room twice as
# large sees the same, and near the horizon a degree of pitch is a tenth of the depth
HEIGHT = (2.2, 2.5)  # of the camera above the floor
PITCH = (20.0, 25.0)  # degrees
FOCAL = (1.0, 1.15)  # widths of the picture: 53 to 47 degrees are seen
FARTHEST = (4.5, 9.5)  # depth of the farthest point of the back wall that is seen
TURN = 25.0  # degrees to both sides: how the back wall stands
SIDE = (1.2, 3.5)  # distance of a wall at the side
SIDE_SHARE = 0.5  # of rooms that have one
THINGS = 4  # at most
RADIUS = (0.25, 0.75)  # of a sphere
HALF = (0.2, 0.65)  # half a side of a box on the floor
BOX_HEIGHT = (0.3, 1.8)
GAP = 0.05  # between two things, and between a thing and a wall
NEAREST = 1.2  # depth of the nearest point a thing may have
TRIES = 60  # places that are tried for a thing; rooms without place keep fewer
AMBIENT = (0.35, 0.55)
LIGHT_TILT = (15.0, 60.0)  # degrees between the light and the vertical


def rooms(n: int, size: int, seed: int, *, first: int = 0) -> tuple[Pictures, Pictures]:
    """Pictures of rooms and their exact depth.

    Picture i depends on the seed and i alone, not on n: more pictures begin with the same ones.

    Args:
        n: pictures.
        size: rows and columns of each.
        seed: 0 or more.
        first: number of the first picture.

    Returns:
        (n, 3, size, size) colours from -1 to 1, and (n, size, size) depths from Z_MIN to Z_MAX.

    Raises:
        SettingError: fewer than one picture, a size below one, or numbers below zero.
    """
    if n < 1 or seed < 0 or first < 0:
        raise SettingError(f"draw 1 picture or more from a seed of 0 or more, got {n} from {first}, seed {seed}.")
    images, depths = np.empty((n, 3, size, size), np.float32), np.empty((n, size, size), np.float32)
    for i in range(n):
        colours, depths[i] = render(draw_room(np.random.default_rng([seed, first + i])), size)
        images[i] = 2 * colours.transpose(2, 0, 1) - 1
    return images, depths


def draw_room(rng: np.random.Generator) -> Room:
    """A room in which every depth that can be seen is from Z_MIN to Z_MAX.

    It is so by construction: the wall is put where the farthest point seen (an end of the line between floor and wall)
    has a depth that is drawn, a wall at the side is moved out where it would come too near, and things that would reach
    nearer than NEAREST, beyond a wall or into another thing are placed again. Sizes and colours do not depend on depth.

    Source: reconstruction; the paper's pictures are photographs.
    """
    camera = Camera(rng.uniform(*FOCAL), math.radians(rng.uniform(*PITCH)))
    height = rng.uniform(*HEIGHT)
    walls = _walls(rng, camera, height)
    floor = Plane((0.0, 1.0, 0.0), height, _colour(rng))
    things: list[Sphere | Box] = []
    for _ in range(int(rng.integers(1, THINGS + 1))):
        _place(rng, camera, height, walls, things)
    tilt, around = math.radians(rng.uniform(*LIGHT_TILT)), rng.uniform(-math.pi, 0)  # never from behind the wall
    light = (math.sin(tilt) * math.cos(around), -math.cos(tilt), math.sin(tilt) * math.sin(around))
    return Room(camera, (floor, *walls, *things), light, rng.uniform(*AMBIENT))


def _walls(rng: np.random.Generator, camera: Camera, height: float) -> tuple[Plane, ...]:
    """The back wall, and at times one at a right angle to it."""
    turn, half = math.radians(rng.uniform(-TURN, TURN)), 0.5 / camera.focal
    c, s = math.cos(camera.pitch), math.sin(camera.pitch)
    farthest = rng.uniform(*FARTHEST)
    # on the line between floor and wall z = height s + c (offset / cos turn - x tan turn), seen where |x| <= half z
    offset = (farthest * (1 - half * c * abs(math.tan(turn))) - height * s) * math.cos(turn) / c
    back = Plane((math.sin(turn), 0.0, math.cos(turn)), offset, _colour(rng))
    side_colour, hand, distance = _colour(rng), float(rng.choice([-1.0, 1.0])), rng.uniform(*SIDE)
    if rng.random() >= SIDE_SHARE:
        return (back,)
    normal = (hand * math.cos(turn), 0.0, -hand * math.sin(turn))
    corners = np.array([[x, y, 1.0] for x in (-half, half) for y in (-half, half)]) @ camera.axes
    return back, Plane(normal, max(distance, Z_MIN * float((corners @ np.asarray(normal)).max())), side_colour)


def _place(
    rng: np.random.Generator, camera: Camera, height: float, walls: tuple[Plane, ...], things: list[Sphere | Box]
) -> None:
    """Add one thing of a drawn size and colour, where it has room."""
    round_, colour = rng.random() < 0.5, _colour(rng)
    radius, yaw = rng.uniform(*RADIUS), rng.uniform(0, math.pi / 2)
    half = (rng.uniform(*HALF), rng.uniform(*BOX_HEIGHT) / 2, rng.uniform(*HALF))
    reach, up = (radius, radius) if round_ else (math.hypot(half[0], half[2]), half[1])
    down, forward, edge = camera.axes[1], camera.axes[2], 0.5 / camera.focal
    for _ in range(TRIES):
        ahead = rng.uniform(NEAREST, walls[0].offset)
        centre = (rng.uniform(-edge, edge) * ahead, height - up, ahead)
        z, below = float(forward @ centre), float(down @ centre)
        near = z - (radius if round_ else reach * forward[2] + up * abs(forward[1]))
        free = all(float(np.dot(w.normal, centre)) + reach + GAP <= w.offset for w in walls)
        apart = all(math.dist(centre[::2], t.centre[::2]) >= reach + _reach(t) + GAP for t in things)
        if near >= NEAREST and abs(below) <= edge * z and abs(centre[0]) <= edge * z and free and apart:
            things.append(Sphere(centre, radius, colour) if round_ else Box(centre, half, yaw, colour))
            return


def _reach(thing: Sphere | Box) -> float:
    """How far a thing reaches over the floor from its middle."""
    return thing.radius if isinstance(thing, Sphere) else math.hypot(thing.half[0], thing.half[2])


def _colour(rng: np.random.Generator) -> Point:
    """An albedo uniform in hue, saturation and value."""
    r, g, b = colorsys.hsv_to_rgb(rng.random(), rng.uniform(0.1, 0.9), rng.uniform(0.35, 1.0))
    return r, g, b
