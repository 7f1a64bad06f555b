"""The benchmark of tricks: verdicts by hand, folds and networks shared, kill and resume, the same table again."""

from __future__ import annotations

import csv
import json
import shutil
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from discs import write_discs, write_small_plan

from hyperseg.core import RunError, Scene, SettingError, SplitError
from hyperseg.core.parts import Entry, Trick
from hyperseg.core.settings import to_json
from hyperseg.io.write import write_json
from hyperseg.recipes.bench.cases import taken
from hyperseg.recipes.bench.tricks.bench import TricksBenched, bench_tricks
from hyperseg.recipes.bench.tricks.judging import by_row, judge
from hyperseg.recipes.bench.tricks.on_scene import reusing
from hyperseg.recipes.bench.tricks.pace import RowPace, cost_of
from hyperseg.recipes.bench.tricks.rows import PLAIN, Cell, Row, check_spelling, combined, tasks_of
from hyperseg.recipes.bench.tricks.showing.table import OF_CASES, as_markdown, verdicts
from hyperseg.recipes.segment.planning import plan_cases, read_folder
from hyperseg.recipes.tricks import TRICKS
from hyperseg.simulated.scenes import toy_scene

OVER = "oversampling:share=0.9"
SMALL = {"folds": 2, "steps": 2, "method": "unet"}


@pytest.fixture(scope="module")
def toys(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("discs")
    write_discs(folder, 6)
    return folder


@pytest.fixture(scope="module")
def plan(toys: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("plan") / "plan.json"
    write_small_plan(toys, file)
    return file


Bench = Callable[..., TricksBenched]


@pytest.fixture(scope="module")
def bench(toys: Path, plan: Path) -> Bench:
    def run(out: Path, **more: Any) -> TricksBenched:
        given = SMALL | more.pop("given", {})
        if not more.get("resume"):
            more = {"plan": plan, "tricks": ("tta", OVER), **more}
        return bench_tricks(toys, **{"out": out, "seeds": 2, "given": given, "quiet": True, **more})

    return run


@pytest.fixture(scope="module")
def done(bench: Bench, tmp_path_factory: pytest.TempPathFactory) -> TricksBenched:
    return bench(tmp_path_factory.mktemp("done") / "b")


def numbers(root: Path) -> list[list[str]]:
    """The table without seconds."""
    with (root / "table.csv").open(encoding="utf-8") as file:
        return [row[:-2] for row in csv.reader(file)]


def cells_of(row: str, gain: float, spread: float = 0.0, *, folds: int = 5, seeds: int = 3) -> list[Cell]:
    """Cells whose baseline goes up and down by 0.01 with the seed; a gain that changes from cell to cell."""
    return [
        Cell(row, fold, seed, 0.5 + 0.02 * fold + 0.01 * (seed - 1) + gain + spread * (-1) ** (fold + seed),
             learnt=4, tested=1)
        for fold in range(folds) for seed in range(seeds)
    ]  # fmt: skip


# what the cells say


def test_gains_beyond_the_noise_are_ranked_and_the_rest_is_not() -> None:
    rows = [Row(name, (name,)) for name in ("much", "bad", "zero", "little", "unsure", "some")]
    cells = [
        *cells_of("baseline", 0), *cells_of("much", 0.2, 0.01), *cells_of("bad", -0.1, 0.01), *cells_of("zero", 0),
        *cells_of("little", 0.003, 0.0001), *cells_of("unsure", 0.02, 0.3), *cells_of("some", 0.1, 0.01),
    ]  # fmt: skip
    result = judge(rows, None, by_row(cells), shared=True)
    assert [row.row.key for row in result.rows] == ["baseline", "much", "some", "bad", "little", "unsure", "zero"]
    assert [row.row.key for row in result.of("helps")] == ["much", "some"]
    assert [row.row.key for row in result.of("harms")] == ["bad"]
    told = {row.row.key: row for row in result.rows}
    zero, little, unsure = (told[name] for name in ("zero", "little", "unsure"))
    assert zero.gain is not None
    assert (zero.gain.mean, zero.p) == (0.0, 1.0)  # an identity
    assert little.p is not None
    assert little.p < 0.05  # certain, but smaller than what seeds do
    assert unsure.p is not None
    assert unsure.p > 0.05  # large, but not certain
    sentences = verdicts(result, OF_CASES)
    assert sentences[0].startswith("Helps: much (+0.201) and some (+0.101).")
    assert "little and unsure." in sentences[2]
    assert sentences[3] == "Changes nothing here: zero. Every cell has the baseline's score."
    assert "not told apart from noise" in as_markdown(result, OF_CASES, shared=True)


def test_where_nothing_helps_it_is_said_and_nothing_is_combined() -> None:
    result = judge([Row("zero", ("zero",))], None, by_row(cells_of("baseline", 0) + cells_of("zero", 0)), shared=True)
    assert (
        verdicts(result, OF_CASES)[0]
        == "No trick is shown to help: no gain is above the noise line with a p below 0.05."
    )
    assert combined([]) is None


def test_cells_that_only_measure_the_noise_are_in_no_mean() -> None:
    """Of a scene the baseline alone has a second seed."""
    cells = by_row(cells_of("baseline", 0, seeds=2) + cells_of("a", 0.1, seeds=1))
    result = judge([Row("a", ("a",))], None, cells, shared=False)
    baseline, row = result.rows
    assert row.gain is not None
    assert row.score - baseline.score == pytest.approx(row.gain.mean) == pytest.approx(0.1)
    assert (result.cells, row.gain.n, result.noise.pairs) == (5, 5, 5)
    assert row.line == result.noise.line(5)


def test_folds_that_share_cases_need_more_evidence() -> None:
    cells = by_row(cells_of("baseline", 0) + cells_of("a", 0.02, 0.02))
    rows = [Row("a", ("a",))]
    corrected, plain = (judge(rows, None, cells, shared=shared).rows[1].p for shared in (True, False))
    assert corrected is not None
    assert plain is not None
    assert plain < corrected


def test_of_a_family_the_best_one_is_combined() -> None:
    rows = [(Row("dice-loss", ("dice-loss",), "loss"), 0.1), (Row("ohem", ("ohem",), "loss"), 0.2)]
    assert combined(rows) is None  # two ways to do one thing
    both = combined([(Row(OVER, (OVER,)), 0.1), (Row("tta", ("tta",), trains=False), 0.2)])
    assert both is not None
    assert both.tricks == (OVER, "tta")
    assert both.trains


# what is to be done


def test_tricks_that_train_nothing_share_the_training_of_the_baseline() -> None:
    rows = [PLAIN, Row("tta", ("tta",), trains=False), Row(OVER, (OVER,))]
    tasks = tasks_of(rows, [], folds=2, seeds=1, steps=3)
    assert [(task.trained.key, [row.key for row in task.rows]) for task in tasks[:2]] == [
        ("baseline", ["baseline", "tta"]), (OVER, [OVER]),
    ]  # fmt: skip
    assert len(tasks) == 4
    done = [("baseline", 0, 0), (OVER, 0, 0), (OVER, 1, 0)]
    left = tasks_of(rows, done, folds=2, seeds=1, steps=3)
    assert [[row.key for row in task.rows] for task in left] == [["tta"], ["baseline", "tta"]]


def test_steps_follow_from_the_minutes_and_dear_rows_count() -> None:
    plain, dear = RowPace(PLAIN, 0.1, 0.5, 0.2), RowPace(Row("a", ("a",)), 0.3, 0.5, 0.2)
    cost = cost_of([plain, dear], cells=10, cases=20)
    assert cost.fixed == pytest.approx(2 * 0.5 * 10 + 2 * 0.2 * 20)
    assert cost.step == pytest.approx(0.4 * 10)
    steps = cost.steps(10, 1)
    assert cost.seconds(steps, 1) <= 600 < cost.seconds(steps + 1, 1)
    assert cost.steps(20, 1) > cost.steps(10, 2) - 1 > steps


def test_some_cases_are_drawn_with_their_groups(toys: Path) -> None:
    folder = read_folder(toys, quiet=True)
    few = taken(folder, 4, 0)
    assert len(few.cases) == 4
    assert few == taken(folder, 4, 0) != taken(folder, 4, 1)
    assert taken(folder, 0, 0) == taken(folder, 99, 0) == folder


# whole benchmarks


def test_every_row_has_the_same_folds_and_seeds(done: TricksBenched) -> None:
    assert {cell.at for cell in done.cells} == {
        (row, fold, seed) for row in ("baseline", "tta", OVER) for fold in (0, 1) for seed in (0, 1)
    }
    for name in ("table.csv", "table.md", "gains.png", "report.html", "bench.json"):
        assert (done.root / name).stat().st_size > 0
    assert not (done.root / "cache").exists()
    trained = {cell.at[1:]: cell.training_s for cell in done.cells if cell.row == "baseline"}
    assert trained == {cell.at[1:]: cell.training_s for cell in done.cells if cell.row == "tta"}  # the same networks


def test_a_killed_one_goes_on_to_the_same_table_and_takes_more(
    bench: Bench, done: TricksBenched, tmp_path: Path
) -> None:  # fmt: skip
    killed = tmp_path / "killed"
    shutil.copytree(done.root, killed)
    lines = (killed / "cells.jsonl").read_bytes().splitlines(keepends=True)
    (killed / "cells.jsonl").write_bytes(b"".join(lines[:5]) + lines[5][:30])
    shutil.rmtree(killed / "networks")
    went_on = bench(killed, resume=True, jobs=2)  # in two processes what one found
    assert numbers(killed) == numbers(done.root)
    kept = (killed / "cells.jsonl").read_bytes().splitlines(keepends=True)
    assert kept[:5] == lines[:5]
    assert len(kept) == len(lines) == len(went_on.cells)
    networks = {file: file.read_bytes() for file in (killed / "networks").glob("*.safetensors")}
    (killed / "cells.jsonl").write_bytes(b"".join(line for line in lines if b'"tta"' not in line))
    bench(killed, resume=True)  # what does not train takes the networks that are there
    assert numbers(killed) == numbers(done.root)
    assert all(file.read_bytes() == content for file, content in networks.items())
    more = bench(killed, resume=True, tricks=("oversampling:share=0.6",), seeds=3)
    assert {cell.seed for cell in more.cells if cell.row == "oversampling:share=0.6"} == {0, 1, 2}
    assert len(more.cells) == 3 * 8


NOTHING = Trick("nothing", "model", on_cases=lambda on, chosen: replace(on))


def test_an_identity_gains_nothing_at_all(
    bench: Bench, done: TricksBenched, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:  # fmt: skip
    """A trick that changes nothing is trained by itself: the same numbers to the last bit."""
    monkeypatch.setitem(TRICKS.entries, NOTHING.name, Entry(f"{__name__}:NOTHING", "changes nothing"))
    again = bench(tmp_path / "again", tricks=(NOTHING.name,))
    gain = again.result.rows[1].gain
    assert again.result.rows[1].verdict == "same"
    assert gain is not None
    assert (gain.n, gain.mean, gain.sd, gain.p) == (4, 0.0, 0.0, 1.0)
    first = {cell.at: cell.score for cell in done.cells if cell.row == "baseline"}
    assert {cell.at: cell.score for cell in again.cells if cell.row == "baseline"} == first


def test_only_what_it_was_begun_with_goes_on(
    bench: Bench, done: TricksBenched, toys: Path, tmp_path: Path
) -> None:  # fmt: skip
    assert json.loads((done.root / "bench.json").read_text())["finished"]
    with pytest.raises(RunError, match="steps 2, now 3"):
        bench(done.root, resume=True, given={"steps": 3})
    with pytest.raises(RunError, match="holds a benchmark already"):
        bench(done.root)
    write_json(tmp_path / "other.json", to_json(plan_cases(read_folder(toys, quiet=True))))
    with pytest.raises(RunError, match="another plan"):
        bench(done.root, resume=True, plan=tmp_path / "other.json")
    image = toys / "images" / "c3.npy"
    whole = image.read_bytes()
    try:
        np.save(image, np.load(image) + 1)
        with pytest.raises(RunError, match=r"another c3 \(cases\)"):
            bench(done.root, resume=True)
    finally:
        image.write_bytes(whole)
    with pytest.raises(RunError, match="no benchmark"):
        bench(tmp_path, resume=True)


def test_what_cannot_be_done_is_told_before_training(bench: Bench, tmp_path: Path) -> None:
    out = tmp_path / "b"
    with pytest.raises(SettingError, match="Did you mean oversampling"):
        bench(out, tricks=("oversamplin",))
    with pytest.raises(SplitError, match="6 labelled cases in 6 groups, but 7 folds need 7"):
        bench(out, given={"folds": 7})
    with pytest.raises(SettingError, match="seeds 1"):
        bench(out, seeds=1)
    with pytest.raises(SettingError, match="folds"):
        bench(out, given={"folds": 1})
    with pytest.raises(SettingError, match="--split is of scenes"):
        bench(out, given={"split": "blocks"})
    assert not out.exists()
    assert check_spelling(["ALL", "tta", "tta"]) == ("all", "tta")


def test_a_scene_by_splits(tmp_path: Path) -> None:
    scene: Scene = toy_scene(shape=(24, 21), n_bands=8)
    given = {"split": "random_per_class:8", "refine": (), "sets": ("epochs=1", "min_steps=2", "batch=16")}
    with pytest.raises(SettingError, match="--folds is of folders"):
        bench_tricks(scene, out=tmp_path / "s", seeds=2, given=given | {"folds": 3}, quiet=True)
    after = "small-areas:pixels=30"
    done = bench_tricks(scene, out=tmp_path / "s", seeds=2, tricks=("tta", after), given=given, quiet=True)
    assert {cell.at for cell in done.cells} == {
        *(("baseline", fold, seed) for fold in (0, 1) for seed in (0, 1)),
        *((row, fold, 0) for row in ("tta", after) for fold in (0, 1)),
    }  # fmt: skip
    cells = {cell.at: cell.scores for cell in done.cells}
    for fold in (0, 1):  # what is done after prediction is scored, on the very map of the baseline
        plain, sieved = (cells[row, fold, 0] for row in ("baseline", after))
        assert sieved["OA before refiners"] == plain["OA"] != sieved["OA"]
    assert done.result.noise.pairs == 2
    trained = {cell.at: cell.training_s for cell in done.cells}
    assert trained["tta", 0, 0] == trained["baseline", 0, 0]  # the model of the baseline
    assert all(0 <= cell.scores["OA"] <= 100 for cell in done.cells if cell.scores["OA"] is not None)


@dataclass(frozen=True)
class Knobs:
    """Settings: one of the training, one of the prediction."""

    lr: float = 0.1
    flips: bool = False


@dataclass(frozen=True)
class Fitted:
    """A model that knows the one of the prediction."""

    flips: bool
    lr_of_training: float


def test_a_model_serves_where_nothing_of_its_training_differs() -> None:
    fits: list[Knobs] = []

    def fit(task: object, chosen: Knobs, runtime: object) -> Fitted:
        fits.append(chosen)
        return Fitted(chosen.flips, chosen.lr)

    base: Any = SimpleNamespace(fit=fit)
    task, model = object(), Fitted(False, 0.1)
    reuse: Any = reusing(base, model, task, SimpleNamespace(method_settings=Knobs()))  # type: ignore[arg-type]
    assert reuse(task, Knobs(), None) is model
    assert reuse(task, Knobs(flips=True), None) == Fitted(True, 0.1)
    assert not fits
    assert reuse(task, Knobs(lr=0.2), None) == Fitted(False, 0.2)
    reuse(object(), Knobs(), None)  # another split, as refiners ask for
    assert len(fits) == 2
