"""No command changes a byte of what it reads, nor of what an earlier command left, unless it is told to."""

from __future__ import annotations

import hashlib
import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from running import Hyperseg

from hyperseg.io.write.targets import RUN_FILES
from hyperseg.simulated.scenes import toy_scene

Sums = dict[str, str]
MAPINFO = "{UTM, 1, 1, 500000.0, 5800000.0, 10.0, 10.0, 33, North, WGS-84, units=Meters}"
QUICK = ("--method", "lda", "--baseline", "lda", "--refine", "none", "--repeats", "1", "--quiet", "--no-pictures")


def sums(folder: Path) -> Sums:
    """A checksum of every file below a folder."""
    files = (p for p in sorted(folder.rglob("*")) if p.is_file())
    return {str(p.relative_to(folder)): hashlib.sha256(p.read_bytes()).hexdigest() for p in files}


@pytest.fixture
def place(hyperseg: Hyperseg, draw: Any, tmp_path: Path) -> Path:
    """A scene (ENVI) with polygons in two layers, labels, a mask, another scene, and a run made of them."""
    import rasterio
    import shapely

    toy = toy_scene(shape=(24, 21), n_bands=8)
    cube, labels = np.asarray(toy.cube, "<f4"), (np.asarray(toy.labels) + 1).astype(np.uint8)
    cube.transpose(2, 0, 1).tofile(tmp_path / "scene.img")
    (tmp_path / "scene.hdr").write_text(
        "ENVI\nsamples = 21\nlines = 24\nbands = 8\nheader offset = 0\ndata type = 4\ninterleave = bsq\n"
        f"byte order = 0\nmap info = {MAPINFO}\n"
    )
    options: Any = {
        "driver": "GTiff", "width": 21, "height": 24, "crs": "EPSG:32633",
        "transform": rasterio.Affine(10, 0, 500000, 0, -10, 5800000),
    }  # fmt: skip
    with rasterio.open(tmp_path / "labels.tif", "w", count=1, dtype="uint8", **options) as file:
        file.write(labels, 1)
    with rasterio.open(tmp_path / "other.tif", "w", count=8, dtype="float32", **options) as file:
        file.write(np.moveaxis(cube, -1, 0))
    shutil.copy(tmp_path / "labels.tif", tmp_path / "mask.tif")
    (tmp_path / "other.vrt").write_text(
        '<VRTDataset rasterXSize="21" rasterYSize="24"><VRTRasterBand dataType="Byte" band="1"><SimpleSource>'
        '<SourceFilename relativeToVRT="1">labels.tif</SourceFilename><SourceBand>1</SourceBand></SimpleSource>'
        "</VRTRasterBand></VRTDataset>"
    )
    corner = [(500000 + 70 * i, 5800000 - 120 * (j + 1), 500000 + 70 * (i + 1), 5800000 - 120 * j)
              for i in range(3) for j in range(2)]  # fmt: skip
    boxes = [shapely.box(*c) for c in corner]
    draw("fields.gpkg", boxes, {"crop": ["a", "b", "c"] * 2}, layer="fields")
    draw("fields.gpkg", boxes[:2], {"note": ["x", "y"]}, layer="notes", append=True)
    draw("fields.shp", boxes, {"crop": ["a", "b", "c"] * 2})
    words = ("--labels", "fields.gpkg:fields", "--class-column", "crop", "--split", "random_per_class:8")
    answer = hyperseg("classify", "scene.hdr", *words, *QUICK, "--out", "run")
    assert answer.code == 0, answer.err
    return tmp_path


# every command, told to write on what it reads, on what the run was made of, and on what belongs to these
ATTACKS = [
    "export run --polygons fields.gpkg", "export run --envi scene.hdr", "export run --cog run/map.tif",
    "export run/map.tif --cog run/confidence.tif", "export run --polygons run/map.gpkg",
    "info scene.hdr --out scene.img", "info scene.hdr --json scene.hdr", "info scene.hdr --json scene.img",
    "info other.tif --out other.tif", "info other.tif --json other.tif",
    "score run/map.tif labels.tif --json run/map.tif", "score run/map.tif labels.tif --json labels.tif",
    "score run/map.tif labels.tif --json run/metrics.json", "score run/map.tif other.vrt --json labels.tif",
    "score run/map.tif fields.shp --class-column crop --json fields.dbf",
    "score run/map.tif labels.tif --json scene.img", "map run other.tif --out run/map.tif",
    "map run other.tif --out other.tif",
    "map run scene.hdr --out run/other-map.tif --probabilities run",
    "classify scene.hdr --labels labels.tif --out run", "classify scene.hdr --labels labels.tif --out scene.img",
]  # fmt: skip
# what no input names is replaced with --overwrite alone
FOREIGN = [
    "export run --polygons fields.shp", "export run --cog labels.tif", "info scene.hdr --json fields.gpkg",
    "map run other.tif --out labels.tif", "score run/map.tif labels.tif --json mask.tif",
]  # fmt: skip


def test_no_input_is_ever_written(hyperseg: Hyperseg, place: Path) -> None:
    before = sums(place)
    told = [f"{words} --overwrite" for words in ATTACKS if not words.startswith("classify")]
    for words in (*ATTACKS, *told, *FOREIGN):
        answer = hyperseg(*words.split())
        assert sums(place) == before, words
        assert answer.code == 2, (words, answer.out)
        assert answer.err.count("Error: ") == 1
        assert "Traceback" not in answer.err


def test_every_command_leaves_its_inputs_as_they_are(hyperseg: Hyperseg, place: Path) -> None:
    before = sums(place)
    for words in (
        "info scene.hdr --json facts.json",
        "map run other.tif --entropy --probabilities p.zarr",
        "export run --polygons a.gpkg --envi b.hdr --cog c.tif --png d.png",
        "score run/map.tif fields.gpkg:fields --class-column crop --json score.json",
        f"classify scene.hdr --labels fields.gpkg:fields --class-column crop --out second {' '.join(QUICK)}",
        f"classify other.tif --labels labels.tif --split fixed --train-mask mask.tif --out third {' '.join(QUICK)}",
    ):
        answer = hyperseg(*words.split())
        assert answer.code == 0 or "no test pixel" in answer.err, (words, answer.err)
    assert {name: s for name, s in sums(place).items() if name in before} == before


def test_what_is_there_is_replaced_only_when_told(hyperseg: Hyperseg, place: Path) -> None:
    (place / "mine").mkdir()
    words = {
        "map run other.tif --out mine/a.tif": ["a.tif", "a-confidence.tif"],
        "export run --polygons mine/b.gpkg --png mine/c.png": ["b.gpkg", "c.png"],
        "info scene.hdr --out mine/d.png --json mine/e.json": ["d.png", "e.json"],
        "score run fields.gpkg:fields --class-column crop --json mine/f.json": ["f.json"],
    }
    for command, names in words.items():
        for name in names:
            (place / "mine" / name).write_text("mine")
            assert "exists; choose another name, or give --overwrite" in hyperseg(*command.split()).error
            assert (place / "mine" / name).read_text() == "mine"
            (place / "mine" / name).unlink()
        assert hyperseg(*command.split()).code == 0
        again = hyperseg(*command.split(), "--overwrite")
        assert again.code == 0, again.err
    assert "quick look" in hyperseg("info", "scene.hdr").out
    drawn = (place / "scene-quicklook.png").stat().st_mtime_ns
    assert "was there and is kept" in hyperseg("info", "scene.hdr").out
    assert (place / "scene-quicklook.png").stat().st_mtime_ns == drawn


def test_files_of_a_run_are_known(place: Path) -> None:
    """Without pictures, groups of classes, and disagreement of methods that answer more than once."""
    groups = {name for name in RUN_FILES if name.startswith("map-groups.")}
    assert len(groups) == 3
    disagreement = {"disagreement.tif", "disagreement.qml"}
    assert disagreement < RUN_FILES
    assert {p.name for p in (place / "run").iterdir()} == RUN_FILES - {"map.png"} - groups - disagreement


def test_a_geopackage_keeps_its_other_layers(hyperseg: Hyperseg, place: Path, tmp_path: Path) -> None:
    import pyogrio

    shutil.copy(place / "fields.gpkg", place / "all.gpkg")
    assert hyperseg("export", "run", "--polygons", "all.gpkg").code == 2
    for _ in range(2):  # a layer of ours is replaced, not doubled
        assert hyperseg("export", "run", "--polygons", "all.gpkg", "--overwrite").code == 0
        assert sorted(name for name, _ in pyogrio.list_layers(place / "all.gpkg")) == ["all", "fields", "notes"]
    assert pyogrio.read_info(place / "all.gpkg", layer="notes")["features"] == 2


def test_a_folder_that_is_no_unfinished_map_is_left_alone(hyperseg: Hyperseg, place: Path) -> None:
    (place / "m.unfinished").mkdir()
    (place / "m.unfinished" / "thesis.txt").write_text("mine")
    error = hyperseg("map", "run", "other.tif", "--out", "m.tif").error
    assert "m.unfinished: is no unfinished map, it holds thesis.txt" in error
    assert (place / "m.unfinished" / "thesis.txt").read_text() == "mine"


def test_what_only_looks_like_unfinished_work_is_left_alone(hyperseg: Hyperseg, place: Path) -> None:
    (place / "z.unfinished" / "codes").mkdir(parents=True)
    (place / "z.unfinished" / "codes" / "mine").write_text("mine")
    (place / "q.unfinished").mkdir()
    (place / "q.tif").write_text("mine")
    (place / "e" / "unfinished").mkdir(parents=True)
    shutil.copy(place / "other.tif", place / "e" / "map.tif")
    before = sums(place)
    for words, said in (
        ("map run other.tif --out z.tif", "is no unfinished map, it holds codes"),
        ("map run other.tif --out q.tif --resume", "q.tif: exists"),
        (f"classify e/map.tif --labels labels.tif --out e --resume {' '.join(QUICK)}", "nothing to resume"),
    ):
        assert said in hyperseg(*words.split()).error
    assert sums(place) == before


def test_the_entropy_of_another_is_nobodys_to_remove(hyperseg: Hyperseg, place: Path) -> None:
    shutil.copy(place / "other.tif", place / "x-entropy.tif")
    assert hyperseg("map", "run", "x-entropy.tif", "--out", "x.tif").code == 0
    assert hyperseg("map", "run", "x-entropy.tif", "--out", "x.tif", "--overwrite").code == 0
    assert (place / "x-entropy.tif").read_bytes() == (place / "other.tif").read_bytes()
    assert hyperseg("map", "run", "other.tif", "--out", "y.tif", "--entropy").code == 0
    answer = hyperseg("map", "run", "other.tif", "--out", "y.tif", "--overwrite")
    assert "y-entropy.tif belonged to the map that was replaced and is removed" in answer.err
    assert not (place / "y-entropy.tif").exists()


def test_what_belongs_to_an_input_in_capitals_or_behind_a_link(hyperseg: Hyperseg, place: Path) -> None:
    (place / "real").mkdir()
    for name in ("scene.hdr", "scene.img"):
        shutil.copy(place / name, place / "real")
        shutil.copy(place / name, place / name.replace("scene", "up").replace(".img", ".IMG"))
    (place / "lk.hdr").symlink_to("real/scene.hdr")
    before = sums(place)
    for words in ("up.hdr --json up.IMG", "lk.hdr --json real/scene.img"):
        assert "belongs to" in hyperseg("info", *words.split(), "--no-picture", "--overwrite").error
    assert sums(place) == before


def test_a_run_that_was_moved_still_knows_what_it_was_made_from(
    hyperseg: Hyperseg, place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (place / "w").mkdir()
    for name in ("scene.hdr", "scene.img", "labels.tif"):
        shutil.copy(place / name, place / "w")
    monkeypatch.chdir(place / "w")
    words = ("--labels", "labels.tif", "--split", "random_per_class:8", *QUICK)
    assert hyperseg("classify", "scene.hdr", *words, "--out", "r").code == 0
    monkeypatch.chdir(place)
    (place / "w").rename(place / "w9")
    for words in ("--cog w9/labels.tif", "--envi w9/scene.hdr"):
        assert "is what the run w9/r was made from" in hyperseg("export", "w9/r", *words.split(), "--overwrite").error


def test_a_geopackage_that_is_open_elsewhere_is_not_replaced(hyperseg: Hyperseg, place: Path) -> None:
    shutil.copy(place / "fields.gpkg", place / "open.gpkg")
    (place / "open.gpkg-wal").write_bytes(b"rows that are not in the file yet")
    error = hyperseg("export", "run", "--polygons", "open.gpkg", "--overwrite").error
    assert "another program has it open" in error
    assert (place / "open.gpkg").read_bytes() == (place / "fields.gpkg").read_bytes()


def test_an_earlier_run_finds_its_files_from_anywhere(
    hyperseg: Hyperseg, place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (place / "elsewhere").mkdir()
    monkeypatch.chdir(place / "elsewhere")
    answer = hyperseg("classify", "--from", "../run/run.json", "--out", "again", "--quiet", "--no-pictures")
    assert answer.code == 0, answer.err
    first, second = (json.loads((p / "run.json").read_text()) for p in (place / "run", place / "elsewhere" / "again"))
    assert first["scene"]["source"] == "scene.img"
    assert Path(second["inputs"]["scene"]) == place / "scene.hdr"
    assert (place / "elsewhere" / "again" / "map.tif").read_bytes() == (place / "run" / "map.tif").read_bytes()
