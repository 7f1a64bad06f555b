"""Pixels without data, found with few looks: those that one look at every value finds."""

from __future__ import annotations

import numpy as np
import pytest

from hyperseg.io.look import values
from hyperseg.io.look.values import broken, can_lack, same, valid_in


def looked_at_everywhere(block: np.ndarray, good: np.ndarray | None, nodata: float | None, gaps: bool) -> np.ndarray:
    """As documented, without a short cut."""
    seen = block if good is None else block[..., good]
    lost, named = broken(seen), same(seen, nodata)
    return ~(lost | named).all(-1) & ~(lost | named if gaps else lost).any(-1)


@pytest.mark.parametrize("kind", ["uint8", "uint16", "int16", "float32", "float64"])
@pytest.mark.parametrize("gaps", [False, True])
@pytest.mark.parametrize("nodata", [None, 0.0, 7.0, -9999.0, np.nan, 1e30])
@pytest.mark.parametrize("bands", ["all", "some", "none"])
def test_every_kind_of_hole(
    kind: str, gaps: bool, nodata: float | None, bands: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(values, "CACHED_BYTES", 1000)
    random = np.random.default_rng(0)
    block = random.integers(0, 200, (40, 11, 6)).astype(kind)
    good = {"all": None, "some": np.array([0, 1, 1, 0, 1, 1], bool), "none": np.zeros(6, bool)}[bands]
    fill = block.dtype.type(nodata if nodata is not None and (kind[0] == "f" or 0 <= nodata < 200) else 0)
    block[3:5, 2:9] = fill
    block[12, 3, 2:] = fill
    block[20, 4, 1:3] = fill
    if block.dtype.kind == "f":
        block[8, 1, 4], block[25, 2, 0], block[26, 0, 3], block[30] = np.nan, np.inf, -1e25, np.nan
    for stored in (block, np.ascontiguousarray(block.transpose(2, 0, 1)).transpose(1, 2, 0)):
        found = valid_in(stored, good=good, nodata=nodata, gaps=gaps)
        expected = looked_at_everywhere(block, good, nodata, gaps)
        if not can_lack(block.dtype, nodata):
            expected = np.ones(block.shape[:2], bool)
        np.testing.assert_array_equal(found, expected)
    assert valid_in(block[:0], good=good, nodata=nodata).shape == (0, 11)
