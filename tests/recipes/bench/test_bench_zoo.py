"""Whole benchmarks of networks: folds and seeds of every row, killed and resumed, more members, faults told."""

from __future__ import annotations

import csv
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from discs import write_discs
from torch import Tensor, nn

from hyperseg.backbone import BackboneSpec, ConvBlock
from hyperseg.core import DataFileError, HypersegError, RunError, SettingError, SplitError
from hyperseg.core.parts import Entry
from hyperseg.recipes.bench.zoo.bench import ZooBenched, bench_zoo
from hyperseg.recipes.bench.zoo.making.peers import PEERS
from hyperseg.recipes.methods import METHODS
from hyperseg.simulated.scenes import toy_scene
from hyperseg.zoo import NETWORKS
from hyperseg.zoo.member import Member

FEW = {"folds": 2, "steps": 2, "width": 4}
MEASURED = ("cells", "score", "sd", "difference", "parameters", "multiply_adds", "Dice", "IoU")  # but seconds
Bench = Callable[..., ZooBenched]


class Flat(nn.Module):
    """One convolution."""

    def __init__(self, spec: BackboneSpec, n_classes: int, chosen: Any) -> None:
        super().__init__()
        self.one = ConvBlock(spec.conv, spec.in_channels, n_classes, 3)

    def forward(self, x: Tensor) -> Tensor:
        found: Tensor = self.one(x)
        return found


class Faulty(Flat):
    """Fails as soon as it is used."""

    def forward(self, x: Tensor) -> Tensor:
        raise ValueError("a fault of its own")


FLAT = Member("flat", "Flat", 2020, "other", Flat, Flat)
FAULTY = Member("faulty", "Faulty", 2020, "other", Faulty, Faulty)
SOLID = Member("solid", "Solid", 2020, "other", Flat, Flat, axes=(3,))


@pytest.fixture(autouse=True)
def members(monkeypatch: pytest.MonkeyPatch) -> None:
    """A zoo of the U-Net and some toys."""
    for name in [name for name in NETWORKS if name != NETWORKS.default]:
        monkeypatch.delitem(NETWORKS.entries, name)
    for member in (FLAT, FAULTY, SOLID):
        monkeypatch.setitem(NETWORKS.entries, member.name, Entry(f"{__name__}:{member.name.upper()}", "a toy"))


@pytest.fixture(scope="module")
def toys(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("toys") / "discs"
    write_discs(folder, 4, side=16)
    return folder


@pytest.fixture
def bench(toys: Path) -> Bench:
    def run(out: Path, given: dict[str, Any] | None = None, **more: Any) -> ZooBenched:
        kept = {} if more.get("resume") else FEW
        return bench_zoo(toys, out=out, given={**kept, **(given or {})}, quiet=True, **more)

    return run


def numbers(root: Path) -> list[dict[str, str]]:
    """The table without seconds and bytes."""
    with (root / "table.csv").open(encoding="utf-8") as opened:
        return [{name: row[name] for name in ("network", *MEASURED)} for row in csv.DictReader(opened)]


def test_a_killed_one_goes_on_to_the_same_table_and_takes_more(bench: Bench, tmp_path: Path) -> None:
    done = bench(tmp_path / "b", members=("u-net",))
    assert {cell.at for cell in done.cells} == {
        (row, fold, 0) for row in ("pixel-linear", "svm", "u-net") for fold in (0, 1)
    }  # fmt: skip
    for name in ("table.csv", "table.md", "front.png", "report.html", "bench.json"):
        assert (done.root / name).stat().st_size > 0
    assert not (done.root / "cache").exists()
    killed = tmp_path / "killed"
    shutil.copytree(done.root, killed)
    lines = (killed / "cells.jsonl").read_bytes().splitlines(keepends=True)
    (killed / "cells.jsonl").write_bytes(b"".join(lines[:3]) + lines[3][:30])
    bench(killed, resume=True)
    assert numbers(killed) == numbers(done.root)
    before = (killed / "cells.jsonl").read_bytes()
    assert before.startswith(b"".join(lines[:3]))
    more = bench(killed, resume=True, members=("flat",))
    assert {cell.at for cell in more.cells} - {cell.at for cell in done.cells} == {("flat", 0, 0), ("flat", 1, 0)}
    assert (killed / "cells.jsonl").read_bytes().startswith(before)
    with pytest.raises(RunError, match="steps 2, now 3"):
        bench(killed, resume=True, given={"steps": 3})
    with pytest.raises(RunError, match="holds a benchmark already"):
        bench(killed)


def test_all_but_what_cannot_be_trained_and_faults_are_told(
    bench: Bench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:  # fmt: skip
    pytest.importorskip("monai")
    for name in [name for name in PEERS if name != "UNet"]:
        monkeypatch.delitem(PEERS, name)
    done = bench(tmp_path / "b", given={"steps": 0}, minutes=0.001, members=("all", "monai:UNet"))
    keys = {row.row.key for row in done.rows}
    assert {"pixel-linear", "svm", "u-net", "flat", "monai:UNet"} <= keys
    assert not {"faulty", "solid"} & keys
    told = " ".join(done.found["left_out"])
    assert "solid is a network for images of 3 axes" in told
    assert "left out: faulty: ValueError: a fault of its own" in told
    assert done.found["settings"]["steps"] == 10  # the fewest, in so little time
    sizes = {row.row.key: row.parameters for row in done.rows}
    assert sizes["pixel-linear"] == 2 * (1 + 1)
    assert sizes["svm"] is None
    with pytest.raises(SettingError, match="faulty cannot be trained here: ValueError"):
        bench(tmp_path / "c", members=("faulty",))


def test_what_cannot_be_done_is_told_before_training(bench: Bench, toys: Path, tmp_path: Path) -> None:
    out = tmp_path / "b"
    with pytest.raises(SettingError, match="Did you mean flat"):
        bench(out, members=("flatt",))
    with pytest.raises(SettingError, match="3 axes"):
        bench(out, members=("solid",))
    with pytest.raises(SplitError, match="4 labelled cases in 4 groups, but 7 folds need 7"):
        bench(out, given={"folds": 7})
    with pytest.raises(SettingError, match="--split is of scenes"):
        bench(out, given={"split": "blocks"})
    with pytest.raises(SettingError, match="seeds is a whole number from 1"):
        bench(out, seeds=0)
    with pytest.raises(SettingError, match="leave out --steps"):
        bench(out, minutes=3)
    with pytest.raises(RunError, match="no benchmark to go on with"):
        bench(out, resume=True)
    with pytest.raises(DataFileError, match="no such folder"):
        bench_zoo(tmp_path / "nothing", out=out, quiet=True)
    bare = tmp_path / "bare" / "images"
    shutil.copytree(toys / "images", bare)
    with pytest.raises(HypersegError, match="label"):
        bench_zoo(bare.parent, out=out, quiet=True)
    assert not out.exists()


def test_other_data_is_refused(toys: Path, tmp_path: Path) -> None:
    folder = tmp_path / "discs"
    shutil.copytree(toys, folder)
    bench_zoo(folder, out=tmp_path / "b", members=("u-net",), given={**FEW, "steps": 1}, quiet=True)
    np.save(folder / "images" / "c3.npy", np.load(folder / "images" / "c3.npy") + 1)
    with pytest.raises(RunError, match=r"another c3 \(cases\)"):
        bench_zoo(folder, out=tmp_path / "b", resume=True, quiet=True)


def test_a_scene_by_splits(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    quick = Entry("hyperseg.recipes.methods.lda:LDA", "in the place of a network that takes long")
    monkeypatch.setitem(METHODS.entries, METHODS.default, quick)
    scene = toy_scene(shape=(20, 18), n_bands=6)
    with pytest.raises(SettingError, match="--folds is of folders"):
        bench_zoo(scene, out=tmp_path / "s", given={"folds": 2}, quiet=True)
    given = {"split": "random_per_class:8", "steps": 2}
    done = bench_zoo(scene, out=tmp_path / "s", seeds=2, members=("flat",), given=given, quiet=True)
    assert {cell.at for cell in done.cells} == {
        (row, fold, 0) for row in ("pixel-linear", "svm", "cnn3d", "flat") for fold in (0, 1)
    }
    rows = {row.row.key: row for row in done.rows}
    assert rows["cnn3d"].gain is None
    assert rows["flat"].gain is not None
    assert rows["pixel-linear"].madds is None
    assert set(rows["flat"].scores) == {"OA", "AA", "kappa"}
    assert rows["flat"].madds
    assert all(cell.score is not None and 0 <= cell.score <= 100 for cell in done.cells)
