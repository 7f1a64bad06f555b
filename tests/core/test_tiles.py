"""Tiles partition a scene, and their halos stay inside it."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hyperseg.core import SettingError, tiles

sizes = st.tuples(st.integers(1, 23), st.integers(1, 17))


@given(shape=sizes, size=sizes, halo=st.integers(0, 6))
def test_cores_partition_the_scene_and_halos_add_up(
    shape: tuple[int, int], size: tuple[int, int], halo: int
) -> None:
    written = np.zeros(shape, int)
    for tile in tiles(shape, size=size, halo=halo):
        written[tile.core_slices] += 1
        for (a, b), (ra, rb), (before, after), n in zip(tile.core, tile.read, tile.pad, shape, strict=True):
            assert 0 <= ra <= a < b <= rb <= n
            assert (ra - before, rb + after) == (a - halo, b + halo)
    assert (written == 1).all()


def test_three_axes() -> None:
    assert sum(np.prod([b - a for a, b in t.core]) for t in tiles((5, 6, 7), size=(2, 6, 3), halo=1)) == 210


@pytest.mark.parametrize(("size", "halo"), [((0, 3), 0), ((3, 3), -1), ((3,), 0)])
def test_impossible_tiles_are_refused(size: tuple[int, ...], halo: int) -> None:
    with pytest.raises(SettingError, match="cannot cover"):
        list(tiles((4, 4), size=size, halo=halo))
