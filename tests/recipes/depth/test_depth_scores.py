"""Scores of guidance: means, differences seed by seed, the share of a gap, and what is said of them."""

from __future__ import annotations

import csv
import math

import pytest

from hyperseg.recipes.depth.reporting.words import as_csv, as_markdown, heads, legend, lines, sentences
from hyperseg.recipes.depth.scores.table import MEASURES, DepthCell, compare

PLAIN = (1.0, 1.2, 0.8, 1.1, 0.9)  # distances of unguided samples by seed: mean 1
FLOOR = {"dfd_pool8": 0.2}


def cells(row: str, distances: tuple[float, ...], seconds: float = 0.1) -> list[DepthCell]:
    rest = {m.key: 0.5 for m in MEASURES} | {"seconds": seconds}
    return [DepthCell(row, seed, 100, rest | {"dfd_pool8": fd}, 0.1, 0.3) for seed, fd in enumerate(distances)]


def test_a_row_that_is_lower_in_all_seeds() -> None:
    """Differences -0.2, ... of mean -0.2: five of five, p = 2 / 2^5, and (1 - 0.8) / (1 - 0.2) of the gap."""
    found = compare([*cells("none", PLAIN), *cells("dag", tuple(d - 0.2 for d in PLAIN), 0.3)], FLOOR)
    assert list(found) == ["none", "dag"]
    none, dag = found["none"]["dfd_pool8"], found["dag"]["dfd_pool8"]
    assert (none.mean, none.difference, none.verdict) == (pytest.approx(1.0), None, "")
    assert none.sd == pytest.approx(math.sqrt(0.1 / 4))
    assert dag.difference == pytest.approx(-0.2)
    assert (dag.better, dag.worse, dag.ties, dag.p_value) == (5, 0, 0, 0.0625)
    assert dag.share == pytest.approx(0.25)
    assert dag.verdict == "better"
    told = sentences(found, [])
    assert any(
        "dag, dFD_pool8: better than none" in line and "closes the gap to real pictures by 25 %" in line
        for line in told
    )
    assert any("3.00 times as long" in line for line in told)


def test_a_loss_and_a_tie_are_said() -> None:
    worse = tuple(d + 0.1 for d in PLAIN)
    mixed = tuple(d + s * 0.1 for d, s in zip(PLAIN, (1, -1, 1, -1, 1), strict=True))
    found = compare([*cells("dag", mixed), *cells("dcg", worse), *cells("none", PLAIN)], FLOOR)
    assert list(found) == ["none", "dcg", "dag"]
    assert (found["dcg"]["dfd_pool8"].verdict, found["dag"]["dfd_pool8"].verdict) == ("worse", "tie")
    assert found["dag"]["dfd_pool8"].p_value == 1.0
    assert found["dcg"]["dfd_pool8"].share == pytest.approx(-0.125)
    told = "\n".join(sentences(found, []))
    assert "dcg, dFD_pool8: a loss: worse than none" in told
    assert "widens the gap to real pictures by" in told
    assert "dag, dFD_pool8: a tie with none" in told


def test_equal_numbers_are_a_tie_and_seeds_that_only_one_row_has_are_left_out() -> None:
    found = compare([*cells("none", PLAIN[:2]), *cells("dpg", PLAIN)], {})
    one = found["dpg"]["dfd_pool8"]
    assert (one.better, one.worse, one.ties, one.difference, one.share) == (0, 0, 2, 0.0, None)
    assert one.verdict == "open"


def test_of_fewer_than_five_seeds_nothing_is_called_better_or_worse() -> None:
    lower = tuple(d - 0.2 for d in PLAIN[:4])
    rows = [*cells("none", PLAIN[:4]), *cells("dag", lower), *cells("control", PLAIN[:4])]
    told = "\n".join(sentences(compare(rows, FLOOR), rows))
    assert "dag, dFD_pool8: too few seeds to tell it from none (lower in 4 and higher in 0 of 4 seeds" in told
    assert "too few seeds to tell whether a picture's own depth matters" in told
    assert not any(word in told for word in ("better than", "a loss", "a tie", "it matters"))


def test_what_is_good_of_delta1_is_more_of_it() -> None:
    rows = [*cells("none", PLAIN), *cells("dcg", PLAIN)]
    rows = [DepthCell(c.row, c.seed, c.n, c.numbers | {"delta1": 0.9 if c.row == "dcg" else 0.8}) for c in rows]
    assert compare(rows, {})["dcg"]["delta1"].better == 5


def test_a_row_that_failed_has_no_numbers_and_a_note() -> None:
    failed = DepthCell("dpg", 0, 100, {}, note="samples are not finite")
    rows = [*cells("none", PLAIN), failed]
    found = compare(rows, FLOOR)
    assert list(found) == ["none"]
    assert any("dpg, seed 0" in line and "not finite" in line for line in sentences(found, rows))
    assert "samples are not finite" in as_csv(rows, {})


def test_the_documents_have_all_cells() -> None:
    rows = [*cells("none", PLAIN), *cells("dag", PLAIN)]
    floors = {"dfd_pool8": [0.2, 0.3]}
    table = list(csv.reader(as_csv(rows, floors).splitlines()))
    assert len(table) == 1 + 10 + 2
    assert table[-1][:4] == ["real", "1", "", "0.3"]
    told = lines(compare(rows, FLOOR), rows, floors)
    assert [line[0] for line in told] == ["none", "dag", "dag - none", "real pictures"]
    assert all(len(line) == len(heads()) for line in told)
    assert told[0][1] == "1.0000 ± 0.1581"
    text = as_markdown(told, legend())
    assert r"\|d_S - d_W\|" in text
    assert text.count("\n| ") == 5 - 1


def test_guidance_is_compared_with_that_of_another_picture() -> None:
    lower = tuple(d - 0.2 for d in PLAIN)
    rows = [*cells("none", PLAIN), *cells("dag", lower), *cells("control", lower)]
    told = "\n".join(sentences(compare(rows, FLOOR), rows))
    assert "dag beside control, dFD_pool8: lower in 0 and higher in 0 of 5 seeds" in told
    assert "has not been shown to matter" in told
    rows = [*cells("none", PLAIN), *cells("dag", lower), *cells("control", PLAIN)]
    assert "it matters that a picture's own depth guides it" in "\n".join(sentences(compare(rows, FLOOR), rows))
