"""`hyperseg bench samplers`: every sampler of the survey on one model, quality against network calls."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from hyperseg.cli.device import HELP, Device
from hyperseg.cli.options import setting_options
from hyperseg.core import SettingError
from hyperseg.recipes.bench.settings import ALL, MANY, NFES, BenchSettings
from hyperseg.recipes.bench.settings import MOST as MOST_USUAL

if TYPE_CHECKING:
    from rich.console import Console

    from hyperseg.recipes.bench.samplers import Benched


class Names(click.ParamType):
    """Names with commas between, "all" being none of them in particular."""

    name = "names"

    def get_metavar(self, param: click.Parameter, ctx: click.Context | None = None) -> str:
        return "A,B|all"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[str, ...]:
        if isinstance(value, tuple):
            return value
        found = tuple(word.strip() for word in str(value).split(",") if word.strip())
        if not found:
            raise SettingError("--samplers names nothing: give names with commas between, or all.")
        return () if ALL in found else found


class Numbers(click.ParamType):
    """Whole numbers from 1 with commas between."""

    name = "numbers"

    def get_metavar(self, param: click.Parameter, ctx: click.Context | None = None) -> str:
        return "N,N,..."

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[int, ...]:
        if isinstance(value, tuple):
            return value
        words = [word.strip() for word in str(value).split(",") if word.strip()]
        if not words or not all(word.isdecimal() and int(word) for word in words):
            raise SettingError(f"--nfe {value}: is no list of network calls; give whole numbers from 1, as 5,10,20.")
        return tuple(int(word) for word in words)


MOST = 1000  # letters of a line that no terminal has
METHOD = 22  # letters of the longest name of a method
METAVARS = {"data": "NAME|DIR", "model": "FILE", "inception": "FILE"}
RESUME = (
    "Go on with the benchmark in --out, or add cells to it: --samplers that are not given are those that it was begun "
    "with, and so is --nfe."
)


@click.command()
@setting_options(BenchSettings(), metavars=METAVARS)
@click.option(
    "--nfe", "nfes", type=Numbers(), default=None,
    help=f"Network calls of a sample.  [default: {','.join(map(str, NFES))}; more than {MANY} only for methods that "
    f"are made for many, more than {MOST_USUAL} for one of each family]",
)  # fmt: skip
@click.option(
    "--samplers", "methods", type=Names(), default=None,
    help="Samplers, and methods that train for few calls, see --list.  [default: all that this machine has]",
)  # fmt: skip
@click.option(
    "--minutes", type=click.FloatRange(0, min_open=True),
    help="Choose training steps and samples so that all takes about so long.",
)  # fmt: skip
@click.option(
    "--out", type=click.Path(path_type=Path), help="Folder of the benchmark.  [default: runs/samplers-DATA]"
)  # fmt: skip
@click.option("--device", type=Device(), default="auto", show_default=True, help=HELP)
@click.option("--list", "listing", is_flag=True, help="Tell every method: family, place in the code, order, needs.")
@click.option("--json", "as_json", is_flag=True, help="Print the cells as JSON instead of the table.")
@click.option("--resume", is_flag=True, help=RESUME)
@click.option("--overwrite", is_flag=True, help="Remove the benchmark that is there first; never anything else.")
@click.option("--quiet", is_flag=True, help="No progress.")
def samplers(
    nfes: tuple[int, ...] | None, methods: tuple[str, ...] | None, minutes: float | None, out: Path | None, device: str,
    listing: bool, as_json: bool, resume: bool, overwrite: bool, quiet: bool, **given: Any,
) -> None:  # fmt: skip
    """Compare samplers of diffusion models on one network: quality against the number of network calls.

    One small network is trained on the data. Every sampler makes the same number of samples from the same starting
    noise at every number of calls; they are compared with the training data in features of a classifier that is trained
    on them (FD-cls and IS-cls, which are no FID and IS), by precision and recall, and where there is a likelihood by
    bits per dimension. Methods that train for few calls (distillation and others) stand in the same table.

    Ctrl-C keeps every finished cell; --resume goes on, or adds cells where other --samplers or --nfe are given: the one
    that is not given stays as the benchmark was begun.
    In --out are then bench.json, cells.jsonl, table.csv, table.md, pareto.png, samples.png, report.html and
    model.safetensors.

    \b
    Examples:
      hyperseg bench samplers
      hyperseg bench samplers --list
      hyperseg bench samplers --samplers ddim,unipc --nfe 5,10,20 --out quick
      hyperseg bench samplers --data photos --minutes 30 --device cuda
      hyperseg bench samplers --out quick --resume
    """
    from rich.console import Console

    console = Console(highlight=False)
    if listing:
        show_taxonomy(console)
        return
    from hyperseg.recipes.bench.samplers import bench_samplers

    settings = {name: value for name, value in given.items() if value is not None and name != "data"}
    done = bench_samplers(
        given["data"], out=out, samplers=methods, nfes=nfes, given=settings, minutes=minutes, device=device,
        resume=resume, overwrite=overwrite, quiet=quiet,
    )  # fmt: skip
    if as_json:
        show_json(done)
    else:
        show(done, console)


def show_taxonomy(console: Console) -> None:
    """All methods by family: a table where the terminal is wide enough for a line each, else two lines each."""
    from rich.table import Table
    from rich.text import Text

    from hyperseg.core.words import UNKNOWN
    from hyperseg.dpm.faster import FASTER
    from hyperseg.recipes.bench.showing.taxonomy import HEADS, taxonomy

    families: dict[str, list[tuple[str, ...]]] = {}
    for family, *rest in taxonomy(FASTER):
        families.setdefault(family, []).append(tuple(rest))
    table = Table(*HEADS[1:-1], box=None, header_style="bold", pad_edge=False, padding=(0, 2, 0, 0))
    for family, rows in families.items():
        table.add_row(Text(family, "bold"))
        for row in rows:
            table.add_row(f"  {row[0]}", *row[1:-1])
    if console.measure(table, options=console.options.update(width=MOST)).maximum <= console.width:
        console.print(table)
        return
    for family, rows in families.items():
        console.print(Text(family, "bold"))
        for method, words, where, *facts, source in rows:
            console.print(Text.assemble((f"  {method}", "bold"), f"  {words}"), soft_wrap=True)
            told = [f"{head} {fact}" for head, fact in zip(HEADS[4:], facts, strict=False) if fact != UNKNOWN]
            console.print(Text(f"    {'; '.join([where, *told, source])}", "dim"), soft_wrap=True)


def show(done: Benched, console: Console) -> None:
    """The table in the form of the survey's, what it says, and where everything is."""
    from rich.table import Table
    from rich.text import Text

    from hyperseg.recipes.bench.folder import PARETO, REPORT
    from hyperseg.recipes.bench.showing.findings import findings
    from hyperseg.recipes.bench.showing.page import lead_of
    from hyperseg.recipes.bench.showing.table import beside, cells, groups, heads, leaders_of, legend

    for sentence in lead_of(done.found):
        console.print(Text(sentence))
    console.print()
    table = Table(box=None, header_style="bold", pad_edge=False, padding=(0, 1, 0, 0))
    for number, head in enumerate(heads(done.found["features"])):
        table.add_column(
            _short(head, console.encoding),
            justify="right" if number else "left",
            no_wrap=True,
            min_width=0 if number else METHOD,
        )
    for _, group in groups(done.rows):
        leaders = leaders_of(group)
        for row in group:
            table.add_row(*map(Text, cells(row, best=row in leaders)), style="bold" if row in leaders else "")
        table.add_section()
    console.print(table)
    for sentence in (*legend(done.found["features"]), *beside(done.rows)):
        console.print(Text(sentence, "dim"))
    console.print()
    for sentence in (*findings(done.rows), *done.found["cautions"], *done.found["left_out"]):
        console.print(Text(f"- {sentence}"))
    console.print()
    console.print(f"written to {done.root}; look at {done.root / REPORT} and {done.root / PARETO}", soft_wrap=True)


def _short(head: str, encoding: str) -> str:
    """The head of a column for 80 letters a line: the direction that is good below the name, where it can be shown."""
    name, _, arrow = head.partition(" ")
    arrow = arrow.rpartition(" ")[-1]
    return f"{name}\n{arrow}" if arrow and encoding.lower().startswith("utf") else name


def show_json(done: Benched) -> None:
    """Everything that bench.json says, and the cells."""
    from dataclasses import asdict

    from hyperseg.io.write.files import as_json

    rows = [{k: v for k, v in asdict(row).items() if k != "strip"} for row in done.rows]
    click.echo(as_json({**done.found, "folder": str(done.root), "cells": rows}), nl=False)
