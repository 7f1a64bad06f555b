"""`hyperseg suggest`: which fields to label next."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from hyperseg.cli.device import device_option
from hyperseg.cli.options import in_group
from hyperseg.cli.reading import LABELS, cube_options, overwrite_option, vector_options

if TYPE_CHECKING:
    from rich.console import Console

    from hyperseg.recipes.suggest.suggest import Suggested


@click.command()
@click.argument("run", type=click.Path(path_type=Path))
@click.argument("scene", required=False)
@cube_options
@in_group(
    LABELS,
    "--labels",
    metavar="FILE",
    help="What is labelled in SCENE, as in classify.  [default: the run's labels, if SCENE is the run's]",
)
@vector_options
@click.option("--budget", type=click.IntRange(1), help="How many fields to suggest at most.  [default: 10]")
@click.option(
    "--field-px", type=click.FloatRange(4), help="Mean size of the regions taken for fields, in pixels.  [default: 80]"
)
@click.option(
    "--cost-per-km",
    metavar="PIXELS",
    type=click.FloatRange(0),
    help="What a kilometre of way costs, in pixels that have to be put right for it: near fields are preferred, and "
    "what does not pay for its way is left out.  [default: 0]",
)
@click.option(
    "--start",
    nargs=2,
    type=float,
    metavar="X Y",
    help="Where the way begins, in the scene's coordinates.  [default: at the first field]",
)
@click.option(
    "--out", type=click.Path(dir_okay=False, path_type=Path), help="Polygons.  [default: SCENE-suggestions.gpkg]"
)
@click.option("--no-picture", is_flag=True, help="Do not draw OUT.png.")
@overwrite_option
@device_option
@click.option("--data", "folder", type=click.Path(path_type=Path), help="Folder with a data set's own files.")
@click.option("--quiet", is_flag=True, help="No progress bar.")
def suggest(
    run: Path, scene: str | None, budget: int | None, field_px: float | None, cost_per_km: float | None,
    start: tuple[float, float] | None, out: Path | None, no_picture: bool, overwrite: bool, device: str,
    folder: Path | None, quiet: bool, **given: Any,
) -> None:  # fmt: skip
    """Tell which fields of SCENE to label next, so that the map of RUN gains most.

    SCENE is the run's own scene if it is left out. Fields are regions of alike spectra; those that hold a label already
    are not suggested. The gain of a field is the number of its pixels that are probably mapped wrong, less what a
    labelled field, or one suggested before it, says about spectra like its own.

    OUT holds the labelled parcels (rank 0) and the suggested fields (rank 1, 2, ...) in one layer. Write what grows
    there into the empty column "class", and go on with that file: fields left empty are passed over.

    \b
    Examples:
      hyperseg suggest runs/field
      hyperseg suggest runs/field scene.hdr --budget 20 --out visit.gpkg
      hyperseg suggest runs/field --cost-per-km 50 --start 388200 5819300
      hyperseg classify scene.hdr --labels visit.gpkg --out runs/field2
    """
    from rich.console import Console

    from hyperseg.core import SettingError
    from hyperseg.io.write.targets import RECORD
    from hyperseg.recipes.run.record import load_record

    if scene is not None and not run.is_dir() and (Path(scene) / RECORD).is_file():
        raise SettingError(f"the run comes first, then the scene: hyperseg suggest {scene} {run}.")
    load_record(run)  # a run that is not there is told before torch is loaded
    from hyperseg.recipes.suggest.inputs import open_for
    from hyperseg.recipes.suggest.suggest import SuggestSettings
    from hyperseg.recipes.suggest.suggest import suggest as find

    numbers: dict[str, Any] = {"budget": budget, "field_px": field_px, "cost_per_km": cost_per_km}
    chosen = SuggestSettings(**{name: value for name, value in numbers.items() if value is not None})
    opened, inputs = open_for(run, scene, given, folder=folder)
    found = find(
        run, opened, chosen, out=out or Path(f"{opened.name}-suggestions.gpkg"), start=start, picture=not no_picture,
        overwrite=overwrite, inputs=inputs, device=device, quiet=quiet,
    )  # fmt: skip
    show(found, Console(highlight=False))


def show(found: Suggested, console: Console) -> None:
    """Print a line per field, and what to do with the file."""
    from rich.table import Table
    from rich.text import Text

    from hyperseg.core.words import counted, printable

    areas, ways = found.fields[0].area_ha is not None, found.fields[0].walk_km is not None
    table = Table(box=None, header_style="bold", pad_edge=False)
    for name, shown in (("", True), ("gain px", True), ("ha", areas), ("walk km", ways)):
        if shown:
            table.add_column(name, justify="right", no_wrap=True)
    table.add_column("why")
    for field in found.fields:
        numbers = [str(field.rank), f"{field.gain_px:.0f}"]
        numbers += [f"{field.area_ha:.2f}"] if field.area_ha is not None else []
        numbers += [f"{field.walk_km:.2f}"] if field.walk_km is not None else []
        table.add_row(*numbers, Text(printable(field.reason)))
    console.print(table)
    total = sum(field.gain_px for field in found.fields)
    console.print(
        f"\nAbout {total:.0f} pixels there are probably mapped wrong. Write their class into the "
        f'column "class" of {found.files[0]},\nwhich also holds {counted(found.labelled, "labelled polygon")}, and go '
        "on: hyperseg classify SCENE --labels that file",
        markup=False,
        soft_wrap=True,
    )
    for file in found.files:
        console.print(str(file), markup=False, soft_wrap=True)
