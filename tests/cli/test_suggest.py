"""`hyperseg suggest`: a file that, filled in, is the next label file; and what it refuses."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from running import Hyperseg

from hyperseg.core import Grid, Scene
from hyperseg.io.labels.rasterise import read_vectors
from hyperseg.io.write import write_raster

GRID = Grid((10.0, 10.0), "m", "EPSG:32633", (10.0, 0.0, 4e5, 0.0, -10.0, 5e6))
DEGREES = Grid(crs="EPSG:4326", affine=(1e-4, 0.0, 11.0, 0.0, -1e-4, 48.0))
SVM = ("--method", "svm", "--repeats", "1", "--refine", "none", "--quiet", "--no-pictures")
SPLIT = ("--split", "random_fraction:0.5")
SMALL = ("--field-px", "12", "--quiet")
Start = Callable[..., np.ndarray]


@pytest.fixture
def start(hyperseg: Hyperseg, toy: Scene, tmp_path: Path) -> Start:
    """A run `r` on s.tif of which the left third is labelled, as codes of l.tif (0 = none); they are returned."""

    def start(grid: Grid | None = GRID, *, labels: str = "l.tif", cube: np.ndarray | None = None) -> np.ndarray:
        assert toy.labels is not None
        codes = np.where(np.arange(21) < 7, toy.labels + 1, 0).astype(np.uint8)
        values = np.asarray(toy.cube) if cube is None else cube
        if grid is None:
            np.save(tmp_path / "s.npy", values)
            np.save(tmp_path / "l.npy", codes)
        else:
            write_raster(tmp_path / "s.tif", values, grid)
            write_raster(tmp_path / "l.tif", codes, grid)
        scene = "s.npy" if grid is None else "s.tif"
        words = (scene, "--labels", "l.npy" if grid is None else labels)
        answer = hyperseg("classify", *words, *SVM, *SPLIT, "--out", "r")
        assert answer.code == 0, answer.err
        return codes.astype(int) - 1

    return start


def table(path: Path) -> tuple[dict[str, Any], dict[str, np.ndarray], np.ndarray]:
    from pyogrio.raw import read

    meta, _, shapes, values = read(path)
    return meta, dict(zip(meta["fields"], values, strict=True)), shapes


def fill_in(path: Path, to: Path, classes: Sequence[str], truth: np.ndarray, grid: Grid) -> int:
    """Write the class of most pixels into every empty `class`; how many were empty."""
    import shapely
    from pyogrio.raw import write
    from rasterio import Affine
    from rasterio.features import rasterize

    meta, columns, shapes = table(path)
    affine = Affine(*(grid.affine or (1.0, 0.0, 0.0, 0.0, -1.0, 0.0)))
    empty = np.flatnonzero(columns["rank"] > 0)
    assert all(columns["class"][i] is None for i in empty)
    for i in empty:
        inside = rasterize([shapely.from_wkb(shapes[i])], out_shape=truth.shape, transform=affine) > 0
        assert inside.sum() == columns["pixels"][i]
        found = truth[inside & (truth >= 0)]
        columns["class"][i] = classes[np.bincount(found).argmax()] if len(found) else None
    write(to, shapes, list(columns.values()), list(columns), geometry_type="Polygon", crs=meta["crs"])
    to.with_suffix(".qml").write_bytes(path.with_suffix(".qml").read_bytes())
    return len(empty)


@pytest.mark.parametrize("grid", [GRID, None], ids=["placed", "no coordinates"])
def test_suggest_fill_in_classify(
    hyperseg: Hyperseg, start: Start, toy: Scene, tmp_path: Path, grid: Grid | None
) -> None:
    labels = start(grid)
    scene = "s.tif" if grid else "s.npy"
    answer = hyperseg("suggest", "r", "--budget", "4", *SMALL)
    assert answer.code == 0, answer.err
    assert "pixels that" in " ".join(answer.out.split())
    out = tmp_path / "s-suggestions.gpkg"
    assert (tmp_path / "s-suggestions.png").read_bytes().startswith(b"\x89PNG")
    _, columns, _ = table(out)
    new = columns["rank"] > 0
    assert sorted(columns["rank"][new]) == [1, 2, 3, 4]
    order = np.argsort(columns["rank"][new])
    assert (np.diff(columns["gain_px"][new][order]) <= 0).all()
    assert set(columns["predicted"][new]) <= {"class 1", "class 2", "class 3"}
    assert all("pixels that" in reason for reason in columns["reason"][new])
    assert ("area_ha" in columns) == (grid is not None)
    if grid:
        np.testing.assert_allclose(columns["area_ha"][new], columns["pixels"][new] * 100 / 1e4)
    # as it stands it says what the labels said; the empty ones are passed over
    place = Grid() if grid is None else grid
    same = read_vectors(out, labels.shape, place)
    np.testing.assert_array_equal(same.codes, labels)
    assert same.colours is not None
    assert toy.labels is not None
    assert fill_in(out, tmp_path / "filled.gpkg", same.classes, toy.labels, place) == 4
    more = read_vectors(tmp_path / "filled.gpkg", labels.shape, place).codes
    assert (more[labels >= 0] == labels[labels >= 0]).all()
    assert (more >= 0).sum() > (labels >= 0).sum()
    words = (scene, "--labels", "filled.gpkg", *SVM, *SPLIT, "--out", "r2")
    answer = hyperseg("classify", *words)
    assert answer.code == 0, answer.err
    # what was suggested is labelled now, and not suggested again
    answer = hyperseg("suggest", "r2", scene, "--budget", "9", *SMALL, "--out", "again.gpkg", "--no-picture")
    assert answer.code == 0, answer.err
    _, columns, shapes = table(tmp_path / "again.gpkg")
    import shapely
    from rasterio import Affine
    from rasterio.features import rasterize

    affine = Affine(*(place.affine or (1.0, 0.0, 0.0, 0.0, -1.0, 0.0)))
    again = rasterize(shapely.from_wkb(shapes[columns["rank"] > 0]), out_shape=labels.shape, transform=affine) > 0
    assert not (again & (more >= 0)).any()
    assert not (tmp_path / "again.png").exists()


def test_no_data_is_in_no_suggestion_and_changes_none(
    hyperseg: Hyperseg, start: Start, toy: Scene, tmp_path: Path
) -> None:
    found = []
    for fill in (-9999.0, 12345.0):
        cube = np.asarray(toy.cube).astype(np.float32).copy()
        cube[10:14, 12:] = fill
        write_raster(tmp_path / "s.tif", cube, GRID)
        start(cube=np.where(cube == fill, np.nan, cube))
        answer = hyperseg("suggest", "r", "--budget", "20", *SMALL, "--out", "o.gpkg", "--overwrite")
        assert answer.code == 0, answer.err
        _, columns, shapes = table(tmp_path / "o.gpkg")
        found.append(shapes)
        from shapely import box, from_wkb

        hole = box(4e5 + 120, 5e6 - 140, 4e5 + 210, 5e6 - 100)
        assert not any(from_wkb(s).intersection(hole).area for s in shapes[columns["rank"] > 0])
        for file in (tmp_path / "r").iterdir():
            file.unlink() if file.is_file() else None
        (tmp_path / "r").rename(tmp_path / f"old{len(found)}")
    np.testing.assert_array_equal(found[0], found[1])


def test_another_scene_has_no_labels_of_the_run(hyperseg: Hyperseg, start: Start, toy: Scene, tmp_path: Path) -> None:
    start()
    write_raster(tmp_path / "other.tif", np.asarray(toy.cube)[:, ::-1], GRID)
    answer = hyperseg("suggest", "r", "other.tif", "--budget", "2", *SMALL, "--out", "o.geojson")
    assert answer.code == 0, answer.err
    _, columns, _ = table(tmp_path / "o.geojson")
    assert sorted(columns["rank"]) == [1, 2]
    assert "nothing is labelled in this scene" in columns["reason"][columns["rank"] == 1][0]
    answer = hyperseg("suggest", "r", "other.tif", "--labels", "l.tif", *SMALL, "--out", "l.gpkg")
    assert answer.code == 0, answer.err
    assert (table(tmp_path / "l.gpkg")[1]["rank"] == 0).any()


def test_a_way_that_costs_is_short(hyperseg: Hyperseg, start: Start, tmp_path: Path) -> None:
    start()
    ways = {}
    for cost in ("0", "8"):
        words = ("--cost-per-km", cost, *(("--start", "400105", "4999880") if cost != "0" else ()))
        answer = hyperseg("suggest", "r", "--budget", "5", *SMALL, *words, "--out", f"w{cost}.gpkg")
        assert answer.code == 0, answer.err
        columns = table(tmp_path / f"w{cost}.gpkg")[1]
        ways[cost] = columns["walk_km"][columns["rank"] > 0].sum()
    assert ways["8"] < ways["0"]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("nowhere",), "nowhere"),
        (("s.tif", "r"), "the run comes first"),
        (("r", "--out", "o.txt"), "polygons are written as"),
        (("r", "--out", "l.tif"), "polygons are written as"),
        (("r", "--start", "1", "2"), "give --cost-per-km too"),
        (("r", "--cost-per-km", "1e9", "--start", "0", "0"), "is worth its way"),
        (("r", "--field-px", "500"), "hold labels already"),
        (("r", "there.gpkg"), "there.gpkg"),
    ],
)
def test_refusals(hyperseg: Hyperseg, start: Start, tmp_path: Path, words: tuple[str, ...], said: str) -> None:
    start()
    before = sorted(p.name for p in tmp_path.iterdir())
    assert said in hyperseg("suggest", *words, "--quiet").error
    assert sorted(p.name for p in tmp_path.iterdir()) == before


def test_what_is_there_or_read_is_kept(hyperseg: Hyperseg, start: Start, tmp_path: Path) -> None:
    start()
    assert hyperseg("suggest", "r", *SMALL).code == 0
    assert "exists" in hyperseg("suggest", "r", *SMALL).error
    assert hyperseg("suggest", "r", *SMALL, "--overwrite").code == 0
    record = json.loads((tmp_path / "r/run.json").read_text())
    record["inputs"]["labels"] = "s-suggestions.gpkg"
    (tmp_path / "r/run.json").write_text(json.dumps(record))
    assert "would be overwritten" in hyperseg("suggest", "r", *SMALL, "--overwrite").error


@pytest.mark.parametrize(
    ("grid", "words", "said"),
    [
        (DEGREES, ("--cost-per-km", "5"), "no CRS in metres"),
        (None, ("--cost-per-km", "5"), "no CRS"),
        (None, ("--out", "o.geojson"), "has no coordinates. Write o.gpkg instead"),
    ],
)
def test_what_needs_coordinates(
    hyperseg: Hyperseg, start: Start, grid: Grid | None, words: tuple[str, ...], said: str
) -> None:
    start(grid)
    assert said in hyperseg("suggest", "r", *words, *SMALL).error


def test_a_scene_too_large_for_memory_is_refused(
    hyperseg: Hyperseg, start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    start()
    monkeypatch.setattr("hyperseg.recipes.suggest.suggest.MOST_PX", 100)
    assert "Suggest on a part of it" in hyperseg("suggest", "r", *SMALL).error
