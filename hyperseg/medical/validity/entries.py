"""Single entries of a plan held against their bounds; each refusal tells entry, value and what is expected."""

from __future__ import annotations

import math
from collections.abc import Sequence
from numbers import Integral
from typing import Any

from hyperseg.core import SettingError
from hyperseg.core.settings import Rule


def refuse(entry: str, value: Any, wanted: str) -> None:
    """Raise the SettingError of an entry that is not what is wanted."""
    raise SettingError(f"{entry} is {wanted}, got {value!r}.")


def check_number(
    entry: str, value: float, *, low: float | None = None, high: float | None = None, above: float | None = None,
    below: float | None = None,
) -> None:  # fmt: skip
    """A finite number within its bounds."""
    wanted = Rule("", low=low, high=high, above=above, below=below).fault(value)
    if wanted is not None or not math.isfinite(value):
        refuse(entry, value, f"a number, {wanted}" if wanted else "a finite number")


def check_whole(entry: str, value: int, *, low: int = 1) -> None:
    """A whole number of at least `low`."""
    if not isinstance(value, Integral) or isinstance(value, bool) or value < low:
        refuse(entry, value, f"a whole number, {low} or more")


def check_length(entry: str, values: Sequence[Any], n: int, of: str) -> None:
    """As many entries as there are of something else."""
    if len(values) != n:
        refuse(entry, values, f"a list of {n}, one for each of {of}")


def check_range(entry: str, low: float, high: float, *, least: float, open_end: bool = False) -> None:
    """Two numbers in order, the lower one not below `least`, or above it where `open_end`."""
    check_number(f"{entry}, its low end,", low, **{"above" if open_end else "low": least})
    check_number(f"{entry}, its high end,", high)
    if low > high:
        refuse(entry, (low, high), "a range from low to high")
