"""`Parts`: a table of parts, one line each; a part is imported when it is first asked for."""

from __future__ import annotations

import importlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from hyperseg.core.errors import SettingError
from hyperseg.core.words import did_you_mean


@dataclass(frozen=True)
class Entry:
    """A line of a table: where a part is, as "module:NAME", and one line of help."""

    where: str
    help: str


@dataclass(frozen=True)
class Parts(Mapping[str, Any]):
    """A table of parts called `what` in messages; each is imported when first asked for. The first is the default.

    Raises:
        SettingError: on asking for a name that is not there; the nearest one is told.
    """

    what: str
    entries: dict[str, Entry]

    def __getitem__(self, name: str) -> Any:
        if name not in self.entries:
            close = did_you_mean(name, self.entries)
            raise SettingError(f"unknown {self.what} {name!r}: choose from {', '.join(self.entries)}.{close}")
        module, _, attribute = self.entries[name].where.partition(":")
        return getattr(importlib.import_module(module), attribute)

    def __contains__(self, name: object) -> bool:
        return name in self.entries

    def __iter__(self) -> Iterator[str]:
        return iter(self.entries)

    def __len__(self) -> int:
        return len(self.entries)

    @property
    def default(self) -> str:
        return next(iter(self.entries))
