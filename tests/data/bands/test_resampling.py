"""Bands of another scene brought to a model's: exact where they must be, refused where they cannot be."""

import logging
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from watched import Watched

from hyperseg.core import Scene, SceneError
from hyperseg.data.bands.resampled_cube import BandMatch, ResampledCube
from hyperseg.data.bands.resampling import local_spacing, match_bands, plan_bands, same_bands
from hyperseg.io.look.values import valid_in
from hyperseg.io.read import read_scene

MODEL = np.arange(400.0, 1000.0, 10.0)
ALL = np.ones(len(MODEL), bool)


def linear(centres: np.ndarray, shape: tuple[int, int] = (5, 4), seed: int = 0) -> np.ndarray:
    """(H, W, C) spectra that are straight lines over wavelength, another one at every pixel."""
    level, slope = np.random.default_rng(seed).uniform(1, 2, (2, *shape, 1))
    return (level + slope * centres / 1000).astype(np.float32)


def scene(centres: np.ndarray, **options: Any) -> Scene:
    return Scene(linear(centres), wavelengths_nm=centres, name="other", **options)


def matched(other: Scene, keep: np.ndarray = ALL, **options: Any) -> Scene:
    return match_bands(other, wavelengths_nm=MODEL, keep=keep, **options)


@pytest.mark.parametrize("error_nm", [0.0, 0.4, 0.9])
def test_the_same_bands_are_left_alone(error_nm: float, caplog: pytest.LogCaptureFixture) -> None:
    other = scene(MODEL + error_nm)
    with caplog.at_level(logging.INFO):
        assert matched(other) is other
    assert caplog.text == ""
    assert matched(scene(MODEL + 1.1)).cube is not other.cube


def test_bands_of_the_same_number_elsewhere_are_not_the_same() -> None:
    """Two spectrometers overlap in 92AV3C: neighbours in wavelength are not neighbours in the file."""
    overlapping = np.array([676.57, 686.53, 696.50, 686.91, 696.55, 706.19])
    np.testing.assert_allclose(local_spacing(overlapping), [9.96, 9.96, 9.59, 9.59, 9.64, 9.64])
    keep = np.ones(6, bool)
    assert same_bands(overlapping, overlapping, keep=keep, good=keep)
    swapped = overlapping[[0, 1, 3, 2, 4, 5]]
    assert not same_bands(overlapping, swapped, keep=keep, good=keep)
    plan = plan_bands(overlapping, swapped, keep=keep, good=keep)
    np.testing.assert_array_equal(plan.left, [0, 1, 3, 2, 4, 5])
    np.testing.assert_array_equal(plan.left, plan.right)
    assert (plan.largest_shift_nm, plan.unused) == (0, 0)


def test_straight_spectra_are_resampled_exactly(caplog: pytest.LogCaptureFixture) -> None:
    centres = np.arange(396.0, 1010.0, 13.0)
    with caplog.at_level(logging.INFO):
        got = matched(scene(centres))
    np.testing.assert_allclose(got.cube[:], linear(MODEL), rtol=1e-6)
    np.testing.assert_array_equal(got.wavelengths_nm, MODEL)
    assert caplog.text.count("\n") == 1
    assert "resampled to the 60 bands that the model reads; the largest shift is 6.0 nm, 1 of 48" in caplog.text
    shuffled = np.random.default_rng(1).permutation(centres)
    np.testing.assert_array_equal(matched(scene(shuffled)).cube[:], got.cube[:])


def test_bands_among_more_are_picked_unchanged() -> None:
    centres = np.sort(np.concatenate([MODEL, MODEL + 3.7]))
    other = scene(centres)
    got = matched(other).cube[:]
    np.testing.assert_array_equal(got, np.asarray(other.cube)[..., np.isin(centres, MODEL)])


def test_bad_bands_have_no_part() -> None:
    other = scene(MODEL)
    cube = np.asarray(other.cube).copy()
    cube[..., 20] = np.nan
    good = keep = np.arange(60) != 20
    got = matched(other.with_(cube=cube, good_bands=good))
    np.testing.assert_allclose(got.cube[:], linear(MODEL), rtol=1e-6)
    assert got.good_bands.all()
    # a band the model does not read is filled with a neighbour, and marked
    unread = matched(other.with_(cube=cube, good_bands=good), keep)
    assert unread.cube is cube
    moved = matched(scene(MODEL + 2.0), keep)
    np.testing.assert_array_equal(moved.good_bands, keep)
    assert np.isfinite(moved.cube[:]).all()


def test_bands_that_are_not_covered_are_named() -> None:
    keep = np.arange(60) >= 5  # 400 to 440 nm are not read: a scene without them will do
    inside = MODEL[(MODEL >= 450) & (MODEL <= 900)]
    with pytest.raises(
        SceneError, match=r"other: 9 of the 55 bands that the run field reads .*: 910-990 nm .*450 and 900 nm"
    ):
        matched(scene(inside), keep, model="the run field")
    water = MODEL[(MODEL < 600) | (MODEL > 700)]
    with pytest.raises(SceneError, match=r"11 of the 60 bands.*: 600-700 nm"):
        matched(scene(water))
    with pytest.raises(SceneError, match=r"of the 60 bands that the model reads are not covered"):
        matched(scene(np.arange(400.0, 1000.0, 40.0)))  # much coarser
    matched(scene(np.arange(400.0, 1010.0, 30.0)))
    with pytest.raises(SceneError, match="none of its 60 bands is good"):
        matched(scene(MODEL).with_(good_bands=~ALL))


def test_the_ends_may_be_a_little_short() -> None:
    """Calibrations differ by some nm: the first and the last band are then the nearest, not an extrapolation."""
    other = scene(MODEL + 4.0)
    got = matched(other).cube[:]
    np.testing.assert_array_equal(got[..., 0], np.asarray(other.cube)[..., 0])
    np.testing.assert_allclose(got[..., 1:], linear(MODEL)[..., 1:], rtol=1e-6)


def test_scales_are_brought_together(caplog: pytest.LogCaptureFixture) -> None:
    other = scene(MODEL, scale=1.0)
    with caplog.at_level(logging.INFO):
        got = matched(other, scale=10000.0)
    assert got.scale == 10000.0
    np.testing.assert_allclose(got.cube[:], 10000 * linear(MODEL), rtol=1e-6)
    assert "multiplied by 1e+04: reflectance 1 is 1 here and 10000 in the model's scene" in caplog.text
    both = matched(scene(MODEL + 3.0, scale=1.0), scale=100.0)
    np.testing.assert_allclose(both.cube[1:, :, 1:-1], 100 * linear(MODEL)[1:, :, 1:-1], rtol=1e-6)
    again = matched(both, scale=1.0)  # back: a factor on a factor
    np.testing.assert_allclose(again.cube[:, :, 1:-1], linear(MODEL)[:, :, 1:-1], rtol=1e-6)
    for mine, theirs in ((None, 10000.0), (1.0, None), (1.0, 1.0)):
        assert matched(other.with_(scale=mine), scale=theirs).cube is other.cube


def test_without_wavelengths_only_the_number_is_checked(caplog: pytest.LogCaptureFixture) -> None:
    bare = Scene(linear(MODEL), name="other")
    with caplog.at_level(logging.INFO):
        assert matched(bare) is bare
    assert "names no wavelengths; that its 60 bands are those of the model cannot be checked" in caplog.text
    same = match_bands(scene(MODEL), wavelengths_nm=None, keep=ALL)
    assert same.wavelengths_nm is not None
    with pytest.raises(SceneError, match=r"other has 59 bands, the model was trained on 60 bands\. .*same bands"):
        matched(Scene(linear(MODEL[1:]), name="other"))


def test_only_what_is_asked_for_is_read() -> None:
    watched = Watched(linear(MODEL + 3.0, (50, 40)))
    got = match_bands(Scene(watched, wavelengths_nm=MODEL + 3.0), wavelengths_nm=MODEL, keep=ALL)
    assert got.shape == (50, 40)
    assert got.cube.dtype == np.float32
    assert watched.read == []
    assert got.cube[10:14, 3:5].shape == (4, 2, 60)
    assert got.cube[10:14, 3:5, 30].shape == (4, 2)
    assert watched.read == [(4, 2, 60), (4, 2, 2)]


@pytest.mark.parametrize(
    "key",
    [
        np.s_[...], np.s_[2], np.s_[2, 1], np.s_[-1, :, 3], np.s_[1:4, ::2], np.s_[..., 5], np.s_[..., 2:9:3],
        np.s_[0:2, 1, -4:], np.s_[:, :, [4, 1, 1]], np.s_[[0, 3], [1, 2]], np.s_[[3, 0]], np.s_[:, [1, 3], 2:4],
        np.s_[1, 2, 3], np.s_[2:2], np.s_[..., 5:5], np.s_[:, :, ALL], np.s_[np.eye(5, 4) > 0],
        np.s_[np.eye(5, 4) > 0, 7],
    ],
    ids=str,
)  # fmt: skip
def test_it_is_indexed_like_an_array(key: Any) -> None:
    cube = matched(scene(MODEL + 3.0)).cube
    whole = np.asarray(cube)
    assert whole.dtype == np.float32
    np.testing.assert_array_equal(cube[key], whole[key])
    assert np.shape(cube[key]) == whole[key].shape


def test_what_is_no_index() -> None:
    cube = matched(scene(MODEL + 3.0)).cube
    for key in (None, np.s_[0, 0, 0, 0], np.s_[[0], :, [1]], np.s_[..., [0.5]], np.s_[..., 0, ...]):
        with pytest.raises(IndexError):
            cube[key]


def test_no_data_stays_no_data() -> None:
    centres = MODEL + 3.0
    counts = np.full((3, 3, 60), 100, np.int16)
    counts[0, 0] = counts[1, 1, 7] = -999
    given = Scene(counts, wavelengths_nm=centres, nodata=-999.0, scale=100.0)
    got = match_bands(given, wavelengths_nm=MODEL, keep=ALL, scale=1.0)
    read = got.cube[:]
    assert (read[0, 0] == -999).all()
    assert (np.flatnonzero(read[1, 1] == -999) == [7, 8]).all()
    inside = valid_in(read, good=got.good_bands, nodata=got.nodata)
    np.testing.assert_array_equal(inside, valid_in(counts, nodata=-999.0))
    np.testing.assert_allclose(read[2, 2], 1.0)
    floats = linear(centres)
    floats[0, 0], floats[1, 1, 7] = np.nan, np.inf
    valid = np.isfinite(floats).all(-1)
    got = match_bands(Scene(floats, valid=valid, wavelengths_nm=centres), wavelengths_nm=MODEL, keep=ALL)
    np.testing.assert_array_equal(np.isfinite(got.cube[:]).all(-1), valid)
    assert got.valid is valid


def test_a_band_taken_as_it_is_sees_nothing_of_its_neighbours() -> None:
    array = np.array([[[np.nan, 1.0, 2.0]]], np.float32)
    bands = np.array([1, 2])
    cube = ResampledCube(array, BandMatch(bands, bands, np.zeros(2, np.float32), 0.0, 1))
    np.testing.assert_array_equal(cube[:], [[[1.0, 2.0]]])


def test_it_travels_as_its_file(tmp_path: Path) -> None:
    centres = MODEL + 3.0
    array = np.repeat(linear(centres), 40, 0)
    array.tofile(tmp_path / "s.img")
    (tmp_path / "s.hdr").write_text(
        f"ENVI\nsamples = 4\nlines = 200\nbands = 60\nheader offset = 0\ndata type = 4\ninterleave = bip\n"
        f"byte order = 0\nwavelength units = nm\nwavelength = {{{', '.join(map(str, centres))}}}\n"
    )
    got = matched(read_scene(tmp_path / "s.hdr"))
    sent = pickle.dumps(got.cube)
    assert len(sent) < array.nbytes / 20
    np.testing.assert_array_equal(pickle.loads(sent)[3:9, 1:3], got.cube[3:9, 1:3])
    np.testing.assert_allclose(got.cube[0:5, :, 1:], np.repeat(linear(MODEL), 40, 0)[0:5, :, 1:], rtol=1e-6)
