"""`hyperseg anomaly`: a planted foreign spectrum stands out, windows agree with the whole, and what is refused."""

import json

import numpy as np
import pytest
import rasterio

from hyperseg.core import Grid
from hyperseg.io.write import write_raster
from hyperseg.recipes.spectra.model import SpectraModel

GRID = Grid((10.0, 10.0), "m", "EPSG:32633", (10.0, 0.0, 4e5, 0.0, -10.0, 5e6))
QUICK = ("--steps", "10", "--levels", "3", "--components", "4", "--quiet", "--device", "cpu")
FOREIGN = (slice(5, 7), slice(9, 11))


@pytest.fixture
def scene(toy, tmp_path):
    """s.tif with four foreign pixels of twenty times the mixed-up spectrum, t.tif where they are, gt.tif the labels."""
    cube = np.array(toy.cube, np.float32)
    cube[FOREIGN] = cube[FOREIGN][..., ::-1] + 4 * cube.std((0, 1)) * np.resize([1, -1], cube.shape[-1])
    cube[0, :3] = np.nan
    write_raster(tmp_path / "s.tif", cube, GRID)
    truth = np.zeros(toy.shape, np.float32)
    truth[FOREIGN] = 1
    write_raster(tmp_path / "t.tif", truth, GRID)
    write_raster(tmp_path / "gt.tif", toy.labels.astype(np.float32) + 1, GRID)
    return cube


def values(path):
    with rasterio.open(path) as file:
        return file.read(1), file


def test_a_foreign_spectrum_stands_out_on_the_map(hyperseg, scene, tmp_path):
    answer = hyperseg("anomaly", "s.tif", "--truth", "t.tif", *QUICK)
    assert answer.code == 0, answer.err
    scores = json.loads((tmp_path / "s-anomaly/anomaly.json").read_text())
    assert scores["truth"]["auroc"] > 0.999
    assert scores["truth"]["auroc_rx"] > 0.999
    assert "the model says no more than it here" in answer.out
    assert abs(sum(scores["share_of_score"].values()) - 1) < 1e-9
    assert "counted from 0" in answer.out
    first = scores["strangest"][0]
    assert (first["row"] in (5, 6), first["column"] in (9, 10)) == (True, True)
    bits, file = values(tmp_path / "s-anomaly/anomaly.tif")
    assert file.crs == rasterio.CRS.from_string(GRID.crs)
    assert tuple(file.transform)[:6] == GRID.affine
    with rasterio.open(tmp_path / "s-anomaly/anomaly.tif") as file:
        tags = file.tags()
    assert (tags["scene"], tags["model"], tags["learned_from"]) == ("s", "s-anomaly", "all pixels of s")
    assert float(tags["usual_up_to"]) == pytest.approx(scores["usual_up_to"], rel=1e-5)
    assert np.isnan(bits[0, :3]).all()
    assert np.isfinite(bits).sum() == bits.size - 3
    for name in ("anomaly.png", "spectra.png", "rx.tif", "run.json", "model.safetensors"):
        assert (tmp_path / "s-anomaly" / name).stat().st_size > 200


def test_windows_of_any_side_and_a_model_taken_up_again_say_the_same(hyperseg, scene, tmp_path):
    assert hyperseg("anomaly", "s.tif", *QUICK, "--no-pictures").code == 0
    whole = values(tmp_path / "s-anomaly/anomaly.tif")[0]
    assert hyperseg("anomaly", "s-anomaly", "s.tif", "--out", "w", "--side", "7", "--quiet", "--no-pictures").code == 0
    np.testing.assert_allclose(values(tmp_path / "w/anomaly.tif")[0], whole, rtol=1e-4, atol=1e-4)
    answer = hyperseg("anomaly", "s.tif", *QUICK, "--no-pictures", "--out", "again")
    assert answer.code == 0
    np.testing.assert_array_equal(values(tmp_path / "again/anomaly.tif")[0], whole)  # same seed, same bytes
    refused = hyperseg("map", "s-anomaly", "s.tif").error
    assert "hyperseg anomaly" in refused


def test_a_class_left_out_is_held_against_held_out_pixels(hyperseg, scene, tmp_path):
    words = ("--labels", "gt.tif", *QUICK, "--no-pictures", "--out", "o")
    wrong = hyperseg("anomaly", "s.tif", "--without", "nonsense", *words).error
    assert "no class 'nonsense'" in wrong
    name = wrong.split("there are ")[1].split(",")[0]
    answer = hyperseg("anomaly", "s.tif", "--without", name, *words)
    assert answer.code == 0, answer.err
    scores = json.loads((tmp_path / "o/anomaly.json").read_text())
    labels = values(tmp_path / "gt.tif")[0]
    whole = np.isfinite(scene).all(-1)
    assert scores["truth"]["strange"] == ((labels == 1) & whole).sum()
    others = ((labels > 1) & whole).sum()
    assert abs(scores["truth"]["ordinary"] - others / 2) < 4 * np.sqrt(others) / 2
    learned = json.loads((tmp_path / "o/run.json").read_text())["n_learned"]
    assert learned == others - scores["truth"]["ordinary"]


def test_what_is_there_is_replaced_only_when_told(hyperseg, scene, tmp_path):
    assert hyperseg("anomaly", "s.tif", *QUICK, "--no-pictures").code == 0
    before = (tmp_path / "s-anomaly/run.json").read_bytes()
    error = hyperseg("anomaly", "s.tif", *QUICK, "--no-pictures").error
    assert "--overwrite" in error
    assert "hyperseg anomaly s-anomaly SCENE --out s-anomaly` goes on without training" in error
    assert (tmp_path / "s-anomaly/run.json").read_bytes() == before
    assert hyperseg("anomaly", "s.tif", *QUICK, "--no-pictures", "--seed", "1", "--overwrite").code == 0
    assert (tmp_path / "s-anomaly/run.json").read_bytes() != before


def test_no_map_lies_beside_the_model_of_another_one(hyperseg, scene, tmp_path):
    for out in ("a", "b"):
        assert hyperseg("anomaly", "s.tif", *QUICK, "--no-pictures", "--out", out).code == 0
    before = (tmp_path / "b/anomaly.tif").read_bytes()
    error = hyperseg("anomaly", "a", "s.tif", "--out", "b", "--overwrite", "--quiet").error
    assert "another model" in error
    assert (tmp_path / "b/anomaly.tif").read_bytes() == before
    assert hyperseg("anomaly", "a", "s.tif", "--out", "a", "--overwrite", "--quiet", "--no-pictures").code == 0


def test_bands_that_another_scene_lacks_can_be_dropped(hyperseg, toy, tmp_path):
    cube, nm = np.array(toy.cube, np.float32), 400 + 60 * np.arange(16)
    for name, keep in (("a", np.arange(16)), ("b", np.arange(15))):
        np.savez(tmp_path / f"{name}.npz", cube=cube[..., keep], wavelengths_nm=nm[keep].astype(float))
    assert hyperseg("anomaly", "a.npz", *QUICK, "--no-pictures", "--out", "r").code == 0
    error = hyperseg("anomaly", "r", "b.npz", "--quiet").error
    assert "1 of the 16 bands that the run r reads is not covered" in error
    assert "--drop-nm" in error
    span = error.split("scene: ")[1].split(" nm")[0]
    assert hyperseg("anomaly", "a.npz", *QUICK, "--no-pictures", "--out", "d", "--drop-nm", span).code == 0
    answer = hyperseg("anomaly", "d", "b.npz", "--quiet", "--no-pictures")
    assert answer.code == 0, answer.err


def test_refusals_are_one_line_and_come_before_training(hyperseg, scene, tmp_path):
    write_raster(tmp_path / "few.tif", scene[..., :5], GRID)
    write_raster(tmp_path / "none.tif", np.zeros(scene.shape[:2]), GRID)
    write_raster(tmp_path / "nan.tif", np.full((12, 12, 4), np.nan), GRID)
    long = ("--steps", "1000000", "--quiet")
    assert "0 pixels with data to learn from" in hyperseg("anomaly", "s.tif", "--mask", "none.tif", *long).error
    assert "nan" in hyperseg("anomaly", "nan.tif", *long).error
    assert "truth needs strange" in hyperseg("anomaly", "s.tif", "--truth", "none.tif", *long).error
    assert "has no labels" in hyperseg("anomaly", "s.tif", "--only", "corn", *long).error
    assert "16 bands in use" in hyperseg("anomaly", "s.tif", "--components", "40", *long).error
    assert hyperseg("anomaly", "s.tif", *QUICK, "--no-pictures").code == 0
    assert "16 bands" in hyperseg("anomaly", "s-anomaly", "few.tif", "--quiet").error
    assert "--seed" in hyperseg("anomaly", "s-anomaly", "s.tif", "--seed", "3").error
    assert "no such file" in hyperseg("anomaly", "s-anomaly", "absent.tif").error.lower()


def test_stopped_while_it_scores_no_map_is_left_and_the_model_is_kept(hyperseg, scene, tmp_path, monkeypatch):
    """Ctrl-C after two windows: what was learned is not lost, and no half map can be taken for a whole one."""
    score, seen = SpectraModel.score, []

    def stopped(model, spectra):
        seen.append(len(spectra))
        if len(seen) == 4:  # the first asks what is usual, two windows follow
            raise KeyboardInterrupt
        return score(model, spectra)

    monkeypatch.setattr(SpectraModel, "score", stopped)
    answer = hyperseg("anomaly", "s.tif", *QUICK, "--no-pictures", "--side", "7")
    assert answer.code == 130
    assert len(seen) == 4
    assert sorted(p.name for p in (tmp_path / "s-anomaly").iterdir()) == ["model.safetensors", "run.json"]
    monkeypatch.setattr(SpectraModel, "score", score)
    again = hyperseg("anomaly", "s-anomaly", "s.tif", "--out", "s-anomaly", "--quiet", "--no-pictures")
    assert again.code == 0, again.err
    assert np.isfinite(values(tmp_path / "s-anomaly/anomaly.tif")[0]).sum() == scene[..., 0].size - 3
