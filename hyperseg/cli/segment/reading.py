"""Options of several commands of `segment`: a spacing where files say none, and the classes that are meant."""

from __future__ import annotations

from typing import Any

import click


class Lengths(click.ParamType):
    """Millimetres per axis, as in 10,1.4,1.4."""

    name = "lengths"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[float, ...]:
        from hyperseg.io.cases.beside.spacing import lengths

        return value if isinstance(value, tuple) else lengths(str(value).split(","), "--spacing")


spacing_option = click.option(
    "--spacing", type=Lengths(), default=(), metavar="Z,Y,X",
    help="Millimetres per voxel of arrays and pictures whose files do not say it, in the order of their axes (Y,X of "
    "pictures). A file DIR/spacing.csv says it too. A run remembers it.",
)  # fmt: skip

target_option = click.option(
    "--target", "target", metavar="CLASS", multiple=True,
    help="Only this class, by name or code; all else is background. Several as one: rim+cup; every class as one: all; "
    "with a name of its own: disc=1+2. May be given several times, each is a class then. A run remembers it.  "
    "[default: every class]",
)  # fmt: skip
