"""`hyperseg bench`: benchmarks that anyone can repeat. One line of `BENCHES` for each of them."""

from __future__ import annotations

import click

from hyperseg.cli.main import LateGroup

# name -> (module, attribute, one line of help)
BENCHES = {
    "samplers": ("hyperseg.cli.bench.samplers", "samplers", "Samplers of diffusion models: quality against calls."),
    "tricks": ("hyperseg.cli.bench.tricks", "tricks", "Tricks of segmentation: what each alone brings to a baseline."),
    "zoo": ("hyperseg.cli.bench.zoo", "zoo", "Networks of the survey: score against size, time and memory."),
}


@click.command(cls=LateGroup, table=BENCHES)
def bench() -> None:
    """Repeat a comparison of methods on this machine.

    \b
    Example:
      hyperseg bench samplers
      hyperseg bench tricks DIR
      hyperseg bench zoo DIR
    """
