"""QGIS styles: colours and names by value, whatever version wrote them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import shapely

from hyperseg.core import Grid
from hyperseg.io.labels.qml import Style, parse_colour, parse_qml, read_qml
from hyperseg.io.labels.rasterise import read_vectors
from hyperseg.io.labels.vectors import VectorOptions
from hyperseg.io.write import write_map

VECTOR = """<!DOCTYPE qgis PUBLIC 'http://mrcc.com/qgis.dtd' 'SYSTEM'>
<qgis version="3.34.1"><renderer-v2 type="categorizedSymbol" attr="{attr}" symbollevels="0">
<categories>
 <category type="string" value="rye" symbol="0" label="Winter rye" render="true"/>
 <category type="string" value="oat" symbol="1" label="" render="true"/>
 <category type="string" symbol="2" label="Two"><val value="ash"/><val value="elm"/></category>
 <category type="string" value="" symbol="2" label="all others"/>
</categories>
<symbols>
 <symbol name="0" type="fill"><layer class="SimpleFill"><Option type="Map">
   <Option name="outline_color" value="9,9,9,255"/><Option name="color" value="215,25,28,255,rgb:0.84,0.1,0.11,1"/>
 </Option></layer></symbol>
 <symbol name="1" type="fill"><layer class="SimpleFill"><prop k="color" v="26,150,65,255"/></layer></symbol>
 <symbol name="2" type="line"><layer class="SimpleLine"><prop k="line_color" v="1,2,3,128"/></layer></symbol>
</symbols></renderer-v2></qgis>"""
GRID = Grid((10.0, 10.0), "m", "EPSG:32633", (10.0, 0.0, 500000.0, 0.0, -10.0, 5000000.0))
SHAPES = [shapely.box(500000 + 50 * k, 4999900, 500040 + 50 * k, 4999960) for k in range(4)]


def test_a_categorised_style() -> None:
    style = parse_qml(VECTOR.format(attr="crop"))
    assert style.column == "crop"
    assert style.names == {"rye": "Winter rye", "ash": "Two", "elm": "Two"}
    expected = {"rye": (215, 25, 28), "oat": (26, 150, 65), "ash": (1, 2, 3), "elm": (1, 2, 3)}
    assert style.colours == expected
    assert parse_qml(VECTOR.format(attr="&quot;my crop&quot;")).column == "my crop"


def test_the_style_of_a_written_map_reads_back(tmp_path: Path) -> None:
    names, colours = ("a <b>", "c & d"), ((1, 2, 3), (250, 0, 128))
    write_map(tmp_path / "map.tif", np.zeros((3, 4), np.int16), classes=names, colours=colours)
    style = read_qml(tmp_path / "map.qml")
    assert style.by_code() == (dict(enumerate(names, 1)), dict(enumerate(colours, 1)))


@pytest.mark.parametrize(
    ("text", "colour"),
    [
        ("#d7191c", (215, 25, 28)),
        ("#D7191Cff", (215, 25, 28)),
        ("215,25,28", (215, 25, 28)),
        (" 215, 25 ,28, 255", (215, 25, 28)),
        ("215 25 28", (215, 25, 28)),
        ("(215, 25, 28)", (215, 25, 28)),
        ("256,0,0", None),
        ("red", None),
        ("#fff", None),
        ("", None),
        (None, None),
        (7, None),
    ],
)
def test_colours(text: object, colour: tuple[int, int, int] | None) -> None:
    assert parse_colour(text) == colour


def test_no_style_and_broken_ones_are_no_style(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    assert read_qml(tmp_path / "none.qml") == Style()
    (tmp_path / "s.qml").write_text('<qgis><renderer-v2 type="singleSymbol"/></qgis>')
    assert read_qml(tmp_path / "s.qml") == Style()
    (tmp_path / "b.qml").write_text("<qgis><renderer")
    assert read_qml(tmp_path / "b.qml") == Style()
    assert "b.qml: is not XML" in caplog.text


def test_a_style_beside_polygons_tells_column_and_colours(tmp_path: Path, draw: Callable[..., Path]) -> None:
    path = draw("f.shp", SHAPES, {"soil": list("abca"), "crop": ["rye", "oat", "elm", "rye"]}, kind="Polygon")
    (tmp_path / "f.qml").write_text(VECTOR.format(attr="crop"))
    labels = read_vectors(path, (20, 30), GRID)
    assert labels.classes == ("elm", "oat", "rye")
    assert labels.colours == ((1, 2, 3), (26, 150, 65), (215, 25, 28))
    assert read_vectors(path, (20, 30), GRID, options=VectorOptions("soil")).colours is None


def test_numbers_get_the_labels_of_the_style(tmp_path: Path, draw: Callable[..., Path]) -> None:
    text = VECTOR.format(attr="code").replace('"rye"', '"7"').replace('"oat"', '"12"')
    path = draw("f.gpkg", SHAPES, {"code": [7, 12, 7, 12], "n": [1, 2, 3, 4]})
    (tmp_path / "f.qml").write_text(text)
    labels = read_vectors(path, (20, 30), GRID)
    assert labels.classes == ("Winter rye", "class 12")
    assert labels.colours == ((215, 25, 28), (26, 150, 65))
    assert labels.file_codes == (7, 12)


def test_a_style_kept_in_the_geopackage(draw: Callable[..., Path]) -> None:
    import pyogrio

    path = draw("f.gpkg", SHAPES, {"crop": ["rye", "oat", "elm", "rye"]}, layer="fields")
    styles = np.array([VECTOR.format(attr="crop"), "<qgis/>"], object)
    rows = [np.array(["fields", "other"], object), np.array([True, True]), styles]
    columns = ["f_table_name", "useAsDefault", "styleQML"]
    pyogrio.raw.write(path, None, rows, columns, geometry_type=None, crs=None, layer="layer_styles", append=True)
    assert read_vectors(path, (20, 30), GRID).colours == ((1, 2, 3), (26, 150, 65), (215, 25, 28))
