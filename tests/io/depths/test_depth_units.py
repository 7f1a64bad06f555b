"""What the numbers of a depth map mean: codes of cameras are undone exactly, units judged, doubtful ones refused."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from hyperseg.core import DataFileError, SettingError
from hyperseg.io.depths import read_depth
from hyperseg.io.depths.unit import in_metres, meaning_of

RNG = np.random.default_rng(3)
MM = RNG.integers(700, 9000, (12, 15)).astype(np.uint16)
MM[0, :3] = 0
FILE = Path("d.png")


def z_of(raw: np.ndarray, **told: object) -> np.ndarray:
    return in_metres(raw, meaning_of(raw, FILE, **told))


def test_millimetres_metres_and_a_scale_of_ones_own_give_the_same_depth() -> None:
    """Each spelling of one scene is one scene; 0 is a hole in all of them."""
    expected = np.where(MM == 0, np.nan, MM / 1000.0).astype(np.float32)
    np.testing.assert_allclose(z_of(MM), expected, rtol=1e-6)
    np.testing.assert_allclose(z_of(MM / np.float32(1000)), expected, rtol=1e-6)
    np.testing.assert_allclose(z_of(MM * np.uint16(5), per_metre=5000.0), expected, rtol=1e-6)


def test_bits_turned_by_three_are_turned_back() -> None:
    """Turning sixteen bits left by three and back is the identity, above 8191 too, where the top bits wrap."""
    turned = (MM << 3) | (MM >> 13)
    assert (turned & 7).any()
    np.testing.assert_array_equal(z_of(turned), z_of(MM))


def test_raw_disparity_of_a_kinect_is_told_by_its_exchanged_bytes() -> None:
    """At d = 1092.5 - 351.3 / z the depth is z; 2047 is no reading."""
    z = np.linspace(0.8, 6.0, 40).reshape(5, 8)
    d = np.rint(1092.5 - 351.3 / z).astype(np.uint16)
    d[0, 0] = 2047
    got = z_of(d.byteswap())
    assert np.isnan(got[0, 0])
    np.testing.assert_allclose(got.ravel()[1:], (351.3 / (1092.5 - d)).ravel()[1:], rtol=1e-6)
    assert np.nanmax(np.abs(got - z) / z) < 0.02


def test_what_is_no_depth_is_a_hole() -> None:
    """0, below 0, NaN, infinities, and the greatest number of sixteen bits."""
    bad = np.array([[0, -1, np.nan, np.inf, -np.inf, 2.5]])
    np.testing.assert_array_equal(np.isnan(z_of(bad)), [[True] * 5 + [False]])
    assert np.isnan(z_of(np.array([[65535, 1500]], np.uint16)))[0].tolist() == [True, False]


def test_eight_bits_say_no_unit(tmp_path: Path) -> None:
    Image.fromarray(np.full((4, 4), 90, np.uint8)).save(tmp_path / "d.png")
    with pytest.raises(DataFileError, match=r"8-bit numbers up to 90.*give the unit"):
        read_depth(tmp_path / "d.png")
    assert read_depth(tmp_path / "d.png", "disparity")[0, 0] == 90


@pytest.mark.parametrize(("factor", "told"), [(1000.0, "3000 m"), (1e-5, "3e-05 m")])
def test_a_range_no_camera_sees_is_refused_in_one_line(tmp_path: Path, factor: float, told: str) -> None:
    np.save(tmp_path / "d.npy", np.full((4, 4), 3.0 * factor, np.float32))
    with pytest.raises(DataFileError, match=told) as caught:
        read_depth(tmp_path / "d.npy")
    assert "\n" not in str(caught.value)


def test_two_words_for_one_scale_are_refused() -> None:
    with pytest.raises(SettingError, match="both say"):
        read_depth("d.png", "mm", per_metre=5000)
    with pytest.raises(SettingError, match="one of auto"):
        read_depth("d.png", "cm")  # type: ignore[arg-type]
