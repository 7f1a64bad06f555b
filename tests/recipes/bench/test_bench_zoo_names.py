"""Where names stand in the picture of a benchmark of networks, and what far away points do to its scale."""

from __future__ import annotations

import io
from itertools import combinations

import numpy as np
import pytest
from PIL import Image

from hyperseg.recipes.bench.zoo.showing.figure import Point, front_figure
from hyperseg.recipes.bench.zoo.showing.names import Box, Label, placed

CHART = Box(0.0, 0.0, 400.0, 300.0)


def boxes(labels: list[Label], radius: float = 3.0) -> list[Box | None]:
    found = placed(labels, CHART, radius=radius)
    return [
        None if at is None else Box(*at, at[0] + one.width, at[1] + one.height)
        for at, one in zip(found, labels, strict=True)
    ]


@pytest.mark.parametrize("seed", range(3))
def test_no_name_lies_on_another_on_a_point_or_outside(seed: int) -> None:
    rng = np.random.default_rng(seed)
    labels = [Label(*rng.uniform((0, 0), (400, 300)), *rng.uniform((20, 8), (70, 12))) for _ in range(60)]
    there = [box for box in boxes(labels) if box is not None]
    assert len(there) > 30
    assert all(box.inside(CHART) for box in there)
    assert not any(one.meets(other) for one, other in combinations(there, 2))
    points = [Box(one.x - 3, one.y - 3, one.x + 3, one.y + 3) for one in labels]
    assert not any(box.meets(point) for box in there for point in points)


def test_a_lonely_name_stands_right_above_its_point_and_in_a_corner_to_the_left() -> None:
    lonely, corner = boxes([Label(100, 100, 40, 10), Label(395, 295, 40, 10)])
    assert lonely == Box(105, 105, 145, 115)
    assert corner == Box(350, 280, 390, 290)


def test_names_that_must_stand_come_first() -> None:
    crowd = [Label(200, 150, 300, 100, must=n == 4) for n in range(5)]  # there is room above and below
    assert [box is not None for box in boxes(crowd)] == [True, False, False, False, True]
    crowd = [Label(200, 150, 300, 100, must=True) for n in range(3)]
    assert None not in boxes(crowd)
    too_wide = Label(200, 150, 500, 10, must=True)
    assert boxes([too_wide]) == [None]


def test_a_score_far_below_the_baselines_leaves_the_scale_to_the_others() -> None:
    """Two pictures that differ in nothing but how far below it is have the same axes."""

    def picture(worst: float) -> np.ndarray:
        points = [
            Point(name, cost, 0.9 - cost / 1e9)
            for name, cost in zip("abcdef", (1e6, 2e6, 5e6, 9e6, 2e7, 3e7), strict=True)
        ]
        points.append(Point("worst", 3e6, worst))
        png = front_figure([("cost", points)], floors=[("svm", 0.7)], unit="Dice")
        return np.asarray(Image.open(io.BytesIO(png)).convert("L"))

    near, far = picture(0.11), picture(0.12)  # names of as many letters
    assert near.shape == far.shape
    differs = np.argwhere(near != far)
    assert 0 < len(differs) < 200  # one digit of the name
