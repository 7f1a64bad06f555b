"""`Parts`: a table of parts, one line each; a part is imported when it is first asked for."""

from __future__ import annotations

import importlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from hyperseg.core.errors import SettingError
from hyperseg.core.words import did_you_mean, nearest


@dataclass(frozen=True)
class Entry:
    """A line of a table: where a part is, as "module:NAME", and one line of help."""

    where: str
    help: str


@dataclass(frozen=True)
class Parts(Mapping[str, Any]):
    """A table of parts called `what` in messages; each is imported when first asked for. The first is the default.

    A family is a table of its own, whose parts are spelled "family:part": they can be asked for, and are not listed.

    Raises:
        SettingError: on asking for a name that is not there; the nearest one is told.
    """

    what: str
    entries: dict[str, Entry]
    families: dict[str, Entry] = field(default_factory=dict)

    def __getitem__(self, name: str) -> Any:
        family, colon, member = name.partition(":")
        if colon and family in self.families:
            return _imported(self.families[family])[member]
        if name not in self.entries:
            known = [*self.entries, *self.spelled]
            raise SettingError(f"unknown {self.what} {name!r}: choose from {', '.join(known)}.{self.close(name)}")
        return _imported(self.entries[name])

    def __contains__(self, name: object) -> bool:
        family, colon, member = str(name).partition(":")
        if colon and family in self.families:
            return member in _imported(self.families[family])
        return name in self.entries

    def members(self, family: str) -> tuple[str, ...]:
        """The parts of a family, as they are spelled here."""
        return tuple(f"{family}:{member}" for member in _imported(self.families[family]))

    @property
    def spelled(self) -> tuple[str, ...]:
        """How the parts of each family are spelled."""
        return tuple(f"{family}:NAME" for family in self.families)

    def close(self, name: str) -> str:
        """ " Did you mean X?" with the nearest name, of a family's parts too, or nothing."""
        if name in self.families:
            return f" {name} is many: spell one, as {self.members(name)[0]}."
        return did_you_mean(name, self.entries) or self._in_a_family(name)

    def _in_a_family(self, name: str) -> str:
        """Where a name belongs that is spelled without its family."""
        known = [spelled for family in self.families for spelled in self.members(family)]
        by_member = {spelled.partition(":")[2]: spelled for spelled in known}
        found = name if name in by_member else nearest(name, by_member)
        return did_you_mean(by_member[found], known) if found else ""

    def __iter__(self) -> Iterator[str]:
        return iter(self.entries)

    def __len__(self) -> int:
        return len(self.entries)

    @property
    def default(self) -> str:
        return next(iter(self.entries))


def _imported(entry: Entry) -> Any:
    module, _, attribute = entry.where.partition(":")
    return getattr(importlib.import_module(module), attribute)
