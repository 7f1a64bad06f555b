"""Tiles partition a scene, and their halos stay inside it."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hyperseg.core import SettingError, tiles
from hyperseg.core.tiles import PerAxis

axes = st.integers(1, 3)


@given(axes.flatmap(lambda n: st.tuples(*[st.tuples(*[st.integers(*r)] * n) for r in ((1, 17), (1, 9), (0, 6))])))
def test_cores_partition_the_scene_and_halos_add_up(drawn: tuple[tuple[int, ...], ...]) -> None:
    shape, size, halo = drawn
    written = np.zeros(shape, int)
    for tile in tiles(shape, size=size, halo=halo):
        written[tile.core_slices] += 1
        rows = zip(tile.core, tile.read, tile.pad, shape, halo, strict=True)
        for (a, b), (ra, rb), (before, after), n, wide in rows:
            assert 0 <= ra <= a < b <= rb <= n
            assert (ra - before, rb + after) == (a - wide, b + wide)
    assert (written == 1).all()


def test_one_number_stands_for_all_axes() -> None:
    assert [*tiles((5, 6, 7), size=3, halo=1)] == [*tiles((5, 6, 7), size=(3, 3, 3), halo=(1, 1, 1))]


@pytest.mark.parametrize(("size", "halo"), [((0, 3), 0), (0, 0), ((3, 3), -1), ((3,), 0), (3, (1, -1)), (3, (1,))])
def test_impossible_tiles_are_refused(size: PerAxis, halo: PerAxis) -> None:
    with pytest.raises(SettingError, match=r"pixels? or more, got .* one for each of 2 axes"):
        list(tiles((4, 4), size=size, halo=halo))
