"""How the command line spells a part with its settings: `parcels:0.3,cap=50`, `cosdice:q=2`."""

from __future__ import annotations

import re
from dataclasses import MISSING, fields
from typing import Any

from hyperseg.core.errors import SettingError
from hyperseg.core.settings import from_json, hints_of, parsed


def split_spelling(text: str) -> tuple[str, str]:
    """The name, in small letters, and the words of the settings, of "name:0.3,cap=50"."""
    name, *words = re.split("[:,]", text.strip(), maxsplit=1)
    return name.strip().lower(), "".join(words)


def read_settings(cls: Any, words: str, name: str) -> Any:
    """Settings of a class spelled as "0.3,cap=50"; the first one may stand without its name: it is the main one.

    A text goes on after a comma until another setting is named: "file=a,,b/c=d.txt" is one setting. Where its name is
    not given its beginning, up to the first comma, has no "=".

    Raises:
        SettingError: an unknown setting (the nearest one is told), one given twice, a value of another type or outside
            its bounds, or one that is lacking. The sentence ends without what was spelled.
    """
    hints = hints_of(cls)
    given: dict[str, str] = {}
    last = ""
    for part in words.split(","):
        word = part.strip()
        key, equals, value = (w.strip() for w in word.partition("="))
        if hints.get(last) is str and not (equals and key in hints):
            given[last] += f",{part}"
            continue
        if not word:
            continue
        if not equals and not given and hints:
            key, value = next(iter(hints)), key
        if not value or key in given:
            raise SettingError(f"{word!r} is not understood.")
        given[key], last = value, key
    values = {k: parsed(v, hints[k], k) if k in hints else v for k, v in given.items()}
    return from_json(cls, values, name)


def spelling_of(name: str, cls: Any) -> str:
    """All settings with their defaults, as they are spelled; a capital stands for what must be given."""
    words = [f"{f.name}={f.name.upper() if f.default is MISSING else spelt(f.default)}" for f in fields(cls)]
    return f"{name}:{','.join(words)}" if words else name


def respelt(name: str, chosen: Any) -> str:
    """A part with the settings that are not its defaults, so that `read_settings` reads them again."""
    words = [f"{f.name}={spelt(value)}" for f in fields(chosen) if (value := getattr(chosen, f.name)) != f.default]
    return f"{name}:{','.join(words)}" if words else name


def spelt(value: Any) -> str:
    """A value as `core.settings.parsed` reads it: "0.3", "50", "none"; of a text its own letters."""
    if isinstance(value, str):
        return value
    if isinstance(value, float):
        short = f"{value:g}"
        return short if float(short) == value else repr(value)
    return str(value).lower()
