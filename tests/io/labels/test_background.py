"""Which pixels of a label raster carry no label, and what is said where that is in doubt."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from written import write_tiff

from hyperseg.core import LabelError
from hyperseg.io.labels.raster import Labels, map_codes
from hyperseg.io.read import read_labels

CODES = np.array([[0, 1, 1, 2], [2, 2, 1, 0], [0, 1, 2, 0]])


def mapped(values: object, dtype: str = "u1", nodata: float | None = None, **more: object) -> Labels:
    return map_codes(np.asarray(values).astype(dtype), origin="gt.tif", nodata=nodata, **more)  # type: ignore[arg-type]


def test_0_is_unlabelled_where_nothing_else_is_declared() -> None:
    for nodata in (None, 0, float("nan")):
        found = mapped(CODES, nodata=nodata)
        assert found.file_codes == (1, 2)
        np.testing.assert_array_equal(found.codes, CODES - 1)


@pytest.mark.parametrize(("dtype", "nodata"), [("u1", 255), ("i2", -9999), ("f4", -1), ("u2", 65535), ("i4", 99)])
def test_0_is_a_class_where_another_value_is_declared(
    dtype: str, nodata: float, caplog: pytest.LogCaptureFixture
) -> None:
    values = CODES.astype(dtype)
    values[0, 0] = nodata
    caplog.set_level("INFO")
    found = mapped(values, dtype, nodata)
    assert (found.file_codes, found.classes) == ((0, 1, 2), ("class 0", "class 1", "class 2"))
    np.testing.assert_array_equal(found.codes == -1, values == nodata)
    assert "0 is a class of its own (3 pixels)" in caplog.text
    assert "gdal_edit.py -a_nodata 0" in caplog.text


def test_0_is_no_class_where_it_is_named_as_nothing_or_is_the_ground(caplog: pytest.LogCaptureFixture) -> None:
    values = CODES.copy()
    values[0, 0] = 255
    assert mapped(values, nodata=255, names={0: "No data", 1: "corn"}).file_codes == (1, 2)
    mostly = np.where(np.arange(100).reshape(10, 10) < 70, 0, 3)
    assert mapped(mostly, nodata=255).file_codes == (3,)
    assert "never occurs" in caplog.text
    assert mapped(mostly, nodata=255, names={0: "water"}).file_codes == (0, 3)


def test_0_beside_undeclared_negative_codes_is_asked_about() -> None:
    with pytest.raises(LabelError, match=r"holds 0 and -1: which one means unlabelled is unclear.*-a_nodata VALUE"):
        mapped(np.where(CODES == 2, -1, CODES), "i2")


@pytest.mark.parametrize(("dtype", "top"), [("u1", 255), ("u2", 65535), ("u2", 255), ("i2", 32767)])
def test_an_undeclared_largest_value_is_unlabelled_where_no_0_is(
    dtype: str, top: int, caplog: pytest.LogCaptureFixture
) -> None:
    values = np.where(CODES == 0, top, CODES)
    found = mapped(values, dtype)
    assert found.file_codes == (1, 2)
    np.testing.assert_array_equal(found.codes == -1, CODES == 0)
    assert f"4 pixels are {top}, beside codes up to 2" in caplog.text
    assert "taken as unlabelled" in caplog.text


def test_an_undeclared_largest_value_beside_0_is_a_class_and_told(caplog: pytest.LogCaptureFixture) -> None:
    values = np.where(CODES == 2, 255, CODES)
    assert mapped(values).file_codes == (1, 255)
    assert "taken as a class" in caplog.text
    assert "-a_nodata 255" in caplog.text


def test_a_largest_value_that_is_named_or_near_the_others_is_a_class(caplog: pytest.LogCaptureFixture) -> None:
    high = np.where(CODES == 0, 255, CODES)
    assert mapped(high, names={255: "cloud"}).file_codes == (1, 2, 255)
    assert mapped(high, names={255: "nodata"}).file_codes == (1, 2)
    assert mapped(high + 253 * (high < 255)).file_codes == (254, 255)
    assert mapped(np.where(CODES == 0, 255, 200)).file_codes == (200, 255)
    assert mapped(np.full((2, 2), 255)).file_codes == (255,)  # a mask
    assert "taken as" not in caplog.text


def test_labels_of_a_file_know_what_it_declares(tmp_path: Path) -> None:
    values = np.where(CODES == 0, 9, CODES - 1).astype(np.uint8)
    path = write_tiff(tmp_path / "gt.tif", values[..., None], nodata=9)
    found = read_labels(path, CODES.shape)
    assert found.file_codes == (0, 1)
    np.testing.assert_array_equal(found.codes, CODES - 1)


def test_of_a_part_what_never_occurs_tells_nothing() -> None:
    mostly = np.where(np.arange(100).reshape(10, 10) < 70, 0, 3)
    assert mapped(mostly, nodata=255, whole=False).file_codes == (0, 3)
