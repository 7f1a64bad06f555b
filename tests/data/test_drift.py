"""Whether a scene is unlike what a model saw: quiet about its own, loud about gains, offsets and moved bands."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.stats import chi2

from hyperseg.core import LabelError, Scene, SceneError
from hyperseg.data.drift import (
    DriftReference,
    DriftReport,
    fit_reference,
    judge,
    measure_drift,
    sample_spectra,
    scene_reference,
    share_outside,
)  # fmt: skip
from hyperseg.data.preprocess import Preprocess, fit_preprocess, gather_spectra
from hyperseg.data.splits import make_split
from hyperseg.simulated.scenes import toy_scene


@pytest.fixture(scope="module")
def drawn() -> np.ndarray:
    """(4000, 12): correlated normal spectra."""
    random = np.random.default_rng(0)
    return random.standard_normal((4000, 12)) @ random.standard_normal((12, 12)) + 3.0


def fitted(values: np.ndarray, **options: Any) -> DriftReference:
    return fit_reference(values, np.arange(len(values)) // 500, **options)


def test_one_per_cent_of_the_same_is_outside(drawn: np.ndarray) -> None:
    reference = fitted(drawn[:2000])
    assert 0.003 < share_outside(reference, drawn[2000:]) < 0.02
    assert 0.003 < share_outside(reference, drawn[:2000]) < 0.015
    assert share_outside(reference, drawn + 20) == 1.0


def test_with_all_axes_it_is_the_mahalanobis_distance(drawn: np.ndarray) -> None:
    """Its limit is the quantile of a chi-squared distribution with as many degrees of freedom as bands."""
    reference = fitted(drawn, n_axes=12)
    assert len(reference.axes) == 12
    assert float(reference.limits[0]) == pytest.approx(chi2(12).ppf(0.99), rel=0.1)
    centred = drawn - drawn.mean(0)
    squared = np.einsum("nf,fg,ng->n", centred, np.linalg.inv(np.cov(drawn.T)), centred)
    assert share_outside(reference, drawn) == pytest.approx((squared > reference.limits[0]).mean(), abs=1e-3)


def test_what_leaves_the_span_of_the_axes_is_seen() -> None:
    random = np.random.default_rng(0)
    flat = random.standard_normal((500, 3)) @ random.standard_normal((3, 20))
    values = flat + 0.01 * random.standard_normal((500, 20))
    reference = fitted(values, n_axes=3)
    away = np.linalg.svd(flat)[2][-1]
    assert share_outside(reference, values[:50] + 0.2 * away) == 1.0
    assert share_outside(reference, values[:50] * 0.5) < 0.05


def test_few_or_equal_pixels(drawn: np.ndarray) -> None:
    assert fit_reference(drawn[:19], np.zeros(19, int)) is None
    assert fit_reference(drawn[:20], np.arange(20)) is not None
    same = fit_reference(np.ones((30, 4)), np.zeros(30, int))
    assert share_outside(same, np.ones((5, 4))) == 0.0
    assert share_outside(same, np.ones((5, 4)) + 1) == 1.0


def test_it_is_stored(drawn: np.ndarray) -> None:
    reference = fitted(drawn)
    again = DriftReference.from_arrays(reference.to_arrays())
    assert share_outside(again, drawn + 1) == share_outside(reference, drawn + 1)
    assert DriftReference.from_arrays({}) is None
    with pytest.raises(SceneError, match="limits"):
        DriftReference.from_arrays({k: v for k, v in reference.to_arrays().items() if k != "limits"})


def test_shares_are_judged_by_that_of_the_own_scene() -> None:
    found = [judge(s, 0.01) for s in (0.01, 0.10, 0.15, 0.30, 0.32, 1.0)]
    assert found == ["none", "none", "note", "note", "warning", "warning"]
    assert [judge(s, 0.5) for s in (0.5, 0.54, 0.56, 0.64, 0.66)] == ["none", "none", "note", "note", "warning"]
    assert judge(1.0, 1.0) == "none"


def test_the_sentence() -> None:
    report = DriftReport(900, 0.42, 0.02, ((3, 2.5), (7, -1.0)), 10.0, "warning")
    text = report.sentence(np.arange(10) * 100.0)
    assert text.startswith("42 % of the sampled pixels lie outside what the model saw (1 % expected, 2 % in its own")
    assert "300 nm (+2.5), 700 nm (-1.0); values are about 10 times those trained on" in text
    assert text.endswith("do not trust its map without checking it")
    quiet = DriftReport(900, 0.01, 0.02, ((3, 0.1),), 1.0, "none").sentence()
    assert quiet.endswith("in its own scene)")
    noted = replace(report, level="note", ratio=1.0).sentence()
    assert "band 3 (+2.5)" in noted
    assert "times" not in noted


def test_pixels_without_data_are_not_looked_at() -> None:
    cube = np.random.default_rng(0).uniform(1, 2, (40, 30, 5)).astype(np.float32)
    cube[:, :10] = -9.0
    cube[:20, 10:15] = np.nan
    found = sample_spectra(Scene(cube, nodata=-9.0))
    assert found.shape == (40 * 15 + 20 * 5, 5)
    assert (found >= 1).all()
    valid = np.indices((40, 30))[1] >= 20
    assert sample_spectra(Scene(cube, valid=valid)).shape == (400, 5)
    with pytest.raises(SceneError, match="none of the sampled pixels holds data"):
        sample_spectra(Scene(cube, valid=np.zeros((40, 30), bool)))
    assert 1000 < len(sample_spectra(Scene(np.ones((3000, 70, 5), np.float32)), max_pixels=2000)) <= 3000


def test_the_band_that_moved_is_named() -> None:
    scene = toy_scene()
    split = make_split("random_per_class:40", scene.labels, scene.n_classes, seed=0)
    preprocess = fit_preprocess(gather_spectra(scene, split.train))
    reference = scene_reference(scene, split.train, preprocess)
    own = measure_drift(reference, preprocess, scene)
    assert (own.level, own.share) == ("none", own.own_share)
    assert own.share < 0.1
    cube = np.asarray(scene.cube).copy()
    cube[..., 6] += 30 * cube[..., 6].std()
    moved = measure_drift(reference, preprocess, scene.with_(cube=cube))
    assert (moved.level, moved.bands[0][0]) == ("warning", 6)
    assert moved.bands[0][1] > 10 > abs(moved.bands[1][1])
    assert measure_drift(reference, preprocess, scene.with_(cube=2 * np.asarray(scene.cube))).ratio > 1.8
    with pytest.raises(LabelError, match="no labels"):
        scene_reference(scene.with_(labels=None), split.train, preprocess)


@pytest.fixture(scope="module")
def pines(shared_data: Path) -> tuple[Scene, Any]:
    from scipy.io import loadmat

    folder = shared_data / "hsi" / "indian_pines"
    cube = loadmat(folder / "Indian_pines_corrected.mat")["indian_pines_corrected"].astype(np.float32)
    labels = loadmat(folder / "Indian_pines_gt.mat")["indian_pines_gt"].astype(np.int16) - 1
    scene = Scene(cube, labels=labels, classes=tuple(map(str, range(16))), colours=((0, 0, 0),) * 16, name="pines")
    return scene, make_split("parcels", labels, 16, seed=0)


def measured(scene: Scene, train: np.ndarray, *others: np.ndarray) -> tuple[DriftReference, list[DriftReport]]:
    preprocess: Preprocess = fit_preprocess(gather_spectra(scene, train), whiten_within=scene.labels[train])
    reference = scene_reference(scene, train, preprocess)
    return reference, [measure_drift(reference, preprocess, Scene(cube, name="other")) for cube in others]


@pytest.mark.shared_data
def test_indian_pines_against_itself(pines: tuple[Scene, Any]) -> None:
    """The whole scene, unlabelled ground included, and any quarter of it is no alarm; what ruins a map is one."""
    scene, split = pines
    cube = np.asarray(scene.cube)
    quarters = [cube[a : a + 72, b : b + 72] for a in (0, 73) for b in (0, 73)]
    next_bands = cube + np.gradient(cube, axis=2) / 2  # about 5 nm
    _, reports = measured(scene, split.train, cube, *quarters, 1.3 * cube, 1.05 * cube, cube + 300, next_bands)
    assert [r.level for r in reports] == ["none"] * 5 + ["warning"] * 4
    assert max(r.share for r in reports[:5]) < 0.05
    assert min(r.share for r in reports[5:]) > 0.9


@pytest.mark.shared_data
def test_the_other_half_of_indian_pines_is_no_alarm(pines: tuple[Scene, Any]) -> None:
    scene, split = pines
    cube, labels = np.asarray(scene.cube), scene.labels
    west = scene.with_(cube=cube[:, :72], labels=labels[:, :72])
    _, (east, far) = measured(west, split.train[:, :72], cube[:, 72:], 1.3 * cube[:, 72:])
    assert (east.level, far.level) == ("none", "warning")
