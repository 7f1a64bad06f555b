"""Processes that are killed at any rename, that meet in one folder, or that find the disk full."""

from __future__ import annotations

import os
from collections.abc import Sequence
from itertools import count
from pathlib import Path

import numpy as np
import pytest
from children import KILLED, dying, load_all, needs_fork, run, start, without_room

from hyperseg.core.files import TEMPORARY
from hyperseg.simulated.scenes import toy_scene

pytestmark = needs_fork
QUICK = ("--split", "random_per_class:8", "--method", "lda", "--baseline", "lda", "--refine", "none", "--quiet",
         "--repeats", "2", "--no-pictures")  # fmt: skip
CLASSIFY = ("classify", "cube.npy", "--labels", "gt.npy", *QUICK, "--out", "r")
MAP = ("map", "run", "cube.npy", "--out", "m.tif", "--side", "16", "--entropy", "--quiet")
OF_RUN = ("map.tif", "confidence.tif", "entropy.tif", "model.safetensors", "areas.csv")
OF_MAP = ("m.tif", "m-confidence.tif", "m-entropy.tif", "m.tif.aux.xml", "m.qml")
Files = dict[str, bytes]


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A scene, labels, a run of them (run/), and the map of the scene (m.tif) that the run makes."""
    load_all()
    folder = tmp_path_factory.mktemp("faults")
    toy = toy_scene(shape=(24, 21), n_bands=12)
    np.save(folder / "cube.npy", np.asarray(toy.cube))
    np.save(folder / "gt.npy", np.asarray(toy.labels) + 1)
    for words in ((*CLASSIFY[:-1], "run"), MAP):
        code, said = run(folder, words)
        assert code == 0, said
    return folder


@pytest.fixture
def work(place: Path, tmp_path: Path) -> Path:
    """A folder of its own with the scene and the run."""
    for name in ("cube.npy", "gt.npy", "run"):
        (tmp_path / name).symlink_to(place / name)
    return tmp_path


def kept(folder: Path, names: Sequence[str]) -> Files:
    return {name: (folder / name).read_bytes() for name in names if (folder / name).exists()}


def leftovers(folder: Path) -> list[str]:
    return [str(p) for p in folder.rglob("*") if TEMPORARY.fullmatch(p.name) or p.name == ".lock"]


def test_a_run_killed_at_any_rename_goes_on_to_the_same_bytes(place: Path, work: Path) -> None:
    expected = kept(place / "run", OF_RUN)
    assert set(expected) == set(OF_RUN)
    for at in count(1):
        words = (*CLASSIFY[:-1], f"r{at}")
        code, said = run(work, words, dying(at))
        if code == 0:
            break
        assert code == KILLED, said
        code, said = run(work, (*words, "--resume"))
        assert code == 0, (at, said)
        assert kept(work / f"r{at}", OF_RUN) == expected, at
        assert leftovers(work / f"r{at}") == []
    assert at > 12


def test_a_run_killed_while_it_tidies_up_is_whole(place: Path, work: Path) -> None:
    for at in range(1, 30):
        words = (*CLASSIFY[:-1], f"r{at}")
        code, said = run(work, words, dying(at, of=("unlink", "rmdir")))
        if code == 0:
            return
        if not (work / f"r{at}" / "metrics.json").exists():
            continue
        assert "nothing to resume, this run has ended" in run(work, (*words, "--resume"))[1]
        code, said = run(work, ("map", f"r{at}", "cube.npy", "--out", f"m{at}.tif", "--quiet"))
        assert code == 0, said
        assert kept(work / f"r{at}", OF_RUN) == kept(place / "run", OF_RUN)
    raise AssertionError("it never ended")


def test_a_map_killed_at_any_rename_goes_on_to_the_same_bytes(place: Path, work: Path) -> None:
    expected = kept(place, OF_MAP)
    for at in count(1):
        code, said = run(work, (*MAP, "--probabilities", "p.zarr"), dying(at))
        if code == 0:
            break
        assert code == KILLED, said
        code, said = run(work, (*MAP, "--probabilities", "p.zarr", "--resume"))
        assert code == 0, (at, said)
        assert kept(work, OF_MAP) == expected, at
        assert leftovers(work) == []
        assert (work / "p.zarr").is_dir()
        for file in work.glob("m*"):
            file.unlink()
        os.rename(work / "p.zarr", work / f"p{at}.zarr")
    assert at > 6


@pytest.mark.parametrize("resume", [False, True])
def test_two_runs_at_once_do_not_meet(place: Path, work: Path, resume: bool) -> None:
    for attempt in range(2):
        words = (*CLASSIFY[:-1], f"r{attempt}")
        if resume:
            assert run(work, words, dying(4))[0] == KILLED
            words = (*words, "--resume")
        answers = [child.wait() for child in [start(work, words) for _ in range(3)]]
        codes = sorted(code for code, _ in answers)
        assert codes == [0, 2, 2], answers
        assert kept(work / f"r{attempt}", OF_RUN) == kept(place / "run", OF_RUN)
        refused = [said for code, said in answers if code == 2]
        told = ("at work here", "exists and is not empty", "has just begun here", "has ended", "nothing to resume")
        assert all(any(words in said for words in told) for said in refused), refused


def test_two_maps_at_once_do_not_meet(place: Path, work: Path) -> None:
    answers = [child.wait() for child in [start(work, MAP) for _ in range(3)]]
    assert [code for code, _ in answers].count(0) >= 1, answers
    assert {code for code, _ in answers} <= {0, 2}, answers
    assert kept(work, OF_MAP) == kept(place, OF_MAP)
    assert leftovers(work) == []


@pytest.mark.parametrize(
    ("words", "made"),
    [
        (CLASSIFY, "r"),
        ((*MAP, "--probabilities", "p.zarr"), "."),
        (("export", "run", *["--polygons", "a.gpkg", "--envi", "b.hdr", "--cog", "c.tif", "--png", "d.png"]), "."),
        (("export", "run", "--polygons", "a.shp"), "."),
        (("info", "cube.npy", "--out", "q.png", "--json", "q.json"), "."),
        (("score", "run/map.tif", "gt.npy", "--json", "s.json"), "."),
    ],
    ids=["classify", "map", "export", "shapefile", "info", "score"],
)
def test_a_full_disk_is_told_in_one_line_and_leaves_nothing_half(
    place: Path, work: Path, words: tuple[str, ...], made: str
) -> None:
    there = {p.name for p in work.iterdir()}
    for largest in (0, 150, 700, 3000, 9000, 20000):
        code, said = run(work, words, without_room(largest))
        assert code in (0, 2), (largest, said)
        if code == 0:
            return
        assert len([line for line in said.splitlines() if line.startswith("Error: ")]) == 1, said
        assert "Traceback" not in said
        if words[0] == "classify":
            assert not (work / "r" / "metrics.json").exists()
            continue
        new = {p.name for p in work.iterdir()} - there
        assert new <= {"m.unfinished"} or words[0] in ("export", "info"), new
        assert leftovers(work) in ([], [str(work / "m.unfinished" / ".lock")])
    for again in ((*words, "--resume"), (*words, "--overwrite"), words):
        code, said = run(work, again)
        if code == 0:
            return
    raise AssertionError(said)
