"""Gradients of losses of overlap: the curves of the figure, and that it is a picture."""

from __future__ import annotations

import math

import numpy as np
import pytest
from pixels import decode

from hyperseg.report.slopes import slopes_figure, slopes_of


def test_the_curves_are_the_derivative_of_the_cosine() -> None:
    dsc, slopes = slopes_of((1.0, 1.7))
    plain, one, power = slopes.values()
    assert set(plain) == {1.0}
    angle = math.pi / 2 * dsc
    assert one == pytest.approx(math.pi / 2 * np.sin(angle), abs=1e-12)
    assert power == pytest.approx(1.7 * math.pi / 2 * np.cos(angle) ** 0.7 * np.sin(angle), abs=1e-8)
    assert math.tan(angle[power.argmax()]) ** 2 == pytest.approx(1 / 0.7, rel=0.02)


def test_damped_at_the_end_and_weak_at_the_start() -> None:
    dsc, slopes = slopes_of()
    for name, slope in slopes.items():
        if "Cos" in name:
            assert slope[dsc < 0.1].max() < 1
            assert (slope[-1] < 1e-9) == ("= 1" not in name.replace("= 1.7", ""))


def test_the_figure() -> None:
    picture = decode(slopes_figure())
    assert picture.ndim == 3
    assert picture.std() > 10
