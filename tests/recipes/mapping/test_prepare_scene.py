"""A run on another scene: bands matched, drift told, old runs served."""

from __future__ import annotations

import logging
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from hyperseg.core import Scene, SceneError
from hyperseg.data.bands.resampled_cube import ResampledCube
from hyperseg.recipes.mapping.applicability import APPLICABILITY, load_applicability
from hyperseg.recipes.mapping.prepare import prepare_scene
from hyperseg.recipes.run.load import LoadedRun, load_run


@pytest.fixture(scope="module")
def scene(toy: Scene) -> Scene:
    return toy.with_(wavelengths_nm=np.linspace(450.0, 900.0, 16), scale=1.0)


@pytest.fixture(scope="module", params=["cnn3d", "hybrid", "svm"])
def loaded(scene: Scene, quick: Any, run: Any, tmp_path_factory: Any, request: Any) -> LoadedRun:
    """A run as it lies in its folder."""
    return load_run(run(scene, quick(method=request.param), tmp_path_factory.mktemp("runs") / "run"))


def test_its_own_scene_is_left_alone(loaded: LoadedRun, scene: Scene, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.DEBUG, logger="hyperseg"):
        assert prepare_scene(loaded, scene) is scene
    assert [r.levelname for r in caplog.records] == ["DEBUG"]
    assert "of the sampled pixels lie outside what the model saw" in caplog.text


def test_another_scene_is_resampled_and_judged(
    loaded: LoadedRun, scene: Scene, caplog: pytest.LogCaptureFixture
) -> None:
    finer = np.linspace(440.0, 910.0, 95)
    cube = np.apply_along_axis(lambda s: np.interp(finer, scene.wavelengths_nm, s), 2, np.asarray(scene.cube))
    other = Scene(100 * cube, wavelengths_nm=finer, scale=100.0, name="other")
    with caplog.at_level(logging.WARNING):
        got = prepare_scene(loaded, other)
    assert caplog.text == ""
    assert isinstance(got.cube, ResampledCube)
    assert got.shape == other.shape
    np.testing.assert_allclose(got.cube[:], np.asarray(scene.cube), atol=0.05 * float(np.std(scene.cube)))
    with caplog.at_level(logging.WARNING):
        prepare_scene(loaded, other.with_(scale=None))
    (record,) = caplog.records
    assert "other: 100 % of the sampled pixels lie outside" in record.getMessage()
    assert "times those trained on: check units" in record.getMessage()
    assert "do not trust its map without checking it (trained on simulated-toy)" in record.getMessage()


def test_a_run_without_a_reference(loaded: LoadedRun, scene: Scene, caplog: pytest.LogCaptureFixture) -> None:
    old = replace(loaded, applicability=load_applicability({"preprocess.mean": np.zeros(3)}), scale=None)
    assert old.applicability is None
    with caplog.at_level(logging.INFO):
        prepare_scene(old, scene.with_(cube=5 * np.asarray(scene.cube)))
    assert caplog.text == ""


def test_what_cannot_be_prepared(loaded: LoadedRun, scene: Scene, caplog: pytest.LogCaptureFixture) -> None:
    short = scene.with_(cube=scene.cube[..., :9], wavelengths_nm=scene.wavelengths_nm[:9], name="short")  # type: ignore[index]
    with pytest.raises(SceneError, match=r"short: 7 of the 16 bands that the run r reads are not covered"):
        prepare_scene(loaded, short, model="the run r")
    bare = Scene(scene.cube[..., :9], name="short")
    with pytest.raises(SceneError, match=r"short has 9 bands, the run r was trained on 16"):
        prepare_scene(loaded, bare, model="the run r")
    # without wavelengths nothing can be filled in: the map is made all the same, and the user is told
    good = np.arange(16) != 4
    with caplog.at_level(logging.WARNING):
        prepare_scene(loaded, Scene(scene.cube, good_bands=good, name="dead"))
    assert "dead: the model reads 1 bands that are dead or marked bad here (4)" in caplog.text


def test_the_reference_is_small(loaded: LoadedRun) -> None:
    assert loaded.applicability is not None
    known = loaded.applicability.to_arrays()
    assert sum(a.nbytes for a in known.values()) < 8 * (16 * 16 * 2 + len(known["samples"]) * 11) + 1000
    assert APPLICABILITY == "applicability"  # part of the file format
