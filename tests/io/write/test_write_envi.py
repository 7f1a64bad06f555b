"""An ENVI classification read by this package, by spectral and by GDAL holds the same map."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from written import COLOURS, LABELS, MAP_GRID

from hyperseg.core import DataFileError, Grid, LabelError
from hyperseg.io.read import open_array, read_labels
from hyperseg.io.write.envi import write_envi_map

CLASSES = ("water", "maize, ripe {2}", "Wald & Fläche")
SAFE = ("water", "maize; ripe (2)", "Wald & Fläche")
GRIDS = (
    MAP_GRID,
    Grid((20.0, 30.0), "m", "EPSG:32733", (30.0, 0.0, 500000.1, 0.0, -20.0, 6000000.0)),
    Grid((1.0, 1.0), "m", "EPSG:3035", (1.0, 0.0, 4321000.0, 0.0, -1.0, 3210000.0)),
    Grid(crs="EPSG:4326", affine=(0.001, 0.0, 11.1, 0.0, -0.002, 48.3)),
)


@pytest.mark.parametrize("grid", GRIDS, ids=lambda g: g.crs)
def test_all_readers_find_the_same_map(tmp_path: Path, grid: Grid) -> None:
    rasterio, spectral = pytest.importorskip("rasterio"), pytest.importorskip("spectral")
    write_envi_map(tmp_path / "m.hdr", LABELS, classes=CLASSES, colours=COLOURS, grid=grid)
    assert sorted(os.listdir(tmp_path)) == ["m.hdr", "m.img"]
    ours = open_array(tmp_path / "m.hdr", ndim=2)
    np.testing.assert_array_equal(np.asarray(ours.array), LABELS + 1)
    assert ours.names == {0: "unlabelled", **dict(enumerate(SAFE, start=1))}
    assert ours.palette == {0: (0, 0, 0), **dict(enumerate(COLOURS, start=1))}
    assert ours.grid.affine == pytest.approx(grid.affine)
    assert ours.grid.unit == grid.unit
    crs = rasterio.crs.CRS.from_user_input
    assert crs(ours.grid.crs).to_epsg(confidence_threshold=20) == crs(grid.crs).to_epsg()
    image = spectral.envi.open(tmp_path / "m.hdr")
    np.testing.assert_array_equal(image.read_band(0), LABELS + 1)
    assert image.metadata["class names"] == ["unlabelled", *SAFE]
    assert image.metadata["file type"] == "ENVI Classification"
    with rasterio.open(tmp_path / "m.img") as file:
        np.testing.assert_array_equal(file.read(1), LABELS + 1)
        assert file.colormap(1)[3][:3] == COLOURS[2]
        assert file.nodata == 0


def test_it_serves_as_labels(tmp_path: Path) -> None:
    write_envi_map(tmp_path / "m.hdr", LABELS, classes=CLASSES, colours=COLOURS)
    found = read_labels(tmp_path / "m.hdr", LABELS.shape)
    np.testing.assert_array_equal(found.codes, LABELS)
    assert (found.classes, found.colours) == (SAFE, COLOURS)
    assert open_array(tmp_path / "m.hdr", ndim=2).grid == Grid()


def test_many_classes_need_two_bytes(tmp_path: Path) -> None:
    labels = (np.arange(1600).reshape(40, 40) % 300).astype(np.int16)
    colours = [(i % 256, i // 256, 7) for i in range(300)]
    write_envi_map(tmp_path / "m.hdr", labels, classes=[f"c{i}" for i in range(300)], colours=colours)
    found = read_labels(tmp_path / "m.hdr", labels.shape)
    np.testing.assert_array_equal(found.codes, labels)
    assert found.classes[299] == "c299"


def test_what_envi_cannot_hold_is_refused(tmp_path: Path) -> None:
    options: Any = {"classes": CLASSES, "colours": COLOURS}
    rotated = Grid((10.0, 10.0), "m", "EPSG:32633", (8.0, 6.0, 5e5, 6.0, -8.0, 5e6))
    south_up = Grid((10.0, 10.0), "m", "EPSG:32633", (10.0, 0.0, 5e5, 0.0, 10.0, 5e6))
    for name, labels, more, error, said in (
        ("m.img", LABELS, {}, DataFileError, "name it m.hdr"),
        ("M.HDR", LABELS, {"grid": rotated}, DataFileError, "north up"),
        ("m.hdr", LABELS, {"grid": south_up}, DataFileError, "north up"),
        ("m.hdr", LABELS + 1, {}, LabelError, "m.hdr"),
        ("m.hdr", LABELS, {"colours": COLOURS[:1]}, LabelError, "as many"),
        ("no/m.hdr", LABELS, {}, DataFileError, "does not exist"),
    ):
        with pytest.raises(error, match=said):
            write_envi_map(tmp_path / name, labels, **(options | more))
    assert os.listdir(tmp_path) == []
