"""Codes of label files in maps and whatever is made of them: they are kept, there and back."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyogrio
import pytest
import rasterio
from written import LABELS, MAP_GRID, write_tiff

from hyperseg.core import LabelError, Scene, SegmentationMap
from hyperseg.core.codes import code_table, code_type, codes_of, empty_code
from hyperseg.io.labels.raster import Labels, with_labels
from hyperseg.io.read import open_array, read_labels
from hyperseg.io.write import read_map, write_map
from hyperseg.io.write.cog import write_cog
from hyperseg.io.write.envi import write_envi_map
from hyperseg.io.write.map import codes_are_given
from hyperseg.io.write.vectors import write_polygons

CLASSES, COLOURS = ("rye", "oat", "pea"), ((0, 0, 255), (250, 10, 20), (1, 128, 3))
CODES = [(1, 3, 4), (10, 20, 30), (0, 1, 2), (0, 254, 255), (7, 200, 255)]


def in_file(codes: tuple[int, ...]) -> np.ndarray:
    return code_table(codes)[LABELS]


@pytest.mark.parametrize("codes", CODES)
def test_a_map_keeps_the_codes(tmp_path: Path, codes: tuple[int, ...]) -> None:
    named = {"classes": CLASSES, "colours": COLOURS, "codes": codes}
    write_map(tmp_path / "m.tif", LABELS, **named, grid=MAP_GRID)
    with rasterio.open(tmp_path / "m.tif") as file:
        values = file.read(1)
        assert (file.dtypes[0], file.nodata) == ("uint8", empty_code(codes))
        assert [file.colormap(1)[c][:3] for c in codes] == list(COLOURS)
    np.testing.assert_array_equal(values, in_file(codes))
    for k, code in enumerate(codes):
        assert ((values == code) == (k == LABELS)).all()
    back = read_map(tmp_path / "m.tif")
    np.testing.assert_array_equal(back.labels, LABELS)
    assert back[1:] == (CLASSES, COLOURS, MAP_GRID, codes)
    assert codes_are_given(tmp_path / "m.tif") is True
    as_labels = read_labels(tmp_path / "m.tif", LABELS.shape)
    np.testing.assert_array_equal(as_labels.codes, LABELS)
    assert (as_labels.classes, as_labels.file_codes, as_labels.colours) == (CLASSES, codes, COLOURS)
    (tmp_path / "m.tif.aux.xml").rename(tmp_path / "gone.xml")  # the .qml says the same
    assert read_labels(tmp_path / "m.tif", LABELS.shape).classes == CLASSES


@pytest.mark.parametrize("codes", CODES)
def test_what_is_made_of_a_map_keeps_them_too(tmp_path: Path, codes: tuple[int, ...]) -> None:
    named = {"classes": CLASSES, "colours": COLOURS, "codes": codes}
    write_map(tmp_path / "m.tif", LABELS, **named, grid=MAP_GRID)
    write_cog(tmp_path / "c.tif", tmp_path / "m.tif", **named)
    assert read_map(tmp_path / "c.tif")[1:] == (CLASSES, COLOURS, MAP_GRID, codes)
    write_envi_map(tmp_path / "e.hdr", LABELS, **named, grid=MAP_GRID)
    np.testing.assert_array_equal(np.asarray(open_array(tmp_path / "e.hdr", ndim=2).array), in_file(codes))
    envi = read_labels(tmp_path / "e.hdr", LABELS.shape)
    np.testing.assert_array_equal(envi.codes, LABELS)
    assert (envi.classes, envi.colours, envi.file_codes) == (CLASSES, COLOURS, codes)
    write_polygons(tmp_path / "p.gpkg", LABELS, **named, grid=MAP_GRID)
    meta, _, _, values = pyogrio.raw.read(tmp_path / "p.gpkg", read_geometry=False)
    table = dict(zip(meta["fields"], values, strict=True))
    assert set(zip(table["class"], table["code"].tolist(), strict=True)) == set(zip(CLASSES, codes, strict=True))


def test_numbers_that_are_given_say_so(tmp_path: Path) -> None:
    made = SegmentationMap(np.ones((4, 5, 3), np.float32) / 3, CLASSES, COLOURS)
    write_map(tmp_path / "m.tif", made)
    assert codes_are_given(tmp_path / "m.tif") is False
    write_map(tmp_path / "n.tif", SegmentationMap(made.probs, CLASSES, COLOURS, codes=(1, 2, 3)))
    assert codes_are_given(tmp_path / "n.tif") is True
    assert codes_are_given(write_tiff(tmp_path / "other.tif", np.ones((3, 4, 1), np.uint8))) is None
    assert codes_are_given(tmp_path / "absent.tif") is None


def test_codes_and_what_they_need() -> None:
    assert codes_of(3, None) == (1, 2, 3)
    assert [empty_code(c) for c in ((1, 2), (0, 1), (0, 255), (0, 254, 255))] == [0, 255, 254, 253]
    assert empty_code(range(256)) == 65535
    assert [code_type(c) for c in ((1, 255), (0, 1), range(256), (1, 256))] == ["uint8", "uint8", "uint16", "uint16"]
    for wrong in ((1, 2), (1, 2, 2), (-1, 0, 1), (1, 2, 65536)):
        with pytest.raises(LabelError, match="codes of classes are whole numbers"):
            codes_of(3, wrong)


def labelled(codes: tuple[int, ...], *, numbered: bool = False) -> Scene:
    scene = Scene(np.zeros((1, len(codes), 3), np.float32))
    found = Labels(np.arange(len(codes), dtype=np.int16)[None], tuple(f"c{c}" for c in codes), None, codes)
    return with_labels(scene, Labels(found.codes, found.classes, None, codes, numbered=numbered))


def test_a_scene_keeps_codes_of_a_byte_and_tells_what_others_become(caplog: pytest.LogCaptureFixture) -> None:
    assert labelled((0, 7, 255)).codes == (0, 7, 255)
    assert labelled((1, 2), numbered=True).codes is None
    assert not caplog.records
    assert labelled((5, 1001, 70000)).codes is None
    assert "5 = 1, 1001 = 2, 70000 = 3" in caplog.text


def test_two_hundred_classes(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    codes = tuple(range(30, 230))
    scene = labelled(codes)
    assert scene.codes == codes
    assert "200 classes, and 64 colours that can be told apart: classes share colours" in caplog.text
    labels = np.arange(200, dtype=np.int16).reshape(20, 10)
    named = {"classes": scene.classes, "colours": scene.colours, "codes": codes}
    write_map(tmp_path / "m.tif", labels, **named, grid=MAP_GRID)
    assert read_map(tmp_path / "m.tif").codes == codes
    np.testing.assert_array_equal(read_map(tmp_path / "m.tif").labels, labels)
    write_envi_map(tmp_path / "m.hdr", labels, **named)
    assert read_labels(tmp_path / "m.hdr", labels.shape).file_codes == codes
    assert write_polygons(tmp_path / "m.gpkg", labels, **named, grid=MAP_GRID) == 200
