"""Rooms: floor, walls, spheres and boxes seen through a pinhole, and how far every pixel is, exactly."""
