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


def test_channels_and_axes_are_told_in_one_line(file: Path) -> None:
    with pytest.raises(DataFileError, match=r"v\.npy: has 1 channels, 3 were expected"):
        open_volume("v", [file], channels=3)
    with pytest.raises(DataFileError, match=r"v\.npy: has 3 axes \(9x14x17\), .* pictures of 2"):
        open_volume("v", [file], axes=2)
