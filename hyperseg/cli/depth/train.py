"""`hyperseg depth train`: a denoiser, two heads that read depth from it, and a prior of depth maps."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from hyperseg.cli.choices import Choice
from hyperseg.cli.detect.train import typed
from hyperseg.cli.device import HELP, Device
from hyperseg.cli.options import GroupedCommand, Section, by_set, setting_options
from hyperseg.core import SettingError
from hyperseg.recipes.depth.settings import DepthSettings

if TYPE_CHECKING:
    from hyperseg.io.depths import Unit

PATH = click.Path(path_type=Path)
UNITS = ("auto", "m", "mm", "disparity")  # checked against the reader by a test
ROOMS_RUN = "rooms-run"


class TrainCommand(GroupedCommand):
    """A command whose help lists the settings that --set changes."""

    def sections(self, ctx: click.Context) -> Iterator[Section]:
        yield from by_set([("the networks", DepthSettings())])


@click.command(cls=TrainCommand)
@click.argument("folder", metavar="[FOLDER]", type=PATH, required=False)
@click.option("--out", type=PATH, help=f"The run's folder.  [default: the name of FOLDER and -run, or {ROOMS_RUN}]")
@click.option(
    "--unit", type=Choice(UNITS),
    help="Of the depth in FOLDER: metres, millimetres, or disparity (inverse depth up to a factor).  [default: auto: "
    "judged from the files, and told]",
)  # fmt: skip
@click.option(
    "--per-metre", type=click.FloatRange(0, min_open=True), metavar="N",
    help="How many of the files' numbers are one metre, in place of --unit: 5000 for TUM.",
)  # fmt: skip
@click.option(
    "--steps", type=click.IntRange(1),
    help="Training steps of the denoiser; heads and prior take a third of them each.  [default: "
    f"{DepthSettings().denoiser.steps}, {DepthSettings().heads.steps} and {DepthSettings().prior.steps}]",
)  # fmt: skip
@setting_options(DepthSettings(), title="Pictures")
@click.option(
    "--set", "sets", multiple=True, metavar="NAME=VALUE", help="Any setting listed below: --set denoiser.width=32."
)
@click.option("--seed", type=click.IntRange(0), help="Of pictures, weights and noise.  [default: 0, or as begun]")
@click.option("--device", type=Device(), default="auto", show_default=True, help=HELP)
@click.option("--resume", is_flag=True, help="Go on with the run in --out: what is trained already stays.")
@click.option("--overwrite", is_flag=True, help="Remove the run that is there; never anything else.")
@click.option("--quiet", is_flag=True, help="No progress.")
def train(
    folder: Path | None, out: Path | None, unit: Unit | None, per_metre: float | None, steps: int | None,
    sets: tuple[str, ...], seed: int | None, device: str, resume: bool, overwrite: bool, quiet: bool, **given: Any,
) -> None:  # fmt: skip
    """Train on the pictures in FOLDER, of which some have depth; without FOLDER on rooms that are rendered here.

    A denoiser learns to draw such pictures; it sees no depth. Then it is frozen, and two small heads learn to read
    depth from what its decoder works out, on few labelled pictures: a strong head from several stages, a weak one from
    one. Last a small diffusion model learns depth maps. hyperseg depth sample guides pictures by these three.

    FOLDER holds color/ and depth/ (or rgb/, images/; disparity/), or NAME.png beside NAME_depth.png or NAME_disp.npz:
    pictures of any size, of which squares are cut and brought to --size. A fifth of those with depth is held out. Depth
    becomes inverse depth from 0 (far) to 1 (near).

    RUN/metrics.json and RUN/readable.png tell how right both heads are about held-out pictures, at every amount of
    noise: beyond some time depth cannot be read, and guidance has nothing to say.

    Ctrl-C stops between two steps, --resume goes on. On a CPU the same seed gives the same weights, interrupted or not.
    The usual rooms take about half an hour; --steps 1500 gives a first look after six minutes.

    \b
    Examples:
      hyperseg depth train
      hyperseg depth train --steps 1500 --out first-look
      hyperseg depth train --labelled 30 --out few-labels
      hyperseg depth train rgbd --size 64 --set denoiser.stages=4 --crops 32
      hyperseg depth train --set prior.learns=predicted --out predicted
      hyperseg depth train --out rooms-run --resume
    """
    from hyperseg import depth

    usual = ROOMS_RUN if folder is None else f"{folder.resolve().name}-run"
    changes = {name: value for name, value in given.items() if value is not None}
    for name, value in typed(sets, DepthSettings()).items():
        if name in changes:
            raise SettingError(f"{name} is given by an option and by --set: give one of them.")
        changes[name] = value
    run = depth.train(
        folder, usual if out is None else out, settings=changes, steps=steps, unit=unit, per_metre=per_metre,
        seed=seed, device=device, resume=resume, overwrite=overwrite, quiet=quiet,
    )  # fmt: skip
    click.echo(run.record.found["heads"]["told"])
    click.echo(f"written to {run.root}; look at {run.root / 'readable.png'}")
    click.echo(f"depth of other pictures: hyperseg depth read {run.root} PICTURE --out FOLDER")
    click.echo(f"draw, guided by depth:   hyperseg depth sample {run.root}")
