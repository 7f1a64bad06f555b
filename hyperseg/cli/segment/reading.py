"""How the commands of `segment` read a folder: its spacing where files say none, and the way to `check`."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from hyperseg.core import DataFileError, LabelError, SceneError

if TYPE_CHECKING:
    from hyperseg.io.cases import CaseFolder


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


@contextmanager
def pointing_to_check(folder: Path) -> Iterator[None]:
    """What is wrong with a file is told with the command that looks at all of them."""
    try:
        yield
    except (DataFileError, LabelError, SceneError) as error:
        if folder.is_dir():
            error.add_note(f"`hyperseg segment check {folder}` tells everything that is wrong there.")
        raise


def read_folder(folder: Path, spacing: tuple[float, ...], *, quiet: bool) -> CaseFolder:
    """The cases of a folder, their labels read for the classes where nothing states these."""
    from hyperseg.engine.progress import counted_progress
    from hyperseg.io.cases import open_cases

    with (
        pointing_to_check(folder),
        counted_progress(f"Reading the labels of {folder}", unit="files", quiet=quiet) as progress,
    ):
        return open_cases(folder, spacing=spacing, progress=progress)
