"""`hyperseg depth sample` and `score`: files that are written, going on, and what is refused in one line."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner, Result
from untrained_depth import untrained_run

from hyperseg.cli.depth import depth
from hyperseg.cli.depth.score import NUMBER, SEEDS
from hyperseg.core import HypersegError
from hyperseg.core.lock import take
from hyperseg.recipes.depth.scores.scoring import ScoreOrder

QUICK = ["--calls", "3", "--set", "batch=4", "--set", "latest=1", "--consistency", "0.01", "--prior", "0.01", "--quiet"]


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return untrained_run(tmp_path_factory.mktemp("depth") / "run").root


def call(*words: object) -> Result:
    return CliRunner().invoke(depth, [str(word) for word in words], catch_exceptions=False)


def refused(*words: object) -> str:
    with pytest.raises(HypersegError) as caught:
        call(*words)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def numbers(out: Path) -> list[dict[str, object]]:
    """The cells, without what a clock says."""
    cells = [json.loads(line) for line in (out / "scores" / "cells.jsonl").read_text().splitlines()]
    for cell in cells:
        cell["numbers"].pop("seconds")
    return sorted(cells, key=lambda cell: (cell["row"], cell["seed"]))


def test_samples_are_written_once_and_replaced_when_told(run: Path, tmp_path: Path) -> None:
    words = ["sample", run, "-n", "6", "--beside", "--out", tmp_path, *QUICK]
    said = call(*words)
    assert said.exit_code == 0
    assert "guidance moved a step by" in said.output
    names = ["dag-seed0.csv", "dag-seed0.npz", "dag-seed0.png"]
    assert sorted(file.name for file in tmp_path.iterdir()) == names
    with np.load(tmp_path / "dag-seed0.npz") as found:
        first = {name: found[name] for name in found.files}
    assert first["images"].shape == first["unguided"].shape == (6, 16, 16, 3)
    assert first["strong"].shape == (6, 16, 16)
    assert (tmp_path / "dag-seed0.csv").read_text().startswith("t,sigma,ratio,loss\n")
    assert "--overwrite" in refused(*words)
    assert call(*words, "--overwrite").exit_code == 0
    with np.load(tmp_path / "dag-seed0.npz") as found:
        assert all(np.array_equal(found[name], first[name]) for name in first)


def test_unguided_samples_are_those_beside(run: Path, tmp_path: Path) -> None:
    call("sample", run, "-n", "3", "--beside", "--out", tmp_path, *QUICK)
    call("sample", run, "-n", "3", "--guidance", "none", "--out", tmp_path, *QUICK[:4], "--quiet")
    with np.load(tmp_path / "dag-seed0.npz") as both, np.load(tmp_path / "none-seed0.npz") as plain:
        assert np.array_equal(both["unguided"], plain["images"])
    assert not (tmp_path / "none-seed0.csv").exists()


def test_scores_are_written_and_go_on(run: Path, tmp_path: Path) -> None:
    words = ["score", run, "--seeds", "2", "-n", "5", *QUICK]
    whole, cut = tmp_path / "whole", tmp_path / "cut"
    said = call(*words, "--out", whole)
    assert said.exit_code == 0
    for told in ("dag", "real pictures", "sign test p", "no FID", "report.html"):
        assert told in said.output
    files = {"metrics.json", "report.html", "samples.png", "scores", "table.csv", "table.md"}
    assert {file.name for file in whole.iterdir()} == files
    found = json.loads((whole / "metrics.json").read_text())["guidance"]
    assert list(found["table"]) == ["none", "dcg", "dpg", "dag", "control"]
    assert len(found["cells"]) == 10
    assert call(*words, "--out", cut, "--rows", "dag").exit_code == 0
    lines = (cut / "scores" / "cells.jsonl").read_text().splitlines()
    assert [json.loads(line)["row"] for line in lines] == ["none", "dag", "none", "dag"]
    (cut / "scores" / "cells.jsonl").write_text("\n".join(lines[:2]) + "\n" + lines[2][:20])  # as a kill leaves it
    assert call(*words, "--out", cut, "--resume").exit_code == 0
    assert numbers(cut) == numbers(whole)
    assert "--resume goes on" in refused(*words, "--out", whole)
    assert "n 5, not 6" in refused("score", run, "--seeds", "2", "-n", "6", *QUICK, "--out", whole, "--resume")
    assert "consistency 0.01, not 1" in refused(
        "score",
        run,
        "--seeds",
        "2",
        "-n",
        "5",
        *QUICK[:-5],
        "--consistency",
        "1",
        *QUICK[-3:],
        "--out",
        whole,
        "--resume",
    )


def test_a_row_that_fails_has_a_note_and_the_others_have_numbers(run: Path, tmp_path: Path) -> None:
    words = ["--calls", "3", "--set", "latest=1", "--set", "batch=4", "--consistency", "1e300", "--quiet"]
    said = call("score", run, "--seeds", "1", "-n", "4", "--rows", "dcg", *words, "--out", tmp_path)
    assert said.exit_code == 0
    assert "dcg, seed 0: no numbers" in said.output
    assert "none" in said.output


@pytest.mark.parametrize(
    ("make", "words", "told"),
    [
        (lambda root: untrained_run(root, judge=0.9), ["score", "--set", "batch=4"], "delta1 = 0.900"),
        (lambda root: untrained_run(root, prior=False), ["sample", "--guidance", "dpg"], "prior.steps above 0"),
        (lambda root: untrained_run(root, prior=False), ["score", "--rows", "dag"], "prior.steps above 0"),
        (untrained_run, ["score", "--rows", "dcgg"], "Did you mean dcg?"),
        (untrained_run, ["score", "--set", "guidance=dcg"], "--rows"),
        (untrained_run, ["sample", "--guidance", "none", "--beside"], "nothing to show it beside"),
        (untrained_run, ["sample", "--guidance", "dcg", "--prior", "3"], "prior 3.0 would change nothing"),
        (untrained_run, ["sample", "--guidance", "none", "--set", "every=2"], "every 2 would change nothing"),
        (untrained_run, ["score", "--rows", "dpg", "--consistency", "3"], "consistency 3.0 would change nothing"),
        (untrained_run, ["sample", "--set", "latest=0"], "above 0, got 0"),
        (untrained_run, ["sample", "--sampler", "iddpm"], "take another sampler"),
        (untrained_run, ["sample", "--sampler", "heun", "--set", "every=2"], "every"),
        (untrained_run, ["sample", "--calls", "5", "--set", "calls=6"], "give one of them"),
        (lambda root: root.mkdir(), ["score"], "hyperseg depth train"),
    ],
)
def test_what_cannot_be_done_is_one_line(
    make: Callable[[Path], object], words: list[str], told: str, tmp_path: Path
) -> None:  # fmt: skip
    make(tmp_path / "run")
    before = sorted(tmp_path.rglob("*"))
    assert told in refused(words[0], tmp_path / "run", *words[1:], "--quiet")
    assert [file for file in sorted(tmp_path.rglob("*")) if file.name != "scores"] == before


def test_what_is_no_score_is_never_removed(run: Path, tmp_path: Path) -> None:
    mine = tmp_path / "scores" / "mine.txt"
    mine.parent.mkdir()
    for file in (mine, tmp_path / "table.csv"):
        file.write_text("mine")
        assert "Take another --out" in refused(
            "score", run, "--seeds", "1", "-n", "3", "--overwrite", "--out", tmp_path
        )
        assert file.read_text() == "mine"
        file.unlink()


def test_samples_that_were_stopped_at_the_end_go_on(run: Path, tmp_path: Path) -> None:
    """The arrays are written, the sheet is not; and nobody else draws the same samples meanwhile."""
    words = ["sample", run, "-n", "3", "--out", tmp_path, *QUICK]
    call(*words)
    whole, parts = (tmp_path / "dag-seed0.npz").read_bytes(), tmp_path / "dag-seed0.parts"
    (tmp_path / "dag-seed0.npz").unlink()
    (tmp_path / "dag-seed0.png").replace(tmp_path / "sheet")
    (tmp_path / "dag-seed0.csv").unlink()
    (tmp_path / "dag-seed0.png").mkdir()  # cannot be replaced by a file
    with pytest.raises((HypersegError, OSError)):
        call(*words, "--overwrite")
    (tmp_path / "dag-seed0.png").rmdir()
    assert (tmp_path / "dag-seed0.npz").is_file()
    lock = take(parts)
    assert "is at work here" in refused(*words, "--resume")
    lock.release()
    assert call(*words, "--resume").exit_code == 0
    assert (tmp_path / "dag-seed0.npz").read_bytes() == whole
    assert (tmp_path / "dag-seed0.png").read_bytes() == (tmp_path / "sheet").read_bytes()
    assert not parts.exists()


def test_a_judge_that_does_not_judge_leaves_nothing_behind(tmp_path: Path) -> None:
    """What the message advises can be done: train it longer."""
    root = untrained_run(tmp_path / "run", judge=None).root
    words = ["score", root, "--seeds", "1", "-n", "3", "--judge-pictures", "16", *QUICK]
    for steps in (2, 3):
        assert "--judge-steps" in refused(*words, "--judge-steps", steps)
        assert not list(root.glob("unfinished*"))


def test_samplers_of_many_calls_are_forecast_and_cells_of_no_row_are_told(run: Path, tmp_path: Path) -> None:
    words = ["score", run, "--seeds", "1", "-n", "2", "--rows", "dcg", "--sampler", "pf-ode", "--calls", "4"]
    assert call(*words, "--quiet", "--out", tmp_path).exit_code == 0
    cells = tmp_path / "scores" / "cells.jsonl"
    whole = cells.read_text()
    for old, new, line in (('"dcg"', '"bcg"', 2), ('"rgb"', '"rbg"', 1), ('"rgb": ', '"rgb": NaN, "x": ', 1)):
        cells.write_text(whole.replace(old, new))
        assert f"line {line} is damaged" in refused(*words, "--quiet", "--out", tmp_path, "--resume")


def test_a_run_without_a_prior_scores_what_it_can(tmp_path: Path) -> None:
    root = untrained_run(tmp_path / "run", prior=False).root
    said = call("score", root, "--seeds", "1", "-n", "3", *QUICK)
    assert said.exit_code == 0
    assert "left out: guidance dpg" in said.output
    assert list(json.loads((root / "metrics.json").read_text())["guidance"]["table"]) == ["none", "dcg"]


def test_the_numbers_of_the_command_are_those_of_the_recipe() -> None:
    usual = ScoreOrder(Path())
    assert (usual.seeds, usual.n) == (SEEDS, NUMBER)
