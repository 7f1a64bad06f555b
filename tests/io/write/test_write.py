"""Writing: what is written reads back the same, and no file under its final name is ever half a file."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pytest
from written import COLOURS, LABELS
from written import MAP_GRID as GRID

from hyperseg.core import DataFileError, Grid, LabelError, SegmentationMap, SettingError, tiles
from hyperseg.io.read import read_array, read_labels, read_scene
from hyperseg.io.write import (
    MapWriter,
    read_map,
    replacing,
    share_of_largest,
    write_json,
    write_map,
    write_png,
    write_raster,
    write_text,
)
from hyperseg.io.write.files import check_whole

CLASSES = ("water", 'a <b> & "c"', "Wald & Fläche")
NAMED = {"classes": CLASSES, "colours": COLOURS}


def names(folder: Path) -> set[str]:
    return {p.name for p in folder.iterdir()}


def test_map_reads_back(tmp_path: Path) -> None:
    write_map(tmp_path / "map.tif", LABELS, **NAMED, grid=GRID)
    labels, classes, colours, grid, codes = read_map(tmp_path / "map.tif")
    assert codes == (1, 2, 3)
    np.testing.assert_array_equal(labels, LABELS)
    assert labels.dtype == np.int16
    assert (classes, colours, grid) == (CLASSES, COLOURS, GRID)
    assert names(tmp_path) == {"map.tif", "map.tif.aux.xml", "map.qml"}


def test_map_is_what_other_programs_expect(tmp_path: Path) -> None:
    import rasterio
    from rasterio.shutil import copy

    write_map(tmp_path / "map.tif", LABELS, **NAMED, grid=GRID)
    with rasterio.open(tmp_path / "map.tif") as file:
        assert (file.dtypes, file.nodata, file.crs.to_epsg()) == (("uint8",), 0, 31985)
        assert (file.profile["compress"], file.profile["tiled"]) == ("deflate", True)
        assert file.colormap(1)[2][:3] == COLOURS[1]
        np.testing.assert_array_equal(file.read(1), LABELS + 1)
    # GDAL hands category names on only where it has read them itself
    copy(tmp_path / "map.tif", tmp_path / "copy.img", driver="ENVI")
    assert "class names = {\nunlabelled, water, " in (tmp_path / "copy.hdr").read_text(encoding="utf-8")
    entries = ElementTree.parse(tmp_path / "map.qml").findall(".//paletteEntry")
    assert [e.get("label") for e in entries] == list(CLASSES)
    assert [e.get("value") for e in entries] == ["1", "2", "3"]
    assert entries[0].get("color") == "#0000ff"


def test_a_map_serves_as_labels_of_another_run(tmp_path: Path) -> None:
    labels = np.where(LABELS == 1, 2, LABELS).astype(np.int16)
    write_map(tmp_path / "map.tif", labels, **NAMED, grid=GRID)
    found = read_labels(tmp_path / "map.tif", labels.shape)
    assert found.classes == (CLASSES[0], CLASSES[2])
    assert found.colours == (COLOURS[0], COLOURS[2])
    assert found.file_codes == (1, 3)
    assert read_map(tmp_path / "map.tif")[1] == CLASSES
    np.save(tmp_path / "cube.npy", np.random.default_rng(0).normal(size=(40, 33, 10)))
    scene = read_scene(tmp_path / "cube.npy", labels=tmp_path / "map.tif")
    assert scene.grid == GRID


@pytest.mark.parametrize("n", [1, 255, 256, 300])
def test_codes_fit_their_type(tmp_path: Path, n: int) -> None:
    labels = (np.arange(20 * 20).reshape(20, 20) % (n + 1) - 1).astype(np.int16)
    colours = [(i % 256, i // 256, 7) for i in range(n)]
    write_map(tmp_path / "m.tif", labels, classes=[f"c{i}" for i in range(n)], colours=colours)
    back = read_map(tmp_path / "m.tif")
    np.testing.assert_array_equal(back[0], labels)
    assert (len(back[1]), list(back[2]), back[3]) == (n, colours, Grid())


def test_segmentation_map_is_written_with_its_own_names(tmp_path: Path) -> None:
    probs = np.random.default_rng(1).dirichlet(np.ones(3), (8, 9)).astype(np.float32)
    valid = np.ones((8, 9), bool)
    valid[0] = False
    result = SegmentationMap(probs, CLASSES, COLOURS, GRID, ("x",), valid)
    write_map(tmp_path / "m.tif", result)
    labels, classes, colours, grid, _ = read_map(tmp_path / "m.tif")
    np.testing.assert_array_equal(labels, result.labels())
    assert (classes, colours, grid) == (CLASSES, COLOURS, GRID)


@pytest.mark.parametrize("size", [(16, 16), (7, 33), (100, 100)])
def test_windows_make_the_same_map_as_the_whole(tmp_path: Path, size: tuple[int, int]) -> None:
    confidence = np.random.default_rng(2).random(LABELS.shape).astype(np.float32)
    with MapWriter(
        tmp_path / "map.tif", LABELS.shape, **NAMED, grid=GRID, beside={"confidence": tmp_path / "confidence.tif"}
    ) as writer:
        for tile in tiles(LABELS.shape, size=size, halo=0):
            writer.write(tile.core_slices, LABELS[tile.core_slices], confidence=confidence[tile.core_slices])
        assert not (tmp_path / "map.tif").exists()
    np.testing.assert_array_equal(read_map(tmp_path / "map.tif")[0], LABELS)
    np.testing.assert_array_equal(read_array(tmp_path / "confidence.tif", ndim=2), confidence)
    assert names(tmp_path) == {"map.tif", "map.tif.aux.xml", "map.qml", "confidence.tif", "confidence.qml"}


def test_entropy_goes_beside_and_says_what_it_is(tmp_path: Path) -> None:
    import rasterio

    probs = np.random.default_rng(2).dirichlet(np.ones(3), LABELS.shape).astype(np.float32)
    probs[0, 0], probs[0, 1] = (1, 0, 0), (1 / 3, 1 / 3, 1 / 3)
    made = SegmentationMap(probs, CLASSES, COLOURS)
    share = share_of_largest(made.entropy(), 3)
    paths = {"confidence": tmp_path / "c.tif", "entropy": tmp_path / "e.tif"}
    with MapWriter(tmp_path / "m.tif", LABELS.shape, **NAMED, beside=paths) as writer:
        for tile in tiles(LABELS.shape, size=(16, 33), halo=0):
            at = tile.core_slices
            writer.write(at, LABELS[at], confidence=probs.max(-1)[at], entropy=share[at])
    with rasterio.open(tmp_path / "e.tif") as file:
        found = file.read(1)
        assert "0 certain, 1 no idea" in file.descriptions[0]
    np.testing.assert_array_equal(found, share)
    np.testing.assert_allclose((found[0, 0], found[0, 1]), (0, 1), atol=1e-6)
    assert names(tmp_path) == {"m.tif", "m.tif.aux.xml", "m.qml", "c.tif", "c.qml", "e.tif", "e.qml"}
    assert share_of_largest(np.zeros(2), 1).tolist() == [0, 0]  # of one class there is no doubt

    refused = pytest.raises(SettingError, match="give entropy a path, and for every window")
    with refused, MapWriter(tmp_path / "n.tif", LABELS.shape, **NAMED, beside=paths) as writer:
        writer.write((slice(None), slice(None)), LABELS, confidence=probs.max(-1))
    assert "n.tif" not in names(tmp_path)


def test_the_table_beside_a_map_counts_what_is_in_the_file(tmp_path: Path) -> None:
    """Also where windows were written twice, or not at all."""
    with MapWriter(tmp_path / "m.tif", (600, 300), **NAMED) as writer:
        writer.write((slice(0, 5), slice(0, 5)), np.ones((5, 5), int))
        writer.write((slice(0, 3), slice(0, 5)), np.full((3, 5), 2))
    rows = ElementTree.parse(tmp_path / "m.tif.aux.xml").findall(".//GDALRasterAttributeTable/Row")
    values = [[f.text for f in row.findall("F")] for row in rows]
    assert values == [
        [str(k + 1), CLASSES[k], str(count), *map(str, COLOURS[k])] for k, count in enumerate((0, 10, 15))
    ]


def test_what_no_window_wrote_is_no_data(tmp_path: Path) -> None:
    with MapWriter(tmp_path / "m.tif", (600, 300), **NAMED, beside={"confidence": tmp_path / "c.tif"}) as writer:
        writer.write((slice(0, 5), slice(0, 5)), np.ones((5, 5), int), confidence=np.ones((5, 5)))
    assert (read_map(tmp_path / "m.tif")[0] == 1).sum() == 25
    assert (read_map(tmp_path / "m.tif")[0] == -1).sum() == 600 * 300 - 25
    assert np.isnan(np.asarray(read_array(tmp_path / "c.tif"))).sum() == 600 * 300 - 25


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
def test_an_interrupted_map_leaves_the_old_one_alone(tmp_path: Path, error: type[BaseException]) -> None:
    write_map(tmp_path / "map.tif", LABELS, **NAMED)
    before = {p.name: p.read_bytes() for p in tmp_path.iterdir()}

    def interrupted() -> None:
        with MapWriter(
            tmp_path / "map.tif", (40, 33), **NAMED, beside={"confidence": tmp_path / "confidence.tif"}
        ) as writer:
            writer.write((slice(0, 40), slice(0, 33)), LABELS, confidence=np.ones((40, 33)))
            raise error

    with pytest.raises(error):
        interrupted()
    assert {p.name: p.read_bytes() for p in tmp_path.iterdir()} == before


FULL_DISK = """
import resource, signal, sys
import numpy as np
from hyperseg.core import DataFileError
from hyperseg.io.write import MapWriter, write_raster, write_text
from hyperseg.io.write.envi import write_envi_map
from hyperseg.io.write.vectors import write_polygons
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
rng = np.random.default_rng(0)
speckle = rng.integers(0, 3, (150, 150)).astype(np.int16)
named = {"classes": ["c"] * 3, "colours": [(0, 0, 0)] * 3}
def by_window(path):
    with MapWriter(path, (600, 600), classes=["c"] * 200, colours=[(0, 0, 0)] * 200) as writer:
        for i in range(0, 600, 50):
            writer.write((slice(i, i + 50), slice(0, 600)), rng.integers(0, 200, (50, 600)))
writers = {
    "map.tif": by_window,
    "raster.tif": lambda path: write_raster(path, rng.random((300, 300))),
    "text.txt": lambda path: write_text(path, "x" * 50000),
    "m.hdr": lambda path: write_envi_map(path, np.zeros((300, 300), np.int16), **named),
    **{"m." + kind: lambda path: write_polygons(path, speckle, **named) for kind in ("gpkg", "shp", "geojson")},
}
for name, write in writers.items():
    limit = 50000 if name in ("m.gpkg", "m.shp", "m.geojson") else 20000
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, resource.RLIM_INFINITY))
    try:
        write(sys.argv[1] + "/" + name)
    except DataFileError as error:
        assert name.removesuffix("hdr") in str(error) and chr(10) not in str(error), error
        print("refused", name)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="needs RLIMIT_FSIZE")
def test_a_full_disk_leaves_nothing_behind(tmp_path: Path) -> None:
    # a limit on the size of files fails where a full disk fails, inside GDAL too
    done = subprocess.run([sys.executable, "-c", FULL_DISK, str(tmp_path)], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    refused = [line.removeprefix("refused ") for line in done.stdout.splitlines()]
    assert refused == ["map.tif", "raster.tif", "text.txt", "m.hdr", "m.gpkg", "m.shp", "m.geojson"]
    assert names(tmp_path) == set()


def test_a_raster_that_gdal_left_incomplete_is_noticed(tmp_path: Path) -> None:
    path = tmp_path / "r.tif"
    write_raster(path, np.random.default_rng(0).random((300, 300)))
    os.truncate(path, path.stat().st_size // 2)
    with pytest.raises(DataFileError, match=r"m\.tif.*cannot be written"):
        check_whole(path, tmp_path / "m.tif")


@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt, OSError])
def test_replacing_keeps_the_old_file_until_the_new_one_is_whole(tmp_path: Path, error: type[BaseException]) -> None:
    path = tmp_path / "a.txt"
    path.write_text("old")

    def fail() -> None:
        with replacing(path) as temporary:
            assert temporary.parent == path.parent
            temporary.write_text("half")
            assert path.read_text() == "old"
            raise error

    with pytest.raises(DataFileError if error is OSError else error):
        fail()
    assert path.read_text() == "old"
    with replacing(path) as temporary:
        temporary.write_text("new")
    assert path.read_text() == "new"
    assert names(tmp_path) == {"a.txt"}


def test_places_that_cannot_be_written(tmp_path: Path) -> None:
    with pytest.raises(DataFileError, match=r"absent.*does not exist"):
        write_text(tmp_path / "absent" / "a.txt", "x")
    (tmp_path / "folder.json").mkdir()
    with pytest.raises(DataFileError, match="is a folder"):
        write_json(tmp_path / "folder.json", {})
    with pytest.raises(DataFileError, match="does not exist"):
        write_map(tmp_path / "absent" / "m.tif", LABELS, **NAMED)
    assert names(tmp_path) == {"folder.json"}


def test_no_permission(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def denied(*_: Any) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(os, "replace", denied)
    with pytest.raises(DataFileError, match=r"m\.qml.*Permission denied"):
        write_map(tmp_path / "m.tif", LABELS, **NAMED)
    assert names(tmp_path) == set()


def test_wrong_maps_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "m.tif"
    for labels, colours, error in (
        (LABELS + 1, COLOURS, LabelError),
        (LABELS - 1, COLOURS, LabelError),
        (LABELS.astype(float), COLOURS, LabelError),
        (LABELS[None], COLOURS, LabelError),
        (LABELS, COLOURS[:2], LabelError),
        (LABELS, None, SettingError),
    ):
        with pytest.raises(error, match=r"m\.tif"):
            write_map(path, labels, classes=CLASSES, colours=colours)
    with pytest.raises(DataFileError, match=r"map\.tif"):
        write_map(tmp_path / "map.jpg", LABELS, **NAMED)
    write_raster(path, LABELS)
    with pytest.raises(DataFileError, match="no class map"):
        read_map(path)

    for window, measures in ((np.s_[0:3, 0:5], {}), (np.s_[0:3, 0:4], {"confidence": np.ones((3, 4))})):
        with pytest.raises(SettingError), MapWriter(path, LABELS.shape, **NAMED) as writer:
            writer.write(window, LABELS[:3, :4], **measures)
    assert names(tmp_path) == {"m.tif"}


def test_raster_reads_back_with_its_grid(tmp_path: Path) -> None:
    array = np.random.default_rng(3).random((12, 9, 4)).astype(np.float32)
    array[0, 0] = np.nan
    write_raster(tmp_path / "r.tif", array, GRID, names=["a", "b", "c", "d"])
    np.testing.assert_array_equal(np.asarray(read_array(tmp_path / "r.tif")), array)
    scene = read_scene(tmp_path / "r.tif")
    assert scene.grid == GRID
    assert (~scene.valid).sum() == 1


def test_png_shows_each_pixel_in_its_colour(tmp_path: Path) -> None:
    from matplotlib.image import imread

    write_png(tmp_path / "m.png", LABELS, COLOURS, unlabelled=(9, 9, 9))
    picture = (imread(tmp_path / "m.png")[..., :3] * 255).round().astype(int)
    factor = picture.shape[0] // LABELS.shape[0]
    assert picture.shape[:2] == (LABELS.shape[0] * factor, LABELS.shape[1] * factor)
    assert max(picture.shape) >= 600
    table = np.array([(9, 9, 9), *COLOURS])
    for offset in (0, factor - 1):
        np.testing.assert_array_equal(picture[offset::factor, offset::factor], table[LABELS + 1])
    assert names(tmp_path) == {"m.png"}


def test_json_is_strict_and_plain(tmp_path: Path) -> None:
    @dataclass
    class Settings:
        steps: int
        rates: tuple[float, ...]

    settings = Settings(np.int64(4), (0.1,))
    values = [np.float32(0.5), float("nan"), np.array([[1, 2]]), np.array([np.inf]), np.bool_(True), None, Path("x")]
    write_json(tmp_path / "a.json", {"values": values, 3: settings, "name": "Fläche"})
    text = (tmp_path / "a.json").read_text(encoding="utf-8")
    assert "Fläche" in text
    assert json.loads(text, parse_constant=pytest.fail) == {
        "values": [0.5, None, [[1, 2]], [None], True, None, "x"],
        "3": {"steps": 4, "rates": [0.1]},
        "name": "Fläche",
    }
    with pytest.raises(TypeError, match="no JSON form"):
        write_json(tmp_path / "b.json", object())
    assert names(tmp_path) == {"a.json"}
