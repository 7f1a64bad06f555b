"""Points in tables of text, and vectors in archives."""

from __future__ import annotations

import logging
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from shapely.geometry import Point, box

from hyperseg.core import DataFileError, Grid, LabelError
from hyperseg.io.labels.raster import Labels
from hyperseg.io.labels.rasterise import read_vectors
from hyperseg.io.labels.vectors import VectorOptions, is_vector

GRID = Grid((10.0, 10.0), "m", "EPSG:32633", (10.0, 0.0, 500000.0, 0.0, -10.0, 5800000.0))
SHAPE = (20, 30)
AT = ((500015.0, 5799985.0), (500115.0, 5799885.0), (500215.0, 5799865.0))
CELLS = [(1, 1), (11, 11), (13, 21)]
Draw = Callable[..., Path]


def read(path: object, **options: object) -> Labels:
    return read_vectors(str(path), SHAPE, GRID, options=VectorOptions(**options))  # type: ignore[arg-type]


def lon_lat() -> list[tuple[float, float]]:
    from rasterio.warp import transform

    return list(zip(*transform("EPSG:32633", "EPSG:4326", *zip(*AT, strict=True)), strict=True))


def found_in(labels: Labels) -> list[tuple[int, int]]:
    return [(int(r), int(c)) for r, c in np.argwhere(labels.codes >= 0)]


ROWS = [(k, x, y, n) for k, ((x, y), n) in enumerate(zip(AT, "aba", strict=True))]
TABLES = {
    "plain.csv": "x,y,crop\n" + "\n".join(f"{x},{y},{n}" for _, x, y, n in ROWS),
    "tabs.tsv": "crop\tEasting\tNorthing\n" + "\n".join(f"{n}\t{x}\t{y}" for _, x, y, n in ROWS),
    "german.csv": "Nr;Rechtswert;Hochwert;Nutzung\r\n"
    + "\r\n".join(f"{k};{x:.2f};{y:.2f};{n}".replace(".", ",") for k, x, y, n in ROWS),
    "quoted.txt": '"X [m]","Y [m]","class"\n\n' + "\n".join(f'"{x}","{y}","{n}"' for _, x, y, n in ROWS),
    "shapes.csv": "WKT;crop\n" + "\n".join(f"POINT ({x} {y});{n}" for _, x, y, n in ROWS),
}


@pytest.mark.parametrize("name", TABLES)
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_points_of_a_table(tmp_path: Path, name: str, encoding: str, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    (tmp_path / name).write_bytes(TABLES[name].encode(encoding))
    assert is_vector(tmp_path / name)
    labels = read(tmp_path / name)
    assert (labels.classes, labels.numbered) == (("a", "b"), True)
    assert found_in(labels) == CELLS
    assert [int(labels.codes[cell]) for cell in CELLS] == [0, 1, 0]
    assert "points from the column" in caplog.text


@pytest.mark.parametrize("names", ["lon,lat", "Longitude,Latitude"])
def test_longitude_and_latitude(tmp_path: Path, names: str) -> None:
    rows = "\n".join(f"{lon:.8f},{lat:.8f},{c}" for (lon, lat), c in zip(lon_lat(), (3, 7, 3), strict=True))
    (tmp_path / "p.csv").write_text(f"{names},class\n{rows}\n")
    labels = read(tmp_path / "p.csv")
    assert found_in(labels) == CELLS
    assert (labels.file_codes, labels.numbered) == ((3, 7), False)
    grown = read(tmp_path / "p.csv", buffer_m=25)
    assert len(found_in(grown)) > 30


def test_lines_without_coordinates_are_skipped_and_told(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    (tmp_path / "p.csv").write_text(TABLES["plain.csv"] + "\n,,a\nn/a,n/a,b\n")
    assert found_in(read(tmp_path / "p.csv")) == CELLS
    assert "without a geometry: 2, skipped" in caplog.text


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("a,b\n1,2\n", "no columns of coordinates; expected x and y.*lon and lat.*Its columns: a and b"),
        ("500000,5800000,a\n500010,5800000,b\n", "first line holds numbers, a heading was expected"),
        ("x,y,crop\n", "a heading and no line below"),
        ("x,y,crop\nleft,right,a\nup,down,b\n", r"2 of 2 lines have no coordinates in x and y, such as line 2"),
        ("x,y\n500015,5799985\n", "has no column that could tell classes"),
        ("x,y,crop\n\0\0", "is no table of text"),
        ("x,y,crop\n12.5,51.5,a\n", "its coordinates .* are not those of"),
    ],
)
def test_what_is_no_table_of_points(tmp_path: Path, text: str, said: str) -> None:
    (tmp_path / "p.csv").write_text(text)
    with pytest.raises((LabelError, DataFileError), match=said):
        read(tmp_path / "p.csv")


def zipped(archive: Path, *files: Path, folder: str = "") -> Path:
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as file:
        for path in files:
            file.write(path, folder + path.name)
    return archive


@pytest.fixture
def shapefile(draw: Draw, tmp_path: Path) -> list[Path]:
    cells = [box(x - 5, y - 5, x + 5, y + 5) for x, y in AT]
    draw("f.shp", cells, {"crop": ["a", "b", "a"]}, kind="Polygon")
    return sorted(tmp_path.glob("f.*"))


def test_a_zipped_shapefile_by_all_its_names(
    shapefile: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    zipped(tmp_path / "f.zip", *shapefile, folder="data/")
    zipped(tmp_path / "f.shz", *shapefile)
    whole = f"/vsizip/{tmp_path}/f.zip/data/f.shp"
    for name in (
        "f.zip",
        "f.shz",
        "f.zip:f",
        "/vsizip/f.zip/data/f.shp",
        "/vsizip/f.zip",
        "zip://f.zip!data/f.shp",
        whole,
    ):
        assert is_vector(name), name
        assert found_in(read(name)) == CELLS, name


@pytest.mark.parametrize("kind", ["gpkg", "geojson", "csv"])
def test_other_vectors_in_an_archive(draw: Draw, tmp_path: Path, kind: str) -> None:
    path = tmp_path / f"p.{kind}"
    if kind == "csv":
        path.write_text(TABLES["plain.csv"])
    else:
        places = lon_lat() if kind == "geojson" else AT
        crs = "EPSG:4326" if kind == "geojson" else "EPSG:32633"
        draw(path.name, [Point(p) for p in places], {"crop": ["a", "b", "a"]}, crs=crs)
    archive = zipped(tmp_path / "in.zip", path)
    assert found_in(read(archive)) == CELLS
    assert found_in(read(f"/vsizip/{archive}/{path.name}")) == CELLS


def test_archives_that_leave_a_question(shapefile: list[Path], draw: Draw, tmp_path: Path) -> None:
    other = draw("g.gpkg", [Point(p) for p in AT], {"crop": ["a", "b", "a"]})
    two = zipped(tmp_path / "two.zip", *shapefile, other)
    with pytest.raises(DataFileError, match=r"holds 2 vector files and only you know which.*/vsizip/"):
        read(two)
    assert found_in(read(f"{two}:g")) == CELLS
    assert found_in(read(two, layer="f")) == CELLS
    assert not is_vector(zipped(tmp_path / "none.zip", two))
    with pytest.raises(DataFileError, match="holds no vector file"):
        read(tmp_path / "none.zip")
    half = zipped(tmp_path / "half.zip", *[p for p in shapefile if p.suffix != ".dbf"])
    with pytest.raises(DataFileError, match=r"f.dbf is missing beside it"):
        read(half)
    (tmp_path / "bad.zip").write_bytes(b"PK\3\4 no archive")
    assert is_vector(tmp_path / "bad.zip")
    with pytest.raises(DataFileError, match="is no zip archive"):
        read(tmp_path / "bad.zip")
    with pytest.raises(DataFileError, match="no such file"):
        read(tmp_path / "absent.zip")
    with pytest.raises(DataFileError, match=r"no vector file called 'x.shp'"):
        read(f"/vsizip/{two}/x.shp")
