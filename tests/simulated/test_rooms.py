"""Rooms: depth in closed form and by marching along rays, occlusion, and the same bytes from the same seed."""

from __future__ import annotations

import math

import numpy as np
import pytest

from hyperseg.core import SettingError
from hyperseg.simulated.rooms import Z_MAX, Z_MIN, Box, Camera, Plane, Room, Sphere, draw_room, render, rooms

GREY = (0.5, 0.5, 0.5)
SIZE, FOCAL = 33, 1.1  # an odd size has a pixel on the axis
LEVEL = Camera(FOCAL)
PLACES = (np.arange(SIZE) + 0.5 - SIZE / 2) / (FOCAL * SIZE)  # of pixels, at distance one


def depth(*solids: Plane | Sphere | Box, camera: Camera = LEVEL, size: int = SIZE) -> np.ndarray:
    return render(Room(camera, solids), size)[1]


def box(z: float) -> Box:
    """Its front is at depth z."""
    return Box((0.0, 0.0, z + 0.5), (0.5, 0.5, 0.5), 0.0, GREY)


def test_the_floor_has_a_closed_form() -> None:
    """z = f h / (v - cv), in pixels, below the horizon; above it no floor."""
    height, z = 1.6, depth(Plane((0.0, 1.0, 0.0), 1.6, GREY))
    below = PLACES > 0
    np.testing.assert_allclose(z[below], np.broadcast_to(height / PLACES[below, None], (below.sum(), SIZE)), rtol=1e-6)
    assert np.isinf(z[~below]).all()


def test_a_pitched_camera_sees_the_same_floor_nearer() -> None:
    pitch, height = math.radians(20), 1.6
    z = depth(Plane((0.0, 1.0, 0.0), height, GREY), camera=Camera(FOCAL, pitch))
    toward = PLACES * math.cos(pitch) + math.sin(pitch)
    np.testing.assert_allclose(z[toward > 0][:, 0], height / toward[toward > 0], rtol=1e-6)


def test_a_wall_ahead_is_equally_deep_everywhere() -> None:
    np.testing.assert_allclose(depth(Plane((0.0, 0.0, 1.0), 5.0, GREY)), 5, rtol=1e-7)


def test_a_sphere_on_the_axis_begins_at_its_distance_less_its_radius() -> None:
    z = depth(Sphere((0.0, 0.0, 4.0), 0.75, GREY))
    assert z[SIZE // 2, SIZE // 2] == pytest.approx(3.25, rel=1e-6)
    assert z[np.isfinite(z)].min() == z[SIZE // 2, SIZE // 2]


def test_a_silhouette_of_a_sphere_is_as_wide_as_its_tangents() -> None:
    sphere = Sphere((0.0, 0.0, 4.0), 1.0, GREY)
    row = np.isfinite(depth(sphere, size=301)[150])
    half = 1 / math.sqrt(4**2 - 1) * FOCAL * 301
    assert row.sum() == pytest.approx(2 * half, abs=1.5)


def test_depth_is_along_the_axis_and_not_along_the_ray() -> None:
    """Points z * ray lie on the sphere; points at distance z do not, but for the one on the axis."""
    centre, radius = np.array([0.6, -0.4, 3.0]), 0.8
    z = depth(Sphere((0.6, -0.4, 3.0), radius, GREY)).ravel().astype(np.float64)
    hit, rays = np.isfinite(z), LEVEL.rays(SIZE)
    assert hit.sum() > 50
    off = np.linalg.norm(z[hit, None] * rays[hit] - centre, axis=1) - radius
    np.testing.assert_allclose(off, 0, atol=1e-5)
    along = z[hit, None] * rays[hit] / np.linalg.norm(rays[hit], axis=1, keepdims=True)
    assert np.abs(np.linalg.norm(along - centre, axis=1) - radius).max() > 0.01


def test_a_box_twice_as_far_spans_half_the_pixels() -> None:
    near, far = (np.isfinite(depth(box(z), size=400)) for z in (2.0, 4.0))
    assert near[200].sum() == 2 * far[200].sum() == 220
    assert near[:, 200].sum() == 2 * far[:, 200].sum()
    np.testing.assert_allclose(depth(box(4.0), size=400)[far], 4, rtol=1e-7)


def test_a_turned_box_shows_its_edge() -> None:
    """At 45 degrees the nearest point is an edge, sqrt(2) half sides before the middle."""
    z = depth(Box((0.0, 0.0, 4.0), (0.5, 0.5, 0.5), math.pi / 4, GREY))
    assert z[SIZE // 2, SIZE // 2] == pytest.approx(4 - math.sqrt(0.5), rel=1e-6)


@pytest.mark.parametrize("seed", range(6))
def test_another_thing_never_makes_anything_deeper(seed: int) -> None:
    room = draw_room(np.random.default_rng(seed))
    rest = np.full((16, 16), np.inf, np.float32)
    for k in range(len(room.solids) + 1):
        more = render(Room(room.camera, room.solids[:k]), 16)[1]
        assert (more <= rest).all()
        rest = more


@pytest.mark.parametrize("seed", range(8))
def test_depth_is_what_marching_along_rays_finds(seed: int) -> None:
    """The first of many points along a ray that is behind a plane or inside a thing."""
    room = draw_room(np.random.default_rng(100 + seed))
    step, rays = 1e-3, room.camera.rays(8)
    z = np.arange(step, Z_MAX + 0.1, step)
    points = z[None, :, None] * rays[:, None]
    inside = np.zeros(points.shape[:2], bool)
    for solid in room.solids:
        match solid:
            case Plane(normal=normal, offset=offset):
                inside |= points @ np.array(normal) >= offset
            case Sphere(centre=centre, radius=radius):
                inside |= np.square(points - centre).sum(2) <= radius**2
            case Box(centre=centre, half=half, yaw=yaw):
                x, y, ahead = np.moveaxis(points - centre, 2, 0)
                across, along = math.cos(yaw) * x + math.sin(yaw) * ahead, math.cos(yaw) * ahead - math.sin(yaw) * x
                inside |= (np.abs(across) <= half[0]) & (np.abs(y) <= half[1]) & (np.abs(along) <= half[2])
    assert inside.any(1).all()
    marched = z[inside.argmax(1)].reshape(8, 8)
    found = render(room, 8)[1]
    wrong = np.abs(marched - found) > 2 * step
    assert wrong.sum() <= 1  # a ray may graze a thing for less than a step
    assert (found <= marched + 1e-6).all()


def test_colour_is_albedo_times_light() -> None:
    """A floor under a light straight above is as bright as its albedo, a wall that it grazes has the ambient share."""
    albedo, above = (0.2, 0.4, 0.8), (0.0, -1.0, 0.0)
    floor, wall = Plane((0.0, 1.0, 0.0), 1.0, albedo), Plane((0.0, 0.0, 1.0), 4.0, albedo)
    colours, _ = render(Room(LEVEL, (floor, wall), above, ambient=0.3), 16)
    np.testing.assert_allclose(colours[-1, 0], albedo, rtol=1e-6)
    np.testing.assert_allclose(colours[0, 0], 0.3 * np.array(albedo), rtol=1e-6)


def test_an_edge_is_a_mixture_of_four_rays() -> None:
    half = Plane((0.0, 0.0, 1.0), 4.0, (1.0, 1.0, 1.0))
    colours, _ = render(Room(LEVEL, (half, Sphere((0.1, 0.2, 3.0), 0.7, (0.0, 0.0, 0.0))), (0.0, 0.0, -1.0)), 32)
    assert set(np.unique(colours[..., 0] * 4).round(5)) == {0.0, 1.0, 2.0, 3.0, 4.0}


def test_rooms_are_within_bounds_and_a_picture_depends_on_seed_and_number_alone() -> None:
    x, z = rooms(400, 16, 3)
    assert x.shape == (400, 3, 16, 16)
    assert z.shape == (400, 16, 16)
    assert x.dtype == z.dtype == np.float32
    assert Z_MIN <= z.min() < 2
    assert 8 < z.max() <= Z_MAX
    assert -1 <= x.min() < x.max() <= 1
    for again in (rooms(5, 16, 3), rooms(1, 16, 3, first=4)):
        assert again[0][-1].tobytes() == x[4].tobytes()
        assert again[1][-1].tobytes() == z[4].tobytes()
    assert not np.array_equal(rooms(5, 16, 4)[0], x[:5])


def test_things_stand_on_the_floor_apart_from_one_another() -> None:
    for seed in range(100):
        floor, *_ = room = draw_room(np.random.default_rng(seed)).solids
        assert isinstance(floor, Plane)
        things = [s for s in room if not isinstance(s, Plane)]
        assert 1 <= len(things) <= 4
        for i, thing in enumerate(things):
            up = thing.radius if isinstance(thing, Sphere) else thing.half[1]
            assert thing.centre[1] + up == pytest.approx(floor.offset)
            for other in things[:i]:
                assert math.dist(thing.centre[::2], other.centre[::2]) > reach(thing) + reach(other)


def reach(thing: Sphere | Box) -> float:
    return thing.radius if isinstance(thing, Sphere) else math.hypot(thing.half[0], thing.half[2])


@pytest.mark.parametrize(("n", "size", "seed"), [(0, 8, 0), (3, 0, 0), (3, 8, -1)])
def test_nothing_is_drawn_from_senseless_numbers(n: int, size: int, seed: int) -> None:
    with pytest.raises(SettingError, match="got"):
        rooms(n, size, seed)
