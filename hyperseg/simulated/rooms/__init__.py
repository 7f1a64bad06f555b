"""Pictures of simple rooms with exact depth: a floor, walls, and spheres and boxes that stand on the floor."""

from hyperseg.simulated.rooms.drawn import Z_MAX, Z_MIN, draw_room, rooms
from hyperseg.simulated.rooms.picture import Camera, Room, render
from hyperseg.simulated.rooms.solids import Box, Plane, Solid, Sphere

__all__ = ["Z_MAX", "Z_MIN", "Box", "Camera", "Plane", "Room", "Solid", "Sphere", "draw_room", "render", "rooms"]
