"""The benchmark of samplers as a whole, tiny: what goes on is what was never interrupted, and what is refused."""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import torch

from hyperseg.core import DataFileError, RunError, SettingError
from hyperseg.core.parts import Entry
from hyperseg.core.runtime import Runtime
from hyperseg.dpm import extras, features
from hyperseg.dpm.samplers import SAMPLERS
from hyperseg.dpm.samplers.euler import EULER
from hyperseg.dpm.samplers.sampler import Sampler
from hyperseg.dpm.schedules import SCHEDULES
from hyperseg.dpm.schedules.edm import EDM
from hyperseg.dpm.schedules.linear import LINEAR
from hyperseg.recipes.bench import cells as making
from hyperseg.recipes.bench import samplers as recipe
from hyperseg.recipes.bench.data import Pictures
from hyperseg.recipes.bench.folder import UNFINISHED
from hyperseg.recipes.bench.plan import plan_cells
from hyperseg.recipes.bench.preparing import features_of
from hyperseg.recipes.bench.rows import read_rows
from hyperseg.recipes.bench.samplers import bench_samplers
from hyperseg.recipes.bench.settings import Asked, BenchSettings, asked_now
from hyperseg.recipes.run.folder import Interrupted

TINY = {"steps": 3, "samples": 16, "feature_steps": 3}
FIRST = EULER.name


def blobs(name: str, *, folder: Path | None = None, seed: int = 0) -> Pictures:
    generator = torch.Generator().manual_seed(seed)
    labels = torch.arange(72) % 2
    x = torch.rand(72, 1, 4, 4, generator=generator) * 0.4 + labels[:, None, None, None] - 0.7
    return Pictures(name, x[:48], labels[:48], ("dark", "bright"), x[48:], labels[48:], "Blobs.")


@pytest.fixture(autouse=True)
def small_data(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(recipe, "load_pictures", blobs)
    monkeypatch.chdir(tmp_path)


def bench(out: str | None = "b", **more: Any) -> Any:
    given = {"samplers": (FIRST,), "nfes": (1, 3), "given": TINY, "quiet": True, "device": "cpu"}
    return bench_samplers(out=out, **(given | more))


def plain(rows: Any) -> list[Any]:
    return sorted((replace(row, seconds=None) for row in rows), key=lambda row: row.key)


@pytest.fixture
def planted(monkeypatch: pytest.MonkeyPatch) -> Callable[[Sampler], None]:
    """Put a sampler into the table."""

    def plant(sampler: Sampler) -> None:
        module = ModuleType("planted_samplers")
        module.__dict__["IT"] = sampler
        monkeypatch.setitem(sys.modules, "planted_samplers", module)
        monkeypatch.setitem(SAMPLERS.entries, sampler.name, Entry("planted_samplers:IT", "planted"))

    return plant


def test_going_on_is_as_never_interrupted(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = bench("whole")
    append, kept = making.append_row, []

    def append_one(folder: Path, row: Any) -> None:
        append(folder, row)
        kept.append(row.key)
        if len(kept) == 1:
            raise KeyboardInterrupt

    monkeypatch.setattr(making, "append_row", append_one)
    with pytest.raises(Interrupted):
        bench("halted")
    root = Path("halted")
    assert list(read_rows(root)) == kept
    assert not json.loads((root / "bench.json").read_text())["finished"]
    with (root / "cells.jsonl").open("a") as file:
        file.write('{"key": "of a killed proc')
    done = bench("halted", resume=True, given={})
    assert plain(done.rows) == plain(whole.rows)
    assert kept == list(dict.fromkeys(kept))  # no cell was made twice
    assert {p.name for p in root.iterdir()} == {p.name for p in Path("whole").iterdir()}
    assert not (root / UNFINISHED).exists()
    assert (root / "model.safetensors").read_bytes() == Path("whole/model.safetensors").read_bytes()


def test_a_finished_benchmark_takes_more_cells() -> None:
    before = bench()
    after = bench(resume=True, given={}, nfes=(1, 3, 5))
    assert {row.key for row in after.rows} > {row.key for row in before.rows}
    assert set(plain(before.rows)) <= set(plain(after.rows))
    other = bench("other", given={"model": "b", "samples": 16, "feature_steps": 3})
    assert [r.fd for r in plain(other.rows)] == [r.fd for r in plain(before.rows)]


def test_what_is_not_asked_for_again_stays_as_it_was_begun() -> None:
    bench(samplers=(FIRST, "heun"), nfes=(3,))
    calls = bench(resume=True, given={}, samplers=None, nfes=(5,))
    assert {(row.method, row.asked) for row in calls.rows} == {(n, k) for n in (FIRST, "heun") for k in (3, 5)}
    methods = bench(resume=True, given={}, samplers=("ddpm",), nfes=None)
    assert {row.asked for row in methods.rows if row.method == "ddpm"} == {3}
    again = bench(resume=True, given={}, samplers=None, nfes=None)
    assert plain(again.rows) == plain(methods.rows)
    assert json.loads(Path("b/bench.json").read_text())["asked"] == {"samplers": [FIRST, "heun"], "nfes": [3]}
    assert asked_now(None, (5,), {}) == Asked((), (5,))  # begun by a version that kept nothing
    assert asked_now((), None, {"samplers": [FIRST], "nfes": [3]}) == Asked((), (3,))  # --samplers all


def test_the_usual_folder_has_the_name_of_the_data() -> None:
    done = bench(None, data="digits:size=4,classes=2", nfes=(1,))
    assert done.root == Path("runs/samplers-digits-2classes-4px")


def test_what_is_for_distilled_networks_is_made_where_it_is_named(planted: Callable[[Sampler], None]) -> None:
    planted(replace(EULER, name="of-students", aside="is for students"))
    asked = Asked((), (1,))
    planned = plan_cells(asked, SCHEDULES["linear"], speedups={})
    assert "of-students" not in {cell.method for cell in planned.cells}
    assert any("of-students" in line and "for students" in line for line in planned.left_out)
    named = plan_cells(replace(asked, methods=("of-students",)), SCHEDULES["linear"], speedups={})
    assert [cell.method for cell in named.cells if cell.kind == "sampler"] == ["of-students"]


def test_every_row_counts_its_calls_and_starts_from_the_same_noise(planted: Callable[[Sampler], None]) -> None:
    """A sampler under another name makes the same samples: nothing but the method differs between rows."""
    planted(replace(EULER, name="twin-of-it"))
    done = bench(samplers=(FIRST, "twin-of-it"), nfes=(3,))
    one, two = (next(r for r in done.rows if r.key == f"sampler:{name}@3") for name in (FIRST, "twin-of-it"))
    assert one.nfe == two.nfe == 3
    assert one.strip == two.strip
    assert one.fd == two.fd is not None


@pytest.mark.parametrize(
    ("more", "words"),
    [
        ({"samplers": ("ddin",)}, "Did you mean ddim"),
        ({"given": {**TINY, "objective": "epz"}}, "objective"),
        ({"given": {**TINY, "schedule": "linaer"}}, "Did you mean linear"),
        ({"given": {**TINY, "samples": 2}}, "samples is 16 or more"),
        ({"nfes": (0,)}, "whole numbers from 1"),
        ({"minutes": 1.0}, "leave out --train-steps"),
        ({"nfes": (10_001,)}, "10000 at most, got 10001"),
        ({"minutes": float("nan"), "given": {}}, "minutes is a number above 0"),
        ({"minutes": float("inf"), "given": {}}, "minutes is a number above 0"),
        ({"resume": True, "overwrite": True}, "give one of them"),
        ({"given": {"samples": 16, "model": "nowhere"}}, "nowhere/?.*holds no diffusion model|nowhere: holds no"),
    ],
)
def test_refused_before_anything_is_written(more: dict[str, Any], words: str) -> None:
    with pytest.raises((SettingError, RunError), match=words):
        bench(**more)
    assert not Path("b").exists()


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"model": "b", "objective": "eps"}, "--objective is of a training, and --model"),
        ({"model": "b", "schedule": "linear"}, "--schedule is of a training"),
        ({"model": "b", "steps": 5}, "--train-steps is of a training"),
        ({"inception": "b", "feature_steps": 5}, "--feature-steps is of a training, and --inception"),
    ],
)
def test_no_setting_is_taken_and_ignored(given: dict[str, Any], words: str) -> None:
    with pytest.raises(SettingError, match=words):
        bench("other", given=given)


def test_wrong_weights_of_inception_cost_nothing_that_is_there() -> None:
    bench()
    before = Path("b/cells.jsonl").read_bytes()
    torch.save({"weight": torch.zeros(2)}, "other.pt")
    with pytest.raises(DataFileError, match=r"arrays of .* lack"):
        bench(overwrite=True, given={"inception": "other.pt", "samples": 16})
    assert Path("b/cells.jsonl").read_bytes() == before


def test_features_of_inception_are_worked_out_on_the_device(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[Any] = []
    monkeypatch.setattr(features, "inception_features", lambda file, device="cpu": asked.append(device))
    features_of(BenchSettings(inception="w.pt"), blobs("blobs"), Runtime(0, "cuda:1"))
    assert asked == ["cuda:1"]


def test_a_benchmark_with_a_given_model_goes_on_without_it() -> None:
    bench("given")
    with_it = {"model": "given", "samples": 16, "feature_steps": 3}
    before = bench(given=with_it, nfes=(1,))
    shutil.rmtree("given")
    after = bench(resume=True, given={}, nfes=(1, 3))
    assert set(plain(before.rows)) < set(plain(after.rows))


def test_rows_of_two_devices_do_not_mix(monkeypatch: pytest.MonkeyPatch) -> None:
    """The same seed gives other noise there, so that rows would not start from the same."""
    bench(nfes=(1,))
    told = json.loads(Path("b/bench.json").read_text())
    assert told["network"]["predicts"] == "v"
    Path("b/bench.json").write_text(json.dumps(told | {"device": "cuda:0"}))
    with pytest.raises(RunError, match=r"begun on cuda, .* --device cuda"):
        bench(resume=True, given={})


def test_a_benchmark_inside_its_data_is_refused(tmp_path: Path) -> None:
    (tmp_path / "photos").mkdir()
    with pytest.raises(SettingError, match="lies in the folder of the data"):
        bench("photos/bench", data="photos")


def test_heads_that_a_continuous_schedule_cannot_have_are_refused_before_training(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with pytest.raises(SettingError, match="needs a network of a schedule of steps"):
        plan_cells(Asked(("iddpm",), (4,)), EDM, speedups={})
    every = plan_cells(Asked((), (4,)), EDM, speedups={})
    assert "iddpm" not in {cell.method for cell in every.cells}
    assert any("iddpm" in line for line in every.left_out)
    asked: list[Any] = []

    def add(model: Any, data: Any, runtime: Any, heads: Any, **more: Any) -> Any:
        asked.append(heads)
        raise KeyboardInterrupt

    monkeypatch.setattr(extras, "add_extras", add)
    with pytest.raises(Interrupted):
        bench(samplers=("npr-ddpm",), nfes=(4,), given={**TINY, "objective": "edm"})
    assert asked == [("squared", "residual")]


def test_steps_are_chosen_for_the_variance_that_they_are_chosen_by() -> None:
    def chosen(*names: str) -> set[str]:
        cells = plan_cells(Asked(names, (4,)), LINEAR, speedups={}).cells
        return {cell.method for cell in cells if cell.kind == "chosen"}

    assert chosen("ddpm-large") == set()
    assert chosen("ddpm-large", "ddpm") == {"ddpm"}


def test_calls_below_a_samplers_least(planted: Callable[[Sampler], None]) -> None:
    planted(replace(EULER, name="needs-three", least=3))
    with pytest.raises(SettingError, match="needs-three needs at least 3 network calls, got 1"):
        bench(samplers=(FIRST, "needs-three"), nfes=(1, 3))


def test_a_package_that_is_not_there(planted: Callable[[Sampler], None]) -> None:
    planted(replace(EULER, name="foreign", package="not_there_at_all"))
    with pytest.raises(SettingError, match=r"foreign needs the package not_there_at_all: pip install"):
        bench(samplers=("foreign",))


def test_what_a_sampler_refuses_is_refused_before_training(planted: Callable[[Sampler], None]) -> None:
    def refuse(*args: Any, **more: Any) -> Any:
        raise SettingError("this schedule cannot be served.")

    planted(replace(EULER, name="choosy", sample=refuse))
    with pytest.raises(SettingError, match="cannot be served"):
        bench(samplers=("choosy",))
    assert not Path("b").exists()


def test_a_benchmark_goes_on_with_its_own_data_and_settings_only(monkeypatch: pytest.MonkeyPatch) -> None:
    bench(nfes=(1,))
    with pytest.raises(RunError, match="begun with samples 16, now 32"):
        bench(resume=True, given={"samples": 32})
    with pytest.raises(RunError, match="--minutes 2 cannot change them"):
        bench(resume=True, given={}, minutes=2.0)
    with pytest.raises(RunError, match=r"--resume goes on with it"):
        bench()
    monkeypatch.setattr(recipe, "load_pictures", lambda name, folder=None: blobs(name, seed=1))
    with pytest.raises(RunError, match=r"other values of .* \(checksum"):
        bench(resume=True, given={})
    bench(overwrite=True, nfes=(1,))


def test_only_a_benchmark_is_ever_removed() -> None:
    Path("b").mkdir()
    Path("b/notes.txt").write_text("mine")
    for how in ({"overwrite": True}, {"resume": True}, {}):
        with pytest.raises(RunError):
            bench(**how)
    assert Path("b/notes.txt").read_text() == "mine"


def test_a_sampler_that_breaks_has_a_row_without_numbers(planted: Callable[[Sampler], None]) -> None:
    def breaks(denoise: Any, x: torch.Tensor, grid: Any, *, generator: Any) -> Any:
        return EULER.sample(denoise, x * float("nan"), grid, generator=generator)  # type: ignore[misc]

    planted(replace(EULER, name="breaks", sample=breaks, order=None))
    done = bench(samplers=("breaks",), nfes=(1,))
    (row,) = done.rows
    assert row.fd is None
    assert "not finite" in row.note
    assert "breaks" in Path("b/table.md").read_text()


def test_an_empty_folder_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.undo()
    with pytest.raises(DataFileError, match=r"no such folder; a folder of images or one of the sets"):
        bench("elsewhere", data="nothing-here")
