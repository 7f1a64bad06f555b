"""What is made and what is kept goes side by side, in order, and nothing is lost or kept twice."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio

from hyperseg.io.write import MapWriter, files
from hyperseg.recipes.mapping.resume import open_unfinished
from hyperseg.recipes.mapping.storage import assemble, behind
from hyperseg.recipes.mapping.windows import plan_windows
from hyperseg.simulated.scenes import toy_scene


def made(n: int, wait: float = 0) -> Iterator[Any]:
    for number in range(n):
        time.sleep(wait)
        yield number, None


def test_keeping_takes_no_time_beside_making() -> None:
    pause, kept = 0.03, []

    def keep(number: int, _: Any) -> int:
        time.sleep(pause)
        kept.append((number, threading.get_ident()))
        return number

    began = time.monotonic()
    assert list(behind(keep, made(12, pause))) == list(range(12))
    assert time.monotonic() - began < 1.6 * 12 * pause
    assert [n for n, _ in kept] == list(range(12))
    assert threading.get_ident() not in {thread for _, thread in kept}


def test_an_error_of_either_side_comes_out_and_what_was_being_kept_is_kept() -> None:
    kept: list[int] = []

    def keep(number: int, _: Any) -> int:
        time.sleep(0.02)
        if number == 3:
            raise OSError("full")
        kept.append(number)
        return number

    def breaks() -> Iterator[Any]:
        yield from made(2)
        raise ValueError("no scene")

    with pytest.raises(ValueError, match="no scene"):
        list(behind(keep, breaks()))
    assert kept == [0, 1]
    kept.clear()
    with pytest.raises(OSError, match="full"):
        list(behind(keep, made(9)))
    assert kept == [0, 1, 2]


def test_whoever_stops_loses_one_map_at_most() -> None:
    kept: list[int] = []
    stream = behind(lambda number, _: kept.append(number) or number, made(9))
    assert [next(stream), next(stream)] == [0, 1]
    stream.close()  # type: ignore[attr-defined]
    assert kept == [0, 1]


@pytest.mark.parametrize(("threads", "cache"), [("1", 1 << 30), ("3", 1 << 30), ("ALL_CPUS", 1 << 20)])
def test_bytes_do_not_depend_on_threads_and_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, threads: str, cache: int
) -> None:
    """Nor on how many rows go at a time: 700 x 900 pixels in blocks of 256."""
    scene = toy_scene(shape=(20, 20), n_bands=4).with_(cube=np.zeros((700, 900, 4), np.uint16), labels=None)
    layers = {"codes": "uint8", "confidence": "float32", "applicability": "float32"}
    random = np.random.default_rng(0)
    values = {name: random.random((700, 900)).astype(np.float32) for name in layers} | {
        "codes": random.integers(0, 3, (700, 900))
    }
    made = []
    for name in ("usual", "other"):
        if name == "other":
            monkeypatch.setattr(files, "blocks_packed_by", lambda: threads)
            monkeypatch.setattr(files, "CACHE_BYTES", cache)
            monkeypatch.setattr("hyperseg.recipes.mapping.storage.ASSEMBLED_PIXELS", 1)
        windows = plan_windows(scene, halo_px=0, side=500)
        store = open_unfinished(tmp_path / "unfinished", scene.shape, layers, windows, {}, resume=False)
        for number, window in enumerate(windows):
            store.write(number, window, {n: v[window.core_slices] for n, v in values.items()})
        paths = {what: tmp_path / f"{name}-{what}.tif" for what in layers}
        writer = MapWriter(
            paths["codes"], scene.shape, classes=scene.classes, colours=scene.colours,
            beside={what: path for what, path in paths.items() if what != "codes"},
        )  # fmt: skip
        assert assemble(store, writer, None) == 0
        store.remove()
        made.append({what: path.read_bytes() for what, path in paths.items()})
    assert made[0] == made[1]
    for what, path in paths.items():
        with rasterio.open(path) as raster:
            np.testing.assert_array_equal(raster.read(1), values[what])


def test_the_cache_is_given_back() -> None:
    def size() -> int:
        with rasterio.Env():
            return int(rasterio.env.get_gdal_config("GDAL_CACHEMAX"))

    before = size()
    with files.small_cache():
        assert size() <= files.CACHE_BYTES
    assert size() == before
