"""Everything that decides a classification run: which parts, with which settings, and how often."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import field, replace
from typing import Any

from hyperseg.core import SettingError
from hyperseg.core.groups import SURE
from hyperseg.core.parts import Chain, Method, Refiner
from hyperseg.core.settings import (
    changed,
    converted,
    find_leaf,
    from_json,
    leaves,
    option,
    parsed,
    settings,
    to_json,
    with_also,
)
from hyperseg.core.words import did_you_mean, listed
from hyperseg.data.splits import SPLITS, parse_split
from hyperseg.recipes.methods import BASELINE, METHODS
from hyperseg.recipes.refiners import REFINERS, USUAL
from hyperseg.recipes.tricks.choosing import spelled_tricks, tricked_method, with_refiners

PLAIN = (
    "method",
    "split",
    "refine",
    "baselines",
    "repeats",
    "seed",
    "sure",
    "tricks",
)  # fields that are no part's settings
LARGEST_SEED = 2**32 - 1  # of scikit-learn
MOST_REPEATS = 1000


@settings
class RunSettings:
    """Everything that decides a run; written to run.json and repeatable from it.

    Attributes:
        method_settings: of the method, of its class; None are its defaults.
        refiner_settings: of the refiners in `refine`, by name; the others have their defaults. Those that tricks are
            have the settings of the trick.
    """

    method: str = option(METHODS.default, "What makes the map.")
    split: str = option(SPLITS.default, "How labelled pixels are divided, see `hyperseg.data.splits.make_split`.")
    refine: tuple[str, ...] | None = option(
        None, "Refiners after the method, in order, each once; none is the method's own chain."
    )
    baselines: tuple[str, ...] = option(
        (f"{BASELINE} + {REFINERS.default}",),
        'Methods measured beside it on the same split; refiners after one are written "lda + trees".',
    )
    repeats: int = option(
        3, "Runs with seeds seed, seed + 1, ...: each draws its own split and weights.", low=1, high=MOST_REPEATS
    )
    seed: int = option(0, "Of the first repeat, whose map is the one written.", low=0)
    sure: float | None = option(
        None,
        "Of scenes with groups of classes: the probability an answer must have, else map-groups.tif falls back to the "
        f"group, then to none; None is {SURE}.",
        low=0,
        high=1,
    )
    tricks: tuple[str, ...] = option((), "Of the method, see `hyperseg tricks`; as they are spelled.")
    method_settings: Any = None
    refiner_settings: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Fill in the defaults of the chosen parts, and refuse parts that do not go together."""
        object.__setattr__(self, "tricks", spelled_tricks(self.tricks))
        method = self.chosen
        parse_split(self.split)
        if self.seed > LARGEST_SEED - self.repeats:
            raise SettingError(f"the seed lies between 0 and {LARGEST_SEED - self.repeats}, got {self.seed}.")
        object.__setattr__(self, "baselines", tuple(spelled(text) for text in self.baselines))
        if self.refine is None:
            object.__setattr__(self, "refine", USUAL if method.refiners is None else method.refiners)
        names = self.refine or ()
        if len(set(names)) < len(names):
            raise SettingError(f"every refiner once: got {', '.join(names)}.")
        given, known = dict(self.refiner_settings), {name: REFINERS[name].settings for name in names}
        if unknown := [n for n, s in given.items() if n not in known and s != REFINERS[n].settings()]:
            raise SettingError(f"settings of {listed(unknown)} are given, which is not among the refiners.")
        filled = {name: given.get(name) or cls() for name, cls in known.items()}
        object.__setattr__(self, "refiner_settings", filled)
        if self.method_settings is None:
            object.__setattr__(self, "method_settings", method.settings())
        for part, cls in ((self.method_settings, method.settings), *((filled[n], c) for n, c in known.items())):
            if not isinstance(part, cls):
                raise SettingError(f"settings of the class {cls.__name__} are wanted, got {part!r}.")
        _ = self.chain  # whose tricks may be named twice
        if method.needs is not None and names and method.needs not in names:
            raise SettingError(
                f"--method {method.name} is its network refined by {method.needs}; with other refiners alone name "
                f"{method.needs} among them, or choose another method."
            )

    @property
    def chosen(self) -> Method:
        """The method, with its tricks."""
        found: Method = METHODS[self.method]
        return tricked_method(found, self.tricks)

    @property
    def chain(self) -> tuple[tuple[Refiner, Any], ...]:
        """The refiners in order, with their settings; those that are tricks come last."""
        named = tuple((REFINERS[name], self.refiner_settings[name]) for name in self.refine or ())
        return with_refiners(named, self.tricks)

    def refiner(self, name: str) -> tuple[Refiner, Any]:
        """A refiner with the settings it has in the chain, else its defaults."""
        found: Refiner = REFINERS[name]
        return next((link for link in self.chain if link[0].name == name), (found, found.settings()))

    @property
    def beside(self) -> tuple[tuple[str, Chain], ...]:
        """(method, refiners) of every baseline that is not what the run makes anyway.

        With tricks that change the method it is another one than the baseline of its name.
        """
        found = [tuple(text.split(" + ")) for text in dict.fromkeys(self.baselines)]
        if tricked(self.chosen):
            return tuple((method, tuple(chain)) for method, *chain in found)
        mine = (self.method, *(refiner.name for refiner, _ in self.chain))
        return tuple((method, tuple(chain)) for method, *chain in found if (method, *chain) != mine[: 1 + len(chain)])

    @property
    def parts(self) -> Iterator[tuple[str, Any]]:
        """What is chosen: (name, settings), the method first."""
        yield self.method, self.method_settings
        yield from self.refiner_settings.items()

    def with_(self, changes: Mapping[str, Any]) -> RunSettings:
        """A copy with other settings of the parts, by path: {"lr": 3e-4, "noise.gain": "0.1", "deconv.lr": 1e-3}.

        Values that are texts are read as the setting's type says. A path goes to every chosen part that has it, one
        that begins with a part's name to that part alone.

        Raises:
            SettingError: no chosen part has such a setting, or a value it cannot have.
        """
        return self.with_parts(self.resolved(changes))

    def resolved(self, changes: Mapping[str, Any]) -> list[dict[str, Any]]:
        """The changes that every part gets, in the order of `parts`, by whole path."""
        every = list(self.parts)
        found: list[dict[str, Any]] = [{} for _ in every]
        for path, value in changes.items():
            to, _, rest = path.partition(".")
            named, met = to in dict(every) and bool(rest), False
            asked = [find_leaf(p, rest if named else path) if name == to or not named else None for name, p in every]
            whole = [leaf is not None and leaf.path == rest for leaf in asked]  # of two parts of a name, the one meant
            for mine, leaf, exact in zip(found, asked, whole, strict=True):
                if leaf is not None and (exact or not named or not any(whole)):
                    met = True
                    mine[leaf.path] = parsed(value, leaf.hint, path) if isinstance(value, str) else value
            if not met:
                raise SettingError(self._lacking(path))
        return found

    def with_parts(self, changes: Sequence[Mapping[str, Any]]) -> RunSettings:
        """A copy whose parts, in the order of `parts`, have other settings, by whole path, and what goes with them."""
        parts = [changed(p, with_also(p, mine)) for (_, p), mine in zip(self.parts, changes, strict=True)]
        of_refiners = dict(zip(self.refiner_settings, parts[1:], strict=True))
        return replace(self, method_settings=parts[0], refiner_settings=of_refiners)

    def _lacking(self, path: str) -> str:
        every = [leaf for _, part in self.parts for leaf in leaves(part)]
        known = [n for leaf in every for n in ((leaf.path,) if leaf.within else (leaf.path, leaf.name))]
        parts = dict.fromkeys(name for name, _ in self.parts)
        have, close = "has" if len(parts) == 1 else "have", did_you_mean(path, known)
        return f"{listed(parts)} {have} no setting named {path}.{close} `hyperseg classify --help` lists them."

    def to_json(self) -> dict[str, Any]:
        return {name: to_json(getattr(self, name)) for name in PLAIN} | {
            "method_settings": to_json(self.method_settings),
            "refiner_settings": {name: to_json(part) for name, part in self.refiner_settings.items()},
        }

    @staticmethod
    def from_json(data: Mapping[str, Any]) -> RunSettings:
        """The settings of a run.json; unknown keys are refused."""
        try:
            method, names = METHODS[data["method"]], dict(data["refiner_settings"])
            of_refiners = {name: from_json(REFINERS[name].settings, part, name) for name, part in names.items()}
            of_method = from_json(method.settings, data["method_settings"], method.name)
            rest = {k: v for k, v in data.items() if k not in ("method_settings", "refiner_settings")}
            rest = {"sure": None, "tricks": []} | rest  # runs of versions without groups or tricks
            if lacking := [n for n in (*PLAIN, *(data["refine"] or ())) if n not in rest and n not in names]:
                raise SettingError(f"it lacks {listed(lacking)}")
            refine = converted(rest.pop("refine"), tuple[str, ...], "refine")
            plain = from_json(RunSettings, rest, "a classification run")
            return replace(plain, refine=refine, method_settings=of_method, refiner_settings=of_refiners)
        except (SettingError, KeyError, TypeError, ValueError, AttributeError, RecursionError) as error:
            raise SettingError(
                f"the settings of a classification run cannot be read ({error}): they are those of another "
                "version of hyperseg, or were edited."
            ) from error


def tricked(method: Method) -> bool:
    """Whether tricks make it another one than the method of the table."""
    return method.name in METHODS and method.fit is not METHODS[method.name].fit


def spelled(baseline: str) -> str:
    """A baseline as steps are named: "svm", "lda + trees".

    Raises:
        SettingError: an unknown part, a method that is nothing without its refiners, or a refiner twice.
    """
    method, *refiners = (word.strip() for word in baseline.split("+"))
    if METHODS[method].needs is not None:
        raise SettingError(f"{method} is no baseline: its map is that of its refiners, not of a method alone.")
    for name in refiners:
        _ = REFINERS[name]
    if len(set(refiners)) < len(refiners):
        raise SettingError(f"the baseline {baseline!r}: every refiner once.")
    return " + ".join((method, *refiners))
