"""`hyperseg detect scene`: a planted target is found by what it must be found by, files stand, and what is refused."""

from __future__ import annotations

import csv
import json

import numpy as np
import pytest
import rasterio

from hyperseg.core import Grid
from hyperseg.io.write import write_raster

GRID = Grid((2.0, 2.0), "m", "EPSG:32616", (2.0, 0.0, 3e5, 0.0, -2.0, 3.36e6))
TARGET = np.linspace(20, 60, 8)
TINY = ("--steps", "2", "--repeats", "1", "--implants", "10", "--device", "cpu", "--quiet", "--false-alarms", "1000")


@pytest.fixture
def planted(tmp_path):
    rng = np.random.default_rng(11)
    cube = (rng.normal(0, 1, (48, 36, 8)) @ rng.normal(0, 1, (8, 8)) + 30).astype(np.float32)
    cube[30:32, 12:14] = TARGET
    write_raster(tmp_path / "s.tif", cube, GRID)
    np.savetxt(tmp_path / "target.txt", TARGET)
    (tmp_path / "truth.csv").write_text("row,column\n30,12\n31,13\n")


def test_a_planted_target_comes_first_and_all_files_stand(hyperseg, planted, tmp_path):
    answer = hyperseg("detect", "scene", "s.tif", "--spectrum", "target.txt", "--truth", "truth.csv", *TINY)
    assert answer.code == 0, answer.err
    assert "Truth:      ACE: false alarms before the object of 2 px: 0" in answer.out
    assert "Expect:" in answer.out
    assert "List and map made by" in answer.out
    assert "of 5 methods measured on the implanted targets" in answer.out
    out = tmp_path / "s-targets"
    numbers = json.loads((out / "targets.json").read_text())
    assert numbers["truth"]["methods"]["matched filter"]["false_alarms_before"] == [0]
    rows = list(csv.DictReader((out / "targets.csv").open()))
    assert len(rows) == numbers["listed"] > 0
    best = max(rows, key=lambda row: float(row["ace"]))
    assert float(best["x"]) == pytest.approx(3e5 + 2 * 13, abs=4)
    assert float(best["y"]) == pytest.approx(3.36e6 - 2 * 31, abs=4)
    with rasterio.open(out / "scores.tif") as file:
        assert tuple(file.transform)[:6] == GRID.affine
        ace = file.read(1)
    assert set(zip(*np.unravel_index(np.argsort(-ace, axis=None)[:4], ace.shape), strict=True)) == {
        (30, 12), (30, 13), (31, 12), (31, 13)
    }  # fmt: skip
    for name in ("targets.gpkg", "targets.png", "expected.png", "targets.html"):
        assert (out / name).stat().st_size > 500
    again = hyperseg("detect", "scene", "s.tif", "--spectrum", "target.txt", *TINY)
    assert again.code != 0
    assert "--overwrite" in again.err


def test_a_target_is_named_in_one_way_and_fits_the_scene(hyperseg, planted, tmp_path):
    (tmp_path / "short.txt").write_text("1 2 3\n")
    for words, told in (
        ((), "none was given"),
        (("--spectrum", "target.txt", "--class", "roof"), "--spectrum and --class"),
        (("--spectrum", "target.txt", "--labels", "l.tif"), "--labels is for --class"),
        (("--spectrum", "short.txt"), "3 values, and s has 8 bands"),
        (("--spectrum", "none.txt"), "no such file"),
        (("--spectrum", "target.txt", "--fill-from", "0.9"), "smaller one first"),
    ):
        answer = hyperseg("detect", "scene", "s.tif", *words)
        assert answer.code != 0
        assert told in answer.err
    assert not (tmp_path / "s-targets").exists()
