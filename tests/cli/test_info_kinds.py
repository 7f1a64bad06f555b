"""`hyperseg info` on what is no scene: polygons, label rasters, maps, run folders."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
from running import Hyperseg

from hyperseg.core import Grid
from hyperseg.io.write import write_map
from hyperseg.simulated.scenes import toy_scene

GRID = Grid((10.0, 10.0), "m", "EPSG:32633", (10.0, 0.0, 500000.0, 0.0, -10.0, 5000000.0))


def told(hyperseg: Hyperseg, *words: str) -> tuple[str, dict[str, Any]]:
    """The screen in one line, and the JSON."""
    screen, data = hyperseg("info", *words), hyperseg("info", *words, "--json", "-")
    assert screen.code == data.code == 0, screen.err + data.err
    found: dict[str, Any] = json.loads(data.out)
    return " ".join(screen.out.split()), found


def draw(path: Path, crops: list[str], **more: Any) -> None:
    features = [
        {"type": "Feature", "properties": {"number": i, "crop": crop, **{k: v[i] for k, v in more.items()}},
         "geometry": {"type": "Polygon", "coordinates": [[[i, 0], [i + 1, 0], [i + 1, 2], [i, 0]]]}}
        for i, crop in enumerate(crops)
    ]  # fmt: skip
    path.write_text(json.dumps({"type": "FeatureCollection", "features": features}))


def test_polygons(hyperseg: Hyperseg, tmp_path: Path) -> None:
    draw(tmp_path / "fields.geojson", ["maize", "wheat", "maize"])
    said, data = told(hyperseg, "fields.geojson")
    for part in (
        "3 Polygons", "EPSG:4326", "(0, 0) to (3, 2)", "column crop 2 values: maize, wheat", "column number 3 values",
        "2 by the column crop, with geometries: maize (2), wheat (1)",
        "Next: hyperseg classify SCENE --labels fields.geojson --class-column crop",
    ):  # fmt: skip
        assert part in said, part
    assert (data["kind"], data["class_column"], data["classes"]) == ("vectors", "crop", {"maize": 2, "wheat": 1})
    assert data["extent"] == [0, 0, 3, 2]
    assert data["columns"]["number"] == ["0", "1", "2"]
    assert not list(tmp_path.glob("*.png"))


def test_polygons_whose_class_is_unclear_and_layers(hyperseg: Hyperseg, tmp_path: Path) -> None:
    import pyogrio
    import shapely

    draw(tmp_path / "fields.geojson", ["a", "b"], kind_of_farm=["c", "d"], soil=["e", "e"])
    path = tmp_path / "both.gpkg"
    for name in ("north", "south"):
        square = shapely.to_wkb(np.array([shapely.box(0, 0, 1, 1)]))
        pyogrio.raw.write(
            path, square, [np.array(["oats"], object)], ["crop"], layer=name, geometry_type="Polygon",
            crs="EPSG:32633", append=path.exists(),
        )  # fmt: skip
    said, data = told(hyperseg, "both.gpkg")
    assert "north (Polygon), south (Polygon)" in said
    assert "Next: hyperseg info both.gpkg:north" in said
    assert data["layers"] == {"north": "Polygon", "south": "Polygon"}
    assert told(hyperseg, "both.gpkg:south")[1]["classes"] == {"oats": 1}


def test_a_label_raster(hyperseg: Hyperseg, tmp_path: Path) -> None:
    codes = np.zeros((4, 6), np.uint8)
    codes[:2], codes[2, :3] = 3, 7
    np.save(tmp_path / "gt.npy", codes)
    said, data = told(hyperseg, "gt.npy")
    assert "label raster" in said
    assert "2: 3 class 3 (12 px), 7 class 7 (3 px)" in said
    assert "15 of 24 pixels" in said
    assert data["classes"]["class 7"] == {"code": 7, "pixels": 3, "ha": None}
    assert "--labels gt.npy" in said


def test_a_map(hyperseg: Hyperseg, tmp_path: Path) -> None:
    from hyperseg.core import SegmentationMap

    probs = np.zeros((3, 4, 2), np.float32)
    probs[..., 0], probs[0, 0] = 1, (0, 1)
    made = SegmentationMap(probs, ("corn", "oats"), ((1, 2, 3), (4, 5, 6)), GRID, ("svm", "dense-crf"))
    write_map(tmp_path / "map.tif", made)
    said, data = told(hyperseg, "map.tif")
    assert "map by svm + dense-crf" in said
    assert "1 corn (11 px, 0.11 ha), 2 oats (1 px, 0.01 ha)" in said
    assert (data["kind"], data["made_by"], data["crs"]) == ("map", "svm + dense-crf", "EPSG:32633")


def test_a_run(hyperseg: Hyperseg, tmp_path: Path) -> None:
    scene = toy_scene()
    assert scene.labels is not None
    np.save(tmp_path / "cube.npy", scene.cube)
    np.save(tmp_path / "gt.npy", scene.labels + 1)
    words = ("--split", "random_per_class:8", "--refine", "none", "--repeats", "2", "--no-pictures", "--out", "r")
    answer = hyperseg("classify", "cube.npy", "--labels", "gt.npy", "--method", "lda", "--quiet", *words)
    assert answer.code == 0, answer.err
    said, data = told(hyperseg, "r")
    for part in ("run of hyperseg", "map by lda", "random_per_class(n=8, val=10), seed 0", "over 2 repeats", "map.tif",
                 "Next: hyperseg map r OTHER_SCENE.hdr"):  # fmt: skip
        assert part in said, part
    metrics = json.loads((tmp_path / "r" / "metrics.json").read_text())
    assert data["accuracy"]["OA"]["map"] == metrics["map"]["OA"] == metrics["OA"]["values"][0]
    assert data["files"] == sorted(p.name for p in (tmp_path / "r").iterdir())
    shutil.copytree(tmp_path / "r", tmp_path / "bad")
    (tmp_path / "bad" / "metrics.json").write_text("{}")
    refused = hyperseg("info", "bad")
    assert refused.code == 2
    assert "metrics.json: damaged" in refused.err
    (tmp_path / "bad" / "metrics.json").unlink()
    (tmp_path / "bad" / "unfinished").mkdir()
    assert "unfinished run" in told(hyperseg, "bad")[0]


def test_scenes_are_scenes_and_measurements_no_labels(hyperseg: Hyperseg, tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    np.save(tmp_path / "scene.npy", rng.integers(0, 9, (8, 9, 5)))
    np.save(tmp_path / "heights.npy", rng.integers(0, 9000, (30, 30)))
    answer = hyperseg("info", "scene.npy", "--no-picture")
    assert "8 rows x 9 columns" in answer.out
    assert "Next: hyperseg classify scene.npy --labels LABELS.tif" in answer.out
    refused = hyperseg("info", "heights.npy", "--no-picture")
    assert "label raster" not in refused.out
    assert refused.code == 2


def test_the_cube_and_the_labels_of_one_file_are_named(hyperseg: Hyperseg, tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    arrays = {
        "mean": np.zeros(5),
        "cube": rng.random((8, 9, 5)),
        "gt": np.ones((8, 9), int),
        "other": np.ones((3, 4), int),
    }
    np.savez(tmp_path / "one.npz", **arrays)
    np.savez(tmp_path / "two.npz", small=rng.random((4, 4, 6)), **arrays)
    words = "two.npz:cube --labels two.npz:gt"
    said = hyperseg("info", "two.npz").out
    assert "hyperseg info two.npz:cube" in said
    assert f"With labels: hyperseg classify {words}" in said
    assert "Next: hyperseg classify one.npz --labels one.npz:gt" in hyperseg("info", "one.npz", "--no-picture").out
