"""`hyperseg bench samplers` on the command line: the list, refusals, the table, JSON."""

from __future__ import annotations

import json
from pathlib import Path

from running import Hyperseg

from hyperseg.dpm.samplers import SAMPLERS

TINY = ("--train-steps", "3", "--feature-steps", "3", "--samples", "16", "--quiet")


def test_the_list_names_every_sampler_and_where_it_is(hyperseg: Hyperseg) -> None:
    answer = hyperseg("bench", "samplers", "--list")
    assert answer.code == 0, answer.err
    flat = "".join(answer.out.split())
    for name, entry in SAMPLERS.entries.items():
        assert name in flat
        assert entry.where.partition(":")[0].replace(".", "/") + ".py" in flat


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
