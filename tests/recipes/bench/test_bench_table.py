"""The table, the front and the sentences of a benchmark of samplers, from rows written by hand."""

from __future__ import annotations

import csv
import io
from dataclasses import replace
from itertools import product
from pathlib import Path

import numpy as np
import pytest
import torch

from hyperseg.core import RunError
from hyperseg.recipes.bench.rows import CELLS, Row, append_row, packed, read_rows
from hyperseg.recipes.bench.showing.findings import far_from_real, findings
from hyperseg.recipes.bench.showing.page import shown_at, strips_of
from hyperseg.recipes.bench.showing.table import as_csv, as_markdown, beside, best_of, cells, groups, heads, leaders_of
from hyperseg.report.generation import Line, front, pareto_figure, samples_figure

FEATURES = {"distance": "FD-cls", "score": "IS-cls"}


def row(
    label: str, asked: int, fd: float | None, *, order: int | None = 1, kind: str = "sampler", sd: float = 0.1
) -> Row:
    return Row(f"{kind}:{label}@{asked}", kind, label, label, "family", asked, asked, fd=fd, fd_sd=sd, order=order)


ROWS = [
    row("noisy", 1000, 3.0, order=None), row("noisy", 10, 30.0, order=None), row("first", 10, 9.0),
    row("high", 10, 3.1, order=2), row("higher", 10, 5.0, order=3), row("broken", 10, None, order=2),
]  # fmt: skip


def test_groups_fall_in_calls_and_their_best_is_first() -> None:
    found = groups(ROWS)
    assert [asked for asked, _ in found] == [1000, 10]
    assert [r.label for r in found[1][1]] == ["high", "higher", "first", "noisy", "broken"]
    assert best_of(found[1][1]) is ROWS[3]
    assert best_of([ROWS[5]]) is None


def test_the_table_has_the_form_of_the_survey() -> None:
    assert heads(FEATURES) == (
        "method", "NFE", "FD-cls ↓", "IS-cls ↑", "precision ↑", "recall ↑", "NLL bits/dim ↓", "seconds",
    )  # fmt: skip
    assert cells(ROWS[3], best=True)[:4] == ("high *", "10", "3.10 ± 0.10", "–")
    assert cells(ROWS[5])[2] == "–"
    table, _, below = as_markdown(ROWS, FEATURES).partition("\n\n")
    lines = table.splitlines()
    assert "Recall (higher is better): share of real data that samples come near." in below
    assert "Beside" not in below
    assert {line.count("|") for line in lines} == {9}
    assert sum("**high**" in line for line in lines) == 1
    assert not any("FID" in line for line in lines)


def test_rows_beside_those_asked_for_are_explained() -> None:
    more = [row("first", 10, 12.0, kind="raw"), row("noisy", 10, 20.0, kind="chosen", order=None)]
    raw, chosen = beside([*ROWS, *more])
    assert '"raw weights": first with the weights of the last training step' in raw
    assert '"steps chosen": noisy on steps chosen by dynamic programming for the variational bound' in chosen


def test_within_the_spread_there_is_no_winner() -> None:
    close = [row("a", 10, 3.0, order=None), row("b", 10, 3.25, order=None), row("c", 10, 3.3, order=None)]
    assert [r.label for r in leaders_of(close)] == ["a", "b"]  # two times the root of 0.1² + 0.1² is 0.283
    assert leaders_of([ROWS[5]]) == []
    assert "At 10 calls equal within the spread: a 3.00 and b 3.25." in findings(close)
    assert "**b**" in as_markdown(close, FEATURES)
    told = " ".join(findings([*close, row("a", 10, 3.1, kind="raw"), row("fast", 10, 2.9, kind="speed-up")]))
    assert "ahead of raw ones in 0 of 1 cells of a, behind in 0, equal within the spread in 1" in told
    assert "fast 2.90 is equal within the spread to the best that is only sampled (a 3.00)" in told
    first = [row("d", 10, 3.05), row("e", 10, 9.0, order=2), row("long", 1000, 3.0, order=None)]
    assert "first order (d 3.05) is equal within the spread to a 3.00." in " ".join(findings([*close, *first]))


def test_a_network_far_from_its_data_is_told() -> None:
    told = far_from_real(ROWS, 0.5, distance="FD-cls", given=False)
    assert told is not None
    assert "best FD-cls 3.0, held-out 0.5): train longer (--train-steps) before ranking samplers" in told
    assert "--train-steps" not in (far_from_real(ROWS, 0.5, distance="FD-cls", given=True) or "")
    assert far_from_real(ROWS, 0.7, distance="FD-cls", given=False) is None
    assert far_from_real([ROWS[5]], 0.5, distance="FD-cls", given=False) is None


def test_pictures_are_those_of_one_number_of_calls() -> None:
    strip = packed(np.zeros((4, 8, 8), np.uint8))
    rows = [replace(r, strip=strip) for r in (*ROWS, row("few", 2, 1.0))]
    shown = list(strips_of(rows, torch.zeros(9, 1, 8, 8)))
    assert shown[:3] == ["real, held out", "noisy, 1 000 calls", "high, 10 calls"]
    assert not any("few" in name for name in shown)
    assert shown_at([row("a", 1, 1.0), row("a", 5, 1.0), row("a", 50, 1.0)]) == 5


def test_every_row_of_the_file_says_what_its_numbers_depend_on() -> None:
    text = as_csv([replace(ROWS[0], n=500, clip=1.0, spacing="trailing")], features="cls 12ab", reference="digits")
    (found,) = csv.DictReader(io.StringIO(text))
    needed = {"weights": "EMA", "spacing": "trailing", "clip": "1", "n": "500", "features": "cls 12ab"}
    assert needed.items() <= found.items()
    assert found["reference"] == "digits"
    assert found["nll_bits_per_dim"] == ""


def test_the_front_is_what_no_other_point_beats() -> None:
    rng = np.random.default_rng(0)
    points = [(float(c), float(d)) for c, d in rng.integers(1, 9, (40, 2))]

    def beaten(p: tuple[float, float]) -> bool:
        return any(q != p and q[0] <= p[0] and q[1] <= p[1] for q in points)

    assert front(points) == sorted({p for p in points if not beaten(p)})


def test_what_the_ordering_says() -> None:
    told = " ".join(findings(ROWS))
    assert "Reference: noisy with 1000 calls, 3.00" in told
    assert "As good at 10 calls (within two spreads or better): high 3.10." in told
    assert "Not as good at 10 calls: higher 5.00." in told
    assert "first order (first 9.00) is between the best of higher order (high 3.10)" in told
    worse = [replace(r, fd=2.0) if r.label == "first" else r for r in ROWS]
    assert "is not between" in " ".join(findings(worse))
    assert findings([]) == []


def test_averaged_weights_and_chosen_steps_are_compared_with_the_usual() -> None:
    more = [row("first", 10, 12.0, kind="raw"), row("noisy", 10, 20.0, kind="chosen", order=None)]
    told = " ".join(findings([*ROWS, *more]))
    assert "Averaged weights are ahead of raw ones in 1 of 1 cells of first" in told
    assert "10 calls: 20.00 against 30.00" in told


def test_rows_are_kept_and_half_a_line_is_cut_off(tmp_path: Path) -> None:
    pictures = np.arange(2 * 3 * 4, dtype=np.uint8).reshape(2, 3, 4)
    kept = [replace(ROWS[0], strip=packed(pictures)), ROWS[5]]
    for one in kept:
        append_row(tmp_path, one)
    with (tmp_path / CELLS).open("a") as file:
        file.write('{"key": "half')
    found = read_rows(tmp_path)
    assert list(found.values()) == kept
    assert np.array_equal(found[kept[0].key].pictures, pictures)
    append_row(tmp_path, ROWS[1])
    assert len(read_rows(tmp_path)) == 3
    (tmp_path / CELLS).write_text('{"key": 1}\n')
    with pytest.raises(RunError, match=r"line 1 is damaged"):
        read_rows(tmp_path)


def test_charts_are_drawn_from_any_number_of_lines() -> None:
    lines = [Line(f"method {i}$", f"family {i % 9}", ((1.0, 2.0 + i), (10.0, 1.0)), i == 3) for i in range(45)]
    png = pareto_figure(lines, unit="FD", floor=0.5)
    assert png[:4] == b"\x89PNG"
    assert pareto_figure([], unit="FD")[:4] == b"\x89PNG"
    for shape, n in product(((8, 8), (8, 8, 3)), (1, 5)):
        assert samples_figure({f"row {i}": np.zeros((10, *shape), np.uint8) for i in range(n)})[:4] == b"\x89PNG"
