"""Settings declared once: fields of frozen dataclasses with help, default and bounds.

The command line, `run.json`, the documentation and the errors are derived from them.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import MISSING, Field, dataclass, field, fields, is_dataclass, replace
from types import NoneType, UnionType
from typing import Any, Literal, TypeVar, Union, dataclass_transform, get_args, get_origin, get_type_hints

from hyperseg.core.errors import SettingError
from hyperseg.core.words import did_you_mean, listed

S = TypeVar("S")
LARGEST = 2**63  # of a whole number: what arrays can hold
RULE = "rule"  # key of a field's `Rule` among its metadata
LATER = "later"  # key among the metadata of a field that earlier versions did not have
ADDED = {LATER: True}  # metadata of it: with its default, which never changes, it is left out of JSON
SWITCHES = {"true": True, "yes": True, "on": True, "false": False, "no": False, "off": False}


@dataclass(frozen=True)
class Rule:
    """What is known about a setting beside its type and default.

    Attributes:
        help: one or two sentences, with the unit.
        low, high: smallest and largest value; above, below: bounds that a value must not reach.
        shown: name of its option on the command line, without dashes; None leaves it to `--set`.
        off: name of the option that turns a yes-or-no setting off.
        hides: of a group: its settings have no options of their own, `--set` reaches them.
        also: value -> what else changes with it, by path within the same group, unless that is given too.
    """

    help: str
    low: float | None = None
    high: float | None = None
    above: float | None = None
    below: float | None = None
    shown: str | None = None
    off: str | None = None
    hides: bool = False
    also: Callable[[Any], dict[str, Any]] | None = None

    def fault(self, value: float) -> str | None:
        """What a number has to be where it is not, or None."""
        checks = (
            (self.low, "{:g} or more", lambda bound: value >= bound),
            (self.high, "at most {:g}", lambda bound: value <= bound),
            (self.above, "above {:g}", lambda bound: value > bound),
            (self.below, "below {:g}", lambda bound: value < bound),
        )
        given = [(words.format(bound), holds(bound)) for bound, words, holds in checks if bound is not None]
        return None if all(ok for _, ok in given) else listed(words for words, _ in given)


def option(default: Any, help: str, *, later: bool = False, **rule: Any) -> Any:
    """A field of a settings class; see `Rule`. A default that is itself settings is a group of settings.

    `later`: earlier versions did not have it; with its default, which never changes, it is left out of JSON.
    """
    return field(default=default, metadata={RULE: Rule(help, **rule)} | (ADDED if later else {}))


def required(help: str, **rule: Any) -> Any:
    """A field that has no default; see `Rule`."""
    return field(metadata={RULE: Rule(help, **rule)})


@dataclass_transform(frozen_default=True, field_specifiers=(required,))
def settings(cls: type[S]) -> type[S]:
    """A frozen dataclass whose values are checked against their types and bounds when one is made.

    Its own `__post_init__` comes after that and checks what only several values together can say.

    Raises:
        SettingError: on making one with a value of another type, outside its bounds, or no number.
    """
    own: Callable[[Any], None] | None = cls.__dict__.get("__post_init__")

    def check(self: Any) -> None:
        hints = hints_of(type(self))
        for f in fields(self):
            value = converted(getattr(self, f.name), hints[f.name], f.name, rule_of(f))
            object.__setattr__(self, f.name, value)
        if own is not None:
            own(self)

    cls.__post_init__ = check  # type: ignore[attr-defined]
    return dataclass(frozen=True)(cls)


def hints_of(cls: Any) -> dict[str, Any]:
    """The types of a class's fields, resolved."""
    return get_type_hints(cls)


def rule_of(f: Field[Any]) -> Rule | None:
    """The rule of a field declared with `option`."""
    return f.metadata.get(RULE)


def converted(value: Any, hint: Any, name: str, rule: Rule | None = None) -> Any:
    """The value as the type says: JSON's lists become tuples, its mappings dataclasses, whole numbers floats.

    Raises:
        SettingError: naming the setting, what was given and what it may be.
    """
    origin, inner = get_origin(hint), get_args(hint)
    if origin in (Union, UnionType):
        return _either(value, inner, name, rule)
    if origin is Literal:
        if any(value == choice and type(value) is type(choice) for choice in inner):
            return value
        close = did_you_mean(value, map(str, inner)) if isinstance(value, str) else ""
        raise SettingError(f"{name} is one of {', '.join(map(str, inner))}, got {value!r}.{close}")
    if origin is tuple and isinstance(value, list | tuple):
        kinds = inner[:1] * len(value) if inner[1:] == (...,) else inner
        if len(kinds) != len(value):
            raise SettingError(f"{name} has {len(kinds)} entries, got {value!r}.")
        return tuple(converted(v, kinds[i], f"{name}[{i}]", rule) for i, v in enumerate(value))
    if is_dataclass(hint) and isinstance(value, Mapping):
        return from_json(hint, value, name)  # type: ignore[arg-type]
    plain = {int: int, float: (int, float), bool: bool, str: str}
    kind: Any = plain.get(hint, origin or hint)
    if hint is Any or (isinstance(value, kind) and not (isinstance(value, bool) and hint in (int, float))):
        return _bounded(float(value) if hint is float else value, name, rule)
    raise SettingError(f"{name} is {_described(hint)}, got {value!r}.")


def _either(value: Any, kinds: tuple[Any, ...], name: str, rule: Rule | None) -> Any:
    if value is None and NoneType in kinds:
        return None
    many = isinstance(value, list | tuple)  # one value or several: the error is about the kind that was meant
    every = [kind for kind in kinds if kind is not NoneType]
    *others, last = [kind for kind in every if (get_origin(kind) is tuple) == many] or every
    for kind in others:
        with suppress(SettingError):
            return converted(value, kind, name, rule)
    return converted(value, last, name, rule)


def _bounded(value: Any, name: str, rule: Rule | None) -> Any:
    if isinstance(value, int | float) and not isinstance(value, bool):
        if isinstance(value, float) and not math.isfinite(value):
            raise SettingError(f"{name} is a finite number, got {value}.")
        if isinstance(value, int) and abs(value) > LARGEST:
            raise SettingError(f"{name} is at most {LARGEST:g} either way, got a number of {len(str(value))} digits.")
        if rule is not None and (wanted := rule.fault(value)) is not None:
            raise SettingError(f"{name} is {wanted}, got {value}.")
    return value


def _described(hint: Any) -> str:
    words = {int: "a whole number", float: "a number", bool: "true or false", str: "a text"}
    return words.get(hint, "a list" if get_origin(hint) is tuple else f"of the kind {getattr(hint, '__name__', hint)}")


def to_json(value: Any) -> Any:
    """Settings or specs as JSON: dataclasses become mappings, tuples lists.

    A field that is `ADDED` is left out while it has its default: files, and checksums of them, stay what they were.
    """
    if is_dataclass(value) and not isinstance(value, type):
        every = ((f, getattr(value, f.name)) for f in fields(value))
        return {f.name: to_json(one) for f, one in every if LATER not in f.metadata or one != f.default}
    return [to_json(v) for v in value] if isinstance(value, list | tuple) else value


def from_json(cls: type[S], data: Mapping[str, Any], what: str = "") -> S:
    """What `to_json` wrote; the class may be any dataclass of numbers, texts, tuples and such classes.

    Raises:
        SettingError: an unknown or missing key, a wrong type, or a value outside its bounds, each by name.
    """
    what = what or cls.__name__
    known = {f.name: f for f in fields(cls)}  # type: ignore[arg-type]
    if not isinstance(data, Mapping):
        raise SettingError(f"{what} is a mapping of {', '.join(known)}, got {data!r}.")
    if unknown := [str(key) for key in data if key not in known]:
        close = did_you_mean(unknown[0], known)
        raise SettingError(f"{what} has no setting named {listed(unknown)}.{close}")
    optional = {n for n, f in known.items() if f.default is not MISSING or f.default_factory is not MISSING}
    if lacking := [n for n in known if n not in optional and n not in data]:
        raise SettingError(f"{what} lacks {listed(lacking)}.")
    hints = hints_of(cls)
    return cls(**{k: converted(v, hints[k], k, rule_of(known[k])) for k, v in data.items()})


@dataclass(frozen=True)
class Leaf:
    """A single setting: its path ("train.noise.gain"), type, value in the settings asked, and rule.

    Attributes:
        within: path of the hiding group it belongs to, with a dot; its end alone does not name it then.
    """

    path: str
    hint: Any
    value: Any
    rule: Rule
    within: str = ""

    @property
    def name(self) -> str:
        return self.path.rpartition(".")[2]


def leaves(of: Any, prefix: str = "") -> Iterator[Leaf]:
    """Every single setting of settings, groups first gone into, in order of declaration."""
    hints = hints_of(type(of))
    for f in fields(of):
        value, rule = getattr(of, f.name), rule_of(f) or Rule("")
        if is_dataclass(value):
            group = f"{prefix}{f.name}."
            for leaf in leaves(value, group):
                yield replace(leaf, rule=replace(leaf.rule, shown=None), within=group) if rule.hides else leaf
        else:
            yield Leaf(prefix + f.name, hints[f.name], value, rule)


def find_leaf(of: Any, name: str) -> Leaf | None:
    """The setting called `name`: its whole path, or the end of one path alone ("noise.gain", "lr").

    In a hiding group the group's name comes before the end: "features.lr" for "features.train.lr".

    Raises:
        SettingError: the end of several paths.
    """
    every = {leaf.path: leaf for leaf in leaves(of)}
    if name in every:
        return every[name]
    open_to = [leaf for leaf in every.values() if name.startswith(leaf.within)]
    ends = [leaf for leaf in open_to if leaf.path.endswith(f".{name.removeprefix(leaf.within)}")]
    if len(ends) > 1:
        raise SettingError(f"{name} may be {listed((leaf.path for leaf in ends), last='or')}: give more of its path.")
    return ends[0] if ends else None


def changed(of: S, changes: Mapping[str, Any]) -> S:
    """A copy of settings with other values, by path: `changed(settings, {"noise.gain": 0.1})`.

    Raises:
        SettingError: no such setting (the nearest name is told), or a value it cannot have.
    """
    found: dict[str, Any] = {}
    for name, value in changes.items():
        leaf = find_leaf(of, name)
        if leaf is None:
            close = did_you_mean(name, (known for leaf in leaves(of) for known in (leaf.path, leaf.name)))
            raise SettingError(f"{type(of).__name__} has no setting named {name}.{close}")
        found[leaf.path] = value
    return _replaced(of, found)


def with_also(part: Any, changes: Mapping[str, Any]) -> dict[str, Any]:
    """The changes with what their settings bring along (`Rule.also`); what is changed explicitly wins."""
    found: dict[str, Any] = {}
    for path, value in changes.items():
        leaf = find_leaf(part, path)
        if leaf is not None and leaf.rule.also is not None:
            group = path[: -len(leaf.name)]
            found |= {group + other: v for other, v in leaf.rule.also(value).items()}
    return found | dict(changes)


def _replaced(of: Any, values: Mapping[str, Any]) -> Any:
    """All values at once: what several of them say together is checked when all are there."""
    groups: dict[str, dict[str, Any]] = defaultdict(dict)
    for path, value in values.items():
        first, _, rest = path.partition(".")
        groups[first][rest] = value
    return replace(of, **{n: v[""] if "" in v else _replaced(getattr(of, n), v) for n, v in groups.items()})


def parsed(text: str, hint: Any, name: str) -> Any:
    """A value spelled on the command line: "3e-4", "true", "none", "0.1,0.2".

    Raises:
        SettingError: not of the setting's type.
    """
    origin, inner = get_origin(hint), get_args(hint)
    if origin in (Union, UnionType):
        if NoneType in inner and text.lower() == "none":
            return None
        return parsed(text, next(kind for kind in inner if kind is not NoneType), name)
    if origin is tuple:
        return tuple(parsed(word.strip(), inner[0], name) for word in text.split(",") if word.strip())
    if origin is Literal:
        return next((choice for choice in inner if str(choice) == text), text)
    if hint not in (bool, int, float):
        return text
    with suppress(KeyError, ValueError):
        return SWITCHES[text.lower()] if hint is bool else hint(text)
    raise SettingError(f"{name} is {_described(hint)}, got {text!r}.")
