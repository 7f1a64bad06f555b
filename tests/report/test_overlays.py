"""Slices beside slices with classes over them."""

from __future__ import annotations

import numpy as np
from scipy.ndimage import binary_erosion

from hyperseg.core import Grid, Scene
from hyperseg.report.overlays import GAP_PX, LINE_PX, SIDE_PX, STRENGTH, overlay
from hyperseg.report.segment.slices import colours_of


def test_of_a_volume_voxels_are_in_proportion_and_background_is_clear() -> None:
    cube = np.random.default_rng(0).normal(size=(10, 20, 40, 1)).astype(np.float32)
    labels = np.zeros((10, 20, 40), np.int16)
    scene = Scene(cube, classes=("background", "a"), grid=Grid((4.0, 1.0, 1.0), "mm"))
    page = overlay(scene, labels)
    heights = (SIDE_PX // 2, SIDE_PX, SIDE_PX)  # 20 x 40, 40 x 40 and 40 x 20 mm
    widths = (SIDE_PX, SIDE_PX, SIDE_PX // 2)
    assert page.shape == (2 * max(heights) + GAP_PX, sum(widths) + 2 * GAP_PX, 3)
    lower = page[max(heights) + GAP_PX :]
    assert (page[: heights[0], : widths[0]] == lower[: heights[0], : widths[0]]).all()
    assert (page[..., :1] == page).all()


def test_a_class_is_painted_where_it_is_and_the_front_is_up() -> None:
    cube = np.zeros((5, 6, 6, 1), np.float32)
    labels = np.zeros((5, 6, 6), np.int16)
    labels[3, :2, 1:3] = 1
    scene = Scene(cube, classes=("background", "a"), grid=Grid((1.0, 1.0, 1.0), "mm"))
    page = overlay(scene, labels)
    painted = page[SIDE_PX + GAP_PX :, :SIDE_PX].any(-1)
    expected = np.kron(labels[3, ::-1] > 0, np.ones((SIDE_PX // 6,) * 2, bool))
    assert (painted == expected).all()
    colours, colour = page[SIDE_PX + GAP_PX :, :SIDE_PX], np.array(colours_of(("a",))[0])
    inside = binary_erosion(painted, border_value=1, iterations=LINE_PX)
    assert np.abs(colours[inside] - STRENGTH * colour).max() <= 1
    assert np.abs(colours[painted & ~inside] - colour).max() <= 1, "its border is not seen through"


def test_a_border_is_seen_on_any_ground() -> None:
    """A class in a class on white: from the outside black, its colour; black, the inner one's colour."""
    labels = np.zeros((SIDE_PX, SIDE_PX), np.int16)
    labels[50:250, 50:250], labels[100:200, 100:200] = 1, 2
    cube = np.zeros((SIDE_PX, SIDE_PX, 1), np.float32)
    cube[:150] = 1
    page = overlay(Scene(cube, classes=("background", "a", "b")), labels)[SIDE_PX + GAP_PX :]
    one, two = colours_of(("a", "b"))
    for first, colour in ((50, one), (100, two)):
        assert (page[first - LINE_PX : first, 150] == 0).all()
        assert (page[first : first + LINE_PX, 150] == colour).all()
    assert (page[40, 150] == 255).all()


def test_a_picture_keeps_its_colours_and_is_not_turned() -> None:
    cube = np.zeros((4, 8, 3), np.uint8)
    cube[0, :, 0] = 200
    scene = Scene(cube, classes=("background", "a"))
    page = overlay(scene, np.zeros((4, 8), np.int16))
    assert page.shape == (SIDE_PX + GAP_PX, SIDE_PX, 3)
    assert tuple(page[3, 3]) == (255, 0, 0)
    assert tuple(page[SIDE_PX // 2 - 3, 3]) == (0, 0, 0)
    lower = page[len(page) // 2 :]
    assert (lower[..., :1] == lower).all(), "classes are seen over grey"
