"""`hyperseg bench tricks` on the command line: refusals, the table, JSON of the same."""

from __future__ import annotations

import json
from pathlib import Path

from discs import write_discs, write_small_plan
from running import Hyperseg

FEW = ("--folds", "2", "--seeds", "2", "--steps", "1", "--jobs", "1", "--quiet", "--plan", "plan.json")


def test_misspelt_and_impossible_words_are_refused(hyperseg: Hyperseg, tmp_path: Path) -> None:
    write_discs(tmp_path / "discs", 4)
    assert "Did you mean tta" in hyperseg("bench", "tricks", "discs", "--trick", "ttta").error
    assert "5 folds need 5" in hyperseg("bench", "tricks", "discs", "--quiet").error
    assert "no such folder" in hyperseg("bench", "tricks", "no/where").error
    assert "no such file" in hyperseg("bench", "tricks", "indian-pine").error
    assert "leave out --steps" in hyperseg("bench", "tricks", "discs", "--steps", "3", "--minutes", "1").error
    assert "no benchmark to go on with" in hyperseg("bench", "tricks", "discs", "--resume").error
    assert "2 or more" in hyperseg("bench", "tricks", "discs", "--seeds", "1").error
    assert "folds" in hyperseg("bench", "tricks", "discs", "--folds", "1").err


def test_the_table_then_json_of_the_same(hyperseg: Hyperseg, tmp_path: Path) -> None:
    write_discs(tmp_path / "discs", 4)
    write_small_plan(tmp_path / "discs", tmp_path / "plan.json")
    words = ("bench", "tricks", "discs", "--out", "b", *FEW)
    shown = hyperseg(*words, "--trick", "tta")
    assert shown.code == 0, shown.err
    assert shown.out.startswith("- ")
    assert "Noise line" in shown.out
    assert all(len(line) <= 80 for line in shown.out.splitlines() if not line.startswith("written"))
    again = hyperseg(*words, "--resume", "--json")
    found = json.loads(again.out)
    assert [row["row"] for row in found["rows"]] == ["baseline", "tta"]
    assert len(found["cells"]) == 8
    assert found["noise"]["pairs"] == 2
    assert "http" not in Path(found["folder"], "report.html").read_text().replace("http-equiv", "")
