"""Options of labels that are drawn as vectors: the same for every command that reads labels."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from hyperseg.cli.options import in_group
from hyperseg.core.settings import Leaf, leaves
from hyperseg.io.labels.vectors import AS_DRAWN

GROUP = "Labels and their split"
OPTIONS = tuple(leaves(AS_DRAWN))


def vector_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add every field of `VectorOptions` to a command; an option that is not given is None."""
    for leaf in reversed(OPTIONS):  # the last one added is shown first
        command = as_click(leaf)(command)
    return command


def as_click(leaf: Leaf) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """The click option of one field: a switch, a number of metres or a name."""
    rule = leaf.rule
    if leaf.hint is bool:
        return in_group(GROUP, f"--{rule.shown}/--{rule.off}", default=None, help=rule.help)
    number = leaf.hint == float | None
    kind, metavar = (float, "METRES") if number else (str, "NAME")
    return in_group(GROUP, f"--{rule.shown}", type=kind, metavar=metavar, help=rule.help)


def given(options: Mapping[str, Any]) -> dict[str, Any]:
    """The vector options among `options` that have a value."""
    return {leaf.name: options[leaf.name] for leaf in OPTIONS if options.get(leaf.name) is not None}
