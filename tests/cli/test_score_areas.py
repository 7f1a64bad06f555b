"""`hyperseg score`: areas from labels that come in fields, as a raster and as polygons."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner
from numpy.typing import NDArray

from hyperseg.cli.score import score
from hyperseg.core import Grid
from hyperseg.core.words import thousands
from hyperseg.io.write import write_map

NAMES, COLOURS = ("corn", "oats"), ((200, 200, 0), (0, 120, 0))
GRID = Grid((10.0, 10.0), "m", "EPSG:32633", (10.0, 0.0, 500000.0, 0.0, -10.0, 5000000.0))
SIDE, APART, ACROSS = 6, 8, 12
Place = tuple[int, int, int]  # row, column, class


def invented(seed: int) -> tuple[list[Place], NDArray[np.int16], NDArray[np.int16]]:
    """Fields of a scene with gaps, its true classes, and a map that is wrong in whole fields."""
    rng = np.random.default_rng(seed)
    truth = np.full((APART * ACROSS, APART * ACROSS), -1, np.int16)
    made, fields = np.zeros(truth.shape, np.int16), []
    for row in range(0, len(truth), APART):
        for column in range(0, len(truth), APART):
            k = int(rng.random() < 0.4)
            truth[row : row + SIDE, column : column + SIDE] = k
            made[row : row + APART, column : column + APART] = k if rng.random() < 0.8 else 1 - k
            fields.append((row, column, k))
    return fields, truth, made


def polygons(path: Path, fields: list[Place]) -> str:
    def ring(row: int, column: int) -> list[list[float]]:
        x, y, side = 500000 + 10.0 * column, 5000000 - 10.0 * row, 10.0 * SIDE
        return [[x, y], [x + side, y], [x + side, y - side], [x, y - side], [x, y]]

    drawn = [
        {"type": "Feature", "properties": {"crop": NAMES[k]},
         "geometry": {"type": "Polygon", "coordinates": [ring(row, column)]}}
        for row, column, k in fields
    ]  # fmt: skip
    crs = {"type": "name", "properties": {"name": "EPSG:32633"}}
    path.write_text(json.dumps({"type": "FeatureCollection", "crs": crs, "features": drawn}))
    return str(path)


def areas_of(tmp_path: Path, labels: str) -> tuple[dict[str, Any], str]:
    words = [str(tmp_path / "map.tif"), labels, "--json", str(tmp_path / "out.json"), "--overwrite"]
    result = CliRunner().invoke(score, words, env={"COLUMNS": "140"})
    assert result.exit_code == 0, result.output or result.exception
    found: dict[str, Any] = json.loads((tmp_path / "out.json").read_text())["areas"]
    return found, result.output


@pytest.fixture
def scene(tmp_path: Path) -> tuple[Path, list[Place], NDArray[np.int16]]:
    fields, truth, made = invented(0)
    write_map(tmp_path / "map.tif", made, classes=NAMES, colours=COLOURS, grid=GRID)
    return tmp_path, fields, truth


def test_polygons_and_the_fields_of_a_raster_are_what_was_sampled(scene: Any) -> None:
    folder, fields, truth = scene
    write_map(folder / "truth.tif", truth, classes=NAMES, colours=COLOURS, grid=GRID)
    raster, said = areas_of(folder, str(folder / "truth.tif"))
    drawn, told = areas_of(folder, polygons(folder / "fields.geojson", fields))
    assert "The labelled pixels lie in 144 connected fields" in said
    assert "The labelled pixels lie in 144 polygons" in told
    assert (raster["sampled"], drawn["sampled"]) == ({"unit": "field", "n": 144}, {"unit": "polygon", "n": 144})
    for name in NAMES:
        assert raster["per_class"][name] == pytest.approx(drawn["per_class"][name])
    assert sum(entry["reference_parcels"] for entry in drawn["per_class"].values()) == 144
    assert raster["design"] == pytest.approx(drawn["design"])
    design = drawn["design"]
    assert (design["parcels"], design["sample"], design["pixels"]) == (144, "labelled", (truth >= 0).sum())
    assert design["effective_pixels"] == pytest.approx(design["pixels"] / design["design_effect"])
    alike = f"144 polygons tell as much as {thousands(round(design['effective_pixels']))} independent ones"
    assert alike in " ".join(told.split())
    assert "too narrow" not in said + told
    assert "made them biased" in told or "make them biased" in told


def test_two_sets_of_labels_on_one_map_do_not_contradict_each_other(scene: Any) -> None:
    """Halves of the fields: of twelve pairs of 95 % intervals none is apart from the other."""
    folder, fields, _ = scene
    rng = np.random.default_rng(1)
    for _ in range(6):
        order = rng.permutation(len(fields))
        one, other = (
            areas_of(folder, polygons(folder / "some.geojson", [fields[i] for i in half]))[0]["per_class"]
            for half in (order[:40], order[40:80])
        )
        for name in NAMES:
            assert one[name]["low"] < other[name]["high"]
            assert other[name]["low"] < one[name]["high"]


def test_a_class_of_two_polygons_has_an_estimate_and_no_interval(scene: Any) -> None:
    folder, fields, _ = scene
    corn, oats = ([f for f in fields if f[2] == k] for k in (0, 1))
    found, said = areas_of(folder, polygons(folder / "few.geojson", corn[:20] + oats[:2]))
    assert found["per_class"]["oats"]["estimated"] > 0
    assert [found["per_class"]["oats"][key] for key in ("low", "high", "error")] == [None] * 3
    assert found["per_class"]["corn"]["low"] < found["per_class"]["corn"]["high"]
    assert "Fewer than 3 labelled polygons are oats: no interval can be given." in said
