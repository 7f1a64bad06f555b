"""`hyperseg depth read`: the depth of the user's own pictures, read out of a trained denoiser."""

from __future__ import annotations

from pathlib import Path

import click

from hyperseg.cli.device import HELP, Device
from hyperseg.core import SettingError

PATH = click.Path(path_type=Path)


class Times(click.ParamType):
    """Shares of the schedule, as 0.05,0.1."""

    name = "times"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> tuple[float, ...]:
        try:
            return tuple(float(word) for word in str(value).split(",") if word.strip())
        except ValueError as error:
            raise SettingError(f"--times takes numbers from 0 to 1, as 0.05,0.1, got {str(value)!r}.") from error


@click.command()
@click.argument("run", metavar="RUN", type=PATH)
@click.argument("pictures", metavar="PICTURE...", type=PATH, nargs=-1, required=True)
@click.option("--out", type=PATH, required=True, help="Folder for the results; what is in it already stays.")
@click.option(
    "--times", type=Times(), metavar="T,T...",
    help="At how much noise is read, as shares of the schedule; the answers are averaged.  "
    "[default: 0.1,0.2,0.3,0.4]",
)  # fmt: skip
@click.option("--draws", type=click.IntRange(1), default=4, show_default=True, help="Of noise at each of the times.")
@click.option("--weak", is_flag=True, help="Read by the weak head instead of the strong one.")
@click.option("--seed", type=click.IntRange(0), default=0, show_default=True, help="Of the noise.")
@click.option("--device", type=Device(), default="auto", show_default=True, help=HELP)
@click.option("--quiet", is_flag=True, help="No progress.")
def read(
    run: Path, pictures: tuple[Path, ...], out: Path, times: tuple[float, ...] | None, draws: int, weak: bool,
    seed: int, device: str, quiet: bool,
) -> None:  # fmt: skip
    """Read the depth of each PICTURE (a file, or a folder of them) with a RUN of hyperseg depth train.

    Noise is added to a picture, the denoiser looks at it, and a head reads depth from its decoder: at several times,
    with several draws of noise. The mean is the depth, the standard deviation its spread. The spread is no error: what
    all answers have in common does not show in it. A run of rendered rooms knows rooms; of photographs it reads little.

    OUT/NAME.png shows picture, depth and spread. OUT/NAME_y.npy is inverse depth from 0 (far) to 1 (near) in the
    picture's own size, NAME_z.npy depth in the unit of the run, NAME_spread.npy the spread of y.

    \b
    Examples:
      hyperseg depth read rooms-run picture.png --out read
      hyperseg depth read my-run photos --out read --times 0.2 --draws 16
    """
    from hyperseg import depth

    found = depth.read(
        run, *pictures, out=out, times=times, draws=draws, weak=weak, seed=seed, device=device, quiet=quiet
    )
    unit, apart = _unit(run)
    for one in found:
        low, high = float((one.y if one.z is None else one.z).min()), float((one.y if one.z is None else one.z).max())
        what = "inverse depth" if one.z is None else "depth"
        click.echo(f"{one.name}: {what} {low:.3g} to {high:.3g}{unit}, mean spread {float(one.spread.mean()):.3g}")
    if apart:
        click.echo(apart)
    click.echo(f"written to {out}")


def _unit(run: Path) -> tuple[str, str]:
    """The unit of depth, and what has to be said of a run of rendered rooms."""
    from hyperseg.recipes.depth.folder import read_run

    record = read_run(run).record
    unit = record.found.get("unit")
    if unit == "units":
        scale = f"{record.z_min:g} near to {record.z_max:g} far"
        return "", f"depth is in units of the rendered rooms, {scale}; of photographs this run reads little"
    return (" m" if unit == "m" else ""), ""
