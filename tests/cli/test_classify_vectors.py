"""`hyperseg classify` and `score` with polygons: from a file to a map, and odd files to one clear line."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import halting
import numpy as np
import pytest
import shapely
from running import Hyperseg
from shapely import GeometryCollection, LineString, MultiPolygon, Point, Polygon, box

from hyperseg.core import Grid, Scene
from hyperseg.io.write import read_map, write_map, write_raster

stop = halting.stop
Draw = Callable[..., Path]
Words = tuple[str, ...]
AGAIN = ("--quiet", "--no-pictures")
SVM = ("--method", "svm", "--repeats", "1", "--refine", "none", *AGAIN, "--split", "parcels,guard=1")
GRID = Grid((10.0, 10.0), "m", "EPSG:32633", (10.0, 0.0, 4e5, 0.0, -10.0, 5e6))
NAMES = ("oak", "fir", "ash")


@pytest.fixture
def cube(toy: Scene, tmp_path: Path) -> str:
    write_raster(tmp_path / "s.tif", np.asarray(toy.cube), GRID)
    return "s.tif"


def pixel(r: int, c: int, height: int = 1, width: int = 1) -> Polygon:
    return box(4e5 + 10 * c, 5e6 - 10 * (r + height), 4e5 + 10 * (c + width), 5e6 - 10 * r)


@pytest.fixture
def fields(toy: Scene, draw: Draw) -> Path:
    """Squares of 3 x 3 pixels of one class as polygons, with a name, a code and another column."""
    assert toy.labels is not None
    shapes, names = [], []
    for r in range(0, 24, 3):
        for c in range(0, 21, 3):
            found = np.unique(toy.labels[r : r + 3, c : c + 3])
            if len(found) == 1 and found[0] >= 0:
                shapes.append(pixel(r, c, 3, 3))
                names.append(NAMES[found[0]])
    assert len(shapes) > 12
    codes = [NAMES.index(n) + 3 for n in names]
    return draw("f.gpkg", shapes, {"crop": names, "code": codes, "owner": [str(k % 2) for k in range(len(names))]})


def record(folder: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((folder / "run.json").read_text())
    return found


def test_from_polygons_to_a_map(hyperseg: Hyperseg, cube: str, fields: Path, toy: Scene, tmp_path: Path) -> None:
    answer = hyperseg("classify", cube, "--labels", "f.gpkg", *SVM, "--out", "r", "--class-column", "crop")
    assert answer.code == 0, answer.err
    labels, classes, _, grid, _ = read_map(tmp_path / "r/map.tif")
    assert classes == ("ash", "fir", "oak")
    assert grid == GRID
    assert toy.labels is not None
    right = (np.array([2, 1, 0, -1])[toy.labels] == labels)[toy.labels >= 0].mean()
    assert right > 0.5
    found = record(tmp_path / "r")
    assert "by=polygons" in found["split"]["how"]
    assert found["inputs"]["class_column"] == "crop"
    assert "layer" not in found["inputs"]


def test_a_raster_of_the_same_pixels_trains_the_same_map(
    hyperseg: Hyperseg, cube: str, fields: Path, tmp_path: Path
) -> None:
    """What the polygons label is what a raster of them labels; only the split knows more."""
    from hyperseg.io.labels.rasterise import read_vectors

    burnt = read_vectors(fields, (24, 21), GRID)
    np.save(tmp_path / "gt.npy", burnt.codes + 1)
    random = (*SVM[:-1], "random_per_class:8")
    assert hyperseg("classify", cube, "--labels", "f.gpkg", *random, "--out", "a").code == 0
    assert hyperseg("classify", cube, "--labels", "gt.npy", *random, "--out", "b").code == 0
    np.testing.assert_array_equal(read_map(tmp_path / "a/map.tif")[0], read_map(tmp_path / "b/map.tif")[0])


def test_from_repeats_it_with_its_options(hyperseg: Hyperseg, cube: str, fields: Path, tmp_path: Path) -> None:
    options = ("--class-column", "owner", "--all-touched", "--buffer-m", "7")
    assert hyperseg("classify", cube, "--labels", "f.gpkg", *SVM, *options, "--out", "one").code == 0
    inputs = record(tmp_path / "one")["inputs"]
    assert (inputs["class_column"], inputs["all_touched"], inputs["buffer_m"]) == ("owner", True, 7.0)
    assert hyperseg("classify", "--from", "one", *AGAIN, "--out", "two").code == 0
    assert (tmp_path / "one/map.tif").read_bytes() == (tmp_path / "two/map.tif").read_bytes()
    assert record(tmp_path / "two")["inputs"] == inputs
    again = ("--from", "one", *AGAIN, "--class-column", "code", "--centres")
    assert hyperseg("classify", *again, "--out", "three").code == 0
    assert read_map(tmp_path / "three/map.tif")[1] == ("oak", "fir", "ash")  # named by the column beside
    np.save(tmp_path / "gt.npy", np.tile([1, 2, 2], (24, 7)))  # other labels leave the options behind
    plain = ("--split", "random_per_class:5", "--labels", "gt.npy")
    assert hyperseg("classify", "--from", "one", *AGAIN, *plain, "--out", "four").code == 0
    assert "class_column" not in record(tmp_path / "four")["inputs"]


def test_masks_and_pool_may_be_drawn(hyperseg: Hyperseg, cube: str, fields: Path, draw: Draw, tmp_path: Path) -> None:
    draw("train.gpkg", [pixel(0, 0, 12, 21)])
    words = ("--split", "fixed", "--train-mask", "train.gpkg", "--class-column", "crop")
    assert hyperseg("classify", cube, "--labels", "f.gpkg", *SVM[:-2], *words, "--out", "r").code == 0
    metrics = json.loads((tmp_path / "r/metrics.json").read_text())["split"]
    from hyperseg.io.labels.rasterise import read_vectors

    labelled = read_vectors(fields, (24, 21), GRID).codes >= 0
    assert (metrics["train"], metrics["test"]) == (labelled[:12].sum(), labelled[12:].sum())


def test_score_takes_polygons(hyperseg: Hyperseg, fields: Path, toy: Scene, tmp_path: Path) -> None:
    assert toy.labels is not None
    write_map(tmp_path / "m.tif", toy.labels, classes=NAMES, colours=((1, 2, 3),) * 3, grid=GRID)
    answer = hyperseg("score", "m.tif", "f.gpkg", "--json", "s.json", "--class-column", "crop")
    assert answer.code == 0, answer.err
    found = json.loads((tmp_path / "s.json").read_text())
    assert (found["OA"], found["matched_by"]) == (100, "name")
    assert "does not reach" in hyperseg("score", moved(tmp_path, toy), "m.tif").error
    assert "no column 'x'" in hyperseg("score", "m.tif", "f.gpkg", "--class-column", "x").error
    assert "layer: only for labels drawn" in hyperseg("score", "m.tif", "m.tif", "--layer", "x").error


def moved(folder: Path, toy: Scene) -> str:
    grid = Grid((10.0, 10.0), "m", "EPSG:32633", (10.0, 0.0, 7e5, 0.0, -10.0, 5e6))
    assert toy.labels is not None
    write_map(folder / "far.tif", toy.labels, classes=NAMES, colours=((1, 2, 3),) * 3, grid=grid)
    return "far.tif"


TWO = [pixel(0, 0, 12, 10), pixel(12, 10, 12, 10)]
TINY = box(4e5 + 141, 5e6 - 3, 4e5 + 142, 5e6 - 1)
BOW = Polygon([(4e5, 5e6), (4e5 + 100, 5e6 - 100), (4e5 + 100, 5e6), (4e5, 5e6 - 100)])


@pytest.mark.parametrize(
    ("shapes", "columns", "said"),
    [
        ([*TWO, pixel(900, 0)], {"crop": list("aba")}, "geometries outside s.tif: 1 of 3, left out"),
        ([*TWO, pixel(0, 12, 3, 3)], {"crop": ["a", "b", ""]}, "features without a class in 'crop'"),
        ([*TWO, None], {"crop": list("aba")}, "without a geometry: 1, skipped"),
        ([BOW, TWO[1]], {"crop": list("ab")}, "(crossing or repeated edges): 1, filled by the even-odd rule"),
        ([*TWO, pixel(6, 5, 9, 9)], {"crop": list("abc")}, "overlap in 42 pixels, which stay unlabelled"),
        ([*TWO, Point(4e5 + 155, 5e6 - 15)], {"crop": list("aba")}, "points without a buffer: 1, each labels"),
        (
            [TWO[0], MultiPolygon([TWO[1]]), LineString([(4e5 + 120, 5e6), (4e5 + 120, 5e6 - 90)])],
            {"crop": list("aba")},
            "lines without a buffer: 1",
        ),
        ([GeometryCollection(TWO), pixel(15, 0, 4, 4)], {"crop": list("ab")}, "classes: 2, geometries: 3"),
        ([shapely.force_3d(s, 5.0) for s in TWO], {"crop": list("ab")}, "240 pixels labelled"),
        ([*TWO, TINY], {"crop": list("aba")}, "got no pixel"),
        (TWO, {"crop": ["Oak", "oak"]}, "oak is spelt in several ways"),
        (TWO, {"crop": [0, 1]}, "the code 0 in 'crop' is a class of its own"),
    ],
)
def test_odd_polygons_are_dealt_with_and_told(
    hyperseg: Hyperseg, cube: str, draw: Draw, shapes: list[Any], columns: dict[str, Any], said: str
) -> None:
    draw("f.gpkg", shapes, columns)
    answer = hyperseg("classify", cube, "--labels", "f.gpkg", *SVM, "--out", "r")
    assert answer.code == 0, answer.err
    told = answer.err.splitlines()
    assert all(line.startswith("Note: ") for line in told)
    assert any(said in line for line in told), answer.err


def refuse_shapefile(folder: Path, draw: Draw, *lost: str) -> None:
    draw("f.shp", TWO, {"crop": list("ab")}, kind="Polygon")
    for suffix in lost:
        (folder / f"f{suffix}").unlink()


MALFORMED: dict[str, tuple[Callable[[Path, Draw], Any], Words, str]] = {
    "outside": (
        lambda d, draw: draw("f.gpkg", [pixel(900, 0, 9, 9)] * 2, {"crop": list("ab")}),
        (),
        "f.gpkg: no geometry falls in s.tif: they lie at x 400000 to 400090",
    ),
    "all names empty": (lambda d, draw: draw("f.gpkg", TWO, {"crop": ["", None]}), (), "names no class"),
    "one class": (lambda d, draw: draw("f.gpkg", TWO, {"crop": list("aa")}), (), "1 class is labelled (a)"),
    "no CRS, elsewhere": (
        lambda d, draw: draw("f.gpkg", [box(0, 0, 1, 1)] * 2, {"crop": list("ab")}, crs=None),
        (),
        "f.gpkg: has no CRS, and its coordinates",
    ),
    "missing column": (
        lambda d, draw: draw("f.gpkg", TWO, {"crop": list("ab")}),
        ("--class-column", "corp"),
        "has no column 'corp'. Its columns: crop (a, b). Did you mean crop?",
    ),
    "unclear column": (
        lambda d, draw: draw("f.gpkg", TWO, {"u": list("ab"), "v": list("aa")}),
        (),
        "which column tells the classes is unclear",
    ),
    "no column": (lambda d, draw: draw("f.gpkg", TWO), (), "no column that could tell classes"),
    "no such layer": (
        lambda d, draw: draw("f.gpkg", TWO, {"crop": list("ab")}, layer="fields"),
        ("--layer", "field"),
        "holds no layer 'field'; it holds fields. Did you mean fields?",
    ),
    "empty layer": (
        lambda d, draw: (d / "f.geojson").write_text('{"type": "FeatureCollection", "features": []}'),
        (),
        "the layer 'f' is empty",
    ),
    "no JSON": (lambda d, draw: (d / "f.geojson").write_text('{"type": "Feat'), (), "cannot be read as vectors"),
    "another JSON": (lambda d, draw: (d / "f.json").write_text('{"a": [1, 2]}'), (), "cannot be read as vectors"),
    "truncated": (
        lambda d, draw: os.truncate(draw("f.gpkg", TWO, {"crop": list("ab")}), 40_000),
        (),
        "f.gpkg: cannot be read as vectors",
    ),
    "no bytes": (lambda d, draw: (d / "f.gpkg").write_bytes(b""), (), "f.gpkg: is empty (0 bytes)"),
    "no .dbf": (lambda d, draw: refuse_shapefile(d, draw, ".dbf"), (), "f.dbf is missing beside it"),
    "no .shx": (lambda d, draw: refuse_shapefile(d, draw, ".shx"), (), "f.shx is missing beside it"),
    "smaller than a pixel": (
        lambda d, draw: draw("f.gpkg", [TINY] * 2, {"crop": list("ab")}),
        (),
        "no pixel is left to label",
    ),
    "buffer of nothing": (
        lambda d, draw: draw("f.gpkg", TWO, {"crop": list("ab")}),
        ("--buffer-m", "-3"),
        "buffer_m is above 0, got -3",
    ),
    "an option without vectors": (
        lambda d, draw: np.save(d / "f.npy", np.ones((24, 21), np.uint8)),
        ("--class-column", "crop"),
        "class_column: only for labels drawn as vectors",
    ),
}


@pytest.mark.usefixtures("stop")
@pytest.mark.parametrize("what", MALFORMED)
def test_malformed_vectors_are_refused_in_one_line(
    hyperseg: Hyperseg, cube: str, draw: Draw, tmp_path: Path, what: str
) -> None:
    make, words, said = MALFORMED[what]
    make(tmp_path, draw)
    (file,) = (p.name for p in tmp_path.glob("f.*") if p.suffix not in (".dbf", ".shx", ".prj", ".cpg"))
    before = sorted(p.name for p in tmp_path.iterdir())
    error = hyperseg("classify", cube, "--labels", file, *halting.UNTRAINED, *words).error
    assert said in error
    assert sorted(p.name for p in tmp_path.iterdir()) == before


def test_a_scene_that_is_nowhere(hyperseg: Hyperseg, files: Words, draw: Draw, toy: Scene, tmp_path: Path) -> None:
    draw("f.gpkg", TWO, {"crop": list("ab")})
    error = hyperseg("classify", "cube.npy", "--labels", "f.gpkg", "--quiet").error
    assert "only be laid on a scene that says where its pixels are, but cube.npy has neither" in error
    affine = Grid((10.0, 10.0), "px", None, GRID.affine)
    write_raster(tmp_path / "bare.tif", np.asarray(toy.cube), affine)
    error = hyperseg("classify", "bare.tif", "--labels", "f.gpkg", "--quiet").error
    assert "is in EPSG:32633, but bare.tif has no CRS" in error
    error = hyperseg("classify", "indian-pines", "--labels", "f.gpkg", "--quiet").error
    assert "f.gpkg: geometries can only be laid on a scene" in error
    assert "layer: only for labels drawn" in hyperseg("classify", "indian-pines", "--layer", "x", "--quiet").error
