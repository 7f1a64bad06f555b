"""`hyperseg detect score`: found boxes against true ones."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from hyperseg.cli.reading import overwrite_option
from hyperseg.cli.segment.reading import Lengths

if TYPE_CHECKING:
    from rich.console import Console

    from hyperseg.recipes.detection.scoring import BoxScores

SHOWN = 12  # cases
OVERLAPS = (0.1, 0.3, 0.5)  # of which average precision is shown


@click.command()
@click.argument("found", metavar="FOUND", type=click.Path(path_type=Path))
@click.argument("truth", metavar="TRUE", type=click.Path(path_type=Path))
@click.option(
    "--boxes", metavar="FILE", type=click.Path(dir_okay=False, path_type=Path),
    help="True boxes of the volumes in the folder TRUE, where they are not its boxes.csv.",
)  # fmt: skip
@click.option("--all", "absent", is_flag=True, help="Volumes that FOUND does not name count too: nothing found there.")
@click.option(
    "--spacing", type=Lengths(), default=(), metavar="Z,Y,X",
    help="Millimetres per voxel where neither the volumes nor the tables say them, in the order of the arrays' axes.",
)  # fmt: skip
@click.option(
    "--seed", type=click.IntRange(0), default=0, show_default=True, help="Of the draws for the interval of the CPM."
)
@click.option("--json", "as_json", is_flag=True, help="Print everything as JSON instead of tables.")
@click.option(
    "--out",
    metavar="FILE",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Also write everything to FILE (JSON).",
)
@click.option(
    "--figure", metavar="FILE", type=click.Path(dir_okay=False, path_type=Path), help="Also draw the FROC curve (PNG)."
)
@overwrite_option
def score(
    found: Path, truth: Path, boxes: Path | None, absent: bool, spacing: tuple[float, ...], seed: int, as_json: bool,
    out: Path | None, figure: Path | None, overwrite: bool,
) -> None:  # fmt: skip
    """Score the boxes of FOUND against those of TRUE: FROC, CPM, mAP, and hits in each volume.

    FOUND is a .csv or .json file with a column score, or the folder that `detect predict` wrote. TRUE is such a file
    without scores, or a folder of volumes with boxes.csv or masks. Volumes are paired by name.

    A found box hits an object where its centre is nearer to the object's than half of the object's mean length (the
    rule of LUNA16, in millimetres where they are known). FROC is the share of objects that are hit at 1/8 to 8 false
    positives per volume, CPM the mean of the seven. AP counts boxes that overlap an object by at least 0.1, ... 0.5
    (intersection over union), mAP is their mean. Boxes with excluded = yes in TRUE count neither way.

    \b
    Examples:
      hyperseg detect score found nodules/truth.csv --figure froc.png
      hyperseg detect score found/boxes.csv nodules --json
      hyperseg detect score found scans --boxes annotations.csv --out scores.json
    """
    from rich.console import Console

    from hyperseg.io.write.files import as_json as in_json
    from hyperseg.io.write.files import replacing, write_json
    from hyperseg.io.write.targets import check_targets
    from hyperseg.recipes.detection.scoring import score_boxes

    targets = [path for path in (out, figure) if path is not None]
    check_targets(targets, inputs=[found, truth], overwrite=overwrite)
    made = score_boxes(found, truth, boxes=boxes, spacing=spacing, absent=absent, seed=seed)
    if as_json:
        click.echo(in_json(made.to_json()), nl=False)
    else:
        show(made, Console(highlight=False))
    if out is not None:
        write_json(out, made.to_json())
    if figure is not None:
        from hyperseg.report.froc import froc_figure

        picture = froc_figure({found.name: [made.froc.curve]})
        with replacing(figure) as temporary:
            temporary.write_bytes(picture)
    for path in targets if not as_json else ():
        click.echo(f"written to {path}")


def show(made: BoxScores, console: Console) -> None:
    """Print the FROC table, CPM, precision, and a line per volume: those with most missed objects first."""
    from rich.table import Table
    from rich.text import Text

    from hyperseg.cli.segment.check import plain
    from hyperseg.core.words import counted, some
    from hyperseg.recipes.detection.scoring import RATE, RULE, named

    objects, volumes = counted(made.froc.objects, "object"), counted(made.froc.scans, "volume")
    plain(console, f"{made.found} against {made.truth}: {objects} in {volumes}")
    if made.left_out:
        plain(
            console, f"left out: {counted(len(made.left_out), 'volume')} of {made.truth} not named in {made.found}, "
            f"{some(made.left_out, 3)}; --all counts them too, with nothing found",
        )  # fmt: skip
    console.print()
    table = Table(box=None, header_style="bold", pad_edge=False)
    table.add_column("false positives per volume")
    for rate in made.froc.rates:
        table.add_column(named(rate), justify="right")
    table.add_row("objects hit (FROC)", *(f"{value:.3f}" for value in made.froc.sensitivities))
    console.print(table)
    console.print()
    spread = "" if made.interval is None else f"   95 % over volumes: {made.interval[0]:.3f} to {made.interval[1]:.3f}"
    plain(console, f"CPM  {made.froc.cpm:.3f}{spread}")
    shown = ", ".join(f"{made.precisions[overlap]:.3f} at {overlap:g}" for overlap in OVERLAPS)
    plain(console, f"mAP  {made.mean_precision:.3f}   mean over overlaps of 0.1 to 0.5; {shown}")
    console.print()
    ranked = sorted(made.cases.items(), key=lambda item: (item[1].hits - item[1].objects, -item[1].false_positives))
    cases = Table(box=None, header_style="bold", pad_edge=False)
    cases.add_column("volume")
    for title in ("objects", "hit", "missed", "false"):
        cases.add_column(title, justify="right")
    for name, one in ranked[:SHOWN]:
        counts = (one.objects, one.hits, one.objects - one.hits, one.false_positives)
        cases.add_row(Text(name), *map(str, counts))
    console.print(cases)
    if len(ranked) > SHOWN:
        plain(console, f"and {counted(len(ranked) - SHOWN, 'volume')} more, with fewer missed objects: see --json")
    reached = "no box passes" if made.threshold == float("inf") else f"scores from {made.threshold:.3g} on"
    plain(console, f"counted at {RATE:g} false positive per volume: {reached}")
    for note in (*made.notes, RULE):
        plain(console, note)
