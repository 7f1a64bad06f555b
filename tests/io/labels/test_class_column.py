"""Which column tells the classes, what their names become, and polygons that are hard to draw."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from shapely.geometry import Polygon, box

from hyperseg.core import Grid, LabelError
from hyperseg.io.labels.raster import Labels
from hyperseg.io.labels.rasterise import read_vectors
from hyperseg.io.labels.vectors import VectorOptions

GRID = Grid((10.0, 10.0), "m", "EPSG:32633", (10.0, 0.0, 500000.0, 0.0, -10.0, 5800000.0))
SHAPE = (40, 50)
Draw = Callable[..., Path]


def cell(row: float, column: float, height: float = 1, width: float = 1) -> Polygon:
    x, y = 500000 + 10 * column, 5800000 - 10 * row
    return box(x, y - 10 * height, x + 10 * width, y)


SIXTEEN = [cell(4 * (k // 4), 4 * (k % 4), 3, 3) for k in range(16)]
USE = ["rye", "oat", "pea", "rye"] * 4


def read(path: Path, **options: object) -> Labels:
    return read_vectors(path, SHAPE, GRID, options=VectorOptions(**options))  # type: ignore[arg-type]


def test_a_column_that_names_every_polygon_is_not_guessed(draw: Draw, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    names = [f"Feld {k}" for k in range(16)]
    columns = {"id": list(range(16)), "NAME": names, "Flurstueck": list(range(100, 116)), "bodenart": USE}
    assert read(draw("f.gpkg", SIXTEEN, columns)).classes == ("oat", "pea", "rye")
    assert "classes from the column 'bodenart'" in caplog.text
    two = draw("g.gpkg", SIXTEEN, columns | {"owner": ["a", "b"] * 8})
    with pytest.raises(LabelError, match="which column tells the classes is unclear"):
        read(two)


def test_where_every_column_does_the_user_is_asked(draw: Draw, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    nearly = ["f0", *(f"f{k}" for k in range(15))]
    path = draw("f.gpkg", SIXTEEN, {"class": [f"c{k}" for k in range(16)], "NAME": nearly})
    with pytest.raises(
        LabelError, match=r"\(nearly\) every one of 16 features has a value of its own in class and NAME"
    ):
        read(path)
    assert len(read(path, class_column="class").classes) == 16
    assert "16 classes of one polygon each" in caplog.text


def test_few_polygons_may_all_differ(draw: Draw) -> None:
    assert read(draw("f.gpkg", SIXTEEN[:3], {"id": [1, 2, 3], "kind": ["a", "b", "c"]})).classes == ("a", "b", "c")


def test_names_are_clean_and_apart(draw: Draw) -> None:
    words = ["rye\n", "rye ", "o\x1b[31mat", "pea" * 100, "pea" * 99 + "x", "\x07"]
    labels = read(draw("f.gpkg", SIXTEEN[:6], {"crop": words}))
    assert labels.classes[0] == "oat"
    assert labels.classes[-1] == "rye"
    assert labels.classes[1][:119] == labels.classes[2][:119]
    assert labels.classes[1] != labels.classes[2]
    assert len(labels.classes) == 4  # the bell is no name
    assert all(name.isprintable() for name in labels.classes)


def test_codes_beside_names_are_known(draw: Draw) -> None:
    """Names decide the classes; a column of codes that tells the same is kept for files that have codes only."""
    codes = [{"rye": 30, "oat": 7, "pea": 20}[use] for use in USE]
    columns = {"crop": USE, "nr": list(range(16)), "field_code": codes, "half": [k % 2 for k in range(16)]}
    labels = read(draw("f.gpkg", SIXTEEN, columns), class_column="crop")
    assert (labels.classes, labels.file_codes, labels.numbered) == (("oat", "pea", "rye"), (1, 2, 3), True)
    assert labels.beside == (7, 20, 30)
    alone = read(draw("g.gpkg", SIXTEEN[:3], {"crop": USE[:3], "nr": [5, 6, 7]}), class_column="crop")
    assert alone.beside is None  # a number per polygon says nothing


def jagged(n: int, spread: float) -> Polygon:
    rng, angle = np.random.default_rng(0), np.linspace(0, 2 * np.pi, n, endpoint=False)
    radius = 150 * (1 + spread * rng.normal(size=n))
    return Polygon(np.c_[500200 + radius * np.cos(angle), 5799800 + radius * np.sin(angle)])


def tangle(n: int) -> Polygon:
    return Polygon(np.random.default_rng(0).uniform((500050, 5799650), (500350, 5799950), (n, 2)))


@pytest.mark.parametrize(
    "shape", [jagged(300_000, 0.001), jagged(300_000, 0.3), tangle(400), tangle(5000)],
    ids=["jagged", "crossing", "tangle", "more"],
)  # fmt: skip
def test_hostile_polygons_take_seconds(draw: Draw, shape: Polygon) -> None:
    path = draw("f.gpkg", [shape, cell(38, 48)], {"crop": ["a", "b"]})
    began = time.process_time()
    labels = read(path)
    assert time.process_time() - began < 8
    assert labels.codes[38, 48] == 1
    assert np.count_nonzero(labels.codes == 0) > 100


def test_crossing_polygons_are_filled_by_the_even_odd_rule(draw: Draw) -> None:
    """As the valid polygons say that shapely makes of them, pixel by pixel."""
    import shapely

    bow = Polygon([(500000, 5800000), (500300, 5799700), (500300, 5800000), (500000, 5799700)])
    star = tangle(12)
    for shape in (bow, star):
        mended = shapely.make_valid(shape)
        one = read(draw("one.gpkg", [shape, cell(38, 48)], {"crop": ["a", "b"]}))
        other = read(draw("other.gpkg", [mended, cell(38, 48)], {"crop": ["a", "b"]}))
        np.testing.assert_array_equal(one.codes, other.codes)


def test_many_small_polygons_take_seconds(draw: Draw) -> None:
    rng = np.random.default_rng(1)
    at = rng.uniform((0, 0), (39, 49), (20_000, 2))
    path = draw("f.gpkg", [cell(r, c, 0.9, 0.9) for r, c in at], {"crop": ["a", "b"] * 10_000})
    began = time.process_time()
    read(path)
    assert time.process_time() - began < 8
