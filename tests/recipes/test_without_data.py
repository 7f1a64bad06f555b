"""What is not there gets no class and changes none: from a file to a run, and from the run to another scene."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fakes import EAGER, line
from running import Hyperseg

from hyperseg.core import Scene, SceneError, SegmentationMap
from hyperseg.data.preprocess import Preprocess, fit_preprocess
from hyperseg.io.cube_options import CubeOptions
from hyperseg.io.read import read_array, read_scene
from hyperseg.io.write import read_map
from hyperseg.recipes.mapping.apply import apply_run, map_here
from hyperseg.recipes.mapping.windows import make_mapper, plan_windows
from hyperseg.recipes.methods.classical import ClassicalModel
from hyperseg.recipes.refiners import REFINERS
from hyperseg.recipes.run.load import load_run

NUMBERS = [np.nan, np.inf, -np.inf, 1e30, -3.4028235e38, 1e20]
SHORT = {
    "crf.weight": 0.5, "deep-crf.steps": 40, "deconv.parts": 1, "deconv.steps": 4, "deconv.crop": 16,
    "deconv.forced": True,
}  # fmt: skip
KINDS: dict[str, dict[str, Any]] = {
    "svm": {"method": "svm"},
    "cnn3d": {"steps": 12},
    "gan": {"method": "gan", "changes": {"gan.discriminator.variant": "spa"}},
    "dense": {"method": "lda", "refine": ("dense-crf",)},
    "chain": {"steps": 12, "refine": ("deep-crf", "deconv"), "changes": SHORT},
}


def broken(toy: Scene) -> tuple[np.ndarray, np.ndarray]:
    """(24, 21, 16) float32 with pixels that hold no number in one band or in all, and where these are."""
    rng = np.random.default_rng(3)
    cube = np.asarray(toy.cube).astype(np.float32)
    lost = np.zeros(cube.shape[:2], bool)
    for i, at in enumerate(rng.choice(lost.size, 18, replace=False)):
        place = divmod(int(at), 21)
        lost[place] = True
        bands: Any = slice(None) if i % 3 == 0 else int(rng.integers(16))
        cube[(*place, bands)] = NUMBERS[i % len(NUMBERS)]
    return cube, lost


def opened(folder: Path, cube: np.ndarray, toy: Scene, **options: Any) -> Scene:
    assert toy.labels is not None
    np.save(folder / "scene.npy", cube)
    return read_scene(folder / "scene.npy", labels=toy.labels + 1, **options)


def layers(out: Path) -> tuple[np.ndarray, np.ndarray]:
    return read_map(out)[0], np.asarray(read_array(out.with_name(out.stem + "-confidence.tif"), ndim=2)[...])


@pytest.fixture(scope="module")
def runs(toy: Scene, quick: Any, run: Any, tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """A run of each kind, on the toy scene with broken pixels; made when first asked for."""
    made: dict[str, Path] = {}
    root = tmp_path_factory.mktemp("broken")

    def of(kind: str) -> Path:
        if kind not in made:
            with line(REFINERS, "dense-crf", EAGER):
                made[kind] = run(opened(root, broken(toy)[0], toy), quick(**KINDS[kind]), root / kind)
        return made[kind]

    return of


@pytest.mark.parametrize("kind", list(KINDS))
def test_broken_pixels_get_no_class_and_spread_to_none(
    toy: Scene, runs: Callable[[str], Path], kind: str, tmp_path: Path
) -> None:
    cube, lost = broken(toy)
    root = runs(kind)
    labels = read_map(root / "map.tif")[0]
    confidence = np.asarray(read_array(root / "confidence.tif", ndim=2)[...])
    np.testing.assert_array_equal(labels == -1, lost)
    np.testing.assert_array_equal(np.isnan(confidence), lost)
    scene = opened(tmp_path, cube, toy, scan=False)
    out = apply_run(root, scene, out=tmp_path / "m.tif", refine=True, side=16, quiet=True, device="cpu")
    labels, confidence = layers(out)
    np.testing.assert_array_equal(labels == -1, lost)
    np.testing.assert_array_equal(np.isnan(confidence), lost)


@pytest.mark.parametrize("kind", list(KINDS))
def test_what_stands_in_a_hole_changes_nothing(
    toy: Scene, runs: Callable[[str], Path], kind: str, tmp_path: Path
) -> None:
    """The same map, whatever number says that there is no data, and around the hole too."""
    root, hole = runs(kind), np.zeros((24, 21), bool)
    hole[:4, :9] = hole[14:19, 8:14] = True
    found = []
    for number in (np.nan, 1e30, -9999.0, 0.0):
        cube = np.asarray(toy.cube).astype(np.float32)
        cube[hole] = number
        folder = tmp_path / str(number)
        folder.mkdir()
        scene = opened(folder, cube, toy, scan=number == 0.0)
        out = apply_run(root, scene, out=folder / "m.tif", refine=True, quiet=True, device="cpu")
        found.append(layers(out))
    for labels, confidence in found:
        np.testing.assert_array_equal(labels == -1, hole)
        np.testing.assert_array_equal(labels, found[0][0])
        np.testing.assert_array_equal(confidence, found[0][1])


def nowhere(model: ClassicalModel, scene: Scene, runtime: Any) -> SegmentationMap:
    probs = np.full((*scene.shape, scene.n_classes), 1 / scene.n_classes, np.float32)
    probs[9, 4, 1] = np.nan
    return SegmentationMap(probs, scene.classes, scene.colours, scene.grid, ("svm",), scene.valid)


def test_probabilities_that_are_no_numbers_stop_the_run_and_the_map(
    toy: Scene, quick: Any, run: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = run(toy, quick(method="svm"), tmp_path / "r")
    loaded = load_run(root)
    mapper = make_mapper(loaded, refine=False, probabilities=False, device="cpu")
    windows = plan_windows(toy, halo_px=0, side=12)
    monkeypatch.setattr(ClassicalModel, "map", nowhere)
    with pytest.raises(SceneError, match=r"toy.*svm gives no finite probabilities at 1 pixel, .* row 9, column 4"):
        run(toy, quick(method="svm"), tmp_path / "again")
    assert not (tmp_path / "again" / "metrics.json").exists()
    with pytest.raises(SceneError, match=r"row 21, column 16 .*--nodata"):
        list(map_here(mapper, toy, [(3, windows[3])]))
    valid = np.ones(toy.shape, bool)
    valid[9, 4] = False
    run(toy.with_(valid=valid), quick(method="svm"), tmp_path / "third")  # nobody asks for a class there


@pytest.mark.parametrize(("name", "number"), [("mean", np.nan), ("std", np.inf), ("std", 0)])
def test_preprocessing_that_makes_no_numbers_is_refused(toy: Scene, name: str, number: float) -> None:
    arrays = fit_preprocess(np.asarray(toy.cube).reshape(-1, toy.n_bands)).to_arrays()
    Preprocess.from_arrays(arrays)
    broken = arrays | {name: np.where(np.arange(len(arrays[name])) == 3, number, arrays[name])}
    with pytest.raises(SceneError, match=f"{name} of a Preprocess is not finite, or not positive"):
        Preprocess.from_arrays(broken)


def test_the_value_of_a_run_is_looked_for_in_other_scenes(toy: Scene, hyperseg: Hyperseg, tmp_path: Path) -> None:
    """Fill found at the border goes into the run; single pixels of it elsewhere are then no data too."""
    assert toy.labels is not None
    cube = np.asarray(toy.cube).astype(np.float32)
    cube[:4, :9] = 0
    np.save("cube.npy", cube)
    np.save("gt.npy", toy.labels + 1)
    words = ("--method", "svm", "--refine", "none", "--repeats", 1, "--split", "random_per_class:8", "--quiet")
    answer = hyperseg("classify", "cube.npy", "--labels", "gt.npy", *words, "--out", "r")
    assert answer.code == 0, answer.err
    assert "hold 0 in all good bands, at the border" in answer.err
    record = json.loads(Path("r/run.json").read_text())
    assert (record["scene"]["nodata"], record["scene"]["nodata_by"]) == (0, "found")
    assert "nodata" not in record["inputs"]
    other = np.asarray(toy.cube).astype(np.float32)
    other[5, 6] = other[17, 3] = 0
    np.save("other.npy", other)
    answer = hyperseg("map", "r", "other.npy", "--out", "m.tif", "--quiet")
    assert answer.code == 0, answer.err
    assert "names no no-data value; that of the run r is taken, 0" in answer.err
    assert list(map(tuple, np.argwhere(read_map(Path("m.tif"))[0] == -1))) == [(5, 6), (17, 3)]
    answer = hyperseg("map", "r", "other.npy", "--out", "n.tif", "--quiet", "--nodata", "none")
    assert answer.code == 0, answer.err
    assert (read_map(Path("n.tif"))[0] >= 0).all()


def test_what_the_user_said_goes_into_the_run(toy: Scene, hyperseg: Hyperseg, tmp_path: Path) -> None:
    assert toy.labels is not None
    cube = np.asarray(toy.cube).astype(np.float32)
    cube[:4, :9] = -9999
    np.save("cube.npy", cube)
    np.save("gt.npy", toy.labels + 1)
    words = ("--method", "lda", "--refine", "none", "--repeats", 1, "--split", "random_per_class:8", "--quiet")
    for said, code in (("-9999", -1), ("none", 0)):
        answer = hyperseg("classify", "cube.npy", "--labels", "gt.npy", *words, "--nodata", said, "--out", f"r{said}")
        assert answer.code == 0, answer.err
        assert "taken for no data" not in answer.err
        record = json.loads(Path(f"r{said}/run.json").read_text())
        assert record["inputs"]["nodata"] == said
        assert record["scene"]["nodata_by"] == "given"
        assert (read_map(Path(f"r{said}/map.tif"))[0][:4, :9].max() == -1) == (code == -1)


def test_info_says_who_says_so(toy: Scene, hyperseg: Hyperseg, tmp_path: Path) -> None:
    cube = np.asarray(toy.cube).astype(np.float32)
    cube[:4, :9] = -9999
    np.save("cube.npy", cube)
    said = " ".join(hyperseg("info", "cube.npy", "--no-picture").out.split())
    assert "7.1 % of the pixels looked at (value -9999, found, not declared)" in said
    assert "--nodata none keeps them as data" in said
    said = " ".join(hyperseg("info", "cube.npy", "--no-picture", "--nodata", "-9999").out.split())
    assert "7.1 % of the pixels looked at (value -9999, given)" in said
    said = " ".join(hyperseg("info", "cube.npy", "--no-picture", "--nodata", "none").out.split())
    assert "0.0 % of the pixels looked at (no value for it but NaN)" in said
    found = json.loads(hyperseg("info", "cube.npy", "--no-picture", "--json", "-").out)
    assert (found["nodata"], found["nodata_by"], found["mask"]) == (-9999, "found", False)


def test_values_of_other_scenes_are_not_taken_where_they_cannot_be(toy: Scene) -> None:
    from hyperseg.io.look.judge import with_nodata_of

    bytes_ = toy.with_(cube=np.ones(toy.cube.shape, np.uint8))
    assert with_nodata_of(bytes_, -9999, model="r") is bytes_
    declared = replace(toy, nodata=5.0)
    assert with_nodata_of(declared, -9999, model="r") is declared
    assert with_nodata_of(toy, None, model="r") is toy
    assert CubeOptions(nodata=" None ").nodata_value() is None
