"""Polygons read back: each lies on its class, together they cover the map, and they carry what is known."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pyogrio
import pytest
import rasterio
import shapely
from rasterio.features import rasterize
from rasterio.warp import transform_geom
from written import COLOURS, LABELS

from hyperseg.core import DataFileError, Grid, LabelError
from hyperseg.io.pixel_area import pixel_areas
from hyperseg.io.write.vectors import write_polygons
from hyperseg.recipes.inspect import pixel_size

GRID = Grid((10.0, 20.0), "m", "EPSG:31985", (20.0, 0.0, 288776.25, 0.0, -10.0, 9120760.75))
DEGREES = Grid(crs="EPSG:4326", affine=(0.001, 0.0, 11.0, 0.0, -0.001, 48.0))
CLASSES = ("water", 'a <b> & "c"', "Wald & Fläche, nass")


def written(path: Path, labels: Any = LABELS, **options: Any) -> tuple[Any, dict[str, Any], dict[str, Any]]:
    """Geometries, columns and what the file says of itself, after writing."""
    options = {"classes": CLASSES, "colours": COLOURS, "grid": GRID} | options
    n = write_polygons(path, labels, **options)
    meta, _, geometries, columns = pyogrio.raw.read(path)
    shapes = shapely.from_wkb(geometries)
    assert len(shapes) == n
    return shapes, dict(zip(meta["fields"], columns, strict=True)), meta


@pytest.mark.parametrize("name", ["map.gpkg", "map.shp"])
def test_polygons_cover_the_map_and_each_is_of_its_class(tmp_path: Path, name: str) -> None:
    shapes, table, meta = written(tmp_path / name)
    assert rasterio.crs.CRS.from_user_input(meta["crs"]) == rasterio.crs.CRS.from_epsg(31985)
    assert shapely.is_valid(shapes).all()
    np.testing.assert_allclose(shapely.area(shapes).sum(), 200 * (LABELS >= 0).sum(), rtol=1e-12)
    np.testing.assert_allclose(shapely.area(shapes), table["area_m2"], rtol=1e-9)
    np.testing.assert_allclose(table["area_ha"], table["area_m2"] / 1e4)
    np.testing.assert_array_equal(table["pixels"] * 200, table["area_m2"].round())
    coded = zip(shapes, table["code"].tolist(), strict=True)
    drawn = rasterize(coded, out_shape=LABELS.shape, transform=rasterio.Affine(*GRID.affine))
    np.testing.assert_array_equal(drawn, LABELS + 1)
    assert [CLASSES[c - 1] for c in table["code"]] == table["class"].tolist()


def test_geojson_is_in_longitude_and_latitude(tmp_path: Path) -> None:
    shapes, table, meta = written(tmp_path / "map.geojson")
    assert meta["crs"] == "EPSG:4326"
    west, south, east, north = shapely.total_bounds(shapes)
    assert -36 < west < east < -34
    assert -9 < south < north < -7
    mapping, shape = shapely.geometry.mapping, shapely.geometry.shape
    back = [shape(transform_geom("EPSG:4326", "EPSG:31985", mapping(s))) for s in shapes]
    np.testing.assert_allclose([s.area for s in back], table["area_m2"], rtol=0.01)  # seven decimals of a degree
    content = json.loads((tmp_path / "map.geojson").read_text(encoding="utf-8"))
    assert {f["properties"]["class"] for f in content["features"]} == set(CLASSES)


def test_areas_in_degrees_are_square_metres(tmp_path: Path) -> None:
    _, table, _ = written(tmp_path / "map.gpkg", grid=DEGREES)
    rows = pixel_areas(DEGREES, LABELS.shape)
    total = sum(rows[r] * (LABELS[r] >= 0).sum() for r in range(len(rows)))
    assert table["area_m2"].sum() == pytest.approx(total)
    assert 8000 < table["area_m2"].sum() / (LABELS >= 0).sum() < 8500  # about 111 m by 74 m


def test_confidence_is_the_mean_over_the_polygon(tmp_path: Path) -> None:
    labels = np.array([[0, 0, 1], [0, -1, 1], [2, 2, 2]], np.int16)
    confidence = np.array([[0.5, 0.7, 0.2], [0.9, 0.0, 0.4], [np.nan, np.nan, np.nan]], np.float32)
    _, table, _ = written(tmp_path / "m.gpkg", labels, confidence=confidence)
    found = dict(zip(table["code"].tolist(), table["confidence"].tolist(), strict=True))
    assert found[1] == pytest.approx(0.7)
    assert found[2] == pytest.approx(0.3)
    assert np.isnan(found[3])


def test_a_hole_belongs_to_whatever_is_in_it(tmp_path: Path) -> None:
    labels = np.zeros((5, 5), np.int16)
    labels[1:4, 1:4] = -1
    labels[2, 2] = 1
    shapes, table, _ = written(tmp_path / "m.gpkg", labels)
    areas = dict(zip(table["code"].tolist(), [s.area / 200 for s in shapes], strict=True))
    assert areas == {1: pytest.approx(16), 2: pytest.approx(1)}


def test_a_map_without_coordinates_hangs_below_the_origin(tmp_path: Path) -> None:
    shapes, table, meta = written(tmp_path / "m.gpkg", np.zeros((4, 7), np.int16), grid=None)
    assert shapes[0].bounds == (0, -4, 7, 0)
    assert list(table) == ["class", "code", "pixels"]
    assert not meta["crs"] or "Undefined" in meta["crs"]


def test_an_empty_map_gives_an_empty_layer(tmp_path: Path) -> None:
    shapes, _, _ = written(tmp_path / "m.gpkg", np.full((4, 7), -1, np.int16))
    assert len(shapes) == 0


def test_the_style_names_every_class_and_its_colour(tmp_path: Path) -> None:
    written(tmp_path / "m.gpkg")
    style = ElementTree.parse(tmp_path / "m.qml")
    assert style.find("renderer-v2").get("attr") == "class"
    found = {c.get("value"): c.get("symbol") for c in style.findall(".//category")}
    assert list(found) == list(CLASSES)
    colour = style.find(f".//symbol[@name='{found['water']}']/layer/prop[@k='color']")
    assert colour.get("v") == "0,0,255,255"
    assert sorted(p.name for p in tmp_path.iterdir()) == ["m.gpkg", "m.qml"]


def test_what_stood_there_is_replaced_whole_or_not_at_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    written(tmp_path / "m.gpkg")
    before = {p.name: p.read_bytes() for p in tmp_path.iterdir()}

    def full(path: Path, *_: Any, **__: Any) -> None:
        path.write_bytes(b"half")
        raise pyogrio.errors.DataSourceError("disk full")

    with monkeypatch.context() as patch:
        patch.setattr(pyogrio.raw, "write", full)
        with pytest.raises(DataFileError, match=r"m\.gpkg: cannot be written \(disk full\)"):
            write_polygons(tmp_path / "m.gpkg", LABELS, classes=CLASSES, colours=COLOURS)
    assert {p.name: p.read_bytes() for p in tmp_path.iterdir()} == before
    shapes, _, _ = written(tmp_path / "m.gpkg", np.zeros((2, 2), np.int16))
    assert len(shapes) == 1


def test_wrong_words_are_refused(tmp_path: Path) -> None:
    options: Any = {"classes": CLASSES, "colours": COLOURS}
    for name, labels, error, said in (
        ("m.kmz", LABELS, DataFileError, "name it m.gpkg"),
        ("m", LABELS, DataFileError, "without a suffix"),
        ("m.gpkg", LABELS + 1, LabelError, "m.gpkg"),
        ("no/m.gpkg", LABELS, DataFileError, "does not exist"),
    ):
        with pytest.raises(error, match=said):
            write_polygons(tmp_path / name, labels, **options)
    assert os.listdir(tmp_path) == []


def test_a_plane_without_a_place_is_no_longitude_and_latitude(tmp_path: Path) -> None:
    local = Grid((0.5, 0.5), "m", None, (0.5, 0.0, 10.0, 0.0, -0.5, 20.0))
    named = Grid(crs='LOCAL_CS["Arbitrary",UNIT["metre",1]]', affine=local.affine)
    labels = np.array([[0, 1, 1], [0, 0, -1]], np.int16)
    for grid in (local, named):
        with pytest.raises(DataFileError, match=r"coordinates of a plane whose place is not known. Write map.gpkg"):
            write_polygons(tmp_path / "map.geojson", labels, classes="ab", colours=((0, 0, 0),) * 2, grid=grid)
        assert pixel_size(grid) == ({"height": 0.5, "width": 0.5, "unit": "m"} if grid is local else None)
    assert write_polygons(tmp_path / "map.gpkg", labels, classes="ab", colours=((0, 0, 0),) * 2, grid=local) == 2
    assert list(tmp_path.glob("*.geojson")) == []
