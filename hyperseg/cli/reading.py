"""Options about files that are read and written, the same for every command that does so."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Literal, get_args, get_origin

import click

from hyperseg.cli.choices import Choice
from hyperseg.cli.options import in_group
from hyperseg.core.groups import SURE
from hyperseg.core.settings import Leaf, leaves
from hyperseg.io.cube_options import AS_STATED
from hyperseg.io.labels.vectors import AS_DRAWN

LABELS, SCENE = "Labels and their split", "The scene"
DRAWN, STATED = tuple(leaves(AS_DRAWN)), tuple(leaves(AS_STATED))
Command = Callable[..., Any]


overwrite_option = click.option(
    "--overwrite", is_flag=True, help="Replace files that are there already; never what is read."
)
weights_option = in_group(
    "Parts", "--weights", metavar="FILE",
    help="Begin with what was learnt without labels, as hyperseg pretrain SCENE writes it; short for "
    "--trick given-weights:file=FILE.",
)  # fmt: skip


def group_options(command: Command) -> Command:
    """Add --class-groups and --sure to a command; an option that is not given is None."""
    help = (
        "Of classes with groups: the probability an answer must have, else the map of groups falls back from class to "
        f"group, and then to none.  [default: {SURE}]"
    )
    return groups_option(in_group(LABELS, "--sure", type=float, metavar="SHARE", help=help)(command))


def groups_option(command: Command) -> Command:
    """Add --class-groups to a command; None where it is not given."""
    help = 'TOML file with the classes of every group: [groups], and below it corn = ["Corn", "Corn-notill"].'
    return in_group(LABELS, "--class-groups", metavar="FILE", help=help)(command)


def vector_options(command: Command) -> Command:
    """Add every field of `VectorOptions` to a command; an option that is not given is None."""
    return _with_options(command, DRAWN, LABELS)


def cube_options(command: Command) -> Command:
    """Add every field of `CubeOptions` to a command; an option that is not given is None."""
    return _with_options(command, STATED, SCENE)


def given_drawn(options: Mapping[str, Any]) -> dict[str, Any]:
    """The options of `VectorOptions` that have a value."""
    return {leaf.name: options[leaf.name] for leaf in DRAWN if options.get(leaf.name) is not None}


def given_stated(options: Mapping[str, Any]) -> dict[str, Any]:
    """The options of `CubeOptions` that have a value."""
    return {leaf.name: options[leaf.name] for leaf in STATED if options.get(leaf.name) is not None}


def _with_options(command: Command, which: tuple[Leaf, ...], group: str) -> Command:
    for leaf in reversed(which):  # the last one added is shown first
        command = _as_click(leaf, group)(command)
    return command


def _as_click(leaf: Leaf, group: str) -> Callable[[Command], Command]:
    """The click option of one field: a switch, a number of metres, one of a few words, or a text."""
    rule, kinds = leaf.rule, get_args(leaf.hint)
    if leaf.hint is bool:
        return in_group(group, f"--{rule.shown}/--{rule.off}", default=None, help=rule.help)
    choices = next((get_args(kind) for kind in kinds if get_origin(kind) is Literal), None)
    if choices:
        return in_group(group, f"--{rule.shown}", type=Choice(choices), help=rule.help)
    kind, metavar = (float, "METRES") if float in kinds else (str, "VALUE" if group == SCENE else "NAME")
    return in_group(group, f"--{rule.shown}", type=kind, metavar=metavar, help=rule.help)
