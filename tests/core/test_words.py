"""Words for messages: counts, lists, runs and nearest names as a reader expects them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hyperseg.core.words import (
    as_cell,
    clean_name,
    counted,
    did_you_mean,
    distinct,
    listed,
    nearest,
    number,
    one_line,
    percent,
    runs,
    some,
    thousands,
)


def test_counts() -> None:
    assert [thousands(n) for n in (0, 999, 1200, 1234567.8)] == ["0", "999", "1 200", "1 234 567"]
    assert [counted(n, "pixel") for n in (0, 1, 1200)] == ["0 pixels", "1 pixel", "1 200 pixels"]
    assert counted(2, "class", "classes") == "2 classes"


def test_numbers_that_are_none_and_shares_too_small() -> None:
    assert [number(x) for x in (1.25, None, float("nan"), float("inf"))] == ["1.2", "–", "–", "–"]
    assert number(1.25, 2) == "1.25"
    assert [percent(x) for x in (0, 0.04, 0.06, 99.96)] == ["0.0 %", "<0.1 %", "0.1 %", "100.0 %"]


@pytest.mark.parametrize(
    ("names", "options", "words"),
    [
        ("", {}, ""), ("a", {}, "a"), ("ab", {}, "a and b"), ("abc", {"last": "or"}, "a, b or c"),
        ("abc", {"most": 3}, "a, b and c"), ("abcd", {"most": 2}, "a, b and 2 more"),
    ],
)  # fmt: skip
def test_lists(names: str, options: dict, words: str) -> None:
    assert listed(iter(names), **options) == words
    assert some("abc", 3) == "a, b, c"
    assert some(iter("abcd"), 2, "; ") == "a; b and 2 more"


def test_one_line_has_no_breaks_and_ends_where_it_must() -> None:
    assert one_line("a\n b\t c ") == "a b c"
    assert one_line("abcdef", 6) == "abcdef"
    assert one_line("abcdefg", 6) == "abcde…"


@given(st.sets(st.integers(0, 40)))
def test_runs_say_every_number_once(numbers: set[int]) -> None:
    words = runs(sorted(numbers))
    found: list[int] = []
    for part in filter(None, words.split(", ")):
        first, _, last = part.partition("-")
        found += range(int(first), int(last or first) + 1)
    assert found == sorted(numbers)
    assert words.count(",") + 1 == max(1, sum(n - 1 not in numbers for n in numbers))


def test_only_a_near_name_is_offered() -> None:
    assert did_you_mean("stesp", ["steps", "rate"]) == " Did you mean steps?"
    assert did_you_mean("colour", ["steps", "rate"]) == ""
    assert nearest("stesp", ["steps", "rate"], cutoff=0.9) is None


def test_names_are_printable_lines() -> None:
    assert clean_name(" a\tb\r\n c ") == "a b c"
    assert clean_name("\x1b[31mred\x1b[0m \x1b]0;title\x07x\x9b2J\x00") == "red x"
    assert clean_name("wheat\u202egnirps\u200b\ufeff\ud800\uffff") == "wheatgnirps"
    assert clean_name("u\u0308ber") == "\u00fcber"
    assert clean_name("\u0646\u06cc\u200c\u0645") == "\u0646\u06cc\u200c\u0645"  # a joiner within a word stays
    assert clean_name("x" * 500) == "x" * 119 + "\u2026"
    for text in ("a & <b>", "M\u00e4dchen", "\u5c0f\u9ea6", "= 2"):
        assert clean_name(text) == text


def test_equal_names_are_numbered() -> None:
    assert distinct(["crop", "rye", "crop\n", "crop"]) == ("crop", "rye", "crop (2)", "crop (3)")
    assert distinct(["crop", "crop", "crop (2)"]) == ("crop", "crop (3)", "crop (2)")
    assert distinct(["", "\x00", "x"]) == ("unnamed", "unnamed (2)", "x")
    long = distinct(["a" * 200, "a" * 201])
    assert distinct(long) == long


def test_cells_are_no_formulas() -> None:
    assert [as_cell(t) for t in ("=1+1", "+x", "-x", "@x", "\tx", "x=1", "")] == [
        "'=1+1", "'+x", "'-x", "'@x", "'\tx", "x=1", "",
    ]  # fmt: skip


def test_a_name_without_zeros_or_capitals_is_nearer_than_one_that_looks_alike() -> None:
    assert nearest("scan_1", ["scan_10", "scan_11", "scan_001"]) == "scan_001"
    assert nearest("1", ["010", "100", "001"]) == "001"
    assert nearest("Scan_100", ["scan_1", "scan_100"]) == "scan_100"
    assert nearest("0", ["000"]) == "000"
