"""`hyperseg networks`: the survey's networks, family by family, and what each of them is."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from hyperseg.cli.known.words import said

if TYPE_CHECKING:
    from hyperseg.zoo.taxonomy import Described


@click.command()
@click.argument("name", required=False)
@click.option("--json", "as_json", is_flag=True, help="Print the same as JSON.")
@click.option("--markdown", "as_page", is_flag=True, help="Print the page docs/architectures.md.")
def networks(name: str | None, as_json: bool, as_page: bool) -> None:
    """List the survey's networks, family by family; of NAME tell what it is, where it is from, and its settings.

    Each is a method: --method zoo:NAME of `hyperseg classify` and `hyperseg segment train`; its settings are given by
    --set network.SETTING=VALUE, its training is that of the method unet, on a scene without padding that of cnn3d.
    `hyperseg bench zoo` compares them.

    \b
    Examples:
      hyperseg networks
      hyperseg networks u-net
      hyperseg classify indian-pines --method zoo:u-net
    """
    import json
    from dataclasses import asdict

    from hyperseg.core import SettingError
    from hyperseg.zoo import NETWORKS
    from hyperseg.zoo.taxonomy import described, families, markdown

    if as_page and (name is not None or as_json):
        raise SettingError("--markdown stands alone: it prints the page of all networks.")
    one = None if name is None else described(name.strip().lower().removeprefix("zoo:"))
    if as_page:
        click.echo(markdown(), nl=False)
    elif as_json:
        rows = [asdict(described(known)) for known in NETWORKS] if one is None else asdict(one)
        click.echo(json.dumps(rows, indent=2, ensure_ascii=False))
    elif one is not None:
        _tell(one)
    else:
        _list(families())


def _list(found: dict[str, tuple[str, list[Described]]]) -> None:
    """A line of each, under its family."""
    for family, (text, members) in found.items():
        click.echo(click.style(family, bold=True))
        said(text, indent=2)
        for one in members:
            said(f"{one.spelling}: {one.help} ({one.title}, {one.year})", indent=4)
        click.echo()
    click.echo("--method zoo:NAME chooses one; hyperseg networks NAME tells more of it.")


def _tell(one: Described) -> None:
    click.echo(click.style(f"{one.title} ({one.year})", bold=True) + f", family: {one.family}")
    said(f"{one.help[:1].upper()}{one.help[1:]}. {'; '.join(one.facts).capitalize()}.", indent=2)
    click.echo(f"\n  --method {one.spelling}")
    for name, (default, help) in one.settings.items():
        said(f"--set network.{name}={default}: {help}", indent=6)
    click.echo()
    for word, texts in one.texts.items():
        for text in texts:
            said(f"{word}: {text}" if word else text, indent=2)
    click.echo(f"\n  {one.file}")
