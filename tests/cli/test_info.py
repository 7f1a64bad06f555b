"""`hyperseg info`: says what was written, draws what is there, leaves nothing behind when it cannot."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from running import Hyperseg

from hyperseg.io.formats.windows import FlatWindows

ROWS, COLUMNS, BANDS = 40, 30, 16


def write_tiff(path: Path, cube: np.ndarray, **more: object) -> Path:
    import rasterio

    rows, columns, bands = cube.shape
    settings = {"crs": "EPSG:32632", "transform": rasterio.Affine(30, 0, 600000, 0, -30, 5000000)} | more
    with rasterio.open(
        path, "w", driver="GTiff", height=rows, width=columns, count=bands, dtype=cube.dtype, **settings
    ) as file:
        file.write(np.moveaxis(cube, -1, 0))
        for band in range(1, bands + 1):
            file.update_tags(band, wavelength=str(400 + 20 * band), wavelength_units="nm")
    return path


def ramp() -> np.ndarray:
    """Red grows with the row, green with the column, at 640 and 540 nm; the first rows are empty."""
    rows, columns = np.indices((ROWS, COLUMNS))
    cube = np.random.default_rng(0).integers(400, 600, (ROWS, COLUMNS, BANDS)).astype(np.int16)
    cube[..., 11], cube[..., 6] = 100 * rows + 1, 100 * columns + 1
    cube[:10] = -1
    return cube


def test_table_and_picture(hyperseg: Hyperseg, tmp_path: Path) -> None:
    from matplotlib.image import imread

    write_tiff(tmp_path / "scene.tif", ramp(), nodata=-1)
    answer = hyperseg("info", "scene.tif")
    assert answer.code == 0
    said = " ".join(answer.out.split())
    for part in (
        "GTiff raster",
        "40 rows x 30 columns, 1.2 x 0.9 km",
        "16 of int16, 37.5 KiB",
        "420.0 to 720.0 nm, 20.0 nm apart",
        "EPSG:32632",
        "30 x 30 m",
        "(600000, 5000000) (600900, 5000000) (600900, 4998800) (600000, 4998800)",
        "25.0 % of the pixels looked at (value -1, declared)",
        "reflectance x 10000, radiance or raw counts",
        "Next: hyperseg classify scene.tif --labels FIELDS.gpkg --class-column NAME",
    ):
        assert part in said, part
    picture = np.rint(imread(tmp_path / "scene-quicklook.png")[..., :3] * 255).astype(int)
    zoom = picture.shape[0] // ROWS
    assert picture.shape[:2] == (ROWS * zoom, COLUMNS * zoom)
    small = picture[zoom // 2 :: zoom, zoom // 2 :: zoom]
    assert (small[:10] == 128).all()
    assert (np.diff(small[12:38, 5, 0]) > 0).all()  # red is band 11
    assert (np.diff(small[20, 2:28, 1]) > 0).all()  # green is band 6


def test_json_names_everything(hyperseg: Hyperseg, tmp_path: Path) -> None:
    write_tiff(tmp_path / "scene.tif", ramp(), nodata=-1)
    found = json.loads(hyperseg("info", "scene.tif", "--no-picture", "--json", "-").out)
    assert not list(tmp_path.glob("*.png"))
    assert (found["rows"], found["columns"], found["bands"], found["dtype"]) == (40, 30, 16, "int16")
    assert found["size_km"] == [1.2, 0.9]
    assert found["pixel_size"] == {"height": 30.0, "width": 30.0, "unit": "m"}
    assert found["corners"][2] == [600900.0, 4998800.0]
    assert found["wavelengths_nm"][0] == 420
    assert found["sample"]["empty"] == 0.25
    hyperseg("info", "scene.tif", "--no-picture", "--json", "found.json")
    assert json.loads((tmp_path / "found.json").read_text()) == found


def test_a_file_of_several_arrays_is_listed(hyperseg: Hyperseg, tmp_path: Path) -> None:
    np.savez(tmp_path / "s.npz", first=ramp(), second=ramp()[:20], gt=np.zeros((40, 30), np.uint8))
    answer = hyperseg("info", "s.npz")
    assert answer.code == 0
    for part in ("first", "40x30x16", "second", "20x30x16", "gt", "hyperseg info s.npz:first"):
        assert part in answer.out
    assert not list(tmp_path.glob("*.png"))
    assert "40 rows x 30 columns" in hyperseg("info", "s.npz:first").out
    assert "no numeric array 'third'" in hyperseg("info", "s.npz:third").error


def test_bad_bands_come_with_their_reason_once(hyperseg: Hyperseg, tmp_path: Path) -> None:
    cube = np.random.default_rng(1).normal(size=(ROWS, COLUMNS, BANDS)).astype(np.float32)
    cube[..., 4], cube[..., 9] = np.nan, 7
    np.save(tmp_path / "cube.npy", cube)
    answer = hyperseg("info", "cube.npy", "--no-picture")
    assert "2 (counted from 0: 4, 9)" in answer.out
    assert answer.out.count("band 9: constant") == 1
    assert answer.err == ""


def test_out_and_a_data_set_by_name(hyperseg: Hyperseg, tmp_path: Path) -> None:
    answer = hyperseg("info", "indian-pines", "--out", "look.png")
    assert answer.code == 0
    assert (tmp_path / "look.png").is_file()
    assert "10249 pixels in 16 classes" in answer.out
    assert "Did you mean indian-pines" in hyperseg("info", "indian-pine").error


def test_of_twenty_gigabytes_a_sample_is_read(
    hyperseg: Hyperseg, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows, columns, bands = 100000, 250, 400
    line = np.random.default_rng(0).integers(1, 9000, bands * columns).astype("<u2").tobytes()
    with (tmp_path / "huge.img").open("wb") as file:
        try:
            file.truncate(rows * columns * bands * 2)  # a hole: takes no room on disk
        except OSError:
            pytest.skip("this file system holds no sparse file of 20 GB")
        file.write(line)
        file.seek(-len(line), 2)
        file.write(line)
    (tmp_path / "huge.hdr").write_text(
        f"ENVI\nsamples = {columns}\nlines = {rows}\nbands = {bands}\nheader offset = 0\ndata type = 12\n"
        f"interleave = bip\nbyte order = 0\ndata ignore value = 0\n"
    )
    touched = []
    plain = FlatWindows.pick

    def counted(self: FlatWindows, key: tuple[slice | int, ...]) -> np.ndarray:
        counts = [
            len(range(*k.indices(n))) if isinstance(k, slice) else 1 for k, n in zip(key, self.shape, strict=True)
        ]
        touched.append(counts[0] * columns * bands * 2)  # whole lines at most
        return plain(self, key)

    monkeypatch.setattr(FlatWindows, "pick", counted)
    answer = hyperseg("info", "huge.hdr")
    assert answer.code == 0
    assert "18.63 GiB" in answer.out
    assert (tmp_path / "huge-quicklook.png").is_file()
    assert touched
    assert sum(touched) < 2 * 2**30
