"""Pictures cut to one size: area means that leave holes out, inverse depth between robust bounds, seeded crops."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from hyperseg.core import DataFileError, SettingError
from hyperseg.io.depths import open_pairs
from hyperseg.recipes.depth.pictures import area_mean, from_pairs, from_rooms

RNG = np.random.default_rng(5)


def folder(place: Path, z: np.ndarray, rgb: np.ndarray | None = None) -> Path:
    colours = np.full((*z.shape, 3), 255, np.uint8) if rgb is None else rgb
    Image.fromarray(colours).save(place / "a.png")
    np.save(place / "a_depth.npy", z.astype(np.float32))
    return place


def test_an_area_mean_is_the_mean_of_the_known_part() -> None:
    """Against blocks of whole pixels; and a mean over areas keeps the mean of all, whatever the sides."""
    values = RNG.random((12, 12))
    values[0, 0] = np.nan
    values[4:8, 4:7] = np.nan  # three quarters of one block
    blocks = values.reshape(3, 4, 3, 4).transpose(0, 2, 1, 3).reshape(3, 3, 16)
    expected = np.nanmean(blocks, -1)
    expected[1, 1] = np.nan
    np.testing.assert_allclose(area_mean(values, 3), expected, rtol=1e-12)
    whole = RNG.random((2, 11, 11))
    np.testing.assert_allclose(area_mean(whole, 4).mean((1, 2)), whole.mean((1, 2)), rtol=1e-12)
    np.testing.assert_array_equal(area_mean(whole, 11), whole)


def test_half_of_a_pixel_decides() -> None:
    values = np.array([[1.0, 3.0], [np.nan, np.nan]])
    assert area_mean(values, 1).item() == 2.0
    values[0, 0] = np.nan
    assert np.isnan(area_mean(values, 1)).all()


def test_inverse_depth_runs_from_the_far_to_the_near_bound(tmp_path: Path) -> None:
    """y = (1/z - 1/z_max) / (1/z_min - 1/z_max) at full size; one wild pixel does not move the bounds."""
    z = np.linspace(1, 4, 400).reshape(20, 20)
    z[3, 3], z[5, 5] = np.nan, 150.0
    pictures = from_pairs(open_pairs(folder(tmp_path, z)), 20)
    assert 1.0 < pictures.z_min < 1.05
    assert 3.8 < pictures.z_max < 4.0
    assert pictures.unit == "m"
    far, near = 1 / pictures.z_max, 1 / pictures.z_min
    np.testing.assert_allclose(pictures.y[0], np.clip((1 / z - far) / (near - far), 0, 1), atol=1e-5)
    assert np.isnan(pictures.y[0, 3, 3])
    assert pictures.images.max() == 1.0
    assert "percentiles 1 and 99" in pictures.made_by


def test_disparity_is_inverse_depth_already(tmp_path: Path) -> None:
    d = np.linspace(5, 60, 400).reshape(20, 20)
    folder(tmp_path, d)
    as_disparity = from_pairs(open_pairs(tmp_path, unit="disparity"), 20, bounds=(1 / 60, 1 / 5))
    np.testing.assert_allclose(as_disparity.y[0], (d - 5) / 55, atol=1e-5)


def test_crops_lie_where_their_depth_does_and_are_seeded(tmp_path: Path) -> None:
    """Colours that say where a pixel is, and depth that says the same, still agree after cutting and averaging."""
    rows, columns = np.meshgrid(np.arange(60), np.arange(90), indexing="ij")
    rgb = np.stack([rows, columns, 0 * rows], -1).astype(np.uint8)
    folder(tmp_path, 1 / (1 + rows / 60 + columns), rgb)
    pairs = open_pairs(tmp_path, per_metre=0.1)
    pictures = from_pairs(pairs, 16, crops=6, seed=1)
    row, column = (np.float64(pictures.images[:, c] + 1) * 127.5 for c in (0, 1))
    inverse = 1 / np.float64(pictures.bounds.back(pictures.y))
    inside = (pictures.y > 0) & (pictures.y < 1)
    np.testing.assert_allclose(inverse[inside], ((1 + row / 60 + column) / 10)[inside], rtol=1e-3)
    assert len(pictures) == 6
    assert len({float(image.mean()) for image in pictures.images}) == 6
    again = from_pairs(pairs, 16, crops=6, seed=1)
    assert again.images.tobytes() == pictures.images.tobytes()
    assert again.y.tobytes() == pictures.y.tobytes()
    fewer = from_pairs(pairs, 16, crops=3, seed=1)
    np.testing.assert_array_equal(fewer.images, pictures.images[:3])
    assert from_pairs(pairs, 16, crops=6, seed=2).images.tobytes() != pictures.images.tobytes()


def test_pictures_without_depth_have_none(tmp_path: Path) -> None:
    folder(tmp_path, RNG.uniform(1, 3, (20, 20)))
    Image.fromarray(np.zeros((20, 30, 3), np.uint8)).save(tmp_path / "b.png")
    pictures = from_pairs(open_pairs(tmp_path), 10, crops=2)
    assert pictures.names == ("a", "a", "b", "b")
    assert pictures.labelled.tolist() == [0, 1]
    assert np.isnan(pictures.y[2:]).all()
    assert (pictures.images[2:] == -1).all()


def test_what_cannot_be_cut_is_refused(tmp_path: Path) -> None:
    pairs = open_pairs(folder(tmp_path, np.full((20, 20), 2.0)))
    with pytest.raises(DataFileError, match=r"a.png: has 20x20 pixels"):
        from_pairs(pairs, 32)
    with pytest.raises(DataFileError, match="depth is 2 everywhere"):
        from_pairs(pairs, 8)
    with pytest.raises(SettingError, match="crops is 0"):
        from_pairs(pairs, 8, crops=0)


def test_rooms_have_all_their_depth() -> None:
    pictures = from_rooms(3, 12, 7, first=2)
    assert np.isfinite(pictures.y).all()
    assert pictures.y.min() >= 0
    assert pictures.y.max() <= 1
    assert pictures.labelled.tolist() == [0, 1, 2]
    assert pictures.names[0] == "room-7-2"
    np.testing.assert_array_equal(pictures.images[1], from_rooms(1, 12, 7, first=3).images[0])


def test_real_frames_give_crops(shared_data: Path) -> None:
    pictures = from_pairs(open_pairs(shared_data / "natural" / "rgbd_open3d"), 32, crops=2)
    known = np.isfinite(pictures.y)
    assert len(pictures) == 10
    assert 0.6 < known.mean() < 1
    assert 0.9 < pictures.z_min < pictures.z_max < 2.71
