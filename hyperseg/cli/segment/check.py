"""`hyperseg segment check`: every fault of a folder of images or volumes, each with its remedy."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from hyperseg.cli.reading import overwrite_option
from hyperseg.cli.segment.reading import spacing_option, target_option
from hyperseg.core.words import counted, thousands

if TYPE_CHECKING:
    from rich.console import Console

    from hyperseg.io.cases import Fault, Survey

EACH = 3  # faults of one kind that are shown


@click.command()
@click.argument("folder", metavar="DIR", type=click.Path(path_type=Path))
@click.option(
    "--json", "json_file", type=click.Path(dir_okay=False, path_type=Path),
    help="Also write everything, with all faults, to this file.",
)  # fmt: skip
@spacing_option
@target_option
@overwrite_option
@click.pass_context
def check(
    context: click.Context, folder: Path, json_file: Path | None, spacing: tuple[float, ...], target: tuple[str, ...],
    overwrite: bool,
) -> None:  # fmt: skip
    """Look at every file of DIR and tell what is wrong with it, and what to do.

    Missing pairs, other shapes, spacings or orientations of image and label, codes that are no classes, classes in no
    case, colours for masks, NaN, cut files, the same image twice: errors stop training, remarks are worth knowing.
    Files are read once, one case at a time. `hyperseg segment --help` shows how DIR may be laid out.
    Ends with 0 where nothing but remarks was found, with 2 where there are errors.

    \b
    Examples:
      hyperseg segment check Task04_Hippocampus
      hyperseg segment check photos --json faults.json
      hyperseg segment check fundus --target rim+cup
    """
    from rich.console import Console

    from hyperseg.engine.progress import counted_progress
    from hyperseg.io.cases import list_cases, survey
    from hyperseg.io.write import write_json
    from hyperseg.io.write.targets import check_targets

    cases = list_cases(folder, spacing=spacing, target=target)
    if json_file is not None:
        check_targets([json_file], inputs=[folder], overwrite=overwrite)
    with counted_progress(f"Checking {folder}", unit="cases") as progress:
        found = survey(cases, progress=progress)
    show(found, Console(highlight=False))
    if json_file is not None:
        write_json(json_file, found.to_json())
        click.echo(f"written to {json_file}")
    if found.errors:
        context.exit(2)


def show(found: Survey, console: Console) -> None:
    """Print what the folder holds, then its faults, those of one kind together."""
    from rich.table import Table
    from rich.text import Text

    folder = found.folder
    groups = len({case.group for case in folder.cases})
    plain(console, f"{folder.root}: {folder.layout}")
    plain(console, folder.rule)
    scored = sum(case.label is not None for case in folder.unlabelled)
    tried = f" ({thousands(scored)} with labels, for scores)" if scored else ""
    plain(
        console,
        f"{counted(len(folder.cases), 'case')} to learn from in {counted(groups, 'group')}, "
        f"{thousands(len(folder.unlabelled))} to predict{tried}; channels: {', '.join(folder.channels)}",
    )
    if found.sizes:
        plain(console, _sizes(found))
    if folder.classes:
        table = Table(box=None, header_style="bold", pad_edge=False)
        table.add_column("class")
        for title in ("code", "voxels", "%"):
            table.add_column(title, justify="right", no_wrap=True)
        total = max(sum(found.voxels), 1)
        for name, code, n in zip(folder.classes, folder.codes, found.voxels, strict=True):
            table.add_row(Text(name), str(code), thousands(n), f"{100 * n / total:.2f}")
        console.print()
        console.print(table)
    console.print()
    errors, remarks = len(found.errors), len(found.faults) - len(found.errors)
    if found.faults:
        _show_faults(found.faults, str(folder.root), console)
    verdict = f"{counted(errors, 'error')}, {counted(remarks, 'remark')}"
    end = "correct the errors before training." if errors else "ready to train."
    console.print(f"{verdict}: {end}", style="bold red" if errors else "bold")


def plain(console: Console, text: str) -> None:
    """Text as it is: names of files and classes are never markup."""
    console.print(text, markup=False, soft_wrap=True)


def _sizes(found: Survey) -> str:
    """Smallest, median and largest size, and spacing, per axis in the order of a plan."""
    import numpy as np

    from hyperseg.io.cases.check import AXES

    axes = len(found.sizes[0])
    sizes = np.array([size for size in found.sizes if len(size) == axes])
    words = [f"{'x'.join(str(int(n)) for n in row)}" for row in (sizes.min(0), np.median(sizes, 0), sizes.max(0))]
    told = f"size {words[1]}" if words[0] == words[2] else f"size {words[0]} to {words[2]}, median {words[1]}"
    spacings = np.array([each for each in found.spacings if len(each) == axes])
    if len(spacings):
        told += f"; spacing, median {' x '.join(f'{n:.4g}' for n in np.median(spacings, 0))} mm"
    return f"{told} ({' x '.join(AXES[-axes:])})"


def _short(file: str, root: str) -> str:
    """The name as it is in the folder."""
    return file.removeprefix(f"{root}/") if file != root else "(all)"


def _show_faults(faults: Sequence[Fault], root: str, console: Console) -> None:
    """A row for each fault, the first few of every kind, and how many more there are."""
    from rich.table import Table
    from rich.text import Text

    kinds: dict[tuple[str, str], list[Fault]] = defaultdict(list)
    for fault in faults:
        kinds[fault.severity, fault.kind].append(fault)
    table = Table(box=None, header_style="bold", pad_edge=False)
    for title, share in (("", None), ("file", 2), ("what was found", 4), ("what to do", 3)):
        table.add_column(title, ratio=share, no_wrap=share is None, overflow="fold")
    for (severity, kind), alike in kinds.items():
        for fault in alike[:EACH]:
            cells = (_short(fault.file, root), f"{fault.found}; expected: {fault.expected}", fault.remedy)
            table.add_row(Text(severity, "red" if severity == "error" else ""), *map(Text, cells))
        if len(alike) > EACH:
            table.add_row("", "", Text(f"{thousands(len(alike) - EACH)} more of this kind ({kind}); --json lists all"))
    console.print(table)
    console.print()
