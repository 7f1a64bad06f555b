"""Polygons, lines and points as labels: what a pixel gets, from which column, and what is said about the rest."""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import shapely
from rasterio.warp import transform
from shapely import LineString, MultiPolygon, Point, Polygon, box

from hyperseg.core import DataFileError, Grid, LabelError, SettingError
from hyperseg.io.labels.raster import Labels
from hyperseg.io.labels.rasterise import read_vector_mask, read_vectors
from hyperseg.io.labels.vectors import VectorOptions, is_vector
from hyperseg.io.read import read_labels, read_scene
from hyperseg.io.write import write_raster

Draw = Callable[..., Path]
X, Y, SIZE = 500000.0, 5000000.0, 10.0
GRID = Grid((SIZE, SIZE), "m", "EPSG:32633", (SIZE, 0.0, X, 0.0, -SIZE, Y))
SHAPE = (40, 50)
SCENE = box(X, Y - SHAPE[0] * SIZE, X + SHAPE[1] * SIZE, Y)


def at(*xy: tuple[float, float]) -> Polygon:
    """A polygon from corners in pixels (column, row)."""
    return Polygon([(X + SIZE * c, Y - SIZE * r) for c, r in xy])


def cell(c: float, r: float, width: float = 1.0, height: float = 1.0) -> Polygon:
    return at((c, r), (c + width, r), (c + width, r + height), (c, r + height))


def spot(c: float, r: float) -> Point:
    return Point(X + SIZE * c, Y - SIZE * r)


def read(path: Path, shape: tuple[int, ...] = SHAPE, grid: Grid | None = GRID, **options: Any) -> Labels:
    return read_vectors(path, shape, grid, options=VectorOptions(**options))


def notes(caplog: pytest.LogCaptureFixture) -> str:
    found = "\n".join(r.getMessage() for r in caplog.records if r.name.startswith("hyperseg"))
    caplog.clear()
    return found


@pytest.fixture(autouse=True)
def _hear(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "hyperseg")


# geometry ------------------------------------------------------------------------------------------------------


def test_a_rectangle_on_pixel_borders_is_exactly_its_pixels(draw: Draw) -> None:
    labels = read(draw("f.gpkg", [cell(3, 5, 7, 4), cell(20, 10, 5, 6)], {"crop": ["rye", "oat"]}))
    expected = np.full(SHAPE, -1)
    expected[5:9, 3:10], expected[10:16, 20:25] = 1, 0  # in alphabetical order
    np.testing.assert_array_equal(labels.codes, expected)
    assert (labels.classes, labels.file_codes, labels.codes.dtype) == (("oat", "rye"), (1, 2), np.int16)
    np.testing.assert_array_equal(labels.parcels, np.where(expected == 1, 0, np.where(expected == 0, 1, -1)))
    assert labels.parcels.dtype == np.int32


@pytest.mark.parametrize("turn", [0.0, 30.0, -110.0])
def test_a_pixel_belongs_to_the_polygon_its_centre_lies_in(draw: Draw, turn: float) -> None:
    """Against shapely, point by point, also on a grid that is turned; the area is right within the border."""
    a = np.deg2rad(turn)
    rotation = SIZE * np.array([[np.cos(a), np.sin(a)], [np.sin(a), -np.cos(a)]])
    affine = (rotation[0, 0], rotation[0, 1], X, rotation[1, 0], rotation[1, 1], Y)
    rows, columns = np.indices(SHAPE) + 0.5
    xy = np.stack([columns, rows], -1) @ rotation.T + (X, Y)
    middle = np.array([25.0, 20.0]) @ rotation.T + (X, Y)
    rng = np.random.default_rng(3)
    for k in range(4):
        ring = middle + rng.uniform(40, 180, (9, 1)) * np.stack([np.cos(t := np.linspace(0, 6.1, 9)), np.sin(t)], 1)
        shape = Polygon(ring)
        path = draw(f"{k}.gpkg", [shape], {"crop": ["a"]})
        got = read(path, grid=Grid((SIZE, SIZE), "m", "EPSG:32633", affine)).codes >= 0
        np.testing.assert_array_equal(got, shapely.contains_xy(shape, xy[..., 0], xy[..., 1]))
        assert abs(got.sum() * SIZE**2 - shape.area) < 0.5 * SIZE * shape.length


def test_all_touched_is_a_superset_and_every_pixel_of_it_meets_the_polygon(draw: Draw) -> None:
    shape = at((3.3, 4.2), (30.6, 9.9), (12.2, 33.8))
    path = draw("f.gpkg", [shape], {"crop": ["a"]})
    centre, touched = (read(path, all_touched=t).codes >= 0 for t in (False, True))
    assert (touched | ~centre).all()
    assert touched.sum() > centre.sum()
    for r, c in np.argwhere(touched):
        assert cell(c, r).distance(shape) < 1e-6
    for r, c in np.argwhere(~touched):
        assert cell(c, r).intersection(shape).area < 1e-6


def test_holes_are_left_out_and_an_island_is_another_polygon(draw: Draw) -> None:
    hole = cell(10, 10, 5, 5)
    ring = shapely.difference(cell(5, 5, 20, 20), hole)
    labels = read(draw("f.gpkg", [ring, hole], {"crop": ["field", "pond"]}))
    assert np.bincount(labels.codes[labels.codes >= 0]).tolist() == [375, 25]
    assert (labels.codes[10:15, 10:15] == 1).all()


def test_there_and_back_again(draw: Draw) -> None:
    """Polygons drawn in degrees, or in another zone, label the pixels that those in the scene's CRS label."""
    shapes = [at((3.3, 4.2), (30.6, 9.9), (12.2, 33.8)), cell(35.2, 20.1, 12, 9)]
    expected = read(draw("here.gpkg", shapes, {"crop": ["a", "b"]})).codes
    for k, crs in enumerate(("EPSG:4326", "EPSG:3857", "EPSG:32632", "EPSG:3035")):

        def move(xy: np.ndarray, crs: str = crs) -> np.ndarray:
            return np.stack(transform("EPSG:32633", crs, xy[:, 0], xy[:, 1]), 1)

        moved = [shapely.transform(shapely.segmentize(s, 5), move) for s in shapes]
        found = read(draw(f"{k}.gpkg", moved, {"crop": ["a", "b"]}, crs=crs)).codes
        assert np.count_nonzero(found != expected) <= 2, crs


def test_long_edges_bend_with_the_projection(draw: Draw) -> None:
    """A box in degrees around 100 km: its northern edge is a parallel, which is no straight line in UTM."""
    grid = Grid((1000.0, 1000.0), "m", "EPSG:32633", (1000.0, 0, 300000.0, 0, -1000.0, 6700000.0))
    path = draw("f.geojson", [box(8, 59.0, 22, 60.0)], {"crop": ["a"]}, crs="EPSG:4326")
    labels = read(path, (400, 400), grid)
    rows, columns = np.argwhere(np.ones((400, 400))).T
    _, lat = transform("EPSG:32633", "EPSG:4326", 3e5 + 1e3 * (columns + 0.5), 6.7e6 - 1e3 * (rows + 0.5))
    expected = ((np.array(lat) > 59) & (np.array(lat) < 60)).reshape(400, 400)
    assert np.count_nonzero((labels.codes >= 0) != expected) < 0.001 * expected.sum()


# points and lines ----------------------------------------------------------------------------------------------


def test_a_point_labels_the_pixel_it_falls_in(draw: Draw, caplog: pytest.LogCaptureFixture) -> None:
    path = draw("p.gpkg", [spot(0.01, 0.01), spot(7.99, 3.5), spot(49.99, 39.99)], {"crop": ["a", "b", "a"]})
    labels = read(path)
    assert np.argwhere(labels.codes >= 0).tolist() == [[0, 0], [3, 7], [39, 49]]
    assert labels.codes[[0, 3, 39], [0, 7, 49]].tolist() == [0, 1, 0]
    assert "points without a buffer: 3, each labels the pixel it falls in" in notes(caplog)


@pytest.mark.parametrize(
    ("crs", "pixel"), [("EPSG:32633", 2.0), ("EPSG:3857", 2.0 / np.cos(np.deg2rad(60))), ("EPSG:4326", 2e-5)]
)
def test_a_buffer_is_metres_in_any_crs(draw: Draw, crs: str, pixel: float) -> None:
    """A disc of 50 m has pi r^2 of ground, in metres, in web Mercator at 60 degrees (scale 2) and in degrees."""
    (x,), (y,) = transform("EPSG:4326", crs, [15.0], [60.0])
    n = 201 if crs != "EPSG:4326" else 301
    grid = Grid((1.0, 1.0), "px", crs, (pixel, 0, x - n / 2 * pixel, 0, -pixel, y + n / 2 * pixel))
    path = draw("p.geojson", [Point(15, 60)], {"crop": ["a"]}, crs="EPSG:4326")
    got = read(path, (n, n), grid, buffer_m=50).codes >= 0
    height, width = np.ptp(np.argwhere(got), axis=0) + 1
    metres = {"EPSG:32633": (2, 2), "EPSG:3857": (2, 2), "EPSG:4326": (2e-5 * 111412, 2e-5 * 55800)}[crs]
    assert height * metres[0] == pytest.approx(100, abs=3 * metres[0])
    assert width * metres[1] == pytest.approx(100, abs=3 * metres[1])
    assert got.sum() * metres[0] * metres[1] == pytest.approx(np.pi * 2500, rel=0.02)


def test_a_buffered_line_is_a_band_and_polygons_keep_their_size(draw: Draw) -> None:
    line = LineString([(X + 100, Y - 105), (X + 400, Y - 105)])
    path = draw("m.gpkg", [line, cell(30, 30, 4, 4)], {"crop": ["road", "field"]})
    thin, wide = read(path).codes, read(path, buffer_m=25).codes
    assert np.count_nonzero(thin == 0) == np.count_nonzero(wide == 0) == 16
    assert 30 <= np.count_nonzero(thin == 1) <= 31
    assert np.count_nonzero(wide == 1) * SIZE**2 == pytest.approx(300 * 50 + np.pi * 25**2, rel=0.05)


def test_buffers_of_nothing_are_refused() -> None:
    for metres, wanted in ((0, "above 0"), (-3, "above 0"), (np.nan, "a finite"), (np.inf, "a finite")):
        with pytest.raises(SettingError, match=f"buffer_m is {wanted}"):
            VectorOptions(buffer_m=metres)


# odd geometries ------------------------------------------------------------------------------------------------


def test_overlap_of_classes_is_unlabelled_and_told(draw: Draw, caplog: pytest.LogCaptureFixture) -> None:
    shapes = [cell(0, 0, 10, 10), cell(5, 0, 10, 10), cell(7, 5, 2, 20), cell(30, 30, 3, 3)]
    labels = read(draw("f.gpkg", shapes, {"crop": ["a", "b", "c", "a"]}))
    claims = sum(
        (np.pad(np.ones((h, w), int), ((r, 40 - r - h), (c, 50 - c - w))) * 10**k)
        for k, (r, c, h, w) in enumerate([(0, 0, 10, 10), (0, 5, 10, 10), (5, 7, 20, 2)])
    )
    several = np.isin(claims, (11, 101, 110, 111))
    assert (labels.codes[several] == -1).all()
    assert (labels.parcels[several] == -1).all()
    assert (labels.codes[np.isin(claims, (1, 10, 100))] >= 0).all()
    said = notes(caplog)
    assert f"overlap in {several.sum()} pixels, which stay unlabelled" in said
    assert "a (feature 1) and b (feature 2) in 50" in said


def test_overlap_within_a_class_is_no_conflict(draw: Draw, caplog: pytest.LogCaptureFixture) -> None:
    labels = read(draw("f.gpkg", [cell(0, 0, 10, 10), cell(5, 0, 10, 10), cell(6, 1, 2, 2)], {"c": ["a"] * 3}))
    assert np.count_nonzero(labels.codes == 0) == 150
    assert np.bincount(labels.parcels[labels.parcels >= 0]).tolist() == [50, 96, 4]
    assert "overlap in" not in notes(caplog)


def test_neighbours_with_a_common_edge_share_no_pixel(draw: Draw, caplog: pytest.LogCaptureFixture) -> None:
    """Also where the edge runs through centres of pixels: every pixel goes to exactly one of the two."""
    left, right = at((2, 2), (20.5, 2), (12.5, 30), (2, 30)), at((20.5, 2), (40, 2), (40, 30), (12.5, 30))
    labels = read(draw("f.gpkg", [left, right], {"crop": ["a", "b"]}))
    assert "overlap in" not in notes(caplog)
    assert np.count_nonzero(labels.codes >= 0) == 38 * 28


def test_parts_of_a_multipolygon_are_polygons_of_their_own(draw: Draw) -> None:
    many = MultiPolygon([cell(1, 1, 3, 3), cell(10, 1, 3, 3)])
    nested = shapely.GeometryCollection([many, shapely.GeometryCollection([cell(20, 1, 2, 2), spot(30.5, 1.5)])])
    labels = read(draw("f.gpkg", [nested, cell(1, 20, 2, 2)], {"crop": ["a", "b"]}))
    assert np.bincount(labels.parcels[labels.codes == 0]).tolist() == [9, 9, 4, 1]
    assert np.count_nonzero(labels.codes == 1) == 4


def test_heights_are_ignored(draw: Draw) -> None:
    flat, high = cell(1, 1, 3, 3), shapely.force_3d(cell(1, 1, 3, 3), 250.0)
    a, b = (read(draw(f"{k}.gpkg", [s], {"crop": ["a"]})).codes for k, s in enumerate((flat, high)))
    np.testing.assert_array_equal(a, b)


def test_a_bow_tie_is_repaired(draw: Draw, caplog: pytest.LogCaptureFixture) -> None:
    tie = at((5, 5), (15, 15), (15, 5), (5, 15))
    labels = read(draw("f.gpkg", [tie, at((30, 5), (35, 5), (30, 5))], {"crop": ["a", "b"]}))
    assert "invalid geometries (crossing or repeated edges): 2, filled by the even-odd rule" in (said := notes(caplog))
    assert "polygons without an area: 1, skipped" in said
    assert "outside" not in said
    assert np.count_nonzero(labels.codes == 0) == pytest.approx(50, abs=10)
    assert labels.classes == ("a",)
    assert len(np.unique(labels.parcels)) == 2  # both wings are one polygon, and the ground


def test_polygons_outside_are_counted_and_small_ones_told(draw: Draw, caplog: pytest.LogCaptureFixture) -> None:
    shapes = [cell(-20, 5, 5, 5), cell(-2, 5, 4, 2), cell(9.6, 9.6, 0.2, 0.2), cell(48, 38, 9, 9), None]
    labels = read(draw("f.gpkg", shapes, {"crop": ["a", "a", "b", "c", "c"]}))
    assert np.argwhere(labels.codes >= 0).tolist() == [[5, 0], [5, 1], [6, 0], [6, 1]] + [
        [r, c] for r in (38, 39) for c in (48, 49)
    ]
    said = notes(caplog)
    assert "geometries outside the scene: 1 of 4, left out" in said
    assert "(smaller than one, or under others of their class): 1; --all-touched" in said
    assert "features with a class but without a geometry: 1, skipped" in said
    assert "no pixel of the scene is b; left out" in said
    assert (labels.classes, labels.file_codes) == (("a", "c"), (1, 3))
    assert read(draw("g.gpkg", shapes[:3], {"crop": ["a", "a", "b"]}), all_touched=True).classes == ("a", "b")


@pytest.mark.parametrize(
    ("shapes", "crs", "said"),
    [
        ([cell(100, 0)], "EPSG:32633", "no geometry falls in the scene: they lie at x 501000 to 501010"),
        ([box(45.15, 15.001, 45.152, 15.003)], "EPSG:4326", "look swapped"),
        ([box(200, 10, 210, 20)], None, "has no CRS, and its coordinates .x 200 to 210.* are not those of"),
        ([cell(9.6, 9.6, 0.2, 0.2)], "EPSG:32633", "no pixel is left to label"),
        ([cell(1, 1), cell(1, 1)], "EPSG:32633", "no pixel is left to label"),
        ([None, None], "EPSG:32633", "none of the [12] features with a class has a geometry"),
    ],
)
def test_nothing_in_the_scene_is_refused(draw: Draw, shapes: list[Any], crs: str | None, said: str) -> None:
    path = draw("f.gpkg", shapes, {"crop": ["a", "b"][: len(shapes)]}, crs=crs)
    with pytest.raises(LabelError, match=said) as caught:
        read(path)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


# coordinates ---------------------------------------------------------------------------------------------------


def test_a_layer_without_crs_in_the_scene_is_taken_for_the_scenes(draw: Draw, caplog: pytest.LogCaptureFixture) -> None:
    shapes, columns = [cell(3, 5, 7, 4)], {"crop": ["a"]}
    known = read(draw("a.shp", shapes, columns, kind="Polygon")).codes
    np.testing.assert_array_equal(read(draw("b.shp", shapes, columns, kind="Polygon", crs=None)).codes, known)
    assert "has no CRS; its coordinates lie in the scene" in notes(caplog)
    np.testing.assert_array_equal(read(draw("c.geojson", shapes, columns, crs=None)).codes, known)
    assert "is GeoJSON, which means longitudes" in notes(caplog)
    affine_only = Grid(affine=GRID.affine)  # both are silent, and agree
    np.testing.assert_array_equal(read(draw("d.gpkg", shapes, columns, crs=None), grid=affine_only).codes, known)


@pytest.mark.parametrize(
    ("grid", "said"),
    [
        (None, "neither coordinates nor a CRS"),
        (Grid(), "neither coordinates nor a CRS"),
        (Grid(crs="EPSG:32633"), "no coordinates of its pixels"),
        (Grid(affine=GRID.affine), "is in EPSG:32633, but the scene has no CRS"),
    ],
)
def test_a_scene_that_does_not_say_where_it_is(draw: Draw, grid: Grid | None, said: str) -> None:
    with pytest.raises(LabelError, match=said):
        read(draw("f.gpkg", [cell(3, 5, 7, 4)], {"crop": ["a"]}), grid=grid)


def test_polygons_of_pixels_lie_on_a_scene_that_has_no_coordinates(
    draw: Draw, caplog: pytest.LogCaptureFixture
) -> None:
    """As `write_polygons` writes them: x is the column, y less the row."""
    corner = Polygon([(2, -1), (5, -1), (5, -4), (2, -4)])
    found = read(draw("p.gpkg", [corner], {"crop": ["a"]}, crs=None), grid=Grid()).codes
    expected = np.full(found.shape, -1)
    expected[1:4, 2:5] = 0
    np.testing.assert_array_equal(found, expected)
    assert "x the column and -y the row" in notes(caplog)
    above = draw("q.gpkg", [Polygon([(2, 1), (5, 1), (5, -4)])], {"crop": ["a"]}, crs=None)
    with pytest.raises(LabelError, match="neither coordinates nor a CRS"):
        read(above, grid=Grid())


# columns -------------------------------------------------------------------------------------------------------

FOUR = [cell(c, 1, 2, 2) for c in (1, 5, 9, 13)]


@pytest.mark.parametrize(
    ("columns", "taken"),
    [
        ({"Kultur": ["a", "b", "a", "c"]}, "abc"),
        ({"id": [1, 2, 3, 4], "Kultur": ["a", "b", "a", "c"]}, "abc"),
        ({"id": [1, 2, 1, 3]}, "123"),
        ({"area": [1.5, 2.5, 3.5, 1.0], "Kultur": ["a", "b", "a", "c"]}, "abc"),
        ({"remark": ["x", "y", "z", ""], "CROP": ["a", "b", "a", "c"]}, "abc"),
        ({"name": ["f1", "f2", "f3", "f4"], "class": ["a", "b", "a", "c"]}, "abc"),
        ({"code": [3, 2, 3, 1], "name": ["a", "b", "a", "c"]}, "cba"),
        ({"land_cover": [3, 2, 3, 1], "remark": ["x", "y", "z", ""]}, "123"),
        ({"crop": ["10", "9", "10", "2"]}, "2 9 10"),
    ],
)
def test_the_column_is_guessed(draw: Draw, columns: dict[str, Any], taken: str) -> None:
    labels = read(draw("f.gpkg", FOUR, columns))
    classes = taken.split() if " " in taken else list(taken)
    expected = [f"class {c}" if c.isdigit() else c for c in classes]
    assert list(labels.classes) == expected
    assert labels.codes[1, [1, 9]].tolist() == [labels.codes[1, 1]] * 2
    assert len(set(labels.codes[1, [1, 5, 13]].tolist())) == 3
    if "code" in columns:
        assert labels.file_codes == (1, 2, 3)
    if classes[-1] == "10":
        assert labels.file_codes == (2, 9, 10)


def test_an_unclear_column_is_asked_for(draw: Draw) -> None:
    path = draw("f.gpkg", FOUR, {"soil": ["x", "y", "y", "y"], "use": ["a", "b", "a", "c"], "n": [1, 2, 3, 4]})
    with pytest.raises(LabelError, match=r"unclear. Its columns: soil .x, y.; use .a, b, c.; n .1, 2, 3, 4.."):
        read(path)
    assert read(path, class_column="use").classes == ("a", "b", "c")
    assert read(path, class_column="SOIL").classes == ("x", "y")
    with pytest.raises(LabelError, match=r"has no column 'sail'.* Did you mean soil"):
        read(path, class_column="sail")
    with pytest.raises(LabelError, match=r"no column that could tell classes.* It has no columns"):
        read(draw("bare.gpkg", FOUR))
    with pytest.raises(LabelError, match="float64 values; classes are text or whole numbers"):
        read(draw("r.gpkg", FOUR, {"ndvi": [0.1, 0.2, 0.3, 0.4]}), class_column="ndvi")


def test_empty_and_negative_classes_are_skipped_with_a_note(draw: Draw, caplog: pytest.LogCaptureFixture) -> None:
    assert read(draw("t.gpkg", FOUR, {"crop": ["a", " ", None, "b"]})).classes == ("a", "b")
    assert "features without a class in 'crop' (empty or negative): 2 of 4" in notes(caplog)
    numbers = read(draw("n.gpkg", FOUR, {"crop": [0, -9999, 7, 7]}))
    assert (numbers.classes, numbers.file_codes) == (("class 0", "class 7"), (0, 7))
    said = notes(caplog)
    assert "(empty or negative): 1 of 4, skipped" in said
    assert "the code 0 in 'crop' is a class" in said
    with pytest.raises(LabelError, match="names no class: all 4 values are empty"):
        read(draw("e.gpkg", FOUR, {"crop": ["", None, "", " "]}))
    read(draw("s.gpkg", FOUR, {"crop": ["Corn", "corn", "a", "b"]}))
    assert "corn is spelt in several ways" in notes(caplog)


def test_colours_come_from_a_column(draw: Draw, caplog: pytest.LogCaptureFixture) -> None:
    path = draw("f.gpkg", FOUR, {"crop": list("abac"), "colour": ["#ff0000", "0,128,0", "255,0,0", "1, 2, 3"]})
    assert read(path).colours == ((255, 0, 0), (0, 128, 0), (1, 2, 3))
    path = draw("g.gpkg", FOUR, {"crop": list("abac"), "color": ["#ff0000", "green", None, "1,2,3"]})
    assert read(path).colours is None
    assert "no colour for b" in notes(caplog)


# files ---------------------------------------------------------------------------------------------------------


def test_layers_are_chosen(draw: Draw) -> None:
    path = draw("f.gpkg", FOUR, {"crop": list("abac")}, layer="train")
    draw("f.gpkg", FOUR[:2], {"crop": list("xy")}, layer="check", append=True)
    with pytest.raises(DataFileError, match=r"holds 2 layers .* train, check. Choose one with --layer"):
        read(path)
    assert read(path, layer="check").classes == ("x", "y")
    assert read(Path(f"{path}:train")).classes == ("a", "b", "c")
    with pytest.raises(DataFileError, match=r"no layer 'chek'; it holds train, check. Did you mean check"):
        read(path, layer="chek")
    with pytest.raises(SettingError, match="choose one"):
        read(Path(f"{path}:train"), layer="check")


def test_what_is_a_vector_file() -> None:
    assert all(map(is_vector, ("a.gpkg", Path("b.SHP"), "c.geojson", "d.gpkg:layer", "e.json")))
    assert not any(map(is_vector, ("a.tif", "b.mat:gt", None, np.zeros(3), "c.hdr")))


def test_broken_files_end_in_one_line(draw: Draw, tmp_path: Path) -> None:
    path = draw("f.gpkg", FOUR, {"crop": list("abac")})
    whole = path.read_bytes()
    for share in (0.01, 0.3, 0.6, 0.95):
        path.write_bytes(whole[: int(share * len(whole))])
        with pytest.raises(DataFileError, match="cannot be read as vectors"):
            read(path)
    path.write_bytes(b"")
    with pytest.raises(DataFileError, match="is empty"):
        read(path)
    with pytest.raises(DataFileError, match="no such file"):
        read(tmp_path / "lost.gpkg")
    shape = draw("s.shp", FOUR, {"crop": list("abac")}, kind="Polygon")
    (tmp_path / "s.dbf").rename(tmp_path / "other.dbf")
    with pytest.raises(DataFileError, match=r"s.dbf is missing beside it.*copy all"):
        read(shape)
    (tmp_path / "s.shx").unlink()
    with pytest.raises(DataFileError, match=r"s.shx and s.dbf are missing"):
        read(shape)
    (tmp_path / "e.geojson").write_text('{"type": "FeatureCollection", "features": []}')
    with pytest.raises(LabelError, match="the layer 'e' is empty"):
        read(tmp_path / "e.geojson")


# through the reader --------------------------------------------------------------------------------------------


def scene_file(folder: Path) -> Path:
    cube = np.random.default_rng(0).random((*SHAPE, 12)).astype(np.float32)
    write_raster(folder / "scene.tif", cube, GRID)
    return folder / "scene.tif"


def test_a_scene_with_drawn_labels(draw: Draw, tmp_path: Path) -> None:
    path = draw("f.gpkg", FOUR, {"crop": list("abac"), "n": [1, 2, 3, 4]})
    scene = read_scene(scene_file(tmp_path), labels=path, vectors=VectorOptions("n"))
    assert scene.classes == ("class 1", "class 2", "class 3", "class 4")
    assert (len(scene.colours), scene.grid) == (4, GRID)
    np.testing.assert_array_equal(scene.parcels, scene.labels)
    assert read_labels(path, SHAPE, grid=GRID).classes == ("a", "b", "c")


def test_options_of_vectors_without_vectors_are_refused(tmp_path: Path) -> None:
    path = scene_file(tmp_path)
    np.save(tmp_path / "gt.npy", np.ones(SHAPE, np.uint8))
    given = [
        ({"class_column": "x"}, "class_column: only for labels drawn"),
        ({"layer": "x", "buffer_m": 3.0}, "layer, buffer_m: only"),
        ({"all_touched": True}, "all_touched: only"),
    ]
    for options, said in given:
        for labels in (tmp_path / "gt.npy", np.ones(SHAPE, np.uint8), None):
            with pytest.raises(SettingError, match=said):
                read_scene(path, labels=labels, vectors=VectorOptions(**options))


def test_a_mask_is_any_geometry(draw: Draw) -> None:
    mask = read_vector_mask(draw("m.gpkg", [*FOUR, spot(20.5, 20.5)]), SHAPE, GRID)
    assert mask.dtype == bool
    assert mask.sum() == 17
