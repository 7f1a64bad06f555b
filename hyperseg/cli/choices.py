"""Values of options that name parts: one of a table, or a baseline with refiners after it."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from typing import Any

import click

from hyperseg.core import SettingError
from hyperseg.core.parts import Parts
from hyperseg.core.words import did_you_mean
from hyperseg.recipes.methods import METHODS
from hyperseg.recipes.run.settings import spelled

NONE = "none"  # no refiner, no baseline, no trick


class OfScenes(Collection[str]):
    """The names of methods that take scenes; asked for one name, no other method is imported.

    Parts of a family are among them, and not listed.
    """

    spelled = METHODS.spelled

    def __contains__(self, name: object) -> bool:
        return name in METHODS and "scene" in METHODS[str(name)].takes

    def __iter__(self) -> Iterator[str]:
        return filter(self.__contains__, METHODS)

    def __len__(self) -> int:
        return sum(1 for _ in self)

    def close(self, name: str) -> str:
        """The nearest name in words, see `Parts.close`."""
        return METHODS.close(name)

    def refusal(self, name: str) -> str | None:
        """Why a method that there is, or a part of a family that there is not, cannot be had; None of other names."""
        if name in METHODS:
            return f"{name} takes folders, no scenes: hyperseg segment train DIR --method {name}."
        if name.partition(":")[0] in METHODS.families and ":" in name:
            try:
                _ = METHODS[name]
            except SettingError as error:
                return str(error)
        return None


def unknown(table: Collection[str], name: str, *more: str) -> str:
    """Why a table does not have a name: what it has, and the nearest of that."""
    known = (*table, *getattr(table, "spelled", ()), *more)
    near = getattr(table, "close", lambda given: did_you_mean(given, known))
    if (refusal := getattr(table, "refusal", lambda given: None)(name)) is not None:
        return str(refusal)
    return f"{name!r} is not one of {', '.join(known)}.{did_you_mean(name, more) or near(name)}"


def checked(table: Collection[str], option: str, name: str, *more: str) -> str:
    """The name, if the table has it; else the error says which option it was, and what it may be."""
    if name not in table:
        raise click.BadParameter(unknown(table, name, *more), param_hint=f"'--{option}'")
    return name


def families(table: Parts) -> Iterator[tuple[str, str]]:
    """How the parts of a table's families are spelled, with a line of help each."""
    yield from zip(table.spelled, (entry.help for entry in table.families.values()), strict=True)


class Choice(click.ParamType):
    """One of the names of a table, or one more, when it is asked; a misspelt one is told the nearest."""

    name = "choice"

    def __init__(self, table: Collection[str], *more: str) -> None:
        self.table, self.more = table, more

    @property
    def names(self) -> tuple[str, ...]:
        return (*self.table, *getattr(self.table, "spelled", ()), *self.more)

    def get_metavar(self, param: click.Parameter, ctx: click.Context | None = None) -> str:
        return f"[{'|'.join(self.names)}]"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        if value in self.table or value in self.more:
            return str(value)
        self.fail(unknown(self.table, str(value), *self.more), param, ctx)


class Baseline(click.ParamType):
    """A method, and refiners after it: "lda + trees"."""

    name = "baseline"

    def get_metavar(self, param: click.Parameter, ctx: click.Context | None = None) -> str:
        return f"[{'|'.join((*OfScenes(), *OfScenes.spelled))}|{NONE}][ + REFINER]"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        try:
            return NONE if value == NONE else spelled(str(value))
        except SettingError as error:
            self.fail(str(error), param, ctx)


def asked_baselines(given: tuple[str, ...]) -> tuple[str, ...] | None:
    """What was asked for; None where nothing was."""
    if NONE in given and len(given) > 1:
        raise SettingError(f"--baseline {NONE} stands alone, got {', '.join(given)}.")
    return () if NONE in given else given or None


def asked_tricks(given: tuple[str, ...], weights: str | None = None) -> tuple[str, ...] | None:
    """What was asked for; None where nothing was. `weights`, a file, is another spelling of a trick."""
    if NONE in given and len(given) > 1:
        raise SettingError(f"--trick {NONE} stands alone, got {', '.join(given)}.")
    plain = () if NONE in given else given
    if weights is not None:
        from hyperseg.recipes.tricks.pretraining.given_weights import spelled

        return (*plain, spelled(weights))
    return plain if given else None
