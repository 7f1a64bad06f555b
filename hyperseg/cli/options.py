"""Options of the command line made from the settings of the chosen parts, so that they are said once."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path
from types import NoneType
from typing import Any, Literal, get_args, get_origin

import click

from hyperseg.cli.choices import NONE, Choice, OfScenes, asked_tricks, checked, families
from hyperseg.core import SettingError
from hyperseg.core.settings import Leaf, leaves
from hyperseg.core.words import did_you_mean, listed
from hyperseg.data.splits import SPLITS, parse_split, splits_help
from hyperseg.recipes.methods import METHODS
from hyperseg.recipes.refiners import REFINERS
from hyperseg.recipes.run.settings import RunSettings

Section = tuple[str, list[tuple[str, str]]]  # of a help: its title, and words with their meaning
NETWORK = "network."  # a group of settings of what is trained, told by whole names
FILES = {  # options that name files beside the labels: field of the part that has it -> option -> help
    "unlabelled": {"pool": "Pixels to learn from without labels, raster or polygons.  [default: the whole scene]"},
    "needs_masks": {
        "train-mask": "Raster of training pixels, 0 = not among them.",
        "test-mask": "Raster of test pixels.  [default: all other labelled pixels]",
    },
}


@dataclass(frozen=True)
class Shown:
    """An option on the command line and the chosen parts that have it.

    Attributes:
        leaf: the setting, as the first of the parts has it.
        parts: (number of the part, its name, path of the setting in it).
    """

    leaf: Leaf
    parts: tuple[tuple[int, str, str], ...]

    @property
    def name(self) -> str:
        """The name under which click gives the value."""
        return (self.leaf.rule.shown or "").replace("-", "_")

    def option(self, usual: str = "") -> click.Option:
        """The click option; one that is not given is None, which `usual` puts into words."""
        rule, hint = self.leaf.rule, self.leaf.hint
        names = listed(dict.fromkeys(name for _, name, _ in self.parts))
        more: dict[str, Any] = {"group": f"Settings of {names}"}
        spelt = f"--{rule.shown}"
        default = self.leaf.value
        if hint is bool:
            spelt += f"/--{rule.off or f'no-{rule.shown}'}"
            default = spelt.split("/--")[0 if default else 1].removeprefix("--")
        else:
            more["type"] = _type_of(hint)
        help = f"{rule.help.rstrip('.')}.  [default: {usual or default}]"
        return GroupedOption([spelt], default=None, help=help, **more)


def _type_of(hint: Any) -> Any:
    if get_origin(hint) is Literal:
        return Choice(get_args(hint))
    return {int: click.INT, float: click.FLOAT}.get(hint)


class GroupedOption(click.Option):
    """An option that stands under a heading in the help."""

    def __init__(self, *words: Any, group: str = "", **more: Any) -> None:
        super().__init__(*words, **more)
        self.group = group


def by_set(parts: Iterable[tuple[str, Any]]) -> Iterator[Section]:
    """The settings of parts that have no option of their own, for the help."""
    for name, settings in parts:
        rest = [x for x in leaves(settings) if not (x.rule.shown or x.within)]
        if more := [(f"{x.path}={spelt(x.value)}", x.rule.help) for x in rest]:
            yield f"More of {name}, by --set NAME=VALUE (the end of a name is enough)", more
        if own := [(f"{x.path}={spelt(x.value)}", x.rule.help) for x in leaves(settings) if x.within == NETWORK]:
            yield f"Network of {name}, by --set NAME=VALUE", own


def shown(parts: Sequence[tuple[str, Any]]) -> list[Shown]:
    """The options of parts, (name, settings) each, in order; what several share is one option."""
    found: dict[str, Shown] = {}
    for i, (name, settings) in enumerate(parts):
        for leaf in leaves(settings):
            if leaf.rule.shown:
                before = found.get(leaf.rule.shown)
                where = (*(before.parts if before else ()), (i, name, leaf.path))
                found[leaf.rule.shown] = Shown(before.leaf if before else leaf, where)
    return list(found.values())


class GroupedCommand(click.Command):
    """A command whose options stand under headings in the help, and more sections below them."""

    def sections(self, ctx: click.Context) -> Iterator[Section]:
        """What stands below the options: a title, and words with their meaning."""
        yield from ()

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        groups: dict[str, list[tuple[str, str]]] = {}
        for param in self.get_params(ctx):
            record = param.get_help_record(ctx) if isinstance(param, click.Option) else None
            if record is not None:
                groups.setdefault(getattr(param, "group", "") or "Options", []).append(record)
        for title, records in (*groups.items(), *self.sections(ctx)):
            with formatter.section(title):
                formatter.write_dl(records)


class PartsCommand(GroupedCommand):
    """A command with the options of its chosen parts: those named by --method, --refine and --from, or the defaults.

    An option of another part is refused with the parts that have it.
    """

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        ctx.meta["base"] = base_settings(args)
        try:
            return super().parse_args(ctx, args)
        except click.NoSuchOption as error:
            known = [name for param in self.get_params(ctx) for name in (*param.opts, *param.secondary_opts)]
            raise SettingError(refusal(error.option_name, ctx.meta["base"], known)) from error

    def get_params(self, ctx: click.Context) -> list[click.Parameter]:
        base: RunSettings = ctx.meta.get("base") or RunSettings()
        *own, help = super().get_params(ctx)
        more: list[click.Parameter] = [item.option() for item in shown(list(base.parts))]
        for part in (base.chosen, parse_split(base.split)[0]):
            title = f"Settings of {part.name}"
            more += [GroupedOption([f"--{n}"], metavar="FILE", help=h, group=title) for n, h in files_of(part).items()]
        return [*own, *more, help]

    def sections(self, ctx: click.Context) -> Iterator[Section]:
        base: RunSettings = ctx.meta.get("base") or RunSettings()
        yield from by_set(base.parts)
        for title, table, names in (("Methods", METHODS, OfScenes()), ("Refiners", REFINERS, REFINERS)):
            yield title, [*((name, table.entries[name].help) for name in names), *families(table)]
        yield "Splits", [(*line.split("  ", 1),) for line in splits_help().splitlines()]  # type: ignore[misc]


def base_settings(args: Sequence[str]) -> RunSettings:
    """The settings that the words of a command begin from: an earlier run's, with the parts that are named."""
    from hyperseg.recipes.run.record import load_record

    earlier, settings = last(args, "from"), RunSettings()
    if earlier is not None:
        settings = RunSettings.from_json(load_record(Path(earlier))["settings"])
    method, refine = last(args, "method"), words_of(args, "refine")
    if NONE in refine and len(refine) > 1:
        raise SettingError(f"--refine {NONE} stands alone, got {', '.join(refine)}.")
    known: dict[str, Any] = {}
    if method is not None and method != settings.method:  # an earlier run's refiners were chosen for its method
        known = {"method": checked(OfScenes(), "method", method), "method_settings": None, "refine": None}
    if (split := last(args, "split")) is not None:
        known["split"] = split
    if (tricks := asked_tricks(words_of(args, "trick"))) is not None:
        known["tricks"] = tricks
    if refine:
        known["refine"] = tuple(checked(REFINERS, "refine", n, NONE) for n in refine if n != NONE)
    if not known:
        return settings
    names = known.get("refine", settings.refine)
    plain = {k: getattr(settings, k) for k in ("split", "baselines", "repeats", "seed", "sure", "tricks")}
    kept = {n: s for n, s in settings.refiner_settings.items() if names is not None and n in names}
    current = {"method": settings.method, "method_settings": settings.method_settings, "refine": names}
    return RunSettings(refiner_settings=kept, **plain | current | known)


def words_of(args: Sequence[str], name: str) -> tuple[str, ...]:
    """The values that an option is given, in order."""
    return tuple(
        word.partition("=")[2] if word.startswith(f"--{name}=") else following
        for word, following in pairwise([*args, ""])
        if (word == f"--{name}" and following) or word.startswith(f"--{name}=")
    )


def last(args: Sequence[str], name: str) -> str | None:
    return next(reversed(words_of(args, name)), None)


def refusal(option: str, base: RunSettings, known: Sequence[str]) -> str:
    """Why an option is not taken: another part has it, or none; `known` are those that are there."""
    name = option.removeprefix("--")
    tables = (METHODS, REFINERS, SPLITS)
    owners = {table.what: [part for part in table if name in option_names(table[part])] for table in tables}
    words = [f"the {what}{'s' * (len(names) > 1)} {listed(names)}" for what, names in owners.items() if names]
    chosen = listed(dict.fromkeys([*(part for part, _ in base.parts), parse_split(base.split)[0].name]))
    if words:
        return f"--{name} is no option of {chosen}: it belongs to {listed(words)}."
    return f"no such option: {option}.{did_you_mean(option, known)} `hyperseg classify --help` lists them."


def spelt(value: Any) -> str:
    """A value as --set reads it."""
    if isinstance(value, tuple):
        return ",".join(map(spelt, value))
    return f"{value:g}" if isinstance(value, float) else str(value).lower()


def files_of(part: Any) -> dict[str, str]:
    """Options of a part that name files, with their help."""
    return {n: h for field, names in FILES.items() if getattr(part, field, False) for n, h in names.items()}


def option_names(part: Any) -> Iterator[str]:
    """Names of a part's options, without dashes; those of a split stand in its spelling."""
    if part.name not in SPLITS:
        yield from option_names_of(part.settings())
    yield from files_of(part)


def option_names_of(settings: Any) -> Iterator[str]:
    for leaf in leaves(settings):
        if leaf.rule.shown:
            yield leaf.rule.shown
            if leaf.hint is bool:
                yield leaf.rule.off or f"no-{leaf.rule.shown}"


def chosen_settings(
    base: RunSettings, given: Mapping[str, Any], sets: Sequence[str], plain: Mapping[str, Any]
) -> RunSettings:
    """The settings with the options that were given, then what --set says.

    Args:
        base: of `base_settings`.
        given: values of the parts' options by name; None for options not given.
        sets: "path=value" each.
        plain: fields of `RunSettings` that no part has; None for those not given.

    Raises:
        SettingError: no chosen part has such a setting, or a value it cannot have.
    """
    every = list(base.parts)
    changes: list[dict[str, Any]] = [{} for _ in every]
    for item in shown(every):
        if given.get(item.name) is not None:
            for part, _, path in item.parts:
                changes[part][path] = given[item.name]
    for mine, more in zip(changes, base.resolved(typed_in(sets)), strict=True):
        if twice := [path for path in mine if path in more and mine[path] != more[path]]:
            raise SettingError(f"{twice[0]} is given by an option and by --set: give one of them.")
        mine |= more
    return replace(base.with_parts(changes), **{k: v for k, v in plain.items() if v is not None})


def typed_in(sets: Sequence[str]) -> dict[str, str]:
    """What --set was given, by name.

    Raises:
        SettingError: no NAME=VALUE.
    """
    found = {}
    for words in sets:
        path, equals, value = words.partition("=")
        if not equals:
            raise SettingError(f"--set takes NAME=VALUE, e.g. --set lr=3e-4, got {words!r}.")
        found[path.strip()] = value.strip()
    return found


def setting_options(
    settings: Any, *, title: str = "", metavars: Mapping[str, str] | None = None
) -> Callable[[Any], Any]:  # fmt: skip
    """Options of a command for the settings that are shown; one that is not given is None."""

    def add(command: Any) -> Any:
        for leaf in reversed([leaf for leaf in leaves(settings) if leaf.rule.shown]):  # the last one added comes first
            usual = "" if leaf.value in (None, "") else f"  [default: {leaf.value}]"
            kinds = [kind for kind in get_args(leaf.hint) if kind is not NoneType] or [leaf.hint]  # None: not given
            command = in_group(
                title, f"--{leaf.rule.shown}", leaf.name, type=_type_of(kinds[0]), default=None,
                metavar=(metavars or {}).get(leaf.name), help=leaf.rule.help + usual,
            )(command)  # fmt: skip
        return command

    return add


def in_group(title: str, *words: str, **more: Any) -> Callable[[Any], Any]:
    """A click option under a heading of the help."""
    return click.option(*words, cls=GroupedOption, group=title, **more)
