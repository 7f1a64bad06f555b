"""`hyperseg datasets`: which public scenes are known, what is known about them, and how to get them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from rich.console import Console
    from rich.text import Text

    from hyperseg.io.card import Card

FOLDER = click.option(
    "--folder",
    type=click.Path(file_okay=False, path_type=Path),
    default=None,
    help="Folder with your files; by default the cache (HYPERSEG_CACHE, or your user cache folder).",
)


@click.group(invoke_without_command=True)
@FOLDER
@click.pass_context
def datasets(context: click.Context, folder: Path | None) -> None:
    """List the public scenes hyperseg knows; `info` tells about one, `fetch` downloads it.

    \b
    Examples:
      hyperseg datasets
      hyperseg datasets info indian-pines
      hyperseg datasets fetch pavia-university
    """
    if context.invoked_subcommand is not None:
        if folder is not None:
            name = context.invoked_subcommand
            raise click.UsageError(f"put --folder after the command: `datasets {name} --folder FOLDER`.")
        return
    from rich.table import Table

    from hyperseg.io.catalog import cards, whereabouts

    table = Table(box=None, header_style="bold", pad_edge=False)
    table.add_column("name", no_wrap=True)
    for column in ("size", "bands", "classes", "labelled"):
        table.add_column(column, justify="right", no_wrap=True)
    table.add_column("on disk", no_wrap=True)
    for card in cards().values():
        size = "x".join(map(str, card.size))
        numbers = (str(card.bands), str(len(card.classes)), f"{card.labelled:,}".replace(",", " "))
        table.add_row(card.name, size, *numbers, whereabouts(card, cache=folder))
    _console().print(table)


@datasets.command()
@click.argument("name")
@FOLDER
def info(name: str, folder: Path | None) -> None:
    """Print everything known about the scene NAME (a name or an alias such as ip, paviau).

    \b
    Example:
      hyperseg datasets info pavia-university
    """
    from hyperseg.io.catalog import by_hand, cache_folder, load_card, whereabouts

    card = load_card(name)
    where = whereabouts(card, cache=folder)
    target = cache_folder() / card.name if folder is None else folder
    console = _console()
    _print_facts(console, card, where)
    _print_classes(console, card)
    _print_splits(console, card)
    for heading, lines in (("Remarks", card.remarks), ("Not certain", card.certainty), ("Sources", card.sources)):
        if lines:
            console.print(f"\n[bold]{heading}[/bold]")
        for line in lines:
            console.print(f"- {line}", markup=False, soft_wrap=True)
    if where in ("not here", "incomplete"):
        console.print(f"\n{by_hand(card, target)}", markup=False, soft_wrap=True)


@datasets.command()
@click.argument("name")
@FOLDER
def fetch(name: str, folder: Path | None) -> None:
    """Download the files of the scene NAME and check their content; files already here are kept.

    \b
    Examples:
      hyperseg datasets fetch salinas
      hyperseg datasets fetch salinas --folder ~/scenes/salinas
    """
    from hyperseg.io.catalog import built_in_files, load_card
    from hyperseg.io.fetch import fetch as fetch_files

    card = load_card(name)
    if folder is None and built_in_files(card):
        click.echo(f"{card.title} is built in: nothing to fetch (give --folder to get the files all the same).")
        return
    with _Bar(_console(), card.title) as bar:
        paths = fetch_files(card, cache=folder, progress=bar, tell=click.echo)
    click.echo(f"{card.title} is complete in {next(iter(paths.values())).parent}")


class _Bar:
    """What pooch expects of a progress bar, drawn by rich."""

    def __init__(self, console: Console, title: str) -> None:
        from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn

        columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TimeRemainingColumn())
        self._progress = Progress(*columns, console=console, disable=not console.is_terminal)
        self._task = self._progress.add_task(title, total=None)

    def __enter__(self) -> _Bar:
        self._progress.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._progress.stop()

    @property
    def total(self) -> float | None:
        return self._progress.tasks[0].total

    @total.setter
    def total(self, size: float | None) -> None:
        self._progress.update(self._task, total=size or None)

    def update(self, size: int) -> None:
        self._progress.update(self._task, advance=size)

    def reset(self) -> None:
        self._progress.update(self._task, completed=0)

    def close(self) -> None:
        """Keep the bar: the next file uses it again."""


def _print_facts(console: Console, card: Card, where: str) -> None:
    from rich.table import Table

    from hyperseg.core.groups import in_words

    runs = ", ".join(str(a) if a == b else f"{a}-{b}" for a, b in card.removed_bands)
    removed = f"{runs} (counted from 1 of {card.recorded_bands}; absent from the array)" if runs else "not stated"
    if card.recorded_bands == card.bands:
        removed = "none"
    low, high = card.range_nm
    centres = {"listed": "centres known", "approximate": "centres approximate", "range": "no band centres"}
    bounds = f"{card.low:g} to {card.high:g}" if card.exact else "extremes not known"
    facts = {
        "scene": f"{card.title} ({card.name}; also {', '.join(card.aliases)})",
        "place": card.place,
        "sensor": f"{card.sensor}, pixels of {card.pixel_m:g} m",
        "array": f"{card.size[0]} rows x {card.size[1]} columns x {card.bands} bands, {card.dtype}, {bounds}",
        "wavelengths": f"{low:g} to {high:g} nm, {centres[card.wavelength_kind]}",
        "bands removed": removed,
        "bands to drop": ", ".join(map(str, card.drop_bands)) or "none",
        "RGB bands": f"{', '.join(map(str, card.rgb_bands))} (counted from 0)",
        "labelled": f"{card.labelled} pixels in {len(card.classes)} classes",
        **({} if card.groups is None else {"groups": in_words(card.groups.table(card.class_names))}),
        "files": "; ".join(f"{entry.name} (array {entry.key})" for entry in card.files),
        "on disk": where,
        "licence": card.licence,
        "cite": card.citation,
    }
    table = Table(box=None, show_header=False, pad_edge=False)
    table.add_column(style="bold", no_wrap=True)
    table.add_column(overflow="fold")
    for what, value in facts.items():
        table.add_row(what, _text(value))
    console.print(table)


def _print_classes(console: Console, card: Card) -> None:
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, header_style="bold", pad_edge=False)
    for column in ("code", "", "class", "pixels", "colour"):
        table.add_column(column, justify="right" if column in ("code", "pixels") else "left")
    for entry in card.classes:
        code = "#{:02x}{:02x}{:02x}".format(*entry.colour)
        table.add_row(str(entry.code), Text("  ", style=f"on {code}"), _text(entry.name), str(entry.count), code)
    console.print()
    console.print(table)


def _print_splits(console: Console, card: Card) -> None:
    for split in card.splits:
        console.print(f"\nSplit {split.name}", style="bold", markup=False, highlight=False)
        for what, counts in (("train", split.train), ("test", split.test)):
            console.print(f"  {what} {sum(counts)}: {', '.join(map(str, counts))}", markup=False, soft_wrap=True)
        console.print(f"  masks in your {split.file}", markup=False, soft_wrap=True)
        console.print(f"  {split.remark}", markup=False, soft_wrap=True)


def _text(value: str) -> Text:
    from rich.text import Text

    return Text(value)  # never markup


def _console() -> Console:
    from rich.console import Console

    return Console(highlight=False)
