"""`hyperseg export`: what is written holds the same map, and the map itself stays as it was."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pytest

from hyperseg.core import Grid
from hyperseg.io.read import open_array
from hyperseg.io.write import MapWriter, read_map, write_map
from hyperseg.io.write.regions import find_regions, merge_small

NAMES = ("water", "forest", "road")
COLOURS = ((0, 0, 255), (0, 128, 0), (128, 128, 128))
GRID = Grid((10.0, 10.0), "m", "EPSG:32633", (10.0, 0.0, 500000.0, 0.0, -10.0, 5000000.0))


def patchy(shape: tuple[int, int] = (60, 70)) -> np.ndarray:
    """Large fields with speckle, and a strip without class."""
    rng = np.random.default_rng(1)
    labels = np.indices(shape).sum(0) // 25 % 3
    speckled = np.where(rng.random(shape) < 0.05, rng.integers(0, 3, shape), labels)
    speckled[:, :3] = -1
    return speckled.astype(np.int16)


LABELS = patchy()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder like a run's: map.tif, its confidence, and what stands beside them."""
    root = tmp_path / "run"
    root.mkdir()
    options: Any = {"classes": NAMES, "colours": COLOURS, "grid": GRID}
    with MapWriter(root / "map.tif", LABELS.shape, **options, beside={"confidence": root / "confidence.tif"}) as w:
        w.write((slice(None), slice(None)), LABELS, confidence=np.full(LABELS.shape, 0.75))
    return root


def test_everything_at_once_from_a_run_folder(hyperseg: Any, folder: Path, tmp_path: Path) -> None:
    import pyogrio

    before = {p.name: p.read_bytes() for p in folder.iterdir()}
    words = "a.gpkg --envi b.hdr --cog c.tif --png d.png --min-area 500"
    answer = hyperseg("export", "run", "--polygons", *words.split())
    assert (answer.code, answer.err) == (0, "")
    assert {p.name: p.read_bytes() for p in folder.iterdir()} == before
    made = {"a.gpkg", "a.qml", "b.hdr", "b.img", "c.tif", "c.tif.aux.xml", "c.qml", "d.png"}
    assert {p.name for p in tmp_path.iterdir()} == {"run", *made}
    expected = merge_small(LABELS, smallest=5)
    changed = int((expected != LABELS).sum())
    assert changed > 100
    assert answer.out.splitlines()[0] == f"{changed} pixels of small regions took the class around them"
    meta, _, geometries, columns = pyogrio.raw.read(tmp_path / "a.gpkg")
    table = dict(zip(meta["fields"], columns, strict=True))
    assert f"a.gpkg ({len(geometries)} polygons)" in answer.out
    assert table["area_m2"].min() >= 500
    assert table["area_m2"].sum() == pytest.approx(100 * (LABELS >= 0).sum())
    np.testing.assert_allclose(table["confidence"], 0.75)
    np.testing.assert_array_equal(np.asarray(open_array("b.hdr", ndim=2).array), expected + 1)
    np.testing.assert_array_equal(read_map(tmp_path / "c.tif")[0], expected)


def test_without_a_least_size_the_map_is_the_map(hyperseg: Any, folder: Path, tmp_path: Path) -> None:
    answer = hyperseg("export", "run/map.tif", "--polygons", "a.gpkg", "--cog", "c.tif")
    assert answer.code == 0, answer.err
    assert "small regions" not in answer.out
    assert f"({len(find_regions(LABELS)[1]) - 1} polygons)" in answer.out
    found = read_map(tmp_path / "c.tif")
    np.testing.assert_array_equal(found[0], LABELS)
    assert found[1:] == (NAMES, COLOURS, GRID, (1, 2, 3))


def offsets_of_directories(path: Path) -> list[tuple[int, int]]:
    """(place of the directory, place of its first tile) of every image in a little-endian TIFF."""
    content = path.read_bytes()

    def number(at: int, size: int) -> int:
        return int.from_bytes(content[at : at + size], "little")

    assert content[:4] == b"II*\0"
    found, at = [], number(4, 4)
    while at:
        tags = {}
        for i in range(number(at, 2)):
            entry = at + 2 + 12 * i
            tags[number(entry, 2)] = (number(entry + 4, 4), number(entry + 8, 4))
        count, place = tags[324]  # TileOffsets; a value that fits stands in the entry itself
        found.append((at, place if count == 1 else number(place, 4)))
        at = number(at + 2 + 12 * number(at, 2), 4)
    return found


def test_the_layout_of_a_cloud_optimised_geotiff(hyperseg: Any, tmp_path: Path) -> None:
    import rasterio

    labels = np.kron(patchy((150, 130)), np.ones((10, 10), np.int16))
    write_map(tmp_path / "large.tif", labels, classes=NAMES, colours=COLOURS, grid=GRID)
    assert hyperseg("export", "large.tif", "--cog", "cog.tif").code == 0
    with rasterio.open(tmp_path / "cog.tif") as file:
        assert file.tags(ns="IMAGE_STRUCTURE")["LAYOUT"] == "COG"
        assert file.block_shapes == [(512, 512)]
        assert file.overviews(1) == [2, 4]
        assert (file.nodata, file.crs.to_epsg(), file.dtypes) == (0, 32633, ("uint8",))
        assert file.colormap(1)[2][:3] == COLOURS[1]
        small = file.read(1, out_shape=(375, 325))
    # overviews hold codes, and the most frequent one: here blocks of 10 pixels, of which 4 x 4 are one
    assert set(np.unique(small)) <= {0, 1, 2, 3}
    assert (small == labels[2::4, 2::4] + 1).mean() > 0.95
    layout = offsets_of_directories(tmp_path / "cog.tif")
    assert len(layout) == 3
    directories, tiles = zip(*layout, strict=True)
    assert list(directories) == sorted(directories)
    assert max(directories) < min(tiles)  # all that describes comes first
    assert list(tiles) == sorted(tiles, reverse=True)  # then the smallest overview, the full size last
    assert not list(tmp_path.glob(".*"))


def test_a_map_in_degrees_is_cleaned_by_its_area_on_the_ground(hyperseg: Any, tmp_path: Path) -> None:
    import pyogrio

    grid = Grid(crs="EPSG:4326", affine=(0.0001, 0.0, 11.0, 0.0, -0.0001, 60.0))  # 11.1 by 5.6 m
    labels = np.zeros((20, 30), np.int16)
    labels[2:4, 3:7], labels[10:13, 3:6] = 1, 2  # 8 and 9 pixels of 62 m2
    write_map(tmp_path / "m.tif", labels, classes=NAMES, colours=COLOURS, grid=grid)
    assert hyperseg("export", "m.tif", "--polygons", "p.gpkg", "--min-area", "530").code == 0
    meta, _, _, columns = pyogrio.raw.read(tmp_path / "p.gpkg")
    table = dict(zip(meta["fields"], columns, strict=True))
    assert table["area_m2"].min() >= 530
    assert sorted(zip(table["class"], table["pixels"], strict=True)) == [("road", 9), ("water", 591)]


def test_a_map_without_coordinates_but_with_the_size_of_its_pixels(hyperseg: Any, tmp_path: Path) -> None:
    """As the public scenes have it; the size outlives the file, so that areas can be told."""
    import pyogrio

    grid = Grid((20.0, 20.0), "m")
    write_map(tmp_path / "m.tif", LABELS, classes=NAMES, colours=COLOURS, grid=grid)
    assert read_map(tmp_path / "m.tif")[3] == grid
    answer = hyperseg("export", "m.tif", "--polygons", "a.gpkg", "--cog", "c.tif", "--min-area", "2000")
    assert (answer.code, answer.err) == (0, "")
    assert read_map(tmp_path / "c.tif")[3] == grid
    meta, _, _, columns = pyogrio.raw.read(tmp_path / "a.gpkg")
    assert dict(zip(meta["fields"], columns, strict=True))["area_m2"].sum() == 400 * (LABELS >= 0).sum()


def test_a_map_without_coordinates(hyperseg: Any, tmp_path: Path) -> None:
    write_map(tmp_path / "m.tif", LABELS, classes=NAMES, colours=COLOURS)
    assert "give --min-pixels" in hyperseg("export", "m.tif", "--png", "a.png", "--min-area", "5").error
    answer = hyperseg("export", "m.tif", "--polygons", "a.geojson", "--min-pixels", "5")
    assert (answer.code, answer.err) == (0, "")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("run", "nothing to export: give --polygons"),
        ("run --cog run/map.tif", "run/map.tif: is read here, and would be overwritten"),
        ("run --polygons run/map.gpkg", "run/map.qml: belongs to run/map.tif, which is read here"),
        ("run --cog run/confidence.tif", "run/confidence.tif: is read here"),
        ("run --polygons a.gpkg --cog a.tif", "a.qml: two outputs would write it"),
        ("run --polygons a.kml", "a.kml: polygons are written as .gpkg"),
        ("run --envi a.dat", "a.dat: an ENVI map is named by its header; name it a.hdr"),
        ("run --cog a.jp2", "a.jp2: a Cloud-Optimised GeoTIFF is a .tif"),
        ("run --png a.jpg", "a.jpg: a picture is a .png"),
        ("run --png a.png --min-area 5 --min-pixels 5", "give one of them"),
        ("run --png a.png --min-area nan", "a positive number of square metres"),
        ("run --png no/a.png", "no/a.png: cannot be written"),
        ("run --cog no/a.tif", "cannot be written"),
        ("run/confidence.tif --png a.png", "is no class map of this package"),
        ("absent.tif --png a.png", "absent.tif: no such file"),
        (". --png a.png", "map.tif: no such file"),
    ],
)
def test_words_that_are_no_good(hyperseg: Any, folder: Path, tmp_path: Path, words: str, said: str) -> None:
    before = {p.name: p.read_bytes() for p in folder.iterdir()}
    assert said in hyperseg("export", *words.split()).error
    assert {p.name: p.read_bytes() for p in folder.iterdir()} == before
    assert os.listdir(tmp_path) == ["run"]


def test_a_confidence_of_another_map_is_refused(hyperseg: Any, folder: Path, tmp_path: Path) -> None:
    write_map(tmp_path / "other.tif", LABELS[:9], classes=NAMES, colours=COLOURS)
    (folder / "confidence.tif").rename(tmp_path / "other-confidence.tif")
    error = hyperseg("export", "other.tif", "--polygons", "a.gpkg").error
    assert "other-confidence.tif: has (60, 70) pixels" in error
    assert not (tmp_path / "a.gpkg").exists()


def test_gdal_reads_the_names_and_the_table_beside_a_map(folder: Path, tmp_path: Path) -> None:
    """GDAL clones what it understood into the copy's own sidecar: table, counts and colours come back."""
    import rasterio
    from rasterio.shutil import copy

    (folder / "map.tif").rename(tmp_path / "m.tif")
    (folder / "map.tif.aux.xml").rename(tmp_path / "m.tif.aux.xml")
    copy(tmp_path / "m.tif", tmp_path / "copy.png", driver="PNG")
    with rasterio.open(tmp_path / "m.tif") as file:
        assert file.tags()["AREA_OR_POINT"] == "Area"
    tree = ElementTree.parse(tmp_path / "copy.png.aux.xml")
    columns = [(f.findtext("Name"), f.findtext("Usage")) for f in tree.findall(".//FieldDefn")]
    assert columns == list(zip(("Value", "Class", "Count", "Red", "Green", "Blue"), "521678", strict=True))
    rows = [[f.text for f in row.findall("F")] for row in tree.findall(".//Row")]
    for k, (name, colour) in enumerate(zip(NAMES, COLOURS, strict=True)):
        assert rows[k] == [str(k + 1), name, str((k == LABELS).sum()), *map(str, colour)]
    assert [c.text for c in tree.findall(".//Category")] == ["unlabelled", *NAMES]


def test_help_has_an_example_on_its_own_line(hyperseg: Any) -> None:
    assert "\n    hyperseg export runs/field --envi field.hdr" in hyperseg("export", "--help").out
