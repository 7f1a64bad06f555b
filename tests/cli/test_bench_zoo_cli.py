"""`hyperseg bench zoo` on the command line: the list, refusals, the table, JSON of the same."""

from __future__ import annotations

import json
from pathlib import Path

from discs import write_discs
from running import Hyperseg

FEW = ("--folds", "2", "--steps", "1", "--width", "4", "--jobs", "1", "--member", "u-net")


def test_the_list_and_what_is_refused(hyperseg: Hyperseg, tmp_path: Path) -> None:
    write_discs(tmp_path / "discs", 4, side=16)
    listed = hyperseg("bench", "zoo", "--list")
    assert listed.code == 0
    assert "deeplab-v3-plus" in listed.out
    assert "monai:UNet" in listed.out
    assert "which data?" in hyperseg("bench", "zoo").err
    assert "Did you mean pspnet" in hyperseg("bench", "zoo", "discs", "--member", "pspnett").error
    assert "no such folder" in hyperseg("bench", "zoo", "no/where").error
    assert "no benchmark to go on with" in hyperseg("bench", "zoo", "discs", "--resume").error


def test_the_table_then_json_of_the_same(hyperseg: Hyperseg, tmp_path: Path) -> None:
    write_discs(tmp_path / "discs", 4, side=16)
    shown = hyperseg("bench", "zoo", "discs", "--out", "b", *FEW)
    assert shown.code == 0, shown.err
    assert "6 cells of 3 rows" not in shown.out
    assert "about" in shown.err  # the estimate, before the start
    assert shown.out.startswith("- Best network: u-net")
    assert all(len(line) <= 80 for line in shown.out.splitlines() if not line.startswith("written"))
    again = hyperseg("bench", "zoo", "discs", "--out", "b", "--resume", "--json", "--quiet")
    found = json.loads(again.out)
    assert {row["row"] for row in found["rows"]} == {"u-net", "pixel-linear", "svm"}
    assert len(found["cells"]) == 6
    assert found["reference"] == "u-net"
    assert "http" not in Path(found["folder"], "report.html").read_text().replace("http-equiv", "")
