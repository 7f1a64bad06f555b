"""Folders of pictures with depth: layouts, formats, what is refused in one line, and the real frames at hand."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageOps

from hyperseg.core import DataFileError
from hyperseg.io.depths import open_pairs, read_depth
from hyperseg.io.depths.decode import decode_picture

MM = np.arange(1000, 1120, dtype=np.uint16).reshape(10, 12)
MM[2, 3] = 0
Z = np.where(MM == 0, np.nan, MM / 1000).astype(np.float32)


def picture(path: Path, shape: tuple[int, int] = (10, 12)) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.full((*shape, 3), 77, np.uint8)).save(path)
    return path


def depth(path: Path, values: np.ndarray = MM) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix == ".npy":
        np.save(path, values)
    elif path.suffix == ".npz":
        np.savez(path, values)
    elif path.suffix == ".pfm":
        rows, columns = values.shape
        data = np.ascontiguousarray(values[::-1], "<f4").tobytes()
        path.write_bytes(f"Pf\n{columns} {rows}\n-1.0\n".encode() + data)
    elif path.suffix == ".pgm":
        rows, columns = values.shape
        path.write_bytes(f"P5 {columns} {rows} 65535\n".encode() + values.astype(">u2").tobytes())
    else:
        Image.fromarray(values).save(path)
    return path


@pytest.mark.parametrize(
    ("colour", "deep"),
    [
        ("color/a.jpg", "depth/a.png"),
        ("RGB/a.png", "Depths/a.tif"),
        ("images/a.ppm", "depth/a.pgm"),
        ("a_color.png", "a_depth.png"),
        ("a.png", "a_depth.npy"),
        ("rgb_a.png", "depth_a.pfm"),
        ("a.jpg", "a.npz"),
    ],
)
def test_every_layout_and_format_gives_the_same_pair(tmp_path: Path, colour: str, deep: str) -> None:
    picture(tmp_path / colour)
    floats = deep.endswith(("npy", "npz", "pfm"))
    depth(tmp_path / deep, Z if floats else MM)
    pairs = open_pairs(tmp_path)
    assert (pairs.names, len(pairs), pairs.unit) == (("a",), 1, "m")
    rgb, z = pairs.pair(0)
    assert rgb.dtype == np.uint8
    assert rgb.shape == (10, 12, 3)
    assert abs(int(rgb[0, 0, 0]) - 77) < 3
    np.testing.assert_allclose(z, Z, rtol=1e-6)
    assert "1 to 1.119 m" in pairs.remarks[-1]


def test_pictures_without_depth_are_counted_and_come_last(tmp_path: Path) -> None:
    for name in "abc":
        picture(tmp_path / "color" / f"{name}.png")
    depth(tmp_path / "depth" / "b.png")
    depth(tmp_path / "depth" / "z.png")
    pairs = open_pairs(tmp_path)
    assert pairs.names == ("b", "a", "c")
    assert len(pairs) == 1
    assert pairs.picture(2).shape == (10, 12, 3)
    assert pairs.remarks[:2] == (
        "2 pictures without depth (a.png and c.png): used as unlabelled",
        "1 depth map without a picture (z.png): left out",
    )


def test_disparity_is_told_by_the_name_and_another_view_has_none(tmp_path: Path) -> None:
    picture(tmp_path / "m_left.png")
    picture(tmp_path / "m_right.png")
    depth(tmp_path / "m_disp.npz", np.where(np.isnan(Z), np.inf, Z * 20))
    pairs = open_pairs(tmp_path)
    assert pairs.unit == "disparity"
    assert pairs.names == ("m", "m_right")
    assert len(pairs) == 1
    np.testing.assert_allclose(pairs.pair(0)[1], Z * 20, rtol=1e-6)
    assert "another view" in pairs.remarks[1]


def refused(folder: Path, **told: object) -> str:
    with pytest.raises(DataFileError) as caught:
        open_pairs(folder, **told)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_depth_of_another_size_names_both_files_and_sizes(tmp_path: Path) -> None:
    picture(tmp_path / "color/a.png", (20, 24))
    depth(tmp_path / "depth/a.png")
    said = refused(tmp_path)
    assert all(part in said for part in ("depth/a.png", "10x12", "a.png has 20x24"))


def test_a_map_without_any_depth_is_named(tmp_path: Path) -> None:
    picture(tmp_path / "a.png")
    depth(tmp_path / "a_depth.png", MM * 0)
    assert "a_depth.png: holds no depth at all" in refused(tmp_path)


def test_two_units_in_one_folder_are_named(tmp_path: Path) -> None:
    for name in "ab":
        picture(tmp_path / f"{name}.png")
    depth(tmp_path / "a_depth.npy", Z)
    depth(tmp_path / "b_depth.npy", Z * 1000)
    said = refused(tmp_path)
    assert "b_depth.npy" in said
    assert "a_depth.npy" in said
    assert "1e+03 times" in said


def test_a_unit_that_does_not_fit_is_refused_and_the_right_one_taken(tmp_path: Path) -> None:
    picture(tmp_path / "a.png")
    depth(tmp_path / "a_depth.png")
    assert "1060 m, read as metres, as given" in refused(tmp_path, unit="m")
    np.testing.assert_allclose(open_pairs(tmp_path, per_metre=500).pair(0)[1], 2 * Z, rtol=1e-6)


@pytest.mark.parametrize(
    ("files", "told"),
    [
        ((), "it holds no such files"),
        (("a.png",), "it holds only 1 picture"),
        (("color/a.png", "depth/b.png"), "the names of a.png and b.png do not agree"),
        (("left_out/a.png",), "it holds left_out/"),
    ],
)
def test_a_folder_without_pairs_says_what_was_expected(tmp_path: Path, files: tuple[str, ...], told: str) -> None:
    for name in files:
        picture(tmp_path / name)
    said = refused(tmp_path)
    assert told in said
    assert "Expected: color/" in said


def test_files_that_cannot_be_read_are_named(tmp_path: Path) -> None:
    picture(tmp_path / "a.png")
    whole = depth(tmp_path / "a_depth.pfm", Z).read_bytes()
    (tmp_path / "a_depth.pfm").write_bytes(whole[:-5])
    assert "a_depth.pfm: cannot be read as a .pfm file" in refused(tmp_path)
    assert "does not exist" in refused(tmp_path / "nowhere")
    with pytest.raises(DataFileError, match="a depth map of one number for each pixel"):
        read_depth(picture(tmp_path / "coloured.png"))


def test_two_maps_for_one_picture_are_refused(tmp_path: Path) -> None:
    picture(tmp_path / "a.png")
    depth(tmp_path / "a_depth.png")
    depth(tmp_path / "a_depth.npy", Z)
    assert "a_depth.npy is of the same name" in refused(tmp_path)


def test_real_frames_of_four_cameras(shared_data: Path) -> None:
    """Millimetres, SUN's turned bits and NYU's raw disparity are all rooms; TUM's scale is asked for and then fits."""
    folder = shared_data / "natural" / "rgbd_open3d"
    pairs = open_pairs(folder)
    assert len(pairs) == 5
    assert "0.955 to 2.702 m" in pairs.remarks[0]
    assert "12.7 % without depth" in pairs.remarks[0]
    others = open_pairs(folder / "other_formats")
    assert others.names == ("NYU", "SUN", "TUM")
    assert "give that" in others.remarks[-1]
    depths = [others.pair(0)[1], others.pair(1)[1]]
    depths.append(read_depth(folder / "other_formats" / "TUM_depth.png", per_metre=5000))
    for z in depths:
        assert 1 < np.nanmedian(z) < 4
        assert np.nanmax(z) < 10
        assert np.isfinite(z).mean() > 0.8


def test_real_disparity(shared_data: Path) -> None:
    pairs = open_pairs(shared_data / "natural" / "middlebury_motorcycle")
    _, z = pairs.pair(0)
    assert pairs.unit == "disparity"
    assert z.shape == (500, 741)
    assert abs(np.isfinite(z).mean() - 0.9265) < 1e-3


@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_picture_is_turned_as_the_camera_was_held(orientation: int, tmp_path: Path) -> None:
    """As Pillow turns it; beside depth only where the depth is of the size that viewers show."""
    seen, exif = np.arange(10 * 12 * 3, dtype=np.uint8).reshape(10, 12, 3), Image.Exif()
    exif[0x0112] = orientation
    (tmp_path / "color").mkdir()
    file = tmp_path / "color" / "a.png"
    Image.fromarray(seen).save(file, exif=exif)
    with Image.open(file) as opened:
        shown = np.asarray(ImageOps.exif_transpose(opened))
    assert np.array_equal(decode_picture(file, upright=True), shown)
    assert np.array_equal(decode_picture(file), seen)
    for values in (MM, MM.T) if orientation >= 5 else (MM,):
        depth(tmp_path / "depth" / "a.png", values)
        rgb, z = open_pairs(tmp_path).pair(0)
        assert np.array_equal(rgb, seen if values is MM else shown)
        assert z.shape == rgb.shape[:2]
