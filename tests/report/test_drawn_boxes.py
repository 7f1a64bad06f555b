"""Boxes drawn where they are, around what they hold."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray
from pixels import decode

from hyperseg.report.boxes import FOUND, GAP_PX, LINE_PX, SIDE_PX, TRUE, draw_boxes

Pixels = NDArray[np.uint8]
NONE2, NONE3 = np.zeros((0, 4)), np.zeros((0, 6))


def panels(png: bytes) -> list[Pixels]:
    """What stands in the grey frames of a sheet, without the legend."""
    page = decode(png)
    grey = (page == 150).all(-1)
    top = int(np.flatnonzero(grey.sum(1) > SIDE_PX // 3)[0])  # letters have some grey too
    starts = np.flatnonzero(np.diff(np.append(False, grey[top]).astype(int)) == 1)
    ends = np.flatnonzero(np.diff(np.append(grey[top], False).astype(int)) == -1)
    bottom = top + int(np.flatnonzero(~grey[top:, starts[0]])[0]) - 1
    return [page[top + 1 : bottom, a + 1 : b] for a, b in zip(starts, ends, strict=True)]


def of_colour(panel: Pixels, colour: tuple[int, int, int]) -> NDArray[np.bool_]:
    return (panel == colour).all(-1)


def ring(shape: tuple[int, int], rows: tuple[int, int], columns: tuple[int, int]) -> NDArray[np.bool_]:
    found = np.zeros(shape, bool)
    w = LINE_PX
    found[rows[0] - w : rows[1] + w, columns[0] - w : columns[1] + w] = True
    found[slice(*rows), slice(*columns)] = False
    return found


def test_a_box_is_a_line_around_its_pixels() -> None:
    image = np.random.default_rng(0).random((1, 30, 30))
    plain, *_ = panels(draw_boxes(image, NONE2, np.zeros(0)))
    whole, near = panels(draw_boxes(image, np.array([[10.0, 5, 20, 25]]), np.array([0.9])))
    expected = ring((SIDE_PX, SIDE_PX), (100, 200), (50, 250))
    assert (of_colour(whole, FOUND) == expected).all()
    assert (whole[100:200, 50:250] == plain[100:200, 50:250]).all()
    outside = ~ring((SIDE_PX, SIDE_PX), (100 - LINE_PX, 200 + LINE_PX), (50 - LINE_PX, 250 + LINE_PX)) & ~expected
    assert (whole[outside] == plain[outside]).all()
    assert near.shape == whole.shape
    assert of_colour(near, FOUND).any()


def test_found_and_true_boxes_are_both_seen_where_they_agree() -> None:
    box = np.array([[10.0, 5, 20, 25]])
    whole, _ = panels(draw_boxes(np.zeros((1, 30, 30)), box, np.array([0.9]), box))
    found, true = of_colour(whole, FOUND), of_colour(whole, TRUE)
    assert ((found | true) == ring((SIDE_PX, SIDE_PX), (100, 200), (50, 250))).all()
    assert 0.3 < true.sum() / (found | true).sum() < 0.7


@pytest.mark.parametrize("upright", [False, True])
def test_of_a_volume_boxes_are_in_their_slices(upright: bool) -> None:
    boxes = np.array([[2.0, 10, 5, 5, 20, 25], [6, 0, 0, 8, 6, 6]])
    first, second = panels(draw_boxes(np.zeros((1, 9, 30, 30)), boxes, np.array([0.9, 0.8]), upright=upright))
    expected = ring((SIDE_PX, SIDE_PX), (100, 200), (50, 250))
    assert (of_colour(first[:SIDE_PX], FOUND) == (expected[::-1] if upright else expected)).all()
    assert first.shape == (2 * SIDE_PX + GAP_PX, SIDE_PX, 3)
    rows = np.flatnonzero(of_colour(second[:SIDE_PX], FOUND).any(1))
    assert (rows[0], rows[-1]) == ((238, 299) if upright else (0, 61))


def test_the_best_four_and_two_that_were_missed_are_shown() -> None:
    corner = np.arange(8.0)[:, None] * 3
    boxes = np.concatenate([np.repeat(corner, 3, 1), np.repeat(corner + 3, 3, 1)], 1)
    volume, scores = np.zeros((1, 30, 30, 30)), np.linspace(0.1, 0.8, 8)
    assert len(panels(draw_boxes(volume, boxes, scores))) == 4
    assert len(panels(draw_boxes(volume, boxes[:2], scores[:2], boxes[:2]))) == 2  # both are hit
    assert len(panels(draw_boxes(volume, boxes[:2], scores[:2], boxes))) == 4
    (middle,) = panels(draw_boxes(volume, NONE3, np.zeros(0), NONE3))
    assert not middle.any()
    missed, _ = panels(draw_boxes(volume, NONE3, np.zeros(0), boxes[4:6]))
    assert of_colour(missed, TRUE).any()
    assert not of_colour(missed, FOUND).any()


def test_voxels_are_in_proportion_and_colours_stay() -> None:
    image = np.zeros((3, 20, 20), np.uint8)
    image[0, :10], image[1, 10:] = 200, 100
    (whole,) = panels(draw_boxes(image, NONE2, np.zeros(0), spacing=(2.0, 1.0)))
    assert whole.shape == (SIDE_PX, SIDE_PX // 2, 3)
    assert whole[10, 10, 0] == 255
    assert not whole[10, 10, 1:].any()


def test_pieces_stay_inside_and_boxes_may_leave() -> None:
    """A box at the corner that reaches beyond the image, and one larger than the image."""
    boxes = np.array([[-2.0, -2, 3, 3], [-5, -5, 40, 40], [29, 29, 33, 33]])
    made = panels(draw_boxes(np.zeros((1, 30, 30)), boxes, np.array([0.9, 0.8, 0.7]), boxes))
    assert len(made) == 4
    assert of_colour(made[1], FOUND).any()
