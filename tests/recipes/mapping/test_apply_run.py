"""A run applied again: to its own scene it gives its own map; to others what their pixels say."""

from __future__ import annotations

import json
import logging
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
from fakes import EAGER, Watched, line

from hyperseg.core import UNLABELLED, DataFileError, RunError, Scene, SceneError, SettingError
from hyperseg.io.read import read_array, read_scene
from hyperseg.io.write import read_map
from hyperseg.recipes.mapping.apply import apply_run
from hyperseg.recipes.refiners import REFINERS
from hyperseg.recipes.run.folder import RunFolder
from hyperseg.recipes.run.load import load_run
from hyperseg.recipes.run.record import load_model, save_model


def mapped(run: Path, scene: Scene, out: Path, **options: Any) -> np.ndarray:
    return read_map(apply_run(run, scene, out=out, device="cpu", quiet=True, **options))[0]


@pytest.fixture(scope="module")
def folders(toy: Scene, quick: Any, run: Any, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A run of every kind; the network's CRF always changes the map, whatever validation says."""
    root = tmp_path_factory.mktemp("runs")
    with line(REFINERS, "dense-crf", EAGER):
        made = {"crf": run(toy, quick(refine=("dense-crf",), steps=12), root / "crf")}
    made["cnn3d"] = run(toy, quick(steps=12), root / "cnn3d")
    made["flips"] = run(toy, quick(steps=12, changes={"flips": True}), root / "flips")
    for method in ("hybrid", "svm"):
        made[method] = run(toy, quick(method=method), root / method)
    return made


@pytest.mark.parametrize("name", ["cnn3d", "flips", "svm"])
def test_its_own_scene_gives_its_own_map(folders: dict[str, Path], toy: Scene, tmp_path: Path, name: str) -> None:
    folder = folders[name]
    out = apply_run(folder, toy, out=tmp_path / "again.tif", device="cpu", quiet=True)
    assert out.read_bytes() == (folder / "map.tif").read_bytes()
    one, other = (
        np.asarray(read_array(p, ndim=2)[...]) for p in (folder / "confidence.tif", tmp_path / "again-confidence.tif")
    )
    np.testing.assert_allclose(one, other, atol=1e-6)
    assert (tmp_path / "again.qml").read_bytes() == (folder / "map.qml").read_bytes()


@pytest.mark.parametrize("name", ["cnn3d", "svm", "hybrid"])
def test_windows_and_the_run_agree_on_the_area_of_applicability(
    folders: dict[str, Path], toy: Scene, tmp_path: Path, name: str, caplog: pytest.LogCaptureFixture
) -> None:
    """Exactly, whatever the windows; what is not there is NaN, and the share outside is said."""
    own = np.asarray(read_array(folders[name] / "applicability.tif", ndim=2)[...])
    told = json.loads((folders[name] / "metrics.json").read_text())["applicability"]
    assert told["outside"]["values"] == [pytest.approx(100 * (own > 1).mean())]
    assert (
        told["test_inside"] + told["test_outside"]
        == json.loads((folders[name] / "metrics.json").read_text())["split"]["test"]
    )
    with caplog.at_level(logging.INFO):
        for side in (7, 24):
            mapped(folders[name], toy, tmp_path / f"{side}.tif", side=side)
            found = np.asarray(read_array(tmp_path / f"{side}-applicability.tif", ndim=2)[...])
            np.testing.assert_array_equal(found, own)
    assert f"{told['outside']['mean']:.1f} % of the map lies outside the area of applicability" in caplog.text
    assert 'colorRampType="DISCRETE"' in (tmp_path / "7-applicability.qml").read_text()
    valid = np.ones(toy.shape, bool)
    valid[:9, 4:] = False
    mapped(folders[name], toy.with_(valid=valid, cube=3 * np.asarray(toy.cube)), tmp_path / "far.tif", side=8)
    far = np.asarray(read_array(tmp_path / "far-applicability.tif", ndim=2)[...])
    np.testing.assert_array_equal(np.isnan(far), ~valid)
    assert "do not trust its map" in caplog.text
    assert (far[valid] > 1).all()


def test_a_run_that_kept_no_area_of_applicability(folders: dict[str, Path], toy: Scene, tmp_path: Path) -> None:
    """As those of earlier versions; an older layer of the map that is replaced goes."""
    old = tmp_path / "old"
    shutil.copytree(folders["svm"], old)
    tensors, record = load_model(old)
    kept = {k: v for k, v in tensors.items() if not k.startswith("applicability.")}
    earlier = {k: v for k, v in record.items() if k not in ("applicability", "seal", "format")}
    save_model(RunFolder(old), kept, earlier)
    assert load_run(old).applicability is None
    mapped(folders["svm"], toy, tmp_path / "m.tif")
    assert (tmp_path / "m-applicability.tif").is_file()
    mapped(old, toy, tmp_path / "m.tif", overwrite=True)
    assert not list(tmp_path.glob("m-applicability*"))


def test_refined_as_the_run_was(folders: dict[str, Path], toy: Scene, tmp_path: Path) -> None:
    folder = folders["crf"]
    refined = mapped(folder, toy, tmp_path / "refined.tif")
    rough = mapped(folder, toy, tmp_path / "rough.tif", refine=False)
    np.testing.assert_array_equal(refined, read_map(folder / "map.tif")[0])
    np.testing.assert_array_equal(rough, read_map(folders["cnn3d"] / "map.tif")[0])
    assert (refined != rough).any()


def test_that_it_is_not_refined_is_said_where_the_run_is(
    folders: dict[str, Path], toy: Scene, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    said = {}
    for name, refine in (("crf", True), ("crf", False), ("svm", True)):
        caplog.clear()
        with caplog.at_level(logging.INFO):
            mapped(folders[name], toy, tmp_path / f"{name}{refine}.tif", refine=refine)
        said[name, refine] = caplog.text
    assert "the map is that of cnn3d alone, not refined with dense-crf as the run's own is" in said["crf", False]
    assert "not refined" not in said["crf", True] + said["svm", True]


def test_a_calibrated_map_is_still_one_without_its_small_pieces(
    toy: Scene, quick: Any, run: Any, tmp_path: Path
) -> None:  # fmt: skip
    settings = quick(method="svm", refine=("temperature", "sieve"), split="random_per_class:10,val=5")
    folder = run(toy, settings, tmp_path / "run")
    mapped(folder, toy, tmp_path / "as.tif")
    for file in (folder / "confidence.tif", tmp_path / "as-confidence.tif"):
        with rasterio.open(file) as raster:
            assert "not calibrated" not in raster.descriptions[0]
    np.testing.assert_array_equal(read_map(tmp_path / "as.tif")[0], read_map(folder / "map.tif")[0])
    assert json.loads((folder / "metrics.json").read_text())["calibrated"] is True


@pytest.mark.parametrize("before", [(), ("dense-crf",)])
def test_the_confidence_says_whether_it_is_calibrated(
    toy: Scene, quick: Any, run: Any, tmp_path: Path, before: tuple[str, ...]
) -> None:
    """By what made the map, after a chain and after none; unrefined maps of the same run are not."""
    with line(REFINERS, "dense-crf", EAGER):
        settings = quick(method="svm", refine=(*before, "temperature"), split="random_per_class:10,val=5")
        folder = run(toy, settings, tmp_path / "run")
    mapped(folder, toy, tmp_path / "as.tif")
    mapped(folder, toy, tmp_path / "rough.tif", refine=False)
    files = {
        "run": folder / "confidence.tif", "as": tmp_path / "as-confidence.tif",
        "rough": tmp_path / "rough-confidence.tif",
    }  # fmt: skip
    values = {}
    for name, file in files.items():
        with rasterio.open(file) as raster:
            assert ("not calibrated" in raster.descriptions[0]) == (name == "rough")
            values[name] = raster.read(1)
    np.testing.assert_allclose(values["run"], values["as"], atol=1e-6)
    assert (values["rough"] != values["as"]).any()
    np.testing.assert_array_equal(read_map(tmp_path / "as.tif")[0], read_map(folder / "map.tif")[0])
    if not before:
        np.testing.assert_array_equal(read_map(tmp_path / "as.tif")[0], read_map(tmp_path / "rough.tif")[0])
    metrics = json.loads((folder / "metrics.json").read_text())
    assert metrics["calibrated"] is True
    assert [sum(r["pixels"] for r in s["reliability"]) for s in metrics["steps"].values()] == [
        metrics["split"]["test"]
    ] * (2 + len(before))
    assert metrics["refiners"][-1]["temperature"] > 0


def larger(toy: Scene) -> np.ndarray:
    """(90, 77, 16): the toy scene many times over."""
    return np.tile(np.asarray(toy.cube), (4, 4, 1))[:90, :77].astype(np.float32)


@pytest.mark.parametrize("name", ["cnn3d", "svm"])
def test_a_larger_scene_in_a_file_is_streamed(folders: dict[str, Path], toy: Scene, tmp_path: Path, name: str) -> None:
    """Window by window from the file; inside, the maps of the copies are those of the original."""
    cube = larger(toy)
    np.save(tmp_path / "large.npy", cube)
    scene = read_scene(tmp_path / "large.npy")
    assert not type(scene.cube) is np.ndarray  # noqa: E714  a memory map is an ndarray by inheritance
    read: list[int] = []
    watched = Watched(scene.cube, lambda key: read.append(cube[key][..., 0].size))
    made = mapped(folders[name], scene.with_(cube=watched), tmp_path / "m.tif", side=32)
    assert made.shape == (90, 77)
    assert sum(read[:-9]) <= 20_000  # what drift is judged by
    assert max(read[-9:]) <= (32 + 2 * 4) ** 2 < 90 * 77  # a window with its halo, never the scene
    expected = read_map(folders[name] / "map.tif")[0]
    np.testing.assert_array_equal(made[28:44, 25:38], expected[4:20, 4:17])


def test_an_envi_scene_keeps_its_place_on_the_map(folders: dict[str, Path], toy: Scene, tmp_path: Path) -> None:
    cube = larger(toy)
    np.ascontiguousarray(cube).tofile(tmp_path / "s.img")
    (tmp_path / "s.hdr").write_text(
        "ENVI\nsamples = 77\nlines = 90\nbands = 16\nheader offset = 0\nfile type = ENVI Standard\n"
        "data type = 4\ninterleave = bip\nbyte order = 0\n"
        "map info = {UTM, 1, 1, 500000, 5000000, 10, 10, 33, North, WGS-84}\n"
    )
    scene = read_scene(tmp_path / "s.hdr")
    made = mapped(folders["cnn3d"], scene, tmp_path / "m.tif")
    _, classes, colours, grid, _ = read_map(tmp_path / "m.tif")
    assert (classes, colours) == (toy.classes, toy.colours)
    assert grid.affine == (10.0, 0.0, 500000.0, 0.0, -10.0, 5000000.0)
    np.testing.assert_array_equal(made[28:44, 25:38], read_map(folders["cnn3d"] / "map.tif")[0][4:20, 4:17])


@pytest.mark.parametrize("name", ["cnn3d", "svm", "crf"])
def test_pixels_without_data_get_no_class(folders: dict[str, Path], toy: Scene, tmp_path: Path, name: str) -> None:
    cube = np.asarray(toy.cube).copy()
    cube[2:6, 10:] = np.nan
    np.save(tmp_path / "gaps.npy", cube)
    scene = read_scene(tmp_path / "gaps.npy")
    made = mapped(folders[name], scene, tmp_path / "m.tif", refine=name == "crf")
    gaps = np.zeros(toy.shape, bool)
    gaps[2:6, 10:] = True
    np.testing.assert_array_equal(made == UNLABELLED, gaps)
    codes = np.asarray(read_array(tmp_path / "m.tif", ndim=2)[...])
    assert (codes[gaps] == 0).all()


def test_dead_bands_of_the_other_scene_are_remarked_on(
    folders: dict[str, Path], toy: Scene, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    cube = np.asarray(toy.cube).copy()
    cube[..., 4] = 0.0
    np.save(tmp_path / "dead.npy", cube)
    scene = read_scene(tmp_path / "dead.npy")
    with caplog.at_level(logging.WARNING):
        mapped(folders["svm"], scene, tmp_path / "m.tif")
    assert "reads 1 bands that are dead" in caplog.text


def test_what_cannot_be_mapped(folders: dict[str, Path], toy: Scene, tmp_path: Path) -> None:
    other = Scene(np.asarray(toy.cube)[..., :9], name="nine")
    target = tmp_path / "deep" / "m.tif"
    with pytest.raises(SceneError, match=r"nine has 9 bands.*cnn3d was trained on 16 .*same bands"):
        mapped(folders["cnn3d"], other, target)
    with pytest.raises(DataFileError, match=r"m\.png: a map is written as GeoTIFF"):
        mapped(folders["cnn3d"], toy, target.with_suffix(".png"))
    with pytest.raises(SettingError, match="tpu7"):
        apply_run(folders["cnn3d"], toy, out=target, device="tpu7")
    with pytest.raises(RunError, match=r"absent.run\.json|absent"):
        mapped(tmp_path / "absent", toy, target)
    assert list(tmp_path.iterdir()) == []
    (tmp_path / "deep").write_text("a file in the way")
    with pytest.raises(DataFileError, match="cannot be created"):
        mapped(folders["cnn3d"], toy, target)
    # failing half way, here where the first window is read, last of all: what stood there is unchanged
    out, reads = tmp_path / "m.tif", []
    mapped(folders["svm"], toy.with_(cube=Watched(toy.cube, reads.append)), out)
    before = {p.name: p.read_bytes() for p in tmp_path.glob("m*")}
    fails = Watched(toy.cube, lambda key: reads.pop() if len(reads) > 1 else 1 / 0)
    with pytest.raises(ZeroDivisionError):
        mapped(folders["svm"], toy.with_(cube=fails), out, overwrite=True)
    assert {p.name: p.read_bytes() for p in tmp_path.glob("*m*")} == before


def test_a_map_never_replaces_its_own_scene(folders: dict[str, Path], toy: Scene, tmp_path: Path) -> None:
    from hyperseg.io.write import write_raster

    path = tmp_path / "scene.tif"
    write_raster(path, np.asarray(toy.cube))
    before = path.read_bytes()
    for scene, out in ((read_scene(path), path), (read_scene(path), tmp_path / "." / "scene.tif")):
        with pytest.raises(DataFileError, match="is read here, and would be overwritten"):
            mapped(folders["svm"], scene, out)
    assert path.read_bytes() == before
    path.rename(tmp_path / "a-confidence.tif")
    with pytest.raises(DataFileError, match="is read here, and would be overwritten"):
        mapped(folders["svm"], read_scene(tmp_path / "a-confidence.tif"), tmp_path / "a.tif")


def test_damaged_runs_are_named(folders: dict[str, Path], toy: Scene, tmp_path: Path) -> None:
    def copy(name: str) -> Path:
        shutil.rmtree(tmp_path / "copy", ignore_errors=True)
        return Path(shutil.copytree(folders[name], tmp_path / "copy"))

    broken = copy("cnn3d")
    weights = broken / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1000])
    with pytest.raises(RunError, match=r"model\.safetensors: missing or damaged.*--from"):
        load_run(broken)
    for source, other in (("cnn3d", "hybrid"), ("svm", "cnn3d"), ("cnn3d", "svm")):
        mixed = copy(source)
        shutil.copy(folders[other] / "model.safetensors", mixed)
        with pytest.raises(RunError, match=r"copy: run\.json and model\.safetensors do not belong together"):
            load_run(mixed)
    record = json.loads((folders["cnn3d"] / "run.json").read_text())
    for key in ("model", "classes", "chain", "scene"):
        edited = copy("cnn3d")
        (edited / "run.json").write_text(json.dumps({k: v for k, v in record.items() if k != key}))
        with pytest.raises(RunError, match=r"copy: run\.json .*do not belong together"):
            load_run(edited)


def test_too_few_training_pixels_leave_the_layer_out(toy: Scene, quick: Any, run: Any, tmp_path: Path) -> None:
    folder = run(toy, quick(method="svm", split="random_per_class:3"), tmp_path / "few")
    assert not (folder / "applicability.tif").exists()
    told = json.loads((folder / "metrics.json").read_text())["applicability"]
    assert told == {"left_out": "9 training pixels are too few to tell, at least 10 are needed"}
    assert "Area of applicability: not known, as 9 training pixels are too few" in (folder / "report.html").read_text()
    assert load_run(folder).applicability is None
    mapped(folder, toy, tmp_path / "m.tif")
    assert not (tmp_path / "m-applicability.tif").exists()
