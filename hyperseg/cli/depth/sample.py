"""`hyperseg depth sample`: pictures drawn by a trained denoiser, guided by their own depth."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click

from hyperseg.cli.detect.train import typed
from hyperseg.cli.device import HELP, Device
from hyperseg.cli.options import GroupedCommand, Section, by_set, setting_options
from hyperseg.core import SettingError
from hyperseg.core.settings import changed
from hyperseg.recipes.depth.settings import SampleSettings

PATH = click.Path(path_type=Path)


class SampleCommand(GroupedCommand):
    """A command whose help lists the settings that --set changes."""

    def sections(self, ctx: click.Context) -> Iterator[Section]:
        yield from by_set([("sampling", SampleSettings())])


def sampling_of(given: dict[str, Any], sets: tuple[str, ...]) -> SampleSettings:
    """The settings with options that were given, then what --set says.

    Raises:
        SettingError: no such setting, a value that it cannot have, or one that is given twice.
    """
    named = {name: value for name, value in given.items() if value is not None}
    more = typed(sets, SampleSettings())
    if twice := sorted(set(named) & set(more)):
        raise SettingError(f"{twice[0]} is given by an option and by --set: give one of them.")
    return changed(SampleSettings(), {**named, **more})


@click.command(cls=SampleCommand)
@click.argument("run", metavar="RUN", type=PATH)
@click.option("-n", "--number", type=click.IntRange(1), default=16, show_default=True, help="Pictures.")
@setting_options(SampleSettings(), title="Sampling")
@click.option("--beside", is_flag=True, help="Draw the same pictures without guidance too, and show them beside.")
@click.option(
    "--set", "sets", multiple=True, metavar="NAME=VALUE", help="Any setting listed below: --set latest=0.6."
)  # fmt: skip
@click.option("--seed", type=click.IntRange(0), default=0, show_default=True, help="Of the noise.")
@click.option("--out", type=PATH, help="Folder for the results.  [default: RUN/samples]")
@click.option("--device", type=Device(), default="auto", show_default=True, help=HELP)
@click.option("--resume", is_flag=True, help="Go on with samples that an interrupted command left.")
@click.option("--overwrite", is_flag=True, help="Replace samples of this guidance and seed that are there.")
@click.option("--quiet", is_flag=True, help="No progress.")
def sample(
    run: Path, number: int, beside: bool, sets: tuple[str, ...], seed: int, out: Path | None, device: str, resume: bool,
    overwrite: bool, quiet: bool, **given: Any,
) -> None:  # fmt: skip
    """Draw pictures with a RUN of hyperseg depth train, guided by the depth that its heads read on the way.

    dcg lets the weak head agree with the strong one, dpg makes the depth likely to the prior of depth maps, dag does
    both, control does both by the depth of another picture, none neither. The noise depends on the seed alone: the same
    seed draws the same picture with and without guidance, as far as guidance leaves it. A guided call takes two to
    four times as long as another.

    Weights belong to a trained run: too small ones do nothing, too large ones spoil the picture. The last line tells
    how far guidance moved the sampler's steps, NAME.csv tells it call by call; hyperseg depth score tells what is good.

    OUT/NAME.png shows pictures and the depth that the strong head reads in them, OUT/NAME.npz holds them: images
    (n, s, s, 3), strong and weak (n, s, s) inverse depth. NAME is the guidance and the seed. Ctrl-C keeps finished
    parts, --resume goes on to the same bytes.

    \b
    Examples:
      hyperseg depth sample rooms-run
      hyperseg depth sample rooms-run --guidance dcg --consistency 0.02 --beside
      hyperseg depth sample rooms-run --guidance none -n 64 --seed 1 --sampler dpmpp-2m --calls 20
    """
    from hyperseg import depth

    found = depth.sample(
        run, number, out=out, seed=seed, settings=sampling_of(given, sets), beside=beside, device=device, resume=resume,
        overwrite=overwrite, quiet=quiet,
    )  # fmt: skip
    click.echo(found.told)
    files = [str(file) for file in (found.sheet, found.arrays, found.log) if file is not None]
    click.echo(f"written to {', '.join(files)}")
