"""`hyperseg score` on maps whose accuracy is known beforehand."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner, Result

from hyperseg.cli.score import score
from hyperseg.core import DataFileError, Grid, LabelError
from hyperseg.io.catalog import load_card, open_card
from hyperseg.io.write import write_map

NAMES = ("water", "forest", "road")
COLOURS = ((0, 0, 255), (0, 128, 0), (128, 128, 128))
GRID = Grid((10.0, 10.0), "m", "EPSG:32633", (10.0, 0.0, 500000.0, 0.0, -10.0, 5000000.0))
TRUTH = np.array([[0, 0, 0, 1, 1, 1], [0, 0, 0, 1, 1, 1], [2, 2, -1, -1, 1, 1], [2, 2, -1, -1, 1, 1]], np.int16)

Json = dict[str, Any]
Write = Callable[..., str]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """Write a label map with names (tif) or without (npy, code = class + 1); returns its path."""

    def write(
        name: str, labels: Any, *, names: tuple[str, ...] = NAMES, grid: Grid = GRID, codes: Sequence[int] | None = None
    ) -> str:
        path, classes = tmp_path / name, np.asarray(labels, np.int16)
        if path.suffix == ".npy":
            np.save(path, classes + 1)
        else:
            write_map(path, classes, classes=names, colours=COLOURS[: len(names)], grid=grid, codes=codes)
        return str(path)

    return write


def run(*words: str) -> Result:
    return CliRunner().invoke(score, list(words), env={"COLUMNS": "140"})


def scored(tmp_path: Path, *words: str) -> Json:
    result = run(*words, "--json", str(tmp_path / "out.json"), "--overwrite")
    assert result.exit_code == 0, result.output or result.exception
    found: Json = json.loads((tmp_path / "out.json").read_text())
    return found


def refused(error: type[Exception], *words: str) -> str:
    result = run(*words)
    assert isinstance(result.exception, error), result.output
    return str(result.exception)


def test_the_truth_itself_scores_100(write: Write, tmp_path: Path) -> None:
    found = scored(tmp_path, write("map.tif", TRUTH), write("truth.tif", TRUTH))
    assert (found["OA"], found["AA"], found["kappa"], found["boundary"]["OA"]) == (100, 100, 100, 100)
    assert found["pixels"] == 20
    assert found["per_class"]["road"] == {"recall": 100, "F1": 100, "IoU": 100, "pixels": 4}


def test_a_map_right_nowhere_scores_0(write: Write, tmp_path: Path) -> None:
    found = scored(tmp_path, write("map.tif", (TRUTH + 1) % 3), write("truth.tif", TRUTH))
    assert (found["OA"], found["AA"]) == (0, 0)
    assert found["kappa"] < 0


def test_known_confusion(write: Write, tmp_path: Path) -> None:
    """Three of the ten forest pixels are called water: recall 6/6, 7/10, 4/4 and chance known by hand."""
    labels = TRUTH.copy()
    labels[0, 3:] = 0
    found = scored(tmp_path, write("map.tif", labels), write("truth.tif", TRUTH))
    assert found["confusion"] == [[6, 0, 0, 0], [3, 7, 0, 0], [0, 0, 4, 0]]
    chance = (6 * 9 + 10 * 7 + 4 * 4) / 400
    assert found["OA"] == pytest.approx(85)
    assert found["AA"] == pytest.approx(90)
    assert found["kappa"] == pytest.approx(100 * (0.85 - chance) / (1 - chance))
    assert found["per_class"]["forest"]["recall"] == pytest.approx(70)
    assert found["per_class"]["water"]["IoU"] == pytest.approx(100 * 6 / 9)
    assert found["per_class"]["water"]["F1"] == pytest.approx(100 * 12 / 15)


def test_areas_of_the_known_confusion(write: Write, tmp_path: Path) -> None:
    """Pixels of 100 m2. Nine labelled pixels are mapped as water, six of them rightly; what is forest there counts."""
    labels = TRUTH.copy()
    labels[0, 3:] = 0
    labels[2:, 2:4] = 2
    words = (write("map.tif", labels), write("truth.tif", TRUTH))
    areas = scored(tmp_path, *words)["areas"]
    assert (areas["unit"], areas["pixel_area_m2"]) == ("ha", 100)
    water, forest, road = (areas["per_class"][name] for name in NAMES)
    assert [entry["mapped"] for entry in (water, forest, road)] == pytest.approx([0.09, 0.07, 0.08])
    assert [e["estimated"] for e in (water, forest, road)] == pytest.approx([0.06, 0.10, 0.08])
    assert [water[name] for name in ("error", "low", "high", "reference_parcels")] == [None, None, None, 1]
    assert water["users"] == pytest.approx(200 / 3)
    output = run(*words).output
    row = next(line for line in output.splitlines() if line.startswith("road") and "0.0800" in line)
    assert row.split() == ["road", "0.0800", "0.0800", "–", "100.0"]
    assert "The labelled pixels lie in 3 connected fields" in output
    assert "labels drawn where it was easy make them biased" in output
    assert "Fewer than 3 labelled fields are water, forest and road: no interval can be given." in output


def test_areas_in_degrees_and_without_coordinates(write: Write, tmp_path: Path) -> None:
    degrees = Grid(crs="EPSG:4326", affine=(0.001, 0.0, 11.0, 0.0, -0.001, 60.0))
    words = [write(name, TRUTH, grid=degrees) for name in ("map.tif", "truth.tif")]
    areas = scored(tmp_path, *words)["areas"]
    assert areas["unit"] == "ha"
    assert areas["total"] == pytest.approx(20 * 111.4 * 55.8 / 1e4, rel=0.01)
    words = [write(name, TRUTH) for name in ("map.npy", "truth.npy")]
    areas = scored(tmp_path, *words)["areas"]
    assert (areas["unit"], areas["total"], areas["pixel_area_m2"]) == ("px", 20, None)


def test_what_the_map_says_on_unlabelled_ground_does_not_count(write: Write, tmp_path: Path) -> None:
    labels = np.where(TRUTH == -1, 2, TRUTH)
    assert scored(tmp_path, write("map.tif", labels), write("truth.tif", TRUTH))["OA"] == 100


def test_pixels_the_map_leaves_out_are_wrong(write: Write, tmp_path: Path) -> None:
    labels = TRUTH.copy()
    labels[3, :2] = -1
    found = scored(tmp_path, write("map.tif", labels), write("truth.tif", TRUTH))
    assert found["OA"] == pytest.approx(90)
    assert any("no class at 2 labelled pixels" in note for note in found["notes"])


def test_names_win_over_codes(write: Write, tmp_path: Path) -> None:
    """The same map with its classes numbered the other way round, and spelt another way."""
    other = write("map.tif", np.where(TRUTH == -1, -1, 2 - TRUTH), names=("Road", "FOREST", "wa-ter"))
    found = scored(tmp_path, other, write("truth.tif", TRUTH))
    assert (found["OA"], found["matched_by"]) == (100, "name")


def test_codes_where_one_file_has_no_names(write: Write, tmp_path: Path) -> None:
    """Names and codes of a map whose codes are those of its labels are a table of both."""
    found = scored(tmp_path, write("map.tif", TRUTH, codes=(1, 2, 3)), write("truth.npy", TRUTH))
    assert (found["OA"], found["matched_by"]) == (100, "code")
    assert any("1 = water, 2 = forest, 3 = road" in note for note in found["notes"])


def test_numbers_given_to_names_are_no_codes(write: Write, tmp_path: Path) -> None:
    """Classes told in words are numbered in a map: codes of other files mean something else."""
    found = refused(LabelError, write("map.tif", TRUTH), write("truth.npy", TRUTH))
    assert "water (1), forest (2) and road (3)" in found or "water (1), forest (2), road (3)" in found
    assert "codes without names: 1, 2, 3" in found
    assert "--classes-from" in found
    (tmp_path / "codes.csv").write_text("code;name\n1;Water\n2; forest\n3;road\n")
    words = [str(tmp_path / name) for name in ("map.tif", "truth.npy", "codes.csv")]
    named = scored(tmp_path, *words[:2], "--classes-from", words[2])
    assert (named["OA"], named["matched_by"]) == (100, "name")


def test_a_map_of_unnamed_labels_keeps_their_codes(write: Write, tmp_path: Path) -> None:
    """Label codes 2, 5, 7 are codes 1, 2, 3 in the map, which calls them "class 2", "class 5", "class 7"."""
    codes = np.array([2, 5, 7, 0])[TRUTH]
    np.save(tmp_path / "truth.npy", codes)
    drawn = write("map.tif", TRUTH, names=("class 2", "class 5", "class 7"))
    found = scored(tmp_path, drawn, str(tmp_path / "truth.npy"))
    assert (found["OA"], found["matched_by"]) == (100, "code")


def test_classes_from_names_the_codes(write: Write, tmp_path: Path) -> None:
    """The map's order of classes differs from the codes of the labels; a third file names them."""
    drawn = write("map.tif", np.where(TRUTH == -1, -1, 2 - TRUTH), names=NAMES[::-1])
    words = (drawn, write("truth.npy", TRUTH))
    refused(LabelError, *words)
    found = scored(tmp_path, *words, "--classes-from", write("named.tif", TRUTH))
    assert (found["OA"], found["matched_by"]) == (100, "name")
    assert "no class names" in refused(LabelError, *words, "--classes-from", words[1])


def test_a_class_the_map_lacks_counts_and_is_named(write: Write, tmp_path: Path) -> None:
    labels = np.where(TRUTH == 2, 1, TRUTH)
    found = scored(tmp_path, write("map.tif", labels, names=NAMES[:2]), write("truth.tif", TRUTH))
    assert found["OA"] == pytest.approx(80)
    assert found["per_class"]["road"]["recall"] == 0
    assert any("has no class road" in note for note in found["notes"])


def test_a_class_only_the_map_has_is_an_error_of_the_map(write: Write, tmp_path: Path) -> None:
    truth = np.where(TRUTH == 2, 1, TRUTH)
    found = scored(tmp_path, write("map.tif", TRUTH), write("truth.tif", truth, names=NAMES[:2]))
    assert found["OA"] == pytest.approx(80)
    assert found["per_class"]["road"]["recall"] is None
    assert found["AA"] == pytest.approx((100 + 100 * 10 / 14) / 2)


def test_boundary_is_scored_apart(write: Write, tmp_path: Path) -> None:
    """Two halves, wrong only far from the border between them; without a border there is no such score."""
    truth = np.repeat([[0] * 6 + [1] * 6], 4, 0)
    drawn = truth.copy()
    drawn[:, 0] = 1
    found = scored(tmp_path, write("map.tif", drawn), write("truth.tif", truth))
    assert found["boundary"] == {"within_px": 2, "OA": 100}
    assert found["OA"] == pytest.approx(100 * 11 / 12)
    alone = scored(tmp_path, write("map.tif", drawn), write("truth.tif", np.zeros((4, 12))))
    assert alone["boundary"]["OA"] is None


def test_other_shape_is_refused_with_both(write: Write) -> None:
    message = refused(LabelError, write("map.tif", TRUTH), write("truth.npy", TRUTH.T))
    assert "(6, 4)" in message
    assert "(4, 6)" in message
    assert "transposed" in message
    assert "(145, 145)" in refused(LabelError, write("map.tif", TRUTH), "indian-pines")


def test_a_cube_is_no_map(write: Write, tmp_path: Path) -> None:
    np.save(tmp_path / "cube.npy", np.ones((4, 6, 3), np.uint8))
    message = refused(LabelError, str(tmp_path / "cube.npy"), write("truth.tif", TRUTH))
    assert "(4, 6, 3)" in message


@pytest.mark.parametrize(
    "elsewhere",
    [
        Grid((10.0, 10.0), "m", "EPSG:32634", GRID.affine),
        Grid((10.0, 10.0), "m", GRID.crs, (10.0, 0, 5e5, 0, -10, 6e6)),
    ],
)
def test_labels_that_lie_elsewhere_are_refused(write: Write, elsewhere: Grid) -> None:
    drawn, truth = write("map.tif", TRUTH), write("truth.tif", TRUTH, grid=elsewhere)
    assert "does not reach" in refused(LabelError, drawn, truth)


def test_nothing_in_common_is_refused_with_both_lists(write: Write) -> None:
    message = refused(LabelError, write("map.tif", TRUTH), write("truth.tif", TRUTH, names=("urban", "soil", "sand")))
    for words in ("share no class", "water (1)", "sand (3)", "--classes-from"):
        assert words in message


def test_two_classes_of_one_name_are_refused(write: Write) -> None:
    drawn = write("map.tif", TRUTH, names=("water", "forest", "Water"))
    assert "several classes are called water" in refused(LabelError, drawn, write("truth.tif", TRUTH))


def test_missing_file_is_named(write: Write) -> None:
    assert "absent.tif: no such file" in refused(DataFileError, write("map.tif", TRUTH), "absent.tif")


def test_a_public_scene_stands_for_its_ground_truth(tmp_path: Path) -> None:
    pytest.importorskip("tensorly", reason="carries the scene")
    scene = open_card(load_card("indian-pines"))
    assert scene.labels is not None
    write_map(tmp_path / "map.tif", scene.labels, classes=scene.classes, colours=scene.colours)
    found = scored(tmp_path, str(tmp_path / "map.tif"), "Indian Pines")
    assert (found["OA"], found["pixels"], found["matched_by"]) == (100, 10249, "name")


def test_the_page_shows_totals_classes_and_the_warning(write: Write) -> None:
    output = run(write("map.tif", TRUTH), write("truth.tif", TRUTH)).output
    for words in ("20 pixels scored", "OA 100.00 %", "kappa 100.00 %", "border", "optimistic"):
        assert words in output
    row = next(line.split() for line in output.splitlines() if line.startswith("forest"))
    assert row == ["forest", "10", "100.00", "100.00", "100.00"]


@pytest.mark.parametrize("name", ["metrics.json", "run.json"])
def test_the_split_of_the_run_is_named(write: Write, tmp_path: Path, name: str) -> None:
    record = {"settings": {}, "split": {"how": "parcels(fraction=0.3)", "seed": 7}}
    (tmp_path / name).write_text(json.dumps(record))
    output = run(write("map.tif", TRUTH), write("truth.tif", TRUTH)).output
    assert "split parcels(fraction=0.3), seed 7" in output
    assert "optimistic" in output


def test_help_has_an_example_on_its_own_line() -> None:
    assert "\n    hyperseg score map.tif field_check.tif" in run("--help").output
