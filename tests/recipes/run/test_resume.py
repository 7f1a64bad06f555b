"""Interrupted runs: resumed to the same bytes, never mixed with others, never overwritten, never half."""

from __future__ import annotations

import errno
import json
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fakes import line, stopping

from hyperseg.core import HypersegError, RunError, Scene
from hyperseg.recipes.methods import METHODS
from hyperseg.recipes.refiners import REFINERS
from hyperseg.recipes.run.folder import Interrupted, open_run
from hyperseg.recipes.run.load import load_run
from hyperseg.recipes.run.record import load_model

SAME = ("map.tif", "confidence.tif", "model.safetensors", "run.json", "map.qml", "map.tif.aux.xml")


def same(one: Path, other: Path) -> bool:
    return all((one / name).read_bytes() == (other / name).read_bytes() for name in SAME)


@pytest.fixture(scope="module")
def settings(quick: Any) -> Any:
    return quick(baselines=("lda",), refine=("dense-crf",), repeats=2, steps=10)


@pytest.fixture(scope="module")
def whole(toy: Scene, settings: Any, run: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same run, never interrupted."""
    made: Path = run(toy, settings, tmp_path_factory.mktemp("runs") / "whole")
    return made


@pytest.mark.parametrize(("repeat", "step"), [(0, 7), (1, 1), (1, 10)])
def test_interrupted_in_training(
    toy: Scene, settings: Any, run: Any, whole: Path, tmp_path: Path, repeat: int, step: int
) -> None:
    out = tmp_path / "out"
    with pytest.raises(Interrupted) as caught:
        run(toy, settings, out, on_step=stopping(step, f"repeat {repeat + 1}/2"))
    assert caught.value.folder == out
    assert [p.name for p in out.iterdir()] == ["unfinished"]
    kept = {p.name for p in (out / "unfinished").iterdir()}
    assert f"train{repeat}-cnn3d.pt" in kept
    assert ("repeat0.json" in kept) == (repeat == 1)
    run(toy, settings, out, resume=True)
    assert same(whole, out)
    assert not (out / "unfinished").exists()
    one, other = (json.loads((r / "metrics.json").read_text()) for r in (whole, out))
    for name in ("OA", "AA", "kappa", "confusion", "split", "chain"):
        assert one[name] == other[name]


class Stops:
    """A part, or what was fitted with it; asking it for `what` is Ctrl-C."""

    def __init__(self, of: Any, what: str) -> None:
        self.of, self.what = of, what

    def __getattr__(self, name: str) -> Any:
        if name == self.what:
            raise KeyboardInterrupt
        return getattr(self.of, name)


@pytest.mark.parametrize(
    ("name", "what"),
    [("lda", "fit"), ("cnn3d", "map"), ("dense-crf", "fit"), ("dense-crf", "apply"), ("dense-crf", "saved")],
)
def test_interrupted_outside_training(
    toy: Scene, settings: Any, run: Any, whole: Path, tmp_path: Path, name: str, what: str
) -> None:
    table = METHODS if name in METHODS else REFINERS
    part = table[name]
    stops = Stops(part, what) if what == "fit" else replace(part, fit=lambda *a: Stops(part.fit(*a), what))
    with line(table, name, stops), pytest.raises(KeyboardInterrupt):
        run(toy, settings, tmp_path / "out")
    run(toy, settings, tmp_path / "out", resume=True)
    assert same(whole, tmp_path / "out")


def test_interrupted_twice(toy: Scene, settings: Any, run: Any, whole: Path, tmp_path: Path) -> None:
    for n, (repeat, step) in enumerate([(1, 3), (1, 4), (2, 2)]):
        with pytest.raises(Interrupted):
            run(toy, settings, tmp_path / "out", resume=n > 0, on_step=stopping(step, f"repeat {repeat}/2"))
    run(toy, settings, tmp_path / "out", resume=True)
    assert same(whole, tmp_path / "out")


def test_a_run_is_resumed_with_what_it_was_started_with(
    toy: Scene, settings: Any, run: Any, whole: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    with pytest.raises(Interrupted):
        run(toy, settings, out, on_step=stopping(3))
    assert toy.labels is not None
    relabelled = toy.labels.copy()
    relabelled[relabelled == 0] = -1
    relabelled[0, 0] = 0
    for scene, changed, words in (
        (toy, replace(settings, seed=4), r"settings\.seed 0 \(now 4\)"),
        (toy, replace(settings, refine=(), refiner_settings={}), r"settings\.refine .*dense-crf.*now \[\]"),
        (toy, settings.with_({"lr": 0.5}), r"settings\.method_settings\.train\.lr .*now 0\.5"),
        (toy.with_(name="other"), settings, r"scene\.name .*now other"),
        (toy.with_(labels=relabelled), settings, "checksum"),
        (toy.with_(classes=("a", "b", "c")), settings, "classes"),
    ):
        with pytest.raises(RunError, match=words):
            run(scene, changed, out, resume=True)
    run(toy, settings, out, resume=True)  # the refusals changed nothing
    assert same(whole, out)


def test_nothing_to_resume(toy: Scene, settings: Any, run: Any, whole: Path, tmp_path: Path) -> None:
    before = {p.name: p.read_bytes() for p in whole.iterdir()}
    with pytest.raises(RunError, match=r"whole: nothing to resume, this run has ended\..*without --resume"):
        run(toy, settings, whole, resume=True)
    assert {p.name: p.read_bytes() for p in whole.iterdir()} == before
    with pytest.raises(RunError, match=r"absent: nothing to resume, this run does not exist"):
        run(toy, settings, tmp_path / "absent", resume=True)
    (tmp_path / "empty").mkdir()
    with pytest.raises(RunError, match="is no run"):
        run(toy, settings, tmp_path / "empty", resume=True)
    assert not (tmp_path / "absent").exists()


def test_nothing_is_overwritten(toy: Scene, settings: Any, run: Any, tmp_path: Path) -> None:
    mine = tmp_path / "mine"
    mine.mkdir()
    (mine / "notes.txt").write_text("dear")
    file = tmp_path / "file"
    file.write_text("dear")
    for out in (mine, file):
        with pytest.raises(RunError, match=f"{out.name}: exists and is not empty"):
            run(toy, settings, out)
    with pytest.raises(RunError, match="cannot be created"):
        run(toy, settings, file / "below")
    assert (mine / "notes.txt").read_text() == file.read_text() == "dear"
    assert sorted(p.name for p in tmp_path.rglob("*")) == ["file", "mine", "notes.txt"]


def test_an_empty_folder_is_used_and_survives_a_failure(toy: Scene, settings: Any, run: Any, tmp_path: Path) -> None:
    out = tmp_path / "out"
    out.mkdir()
    fails = replace(METHODS["lda"], fit=lambda *given: 1 / 0)
    for folder, left in ((out, True), (tmp_path / "new", False)):
        with line(METHODS, "lda", fails), pytest.raises(ZeroDivisionError):
            run(toy, settings, folder)
        assert folder.exists() == left
    assert list(out.iterdir()) == []


def test_a_run_that_has_not_ended_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: Any) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "runs" / "toy-svm" / "unfinished").mkdir(parents=True)
    with caplog.at_level("INFO"):
        made = open_run(None, default="toy-svm", resume=False, started={}).root.as_posix()
    assert made == "runs/toy-svm-2"
    assert "runs/toy-svm holds a run that has not ended: --resume goes on with it" in caplog.text


def test_folders_are_numbered(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    made = [open_run(None, default="toy-svm", resume=False, started={}).root for _ in range(3)]
    assert [p.as_posix() for p in made] == ["runs/toy-svm", "runs/toy-svm-2", "runs/toy-svm-3"]
    for name, age in (("toy-svm", 300), ("toy-svm-2", 100), ("toy-svm-3", 200), ("toy-svm-old", 0)):
        folder = tmp_path / "runs" / name
        (folder / "unfinished").mkdir(parents=True, exist_ok=True)
        os.utime(folder, (1e9 - age, 1e9 - age))
    # the latest of its own, and not somebody's toy-svm-old
    assert open_run(None, default="toy-svm", resume=True, started={}).root.name == "toy-svm-2"
    with pytest.raises(RunError, match="does not exist"):
        open_run(None, default="toy", resume=True, started={})
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    with pytest.raises(RunError, match="does not exist"):
        open_run(None, default="toy", resume=True, started={})
    (tmp_path / "elsewhere" / "runs").write_text("a file")
    with pytest.raises(RunError, match="cannot be created"):
        open_run(None, default="toy", resume=False, started={})


def damage(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


@pytest.mark.parametrize("name", ["train1-cnn3d.pt", "repeat0.npz", "repeat0.json", "started.json"])
def test_damaged_state_is_named(toy: Scene, settings: Any, run: Any, tmp_path: Path, name: str) -> None:
    out = tmp_path / "out"
    with pytest.raises(Interrupted):
        run(toy, settings, out, on_step=stopping(4, "repeat 2/2"))
    damage(out / "unfinished" / name)
    with pytest.raises(RunError, match=name.split(".")[0]) as caught:
        run(toy, settings, out, resume=True)
    assert "Remove" in str(caught.value)
    assert (out / "unfinished").is_dir()


@contextmanager
def full_disk(name: str) -> Iterator[list[str]]:
    """No room for the file `name`; yields the names that were tried."""
    plain: Callable[..., None] = os.replace
    tried = []

    def replace_(source: Any, target: Any) -> None:
        tried.append(Path(target).name)
        if Path(target).name == name:
            raise OSError(errno.ENOSPC, "No space left on device")
        plain(source, target)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "replace", replace_)
        yield tried


def test_a_full_disk_at_the_end(toy: Scene, settings: Any, run: Any, whole: Path, tmp_path: Path) -> None:
    """The run fails at every file in turn, is resumed each time, and ends as if nothing had been."""
    out = tmp_path / "out"
    last = ("map.png", "report.html", "metrics.json")
    for k, name in enumerate(("map.tif", "confidence.tif", "model.safetensors", "run.json", *last)):
        with full_disk(name) as tried, pytest.raises(HypersegError, match="No space left") as caught:
            run(toy, settings, out, resume=k > 0, pictures=name == "map.png")
        assert name in tried
        assert not any(file.startswith(("train", "repeat")) for file in tried) or k == 0
        assert str(out / name) in str(caught.value)
        assert f"--out {out} --resume" in " ".join(caught.value.__notes__)
        assert not (out / name).exists()
        assert not (out / "metrics.json").exists()  # what has no metrics has not ended
        assert [p for p in out.rglob("*") if p.name.startswith(".") or p.suffix == ".part"] == []
    run(toy, settings, out, resume=True)
    assert same(whole, out)


@pytest.mark.parametrize("name", ["started.json", "train0-cnn3d.pt", "repeat0.npz", "repeat0.json"])
def test_a_full_disk_before_the_end(
    toy: Scene, settings: Any, run: Any, whole: Path, tmp_path: Path, name: str
) -> None:
    out = tmp_path / "out"
    with full_disk(name), pytest.raises(HypersegError, match="No space left"):
        run(toy, settings, out)
    if name in ("started.json", "train0-cnn3d.pt"):  # nothing was achieved
        assert not out.exists()
        return
    run(toy, settings, out, resume=True)
    assert same(whole, out)


def test_weights_that_cannot_be_read_back(whole: Path, tmp_path: Path) -> None:
    whole = Path(shutil.copytree(whole, tmp_path / "copy"))
    tensors, record = load_model(whole)
    assert {name.split(".")[0] for name in tensors} == {"model", "applicability", "refiner0"}
    assert np.isfinite(tensors["model.preprocess.mean"]).all()
    assert record["settings"]["repeats"] == 2
    damage(whole / "model.safetensors")
    with pytest.raises(RunError, match=r"model\.safetensors: missing or damaged"):
        load_model(whole)
    (whole / "model.safetensors").unlink()
    with pytest.raises(RunError, match=r"model\.safetensors: missing or damaged"):
        load_model(whole)
    damage(whole / "run.json")
    with pytest.raises(RunError, match=r"run\.json: not a JSON record"):
        load_model(whole)
    (whole / "run.json").write_text("[]")
    with pytest.raises(RunError, match="not the record of a run"):
        load_model(whole)
    (whole / "run.json").unlink()
    with pytest.raises(RunError, match=r"run\.json: No such file.*finished run"):
        load_model(whole)
    (whole / "unfinished").mkdir()
    with pytest.raises(RunError, match=r"has not ended.*--resume"):
        load_model(whole)


def test_a_run_of_an_earlier_version_is_refused_with_a_remedy(whole: Path, tmp_path: Path) -> None:
    """Its record had no format; a later one will have another."""
    record = json.loads((whole / "run.json").read_text())
    assert record.pop("format") == 3
    for more, told in (({}, "format 1"), ({"format": 4}, "format 4")):
        (tmp_path / "run.json").write_text(json.dumps(record | more | {"versions": {"hyperseg": "0.7"}}))
        with pytest.raises(RunError, match=rf"run\.json: a record of {told}, .*reads format 3\.") as caught:
            load_run(tmp_path)
        assert "Classify the scene again with the same options" in str(caught.value)
        assert "the version that made the run (0.7)" in str(caught.value)
