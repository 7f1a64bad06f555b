"""Tricks after prediction: pieces that go, and what they refuse."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from hyperseg.core import SettingError
from hyperseg.core.parts import OnCases
from hyperseg.recipes.methods import METHODS
from hyperseg.recipes.refiners.sieve import SieveSettings
from hyperseg.recipes.run.settings import RunSettings
from hyperseg.recipes.segment.methods.chosen import case_method
from hyperseg.recipes.tricks.choosing import tricked_method


def test_what_cannot_be_is_one_line_before_training() -> None:
    with pytest.raises(SettingError, match="hectares are of scenes"):
        case_method(tricks=("small-areas:hectares=1",))
    with pytest.raises(SettingError, match=r"--trick largest-component, with the method cnn3d: .* not of scenes"):
        tricked_method(METHODS["cnn3d"], ("largest-component",))
    with pytest.raises(SettingError, match="pixels is 2 or more, got 1"):
        RunSettings(tricks=("small-areas:1",))
    with pytest.raises(SettingError, match="two limits: give one"):
        RunSettings(tricks=("small-areas:pixels=20,hectares=1",))
    with pytest.raises(SettingError, match="two limits: give one"):
        SieveSettings(pixels=20, hectares=1)


def test_on_scenes_the_method_stays_as_it_is() -> None:
    """It is a refiner there."""
    assert tricked_method(METHODS["cnn3d"], ("small-areas",)) is METHODS["cnn3d"]


def finish(*tricks: str) -> Any:
    on: OnCases = case_method(tricks=tricks).on
    return lambda labels: on.finish(labels, None)


def test_on_folders_pieces_become_background() -> None:
    labels = np.array([[1, 1, 0, 2, 0], [0, 2, 0, 2, 0], [2, 0, 0, 0, 1]], np.int16)
    assert (finish("small-areas:2")(labels) == [[1, 1, 0, 2, 0], [0, 0, 0, 2, 0], [0, 0, 0, 0, 0]]).all()
    assert (finish("largest-component")(labels) == [[1, 1, 0, 2, 0], [0, 0, 0, 2, 0], [0, 0, 0, 0, 0]]).all()
    together = finish("largest-component:together=true")
    assert (together(labels) == [[1, 1, 0, 0, 0], [0, 2, 0, 0, 0], [0, 0, 0, 0, 0]]).all()
    for do in (finish("small-areas:2"), finish("largest-component"), together):
        assert (do(do(labels)) == do(labels)).all()
        assert (do(np.zeros((4, 4), np.int16)) == 0).all()
