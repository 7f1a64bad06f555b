"""Tricks in words: for who reads a run, and for who chooses."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from dataclasses import MISSING, Field, dataclass, fields
from typing import Any

from hyperseg.core.parts import Trick, spelling_of, spelt
from hyperseg.core.settings import rule_of
from hyperseg.core.words import listed
from hyperseg.recipes.tricks import TRICKS

FOLDERS, SCENES = "images and volumes", "scenes"


def with_tricks(spelled: Sequence[str]) -> str:
    """ "with the tricks a and b", or "without tricks"."""
    return f"with the trick{'s' * (len(spelled) > 1)} {listed(spelled)}" if spelled else "without tricks"


def added_words(trained: Sequence[str], now: Sequence[str]) -> str:
    """What a prediction has that its training had not, in a sentence; "" where there is nothing."""
    new = [one for one in now if one not in trained]
    return f"Training was without {listed(new)}, and so is what cross-validation told." if new else ""


@dataclass(frozen=True)
class Described:
    """A trick as a user is told of it.

    Attributes:
        name, phase, help: of the table and of the trick.
        spelling: with all settings and their defaults.
        works_on: `FOLDERS`, `SCENES`, or both.
        excludes: names of the tricks that cannot go with it.
        trains: networks are trained with it; else it serves those trained without it.
        settings: name -> (default, help); a default of "" has to be given.
        told: what it does, by where: the text of its function there, or of its settings where those do it.
    """

    name: str
    phase: str
    help: str
    spelling: str
    works_on: tuple[str, ...]
    excludes: tuple[str, ...]
    trains: bool
    settings: dict[str, tuple[str, str]]
    told: dict[str, str]

    @property
    def texts(self) -> list[tuple[str, str]]:
        """(where, what it does there), once where it is everywhere the same."""
        if len(set(self.told.values())) == 1:
            return [(self.everywhere, next(iter(self.told.values())))]
        return list(self.told.items())

    @property
    def everywhere(self) -> str:
        """Where it works, in words."""
        return FOLDERS.replace(" and", ",") + f" and {SCENES}" if len(self.works_on) > 1 else self.works_on[0]

    @property
    def facts(self) -> str:
        """Where it works, what it takes, and what it excludes, in one sentence."""
        when = "networks are trained with it" if self.trains else "it changes predictions alone"
        return f"for {self.everywhere}; {when}" + (
            f"; not with {listed(self.excludes, last='or')}" if self.excludes else ""
        )


def described(name: str) -> Described:
    """What a user is told of a trick.

    Raises:
        SettingError: there is none of that name; the nearest one is told.
    """
    trick: Trick = TRICKS[name]
    family = trick.family and [other for other in TRICKS if TRICKS[other].family == trick.family]
    found = {FOLDERS: trick.on_cases, SCENES: trick.on_scene or trick.refiner}
    there = {where: on for where, on in found.items() if on is not None}
    return Described(
        trick.name, trick.phase, TRICKS.entries[name].help, spelling_of(name, trick.settings), tuple(there),
        tuple(other for other in family if other != name), trick.trains,
        {f.name: (default_of(f), rule.help if (rule := rule_of(f)) else "") for f in fields(trick.settings)},
        {where: text_of(on) or text_of(trick.settings) for where, on in there.items()},
    )  # fmt: skip


def default_of(field: Field[Any]) -> str:
    """As it is spelled; "" where it has to be given."""
    return "" if field.default is MISSING else spelt(field.default)


def text_of(on: Callable[..., Any]) -> str:
    """What a function or a class says of itself."""
    return inspect.cleandoc(getattr(on, "func", on).__doc__ or "")  # a partial says what its function does
