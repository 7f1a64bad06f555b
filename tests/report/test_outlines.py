"""Numbered outlines: around their regions and nowhere else."""

from __future__ import annotations

import io

import numpy as np

from hyperseg.core import Scene
from hyperseg.report.outlines import OUTLINE, outlines_figure
from hyperseg.report.sheet import zoom
from hyperseg.simulated.scenes import toy_scene


def drawn(scene: Scene, numbers: np.ndarray, named: dict[int, str]) -> np.ndarray:
    from matplotlib.image import imread

    found = np.rint(255 * imread(io.BytesIO(outlines_figure(scene, numbers, named)))[..., :3]).astype(np.uint8)
    return found[1:-1, 1:-1]  # without the frame


def test_outlines_go_around_named_regions_only() -> None:
    scene = toy_scene(shape=(40, 30), n_bands=6)
    numbers = np.zeros(scene.shape, int)
    numbers[5:25, 10:28], numbers[30:, :9] = 1, 2
    _, factor = zoom(scene.shape)
    plain = drawn(scene, numbers, {})
    assert plain.shape == (40 * factor, 30 * factor, 3)
    assert not (plain == OUTLINE).all(-1).any()
    found = (drawn(scene, numbers, {1: "1"}) == OUTLINE).all(-1)
    rows, columns = np.nonzero(found)
    assert (rows.min(), rows.max()) == (5 * factor, 25 * factor - 1)
    assert (columns.min(), columns.max()) == (10 * factor, 28 * factor - 1)
    assert found[5 * factor, 10 * factor : 28 * factor].all()
    assert not found[6 * factor, 11 * factor : 20 * factor].any()
