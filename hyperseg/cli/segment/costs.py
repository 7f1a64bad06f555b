"""What training takes, on the screen: the watts that a user states, and what was expected beside what it was."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import click

from hyperseg.core import SettingError

if TYPE_CHECKING:
    from rich.console import Console

    from hyperseg.io.cases import CaseFolder
    from hyperseg.medical.plan import Plan


class Watts(click.FloatRange):
    """A number above 0, and a finite one."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        found = float(super().convert(value, param, ctx))
        if not math.isfinite(found):
            raise SettingError(f"--watts {value}: is no power; give a finite number of watts above 0.")
        return found


watts_option = click.option(
    "--watts", type=Watts(0, min_open=True), envvar="HYPERSEG_WATTS", show_envvar=True,
    help="What the machine draws at work, for estimates of energy. Without it counters of processor and card are read "
    "where the system lets one, else 10 W a thread or 300 W a card are assumed.",
)  # fmt: skip


def show_planned(folder: CaseFolder, plan: Plan, console: Console, *, watts: float | None, quiet: bool) -> None:
    """Try every network of a plan on this machine's CPU, and print a sentence of what it takes."""
    from hyperseg.engine.progress import working
    from hyperseg.recipes.segment.costs.record import tried
    from hyperseg.recipes.segment.costs.sentences import planned

    console.print()
    for one in plan.configurations:
        with working(f"Trying how fast {one.name} is", quiet=quiet):
            found = tried(folder, plan, one, watts=watts)
        console.print(planned(one.name, found), markup=False, soft_wrap=True)


def show_costs(costs: Mapping[str, Any], console: Console) -> None:
    """Print run.json's `costs`; nothing where there are none."""
    if not costs:
        return
    from rich.table import Table
    from rich.text import Text

    from hyperseg.recipes.segment.costs.sentences import HEADS, how_measured, rows

    shown = Table(box=None, header_style="bold", pad_edge=False)
    for head in HEADS:
        shown.add_column(Text(head), justify="left" if head == HEADS[0] else "right", no_wrap=head != HEADS[0])
    for row in rows(costs):
        shown.add_row(*map(Text, row))
    console.print()
    console.print(shown)
    console.print(how_measured(costs), markup=False, soft_wrap=True)
    console.print()
