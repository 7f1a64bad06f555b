"""Tricks as a user names them: which they are, whether they go together, and what they make of a method."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import fields, replace
from typing import Any

from hyperseg.core import SettingError
from hyperseg.core.parts import Method, OnCases, Refiner, Trick, read_settings, respelt, spelling_of, split_spelling
from hyperseg.core.words import listed
from hyperseg.recipes.tricks import TRICKS

Chosen = tuple[Trick, Any]
"""A trick and its settings."""
Chain = tuple[tuple[Refiner, Any], ...]
"""Refiners in order, with their settings."""
OPTION = "--trick"


def parse_trick(text: str) -> Chosen:
    """The trick that is spelled, with its settings: "oversampling:share=0.5".

    Raises:
        SettingError: an unknown trick or setting (the nearest one is told), or a value that it cannot have.
    """
    name, words = split_spelling(text)
    trick: Trick = TRICKS[name]
    try:
        return trick, read_settings(trick.settings, words, name)
    except SettingError as why:
        raise SettingError(f"{OPTION} {text}: {why} It is spelled {spelling_of(name, trick.settings)}.") from None


def parse_tricks(texts: Iterable[str]) -> tuple[Chosen, ...]:
    """Tricks in the order of the table, which is that of the phases.

    Raises:
        SettingError: as `parse_trick`; one that is named twice, or two that do the same thing in different ways.
    """
    order = list(TRICKS)
    found = sorted(map(parse_trick, texts), key=lambda chosen: order.index(chosen[0].name))
    seen: dict[str, str] = {}
    for trick, _ in found:
        if trick.name in seen.values():
            raise SettingError(f"{OPTION} {trick.name} is given twice: once is enough.")
        if trick.family and trick.family in seen:
            raise SettingError(
                f"{OPTION} {seen[trick.family]} and {OPTION} {trick.name} are two ways to do the same thing "
                f"({trick.family}): give one of them."
            )
        seen[trick.family or trick.name] = trick.name
    return tuple(found)


def spelled_tricks(texts: Iterable[str]) -> tuple[str, ...]:
    """The same tricks, always spelled in the same way and order."""
    return tuple(respelt(trick.name, chosen) for trick, chosen in parse_tricks(texts))


def added_tricks(had: Iterable[str], more: Iterable[str]) -> tuple[str, ...]:
    """Those of a method that is trained already, and more for its predictions; one that it has gets its new settings.

    Raises:
        SettingError: as `parse_tricks`; or one that would have to be there in training.
    """
    asked = parse_tricks(more)
    for trick, chosen in asked:
        if trick.trains:
            spelled = respelt(trick.name, chosen)
            raise SettingError(
                f"{OPTION} {spelled}: networks learn with it, those of this run are trained already. Train others: "
                f"hyperseg segment train ... {OPTION} {spelled}."
            )
    new = {trick.name for trick, _ in asked}
    kept = [respelt(trick.name, chosen) for trick, chosen in parse_tricks(had) if trick.name not in new]
    return spelled_tricks([*kept, *(respelt(trick.name, chosen) for trick, chosen in asked)])


def tricked_cases(on: OnCases, tricks: Iterable[str], method: str) -> OnCases:
    """What a method does with cases, with tricks.

    Raises:
        SettingError: as `parse_tricks`; or one that makes no sense there.
    """
    for trick, chosen in parse_tricks(tricks):
        with _told(trick, method):
            if trick.on_cases is None:
                raise SettingError("it is of scenes, not of images and volumes.")
            improved = trick.on_cases(on, chosen)
        plan = improved.plan if improved.plan is on.plan else _telling(improved.plan, trick, method)
        check = improved.check if improved.check is on.check else _telling(improved.check, trick, method)
        ready = improved.ready
        if ready is not None and ready is not on.ready:
            ready = _telling(ready, trick, method)
        on = replace(improved, plan=plan, check=check, ready=ready)
    return on


def tricked_method(method: Method, tricks: Iterable[str]) -> Method:
    """A method of scenes, with tricks; those that are refiners come after it, see `with_refiners`.

    What is measured beside it has the same tricks, and says in its title which it cannot have.

    Raises:
        SettingError: as `parse_tricks`; or one that makes no sense there.
    """
    name, plain = method.name, method
    found = parse_tricks(tricks)
    for trick, chosen in found:
        with _told(trick, name):
            _check_counting(trick, chosen)
            if trick.on_scene is None and trick.refiner is None:
                raise SettingError("it is of images and volumes, not of scenes.")
            if trick.on_scene is None:
                continue
            improved = trick.on_scene(method, chosen)
        check = improved.check if improved.check is method.check else _telling(improved.check, trick, name)
        method = replace(improved, check=check)
    if method is plain:
        return plain
    return replace(
        method, beside=lambda settings: tuple((_with_these(part, found), of) for part, of in plain.beside(settings))
    )


def _check_counting(trick: Trick, chosen: Any) -> None:
    """Raise for settings that are given and do not count on a scene."""
    given = [f.name for f in fields(chosen) if f.name in trick.of_cases and getattr(chosen, f.name) != f.default]
    if given:
        raise SettingError(f"on a scene {listed(given)} does not count: leave {listed(given)} out.")


def _with_these(method: Method, tricks: Iterable[Chosen]) -> Method:
    """A method with those of the tricks that it can have; its title says which it lacks."""
    lacking = []
    for trick, chosen in tricks:
        spelled = respelt(trick.name, chosen)
        try:
            method = tricked_method(method, [spelled])
        except SettingError:
            lacking.append(spelled)
    if not lacking:
        return method
    return replace(method, title=f"{method.title or method.step_name} without {listed(lacking)}")


def with_refiners(chain: Chain, tricks: Iterable[str]) -> Chain:
    """A chain of refiners, at the end of which are those that are tricks.

    Raises:
        SettingError: as `parse_tricks`; or such a refiner is in the chain already, elsewhere or with other settings.
    """
    found = [(trick, chosen, trick.refiner(chosen)) for trick, chosen in parse_tricks(tricks) if trick.refiner]
    ends = tuple(link for _, _, link in found)
    if chain[max(len(chain) - len(ends), 0) :] == ends:
        return chain
    there = {refiner.name for refiner, _ in chain}
    for trick, chosen, (refiner, _) in found:
        if refiner.name in there:
            raise SettingError(
                f"{OPTION} {respelt(trick.name, chosen)} is the refiner {refiner.name} at the end of the chain, which "
                "has it already, elsewhere or with other settings: give one of them."
            )
    return chain + ends


def _telling(call: Callable[..., Any], trick: Trick, method: str) -> Callable[..., Any]:
    """The same call, whose errors say which trick did not fit."""

    def told(*given: Any) -> Any:
        with _told(trick, method):
            return call(*given)

    return told


@contextmanager
def _told(trick: Trick, method: str) -> Iterator[None]:
    try:
        yield
    except SettingError as error:
        if str(error).startswith(OPTION):  # another trick has said so
            raise
        raise SettingError(f"{OPTION} {trick.name}, with the method {method}: {error}") from None
