"""`Saved`: what a part leaves on disk, and is taken up from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from numpy.typing import NDArray

Arrays = dict[str, NDArray[Any]]


@dataclass(frozen=True)
class Saved:
    """What a part leaves on disk and is taken up from: JSON, and arrays by name."""

    record: dict[str, Any] = field(default_factory=dict)
    arrays: Arrays = field(default_factory=dict)

    def within(self, prefix: str) -> Arrays:
        """The arrays under `prefix.`, without it."""
        return unprefixed(prefix, self.arrays)


def prefixed(prefix: str, arrays: Mapping[str, NDArray[Any]]) -> Arrays:
    """The arrays with `prefix.` before their names."""
    return {f"{prefix}.{name}": array for name, array in arrays.items()}


def unprefixed(prefix: str, arrays: Mapping[str, NDArray[Any]]) -> Arrays:
    """The arrays under `prefix.`, without it; empty where there are none."""
    return {n.removeprefix(prefix + "."): a for n, a in arrays.items() if n.startswith(prefix + ".")}
