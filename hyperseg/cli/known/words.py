"""Paragraphs on a terminal."""

from __future__ import annotations

import shutil
import textwrap

import click

WIDEST, NARROWEST = 100, 40


def said(text: str, *, indent: int) -> None:
    """Print a paragraph, its lines as long as the terminal."""
    width = max(NARROWEST, min(WIDEST, shutil.get_terminal_size().columns))
    margin = " " * indent
    click.echo(
        textwrap.fill(
            " ".join(text.split()), width, initial_indent=margin, subsequent_indent=margin, break_on_hyphens=False
        )
    )
