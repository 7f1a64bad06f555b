"""Slices with truth and prediction: which pixel has which colour, and which slice is drawn."""

from __future__ import annotations

import io

import numpy as np
import pytest
from matplotlib.image import imread

from hyperseg.report.segment.curves import Curve, dice_figure, learning_figure
from hyperseg.report.segment.slices import LARGEST_PX, bright, colours_of, slice_of, slices_figure, stretched


def square(side: int, first: int, last: int) -> np.ndarray:
    found = np.zeros((side, side), np.int16)
    found[first:last, first:last] = 1
    return found


def has(png: bytes, colour: tuple[int, int, int]) -> int:
    """Pixels of exactly this colour."""
    picture = np.rint(255 * imread(io.BytesIO(png))[..., :3]).astype(int)
    return int((picture == colour).all(-1).sum())


def test_truth_is_a_line_and_the_answer_a_surface() -> None:
    """On black, the surface has the class's colour at 50 %; the line all of it, 2 pixels wide around the square."""
    truth, found = square(300, 100, 200), square(300, 150, 250)
    one = slice_of("a", 0.5, truth, found, cube=np.zeros((300, 300, 1), np.float32))
    png = slices_figure([one], ("background", "disc"), title="t")
    (colour,) = colours_of(("disc",))
    line = 100 * 100 - 96 * 96
    legend = has(slices_figure([slice_of("a", 0.5, 0 * truth, 0 * found)], ("background", "disc"), title="t"), colour)
    assert has(png, colour) == line + legend
    surface = tuple(round(0.5 * part) for part in colour)
    covered = 100 * 100 - (100 * 100 - 98 * 98) // 2  # roughly: where line and its dark edge cross the surface
    assert has(png, surface) == pytest.approx(covered, rel=0.03)


def test_the_slice_with_most_foreground_is_drawn_front_up() -> None:
    truth = np.zeros((4, 3, 5), np.int16)
    truth[2, 0, :4] = 1
    found = np.zeros_like(truth)
    found[3, 1, 1] = 1
    cube = np.arange(60.0).reshape(4, 3, 5, 1)
    one = slice_of("v", 0.0, truth, found, cube=cube, spacing=(3, 2, 1), upright=True)
    assert (one.truth == truth[2, ::-1]).all()
    assert not one.found.any()
    assert one.pixel == (2.0, 1.0)
    assert one.image is not None
    assert (one.image == stretched(cube[2, ::-1, :, 0])).all()
    assert (slice_of("v", 0.0, truth, found, cube=cube).truth == truth[2]).all()


def test_colours_of_pictures_stay_and_large_ones_are_thinned() -> None:
    labels = np.zeros((2 * LARGEST_PX, 10), np.int16)
    one = slice_of("p", 1.0, labels, labels, cube=np.random.default_rng(0).random((*labels.shape, 3)))
    assert one.image is not None
    assert one.image.shape == (LARGEST_PX, 5, 3)


@pytest.mark.parametrize("n", [1, 6, 7, 30])
def test_colours_are_seen_on_dark_images(n: int) -> None:
    found = colours_of([f"class {k}" for k in range(n)])
    assert len(set(found)) >= 0.9 * n
    assert min(np.dot(colour, (0.299, 0.587, 0.114)) for colour in found) > 115
    assert bright((255, 255, 255)) == (255, 255, 255)


def test_charts_of_nothing_and_of_little() -> None:
    """A class in no case, one case, a curve of one step: a picture all the same."""
    assert dice_figure({"a": [float("nan")], "$b$": [0.5], "c": []}).startswith(b"\x89PNG")
    assert learning_figure([Curve("fold 0", [0.1], [1.0], [], [])]).startswith(b"\x89PNG")


def test_every_case_is_a_point() -> None:
    few, many = (has(dice_figure({"a": values}), (255, 255, 255)) for values in ([0.2], [0.2, 0.3, 0.7, 0.9]))
    assert many < few
