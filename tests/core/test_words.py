"""Words for messages: counts, lists, runs and nearest names as a reader expects them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hyperseg.core.words import counted, did_you_mean, listed, nearest, number, one_line, percent, runs, some, thousands


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
