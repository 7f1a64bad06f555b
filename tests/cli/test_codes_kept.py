"""The label file's own codes, from the labels to the map, its exports, another scene's map and the score."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
from running import Hyperseg
from shapely.geometry import box

from hyperseg import open_scene
from hyperseg.core import Grid, Scene
from hyperseg.io.write import read_map, write_raster

GRID = Grid((10.0, 10.0), "m", "EPSG:32633", (10.0, 0.0, 400000.0, 0.0, -10.0, 5000000.0))
SVM = (
    "--method",
    "svm",
    "--repeats",
    "1",
    "--refine",
    "none",
    "--quiet",
    "--no-pictures",
    "--split",
    "random_per_class:20",
)


@pytest.fixture
def cube(toy: Scene, tmp_path: Path) -> str:
    write_raster(tmp_path / "s.tif", np.asarray(toy.cube), GRID)
    return "s.tif"


def write_labels(path: Path, values: Any, nodata: int | None = None, dtype: str = "uint8") -> None:
    with rasterio.open(
        path, "w", driver="GTiff", height=values.shape[0], width=values.shape[1], count=1, dtype=dtype, nodata=nodata,
        crs=GRID.crs, transform=rasterio.Affine(*GRID.affine or ()),
    ) as file:  # fmt: skip
        file.write(values.astype(dtype), 1)


def values(path: Path) -> Any:
    with rasterio.open(path) as file:
        return file.read(1)


@pytest.mark.parametrize(
    ("codes", "empty", "nodata"), [((10, 20, 30), 0, None), ((1, 3, 7), 0, 0), ((0, 1, 2), 255, 255)]
)
def test_codes_from_labels_to_everything(
    hyperseg: Hyperseg, cube: str, toy: Scene, tmp_path: Path, codes: tuple[int, ...], empty: int, nodata: int | None
) -> None:
    assert toy.labels is not None
    drawn = np.array([*codes, empty])[toy.labels]
    write_labels(tmp_path / "gt.tif", drawn, nodata)
    answer = hyperseg("classify", cube, "--labels", "gt.tif", *SVM, "--out", "r")
    assert answer.code == 0, answer.err
    mapped, found = values(tmp_path / "r/map.tif"), read_map(tmp_path / "r/map.tif")
    assert set(np.unique(mapped)) <= {*codes, empty}
    assert (mapped == drawn)[drawn != empty].mean() > 0.7  # 1 where the method is right: never by another numbering
    assert found.codes == codes
    assert found.classes == tuple(f"class {c}" for c in codes)
    assert json.loads((tmp_path / "r/run.json").read_text())["codes"] == list(codes)
    with (tmp_path / "r/areas.csv").open(newline="") as file:
        assert [int(row["code"]) for row in csv.DictReader(file)] == list(codes)
    assert {p.name for p in (tmp_path / "r").glob("*.qml")} == {
        "map.qml",
        "confidence.qml",
        "entropy.qml",
        "applicability.qml",
    }
    assert 'type="singlebandpseudocolor"' in (tmp_path / "r/confidence.qml").read_text()
    answer = hyperseg("map", "r", cube, "--out", "again.tif", "--entropy", "--quiet")
    assert answer.code == 0, answer.err
    np.testing.assert_array_equal(values(tmp_path / "again.tif"), mapped)
    assert (tmp_path / "again-entropy.qml").exists()
    assert (tmp_path / "again-confidence.qml").exists()
    answer = hyperseg("export", "r", "--cog", "c.tif", "--envi", "e.hdr", "--min-pixels", "4")
    assert answer.code == 0, answer.err
    assert read_map(tmp_path / "c.tif")[1:] == found[1:]
    answer = hyperseg("score", "r", "gt.tif", "--json", "s.json")
    assert answer.code == 0, answer.err
    scored = json.loads((tmp_path / "s.json").read_text())
    assert scored["OA"] == pytest.approx(100 * (mapped == drawn)[drawn != empty].mean())
    assert [entry["code"] for entry in scored["areas"]["per_class"].values()] == list(codes)


def test_codes_beyond_a_byte_are_numbered_and_told(hyperseg: Hyperseg, cube: str, toy: Scene, tmp_path: Path) -> None:
    assert toy.labels is not None
    write_labels(tmp_path / "gt.tif", np.array([11, 1100, 30000, 0])[toy.labels], dtype="uint16")
    answer = hyperseg("classify", cube, "--labels", "gt.tif", *SVM, "--out", "r")
    assert answer.code == 0, answer.err
    assert "11 = 1, 1100 = 2, 30000 = 3" in " ".join(answer.err.split())
    found = read_map(tmp_path / "r/map.tif")
    assert (found.codes, found.classes) == ((1, 2, 3), ("class 11", "class 1100", "class 30000"))
    answer = hyperseg("score", "r", "gt.tif")  # by the codes that the classes are called after
    assert answer.code == 0, answer.err
    assert "matched by code" in answer.out


def test_names_and_codes_of_two_files(hyperseg: Hyperseg, cube: str, toy: Scene, draw: Any, tmp_path: Path) -> None:
    """Polygons told in words and a raster of codes: refused, until something says which is which."""
    assert toy.labels is not None
    write_labels(tmp_path / "truth.tif", toy.labels + 1)
    cells = [(r, c) for r in range(0, 24, 2) for c in range(0, 21, 2) if toy.labels[r, c] >= 0]
    shapes = [box(4e5 + 10 * c, 5e6 - 10 * r - 10, 4e5 + 10 * c + 10, 5e6 - 10 * r) for r, c in cells]
    names = ["=pea", "oat", "\x1b[31mhay"]
    of = [int(toy.labels[cell]) for cell in cells]
    draw("f.gpkg", shapes, {"crop": [names[k] for k in of]})
    answer = hyperseg("score", "truth.tif", "f.gpkg")
    assert answer.code != 0
    told = " ".join(answer.err.split())
    assert "=pea (1)" in told
    assert "codes without names: 1, 2, 3" in told
    assert "\x1b" not in told
    (tmp_path / "codes.csv").write_text("1;=pea\n2;oat\n3;hay\n")
    answer = hyperseg("score", "truth.tif", "f.gpkg", "--classes-from", "codes.csv")
    assert answer.code == 0, answer.err
    assert "OA 100.00 %" in answer.out
    draw("g.gpkg", shapes, {"crop": [names[k] for k in of], "code": [k + 1 for k in of]})
    answer = hyperseg("score", "truth.tif", "g.gpkg", "--class-column", "crop")
    assert answer.code == 0, answer.err
    assert "OA 100.00 %" in answer.out

    assert hyperseg("classify", cube, "--labels", "f.gpkg", *SVM, "--out", "r").code == 0
    answer = hyperseg("score", "r", "truth.tif")
    assert answer.code != 0
    assert "--classes-from" in answer.err
    assert hyperseg("score", "r", "f.gpkg").code == 0
    answer = hyperseg("score", "truth.tif", "r", "--classes-from", "r")  # the run's own names for its own numbers
    assert answer.code == 0, answer.err
    with (tmp_path / "r/areas.csv").open(newline="") as file:
        assert [row["class"] for row in csv.DictReader(file)] == ["'=pea", "hay", "oat"]


def test_map_and_labels_the_wrong_way_round(hyperseg: Hyperseg, cube: str, toy: Scene, tmp_path: Path) -> None:
    assert toy.labels is not None
    few = np.where(np.arange(24)[:, None] % 4 == 0, toy.labels + 1, 0)
    write_labels(tmp_path / "gt.tif", few)
    assert hyperseg("classify", cube, "--labels", "gt.tif", *SVM[:-1], "random_per_class:5", "--out", "r").code == 0
    for words, right in (
        (("gt.tif", "r"), "hyperseg score r/map.tif gt.tif"),
        (("f.gpkg", "r"), "hyperseg score r/map.tif f.gpkg"),
        (("indian-pines", "r"), "hyperseg score r/map.tif indian-pines"),
    ):
        answer = hyperseg("score", *words)
        assert answer.code != 0
        assert right in " ".join(answer.err.split()), answer.err
    answer = hyperseg("score", "empty", "gt.tif")
    assert "empty: no such file" in answer.err
    (tmp_path / "empty").mkdir()
    assert "map.tif: no such file" in " ".join(hyperseg("score", "empty", "gt.tif").err.split())


def test_a_scene_opens_without_labels(cube: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    scene = open_scene(cube)
    assert (scene.labels, scene.classes, scene.codes) == (None, (), None)
    assert scene.n_bands == 16


def test_a_table_that_contradicts_itself_is_refused(hyperseg: Hyperseg, toy: Scene, tmp_path: Path) -> None:
    assert toy.labels is not None
    write_labels(tmp_path / "truth.tif", toy.labels + 1)
    (tmp_path / "names.csv").write_text("code,name\n1,corn\n2,wheat\n2,grass\n")
    error = hyperseg("score", "truth.tif", "truth.tif", "--classes-from", "names.csv").error
    assert error == "names.csv: names the code 2 twice, wheat and grass. Correct the table."
