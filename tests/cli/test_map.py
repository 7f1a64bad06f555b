"""`hyperseg map`: a trained run on another scene, from the words of the command line."""

from __future__ import annotations

import json
import os
from pathlib import Path

import halting
import numpy as np
import pytest
from running import Hyperseg, Quick, Run

from hyperseg.core import Scene
from hyperseg.io.write import read_map

stop = halting.stop
Words = tuple[str, ...]
NO_WAVELENGTHS = "Note: cube: it names no wavelengths; that its 16 bands are those of the run run cannot be checked\n"


@pytest.fixture(params=["cnn3d", "svm"])
def method(request: pytest.FixtureRequest) -> str:
    found: str = request.param
    return found


@pytest.fixture
def trained(method: str, toy: Scene, files: Words, quick: Quick, run: Run, tmp_path: Path) -> Path:
    """A run of cube.npy in the folder `run`; cube.npy and gt.npy lie beside it."""
    return run(toy, quick(method=method), tmp_path / "run")


def test_its_own_scene(hyperseg: Hyperseg, trained: Path, tmp_path: Path) -> None:
    answer = hyperseg("map", "run", "cube.npy", "--quiet")
    assert answer.code == 0
    assert answer.err.startswith(NO_WAVELENGTHS + "Note: cube: ")
    assert "of the map lies outside the area of applicability" in answer.err
    assert answer.out.split() == [
        "Map:", "cube-map.tif", "Confidence:", "cube-map-confidence.tif", "Applicable:", "cube-map-applicability.tif",
    ]  # fmt: skip
    assert (tmp_path / "cube-map.tif").read_bytes() == (trained / "map.tif").read_bytes()
    for name in ("cube-map-confidence.tif", "cube-map-applicability.qml", "cube-map.qml", "cube-map.tif.aux.xml"):
        assert (tmp_path / name).exists()


def test_a_larger_scene_into_a_new_folder(hyperseg: Hyperseg, trained: Path, toy: Scene, tmp_path: Path) -> None:
    np.save(tmp_path / "large.npy", np.tile(np.asarray(toy.cube), (4, 3, 1)))
    answer = hyperseg("map", "run", "large.npy", "--out", "maps/large.tif", "--device", "cpu")
    assert answer.code == 0, answer.err
    made, expected = read_map(tmp_path / "maps" / "large.tif"), read_map(trained / "map.tif")
    assert made[0].shape == (96, 63)
    assert made[1:3] == expected[1:3]
    np.testing.assert_array_equal(made[0][28:44, 25:38], expected[0][4:20, 4:17])


def test_a_run_without_refiners_is_the_same_refined_or_not(hyperseg: Hyperseg, trained: Path, tmp_path: Path) -> None:
    for word in ("--refine", "--no-refine"):
        answer = hyperseg("map", "run", "cube.npy", word, "--out", f"m{word}.tif", "--quiet")
        assert answer.code == 0
        assert answer.err.startswith(NO_WAVELENGTHS)
        assert (tmp_path / f"m{word}.tif").read_bytes() == (trained / "map.tif").read_bytes()


def test_an_unfinished_run_is_to_be_resumed(hyperseg: Hyperseg, trained: Path) -> None:
    (trained / "run.json").unlink()
    (trained / "unfinished").mkdir()
    assert "with --out run --resume" in hyperseg("map", "run", "cube.npy").error


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("run cub.npy", "cub.npy: no such file (did you mean cube.npy?)"),
        ("run indianpine", "Did you mean indian-pines?"),
        ("rum cube.npy", "rum: No such file or directory. Give the folder of a finished run"),
        ("gt.npy cube.npy", "gt.npy"),
        (". cube.npy", "run.json: No such file or directory"),
        ("run nine.npy", "nine has 9 bands, the run run was trained on 16"),
        ("run cut.npy", "cut.npy: has 9000 bytes, but says to hold"),
        ("run gt.npy", "gt.npy: a cube has three axes"),
        ("run cube.npy --out map.png", "map.png: a map is written as GeoTIFF; name it map.tif"),
        ("run cube.npy --out gt.npy/map.tif", "gt.npy: the folder cannot be created"),
        ("run cube.npy --device tpu", "device 'tpu' is unknown"),
    ],
)
def test_words_that_are_no_good(
    hyperseg: Hyperseg, trained: Path, toy: Scene, tmp_path: Path, words: str, said: str
) -> None:
    np.save(tmp_path / "nine.npy", np.asarray(toy.cube)[..., :9])
    np.save(tmp_path / "cut.npy", np.asarray(toy.cube))
    os.truncate(tmp_path / "cut.npy", 9000)
    before = sorted(p.name for p in tmp_path.iterdir())
    assert said in hyperseg("map", *words.split(), "--quiet").error
    assert sorted(p.name for p in tmp_path.iterdir()) == before


def test_a_damaged_model_is_named(hyperseg: Hyperseg, trained: Path, tmp_path: Path) -> None:
    model = trained / "model.safetensors"
    whole = model.read_bytes()
    for content in (whole[: len(whole) // 2], b"", b"x" * 100):
        model.write_bytes(content)
        error = hyperseg("map", "run", "cube.npy").error
        assert "run/model.safetensors: missing or damaged" in error
        assert "Train again with --from run/run.json" in error
    model.write_bytes(whole)
    record = json.loads((trained / "run.json").read_text())
    (trained / "run.json").write_text(json.dumps(record | {"classes": ["only one"]}))
    assert "run: run.json and model.safetensors do not belong together" in hyperseg("map", "run", "cube.npy").error
    assert not list(tmp_path.glob("cube-map*"))


def test_interrupted_half_way_it_says_how_to_go_on(
    hyperseg: Hyperseg, files: Words, stop: halting.Stop, method: str, toy: Scene, quick: Quick, run: Run,
    tmp_path: Path,
) -> None:  # fmt: skip
    """By a refiner that leaves every map as it is, but may stop at a window."""
    run(toy, quick(method=method, refine=("halt",)), tmp_path / "run")
    words = ("map", "run", "cube.npy", "--refine", "--side", "16", "--quiet")
    stop.at = "apply"  # before anything was mapped: nothing to go on with
    answer = hyperseg(*words)
    assert (answer.code, answer.err) == (130, NO_WAVELENGTHS + "\nInterrupted.\n")
    assert not [p for p in tmp_path.iterdir() if "map" in p.name]
    stop.passes = 1
    answer = hyperseg(*words)
    assert answer.code == 130
    _, _, command = answer.err.removeprefix(NO_WAVELENGTHS).strip().partition("Interrupted. To go on: hyperseg ")
    assert command == "map run cube.npy --refine --side 16 --quiet --out cube-map.tif --resume"
    assert [p.name for p in tmp_path.iterdir() if "map" in p.name] == ["cube-map.unfinished"]
    assert "an unfinished map lies here" in hyperseg(*words).error
    stop.at = ""
    assert hyperseg(*command.split()).code == 0
    np.testing.assert_array_equal(read_map(tmp_path / "cube-map.tif")[0], read_map(tmp_path / "run" / "map.tif")[0])
    assert not list(tmp_path.glob("*.unfinished"))


def test_everything_beside_the_map(hyperseg: Hyperseg, trained: Path, tmp_path: Path) -> None:
    answer = hyperseg("map", "run", "cube.npy", "--entropy", "--probabilities", "p.zarr", "--workers", "1", "--quiet")
    assert answer.code == 0, answer.err
    assert "cube-map-entropy.tif" in answer.out
    assert (tmp_path / "cube-map-entropy.tif").exists()
    assert (tmp_path / "p.zarr").is_dir()
    assert (tmp_path / "cube-map.tif").read_bytes() == (trained / "map.tif").read_bytes()


def test_workers_here_or_there(hyperseg: Hyperseg, trained: Path) -> None:
    error = hyperseg("map", "run", "cube.npy", "--workers", "2", "--dask", "tcp://127.0.0.1:9").error
    assert "give one of them" in error
