"""Options of labels that are drawn as vectors: the same for every command that reads labels."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import click

VECTOR_OPTIONS = ("class_column", "layer", "all_touched", "buffer_m")


def vector_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options to a command."""
    for option in (
        click.option(
            "--buffer-m",
            type=float,
            metavar="METRES",
            help="Of drawn labels: the surroundings of points and lines belong to them.",
        ),
        click.option(
            "--all-touched/--centres",
            default=None,
            help="Of drawn labels: all pixels a polygon touches, or those whose centre lies in it.  [default: centres]",
        ),
        click.option("--layer", metavar="NAME", help="Of drawn labels: the layer of a file of several."),
        click.option(
            "--class-column",
            metavar="NAME",
            help="Of drawn labels: the column that tells the classes.  [default: guessed]",
        ),
    ):
        command = option(command)
    return command


def given(options: Mapping[str, Any]) -> dict[str, Any]:
    """The vector options among `options` that have a value."""
    return {name: options[name] for name in VECTOR_OPTIONS if options.get(name) is not None}
