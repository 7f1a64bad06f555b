"""Whether a scene is unlike what a model saw: quiet about its own, loud about gains, offsets and moved bands."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hyperseg.core import Scene, SceneError, Split
from hyperseg.data.applicability import Applicability, fit_applicability, map_applicability
from hyperseg.data.drift import DriftReport, judge, measure_drift, sample
from hyperseg.data.splits import make_split
from hyperseg.simulated.scenes import toy_scene


def test_shares_are_judged_by_that_of_the_own_scene() -> None:
    found = [judge(s, 0.1) for s in (0.1, 0.36, 0.38, 0.72, 0.74, 1.0)]
    assert found == ["none", "none", "note", "note", "warning", "warning"]
    assert [judge(s, 0.5) for s in (0.5, 0.64, 0.66, 0.84, 0.86)] == ["none", "none", "note", "note", "warning"]
    assert judge(1.0, 1.0) == "none"


def test_the_sentence() -> None:
    report = DriftReport(900, 0.42, 0.02, ((3, 2.5), (7, -1.0)), 10.0, "warning")
    text = report.sentence(np.arange(10) * 100.0)
    assert text.startswith("42 % of the sampled pixels lie outside what the model saw (2 % in its own scene)")
    assert "300 nm (+2.5), 700 nm (-1.0); values are about 10 times those trained on" in text
    assert text.endswith("do not trust its map without checking it")
    quiet = DriftReport(900, 0.01, 0.02, ((3, 0.1),), 1.0, "none").sentence()
    assert quiet.endswith("in its own scene)")
    noted = replace(report, level="note", ratio=1.0).sentence()
    assert "band 3 (+2.5)" in noted
    assert "times" not in noted


@pytest.fixture(scope="module")
def known() -> tuple[Scene, Applicability]:
    scene = toy_scene()
    return scene, learnt(scene, make_split("random_per_class:40", scene.labels, scene.n_classes, seed=0))


def learnt(scene: Scene, split: Split) -> Applicability:
    """With the share of the own scene that is outside."""
    found = fit_applicability(scene, split)
    return replace(found, own_share=np.array([(map_applicability(found, scene) > 1).mean()]))


def test_pixels_without_data_are_not_looked_at(known: tuple[Scene, Applicability]) -> None:
    scene, area = known
    cube, (rows, columns) = np.asarray(scene.cube, np.float32).copy(), np.indices(scene.shape)
    empty = columns < 10
    cube[empty] = -9.0
    spectra, index = sample(area, scene.with_(cube=cube, nodata=-9.0, valid=None))
    assert spectra.shape == ((~empty).sum(), scene.n_bands)
    assert (spectra != -9).all()
    expected = map_applicability(area, scene.with_(valid=~empty))
    np.testing.assert_allclose(index, expected[~empty], atol=1e-6)
    assert sample(area, scene.with_(valid=rows >= 5))[1].shape == ((rows >= 5).sum(),)
    with pytest.raises(SceneError, match="none of the sampled pixels holds data"):
        sample(area, scene.with_(valid=np.zeros(scene.shape, bool)))
    tall = np.ones((3000, 70, scene.n_bands), np.float32)
    assert 600 < len(sample(area, Scene(tall), max_pixels=1000)[1]) <= 1200


def test_the_band_that_moved_is_named(known: tuple[Scene, Applicability]) -> None:
    scene, area = known
    own = measure_drift(area, scene)
    assert own.level == "none"
    assert own.share == pytest.approx(own.own_share, abs=0.05)
    cube = np.asarray(scene.cube).copy()
    cube[..., 6] += 30 * cube[..., 6].std()
    moved = measure_drift(area, scene.with_(cube=cube))
    assert (moved.level, moved.bands[0][0]) == ("warning", 6)
    assert moved.bands[0][1] > 10 > abs(moved.bands[1][1])
    assert measure_drift(area, scene.with_(cube=2 * np.asarray(scene.cube))).ratio > 1.8


@pytest.fixture(scope="module")
def pines(shared_data: Path) -> tuple[Scene, Any]:
    from scipy.io import loadmat

    folder = shared_data / "hsi" / "indian_pines"
    cube = loadmat(folder / "Indian_pines_corrected.mat")["indian_pines_corrected"].astype(np.float32)
    labels = loadmat(folder / "Indian_pines_gt.mat")["indian_pines_gt"].astype(np.int16) - 1
    scene = Scene(cube, labels=labels, classes=tuple(map(str, range(16))), colours=((0, 0, 0),) * 16, name="pines")
    return scene, make_split("parcels", labels, 16, seed=0)


@pytest.mark.shared_data
def test_indian_pines_against_itself(pines: tuple[Scene, Any]) -> None:
    """The whole scene, unlabelled ground included, and any quarter of it is no alarm; what ruins a map is one."""
    scene, split = pines
    cube, area = np.asarray(scene.cube), learnt(scene, split)
    quarters = [cube[a : a + 72, b : b + 72] for a in (0, 73) for b in (0, 73)]
    moved = cube + np.gradient(cube, axis=2) / 5  # about 2 nm
    noisy = cube * (1 + 0.02 * np.random.default_rng(0).standard_normal(cube.shape, np.float32))
    changed = [1.3 * cube, 1.05 * cube, 1.02 * cube, cube + 30, moved, noisy]
    reports = [measure_drift(area, Scene(other, name="other")) for other in (cube, *quarters, *changed)]
    assert [r.level for r in reports] == ["none"] * 5 + ["warning"] * 6
    assert max(r.share for r in reports[:5]) < 0.4
    assert min(r.share for r in reports[5:]) > 0.9


@pytest.mark.shared_data
def test_the_other_half_of_indian_pines_is_a_note(pines: tuple[Scene, Any]) -> None:
    scene, split = pines
    cube, labels = np.asarray(scene.cube), scene.labels
    west = scene.with_(cube=cube[:, :72], labels=labels[:, :72])
    parts = [mask[:, :72] for mask in (split.train, split.val, split.test)]
    area = learnt(west, Split(*parts, how="west", seed=0))
    east, far = (measure_drift(area, Scene(c, name="east")) for c in (cube[:, 72:], 1.3 * cube[:, 72:]))
    assert (east.level, far.level) == ("note", "warning")
