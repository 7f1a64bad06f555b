"""`hyperseg tricks`: what may make a network better, phase by phase, and where each of them works."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import click

from hyperseg.cli.known.words import said

if TYPE_CHECKING:
    from hyperseg.recipes.tricks.words import Described


@click.command()
@click.argument("name", required=False)
@click.option("--json", "as_json", is_flag=True, help="Print the same as JSON.")
def tricks(name: str | None, as_json: bool) -> None:
    """List what may make a network better, phase by phase of the work; of NAME tell everything.

    A trick is switched on by --trick NAME, which may be given several times, or --trick NAME:SETTING=VALUE, by
    `hyperseg classify` and `hyperseg segment train`; one that changes predictions alone by `hyperseg segment predict`
    and `evaluate` too. Whether one helps on your data `hyperseg bench tricks` tells.

    \b
    Examples:
      hyperseg tricks
      hyperseg tricks oversampling
      hyperseg segment train DIR --trick oversampling:share=0.5
    """
    import json
    from dataclasses import asdict

    from hyperseg.recipes.tricks import TRICKS
    from hyperseg.recipes.tricks.words import described

    names = list(TRICKS) if name is None else [name.partition(":")[0].strip().lower()]
    found = [described(one) for one in names]
    if as_json:
        rows = [asdict(one) for one in found]
        click.echo(json.dumps(rows if name is None else rows[0], indent=2, ensure_ascii=False))
    elif name is None:
        _list(found)
    else:
        _tell(found[0])


def _list(found: list[Described]) -> None:
    """Three lines of each, under its phase."""
    phase = ""
    for one in found:
        if one.phase != phase:
            click.echo(("\n" if phase else "") + click.style(one.phase, bold=True))
            phase = one.phase
        click.echo(f"  {one.spelling}")
        said(f"{one.help[:1].upper()}{one.help[1:]}: {one.facts}.", indent=6)
    click.echo("\n--trick NAME switches one on; hyperseg tricks NAME tells more of it.")


def _tell(one: Described) -> None:
    click.echo(click.style(one.name, bold=True) + f", a trick of {one.phase}")
    said(f"{one.help[:1].upper()}{one.help[1:]}: {one.facts}.", indent=2)
    click.echo(f"\n  --trick {one.spelling}")
    for name, (default, help) in one.settings.items():
        said(f"{name}: {help}  [{f'default: {default}' if default else 'has to be given'}]", indent=6)
    for where, text in one.texts:
        click.echo(click.style(f"\nof {where}", bold=True))
        for paragraph in re.split(r"\n\s*\n|\n(?=[A-Z]\w+(?: \([^)]*\))?:)", text):
            if not paragraph.startswith(("Args", "Raises")):
                said(paragraph, indent=2)
