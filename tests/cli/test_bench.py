"""`hyperseg bench samplers` on the command line: the list, refusals, the table, JSON."""

from __future__ import annotations

import io
import json
from pathlib import Path

from rich.console import Console
from running import Hyperseg

from hyperseg.cli.bench.samplers import show_taxonomy
from hyperseg.dpm.faster import FASTER
from hyperseg.dpm.samplers import SAMPLERS

TINY = ("--train-steps", "3", "--feature-steps", "3", "--samples", "16", "--quiet")


def test_the_list_names_every_sampler_and_where_it_is(hyperseg: Hyperseg) -> None:
    answer = hyperseg("bench", "samplers", "--list")
    assert answer.code == 0, answer.err
    flat = "".join(answer.out.split())
    for name, entry in SAMPLERS.entries.items():
        assert name in flat
        assert entry.where.partition(":")[0].replace(".", "/") + ".py" in flat


def test_the_list_is_a_line_for_each_where_the_terminal_is_wide() -> None:
    wide, narrow = (Console(width=width, file=io.StringIO()) for width in (250, 80))
    for console in (wide, narrow):
        show_taxonomy(console)
    lines = wide.file.getvalue().splitlines()  # type: ignore[attr-defined]
    families = {SAMPLERS[name].family for name in SAMPLERS} | {FASTER[name].family for name in FASTER}
    assert len(lines) == 1 + len(families) + len(SAMPLERS) + len(FASTER)
    assert len(narrow.file.getvalue().splitlines()) > len(lines)  # type: ignore[attr-defined]


def test_misspelt_and_impossible_words_are_refused(hyperseg: Hyperseg) -> None:
    assert "Did you mean samplers" in hyperseg("bench", "sampler").err
    assert "Did you mean ddim" in hyperseg("bench", "samplers", "--samplers", "ddin").error
    assert "names nothing" in hyperseg("bench", "samplers", "--samplers", ",").error
    assert "whole numbers from 1" in hyperseg("bench", "samplers", "--nfe", "5,x").error
    assert hyperseg("bench", "samplers", "--data", "nowhere").code == 2
    assert "no benchmark to go on with" in hyperseg("bench", "samplers", "--out", "b", "--resume").error


def test_the_table_then_json_of_the_same(hyperseg: Hyperseg) -> None:
    first = SAMPLERS.default
    shown = hyperseg("bench", "samplers", "--samplers", first, "--nfe", "1,2", "--out", "b", *TINY)
    assert shown.code == 0, shown.err
    assert "FD-cls" in shown.out
    assert "report.html" in shown.out
    again = hyperseg("bench", "samplers", "--samplers", first, "--nfe", "1,2", "--out", "b", "--resume", "--json")
    found = json.loads(again.out)
    assert {cell["asked"] for cell in found["cells"]} == {1, 2}
    assert found["features"]["distance"] == "FD-cls"
    page = Path(found["folder"], "report.html").read_text()
    assert "http" not in page.replace("http-equiv", "")
