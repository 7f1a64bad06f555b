"""Options of the methods that take folders, made from their settings; which of them a run's method has is told then."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import click

from hyperseg.cli.choices import families
from hyperseg.cli.options import GroupedCommand, Section, by_set, last, shown, typed_in
from hyperseg.cli.segment.objects import methods_of_objects
from hyperseg.core import SettingError
from hyperseg.core.settings import find_leaf
from hyperseg.core.words import listed
from hyperseg.recipes.methods import METHODS
from hyperseg.recipes.segment.methods.chosen import CaseMethod, case_method, methods_on_cases

more_tricks = click.option(
    "--trick", "tricks", multiple=True, metavar="NAME[:SETTING=VALUE]",
    help="One more trick that changes predictions alone (hyperseg tricks tells which do), or other settings of one "
    "that the run has; may be given several times.  [default: the run's own]",
)  # fmt: skip


class MethodsCommand(GroupedCommand):
    """A command with the options of all methods that take folders; `drawn`: those that a prediction may change."""

    def __init__(self, *args: Any, drawn: bool = False, **more: Any) -> None:
        super().__init__(*args, **more)
        self.drawn = drawn

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        ctx.meta["method"] = last(args, "method")
        return super().parse_args(ctx, args)

    def get_params(self, ctx: click.Context) -> list[click.Parameter]:
        *own, help = super().get_params(ctx)
        usual = "as trained" if self.drawn else ""
        return [*own, *(item.option(usual) for item in shown(parts(drawn=self.drawn))), help]

    def sections(self, ctx: click.Context) -> Iterator[Section]:
        if not self.drawn:
            asked, objects = ctx.meta.get("method"), methods_of_objects()
            whole = asked is None or asked in METHODS.entries
            of_a_family = [] if whole else [case_method(str(asked))]
            yield from by_set([*parts(), *objects, *((one.name, one.settings) for one in of_a_family)])
            names = (*methods_on_cases(), *(name for name, _ in objects))
            yield "Methods", [*((name, METHODS.entries[name].help) for name in names), *families(METHODS)]


def parts(*, drawn: bool = False) -> list[tuple[str, Any]]:
    """Methods that take folders, with their settings, or with those that a prediction may change."""
    found = [case_method(name) for name in methods_on_cases()]
    if not drawn:
        return [(one.name, one.settings) for one in found]
    return [(one.name, getattr(one.settings, one.on.changeable)) for one in found if one.on.changeable]


def changes_of(
    method: CaseMethod, given: Mapping[str, Any], sets: Sequence[str], *, drawn: bool = False
) -> dict[str, Any]:  # fmt: skip
    """The settings of a method that are given by options and by --set, by path.

    Raises:
        SettingError: an option of another method, a setting given twice, or no NAME=VALUE.
    """
    found: dict[str, Any] = {}
    for item in shown(parts(drawn=drawn)):
        if given.get(item.name) is None:
            continue
        owners = [name for _, name, _ in item.parts]
        own = [leaf.rule.shown for leaf in (method.changeable if drawn else method.leaves)]
        if item.leaf.rule.shown not in own:
            raise SettingError(
                f"--{item.leaf.rule.shown} is no option of {method.name}: it belongs to the "
                f"method{'s' * (len(owners) > 1)} {listed(owners)}."
            )
        leaf = next(one for one in method.leaves if one.rule.shown == item.leaf.rule.shown)
        found[leaf.path] = given[item.name]
    for name, value in typed_in(sets).items():
        known = find_leaf(method.settings, name)
        path = name if known is None else known.path
        if path in found:
            raise SettingError(f"{path} is given by an option and by --set: give one of them.")
        found[path] = value
    return found
