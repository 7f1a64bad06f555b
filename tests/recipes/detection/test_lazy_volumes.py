"""Volumes that are read window by window: a window is a part of the whole, boxes go there and back."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from hyperseg.core import DataFileError
from hyperseg.medical.resample import LINEAR, resample
from hyperseg.recipes.detection.images.volume import open_volume, scale_of, scaled


@pytest.fixture
def file(tmp_path: Path) -> Path:
    array = np.random.default_rng(0).gamma(2.0, 10.0, (9, 14, 17)).astype(np.float32)
    np.save(tmp_path / "v.npy", array)
    return tmp_path / "v.npy"


TARGETS = ((), (1.0, 1.0, 1.0), (1.05, 0.97, 1.0), (2.0, 1.0, 1.0), (0.5, 1.7, 0.6))


@pytest.mark.parametrize("target", TARGETS)
def test_a_window_is_a_part_of_the_whole(file: Path, target: tuple[float, ...]) -> None:
    volume = open_volume("v", [file], spacing=(1.0, 1.0, 1.0), target=target)
    whole = volume.window((0, 0, 0), volume.size)
    assert whole.shape == volume.shape
    rng = np.random.default_rng(1)
    for _ in range(20):
        lo = [int(rng.integers(n)) for n in volume.size]
        hi = [int(rng.integers(a + 1, n + 1)) for a, n in zip(lo, volume.size, strict=True)]
        part = whole[(slice(None), *(slice(a, b) for a, b in zip(lo, hi, strict=True)))]
        assert np.array_equal(volume.window(lo, hi), part)


@pytest.mark.parametrize("target", TARGETS)
def test_the_whole_is_what_resampling_gives(file: Path, target: tuple[float, ...]) -> None:
    volume = open_volume("v", [file], spacing=(1.0, 1.0, 1.0), target=target)
    plain = scaled(np.load(file)[None], volume.scale)
    expected = resample(torch.from_numpy(plain), volume.size, (LINEAR,) * 3).numpy()
    assert np.allclose(volume.window((0, 0, 0), volume.size), expected, atol=1e-5)


def test_what_is_alike_stays(file: Path) -> None:
    for target in TARGETS[:3]:
        assert open_volume("v", [file], spacing=(1.0, 1.0, 1.0), target=target).size == (9, 14, 17)
    assert open_volume("v", [file], spacing=(), target=(3.0, 3.0, 3.0)).size == (9, 14, 17)  # nothing says its spacing
    assert open_volume("v", [file], spacing=(1.0, 1.0, 1.0), target=(0.5, 2.0, 1.0)).size == (18, 7, 17)


def test_boxes_go_there_and_back(file: Path) -> None:
    volume = open_volume("v", [file], spacing=(1.0, 1.0, 1.0), target=(0.5, 2.0, 1.0))
    whole = np.array([[0.0, 0, 0, 9, 14, 17]])
    assert np.allclose(volume.to_grid(whole), [[0, 0, 0, *volume.size]])
    some = np.array([[1.0, 2, 3, 4, 5.5, 6], [0, 0, 0, 1, 1, 1]])
    assert np.allclose(volume.to_file(volume.to_grid(some)), some)
    assert np.array_equal(volume.to_file(np.array([[-5.0, -1, 0, 99, 99, 99]])), whole)  # cut to the volume


def test_scale() -> None:
    """Mean 0 and deviation 1; gain and offset of a scanner go; outliers and what is no number do no harm."""
    array = np.random.default_rng(0).normal(100, 20, (30, 30, 30, 1)).astype(np.float32)
    one = scaled(np.moveaxis(array, -1, 0), scale_of(array))
    assert abs(one.mean()) < 1e-4
    assert abs(one.std() - 1) < 1e-3
    other = 3 * array + 7
    assert np.allclose(scaled(np.moveaxis(other, -1, 0), scale_of(other)), one, atol=1e-4)
    array[0, 0, :3, 0] = np.nan, np.inf, 1e9
    assert np.isfinite(scaled(np.moveaxis(array, -1, 0), scale_of(array))).all()
    flat = np.full((4, 4, 4, 1), 5, np.uint8)
    assert (scaled(np.moveaxis(flat, -1, 0), scale_of(flat)) == 0).all()


@pytest.mark.parametrize("tissue", [0, 40, 60])
def test_a_small_bright_object_keeps_its_contrast(tissue: int) -> None:
    """A cube of 0.2 % of the voxels: on nothing, and in a volume of which all but `tissue` % is masked."""
    array = np.zeros((32, 32, 32, 1), np.uint8)
    array[: round(0.32 * tissue)] = 100
    array[10:14, 10:14, 10:14] = 255
    seen = scaled(np.moveaxis(array, -1, 0), scale_of(array))[0]
    levels = np.unique(seen)
    assert len(levels) == len(np.unique(array))
    assert np.diff(levels).min() > 1
    if tissue:
        return
    ringing = array + np.random.default_rng(0).normal(0, 1e-5, array.shape)
    assert np.diff(scaled(np.moveaxis(ringing, -1, 0), scale_of(ringing))[0][10, 10, [9, 10]]) > 1


def test_a_small_object_between_the_voxels_that_are_looked_at() -> None:
    array = np.zeros((2912, 2912, 1), np.uint8)
    array[1, 1] = 255
    scale = scale_of(array)
    assert (scale.low, scale.high) == ((0.0,), (255.0,))
    assert 0.5 < np.ptp(scaled(np.moveaxis(array[:4, :4], -1, 0), scale)) <= 20


def test_an_image_of_which_nothing_can_be_seen_is_refused(tmp_path: Path) -> None:
    file, array = tmp_path / "x.npy", np.full((8, 8, 8), np.nan, np.float32)
    np.save(file, array)
    with pytest.raises(DataFileError, match="no finite number"):
        open_volume("x", [file])
    np.save(file, np.where(np.arange(8) < 4, array, 7))
    with pytest.raises(DataFileError, match="every voxel has the value 7"):
        open_volume("x", [file])
    np.save(file, np.where(np.arange(8) < 2, array, np.arange(8)).astype(np.float32))
    volume = open_volume("x", [file])
    assert volume.remarks == ("x: 25.0 % of its values are no finite numbers and count as its lowest",)
    assert (volume.window((0, 0, 0), (8, 8, 2)) == volume.window((0, 0, 0), (8, 8, 8)).min()).all()


def test_what_cannot_be_resampled_is_told(file: Path) -> None:
    (told,) = open_volume("v", [file], target=(2.0, 1.0, 1.0)).remarks
    assert "2x1x1 mm" in told
    assert "--spacing" in told
    assert not open_volume("v", [file], spacing=(1.0, 1.0, 1.0), target=(2.0, 1.0, 1.0)).remarks
    assert not open_volume("v", [file]).remarks


def test_channels_and_axes_are_told_in_one_line(file: Path) -> None:
    with pytest.raises(DataFileError, match=r"v\.npy: has 1 channels, 3 were expected"):
        open_volume("v", [file], channels=3)
    with pytest.raises(DataFileError, match=r"v\.npy: has 3 axes \(9x14x17\), .* pictures of 2"):
        open_volume("v", [file], axes=2)
