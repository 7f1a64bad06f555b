"""Checks of settings: each raises SettingError with what was given and what was expected."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from hyperseg.core import SettingError


def check_int(name: str, value: object, *, low: int, high: int | None = None) -> None:
    """Refuse anything but a whole number in low..high (a bool is not a number)."""
    if (
        isinstance(value, bool)
        or not isinstance(value, int)
        or value < low
        or (high is not None and value > high)
    ):
        bounds = f"at least {low}" if high is None else f"{low}..{high}"
        raise SettingError(f"{name} must be a whole number, {bounds}, got {value!r}.")


def check_choice(name: str, value: object, choices: tuple[str, ...]) -> None:
    """Refuse a word that is not among the choices."""
    if value not in choices:
        raise SettingError(f"{name} must be one of {', '.join(choices)}, got {value!r}.")


def check_keys(what: str, data: object, known: set[str], needed: set[str] | None) -> None:
    """Refuse a non-dict, unknown keys, and missing ones (of `needed`, or of all known)."""
    if not isinstance(data, Mapping):
        raise SettingError(f"a {what} is read from a dict, got {data!r}.")
    unknown, missing = sorted(set(data) - known), sorted((known if needed is None else needed) - set(data))
    if unknown or missing:
        raise SettingError(
            f"{what}: unknown keys {unknown}, missing keys {missing}; known are {sorted(known)}."
        )


def as_tuple(name: str, value: object) -> tuple[Any, ...]:
    """A list or tuple as a tuple."""
    if not isinstance(value, list | tuple):
        raise SettingError(f"{name} must be a list or tuple, got {value!r}.")
    return tuple(value)


def per_axis(name: str, value: object, ndim: int) -> tuple[int, ...]:
    """One whole number for all axes, or one per axis, as one per axis."""
    entries = (value,) * ndim if isinstance(value, int) else as_tuple(name, value)
    if len(entries) != ndim:
        raise SettingError(f"{name} is {value!r}: give one number or {ndim}, one per axis.")
    for entry in entries:
        check_int(name, entry, low=1)
    return entries
