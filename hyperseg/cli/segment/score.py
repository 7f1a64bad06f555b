"""`hyperseg segment score`: predictions against labels."""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING

import click

from hyperseg.cli.reading import overwrite_option
from hyperseg.cli.segment.objects import are_objects, score_objects
from hyperseg.cli.segment.reading import target_option

if TYPE_CHECKING:
    from rich.console import Console

    from hyperseg.recipes.segment.scoring import Scored

WORST = 3  # cases that are named
DIGITS = {"dice": 3, "iou": 3, "hd95": 2, "assd": 2}


@click.command()
@click.argument("predictions", metavar="PRED", type=click.Path(path_type=Path))
@click.argument("labels", metavar="LABELS", type=click.Path(path_type=Path))
@click.option(
    "--out", type=click.Path(dir_okay=False, path_type=Path),
    help="Also write everything, by case and class, to this file (JSON), metrics.json say.",
)  # fmt: skip
@click.option(
    "--report", type=click.Path(dir_okay=False, path_type=Path),
    help="Also write a page (HTML) with tables by class and case, the worst cases first, and slices.",
)  # fmt: skip
@click.option(
    "--objects/--classes", default=None,
    help="Maps number objects, which are scored one by one; or are classes.  [default: objects where NAME.boxes.json "
    "lies beside the predictions]",
)  # fmt: skip
@target_option
@overwrite_option
@click.option("--quiet", is_flag=True, help="No progress bar.")
def score(
    predictions: Path, labels: Path, out: Path | None, report: Path | None, objects: bool | None,
    target: tuple[str, ...], overwrite: bool, quiet: bool,
) -> None:  # fmt: skip
    """Score PRED against LABELS: Dice, IoU, HD95 and ASSD of every class, mean and spread over cases.

    PRED is a file or a folder of predictions. LABELS is a file, a folder of label files, or a whole data set, whose
    classes have names then; what was learnt with --target is scored with it. They are paired by name; a label may have
    _mask, _label, _seg or _gt behind it.

    HD95 is the larger of the two 95th percentiles of distances between the surfaces, ASSD their mean; in millimetres
    where files have a spacing, else in pixels. A class that is neither in the label nor in the prediction of a case is
    not scored there; where one of them has it alone, Dice and IoU are 0 and there are no distances.

    Of maps that number objects: average precision of masks (AP50, AP, which need NAME.boxes.json with scores beside
    NAME.png), panoptic quality (PQ) and the nuclei score.

    \b
    Examples:
      hyperseg segment score predicted Task04_Hippocampus
      hyperseg segment score predicted truth --out metrics.json --report report.html
      hyperseg segment score predicted fundus --target rim+cup
    """
    if are_objects(predictions, objects):
        score_objects(predictions, labels, out=out, overwrite=overwrite, quiet=quiet)
        return
    from rich.console import Console

    from hyperseg.engine.progress import counted_progress
    from hyperseg.io.write import write_json
    from hyperseg.io.write.targets import check_targets
    from hyperseg.recipes.segment.scoring import score_cases

    targets = [path for path in (out, report) if path is not None]
    check_targets(targets, inputs=[predictions, labels], overwrite=overwrite)
    with counted_progress(f"Scoring {predictions}", unit="cases", quiet=quiet) as progress:
        found = score_cases(predictions, labels, target=target, progress=progress)
    show(found, Console(highlight=False))
    if out is not None:
        write_json(out, found.to_json())
    if report is not None:
        from hyperseg.recipes.segment.reporting.score_page import write_score_page

        write_score_page(report, found)
    for path in targets:
        click.echo(f"written to {path}")


def show(found: Scored, console: Console) -> None:
    """Print a line per class, their mean, the worst cases, and what to know."""
    from rich.table import Table
    from rich.text import Text

    from hyperseg.cli.segment.check import plain
    from hyperseg.core.words import counted
    from hyperseg.metrics.overlap import RULE

    plain(console, f"{found.predictions} against {found.labels}: {counted(len(found.cases), 'case')}")
    table = Table(box=None, header_style="bold", pad_edge=False)
    table.add_column("class")
    for title in ("cases", "Dice", "IoU", f"HD95 {found.unit}", f"ASSD {found.unit}"):
        table.add_column(title, justify="right", no_wrap=True)
    for code, name in found.classes.items():
        summary = found.summary(code)
        counts = summary["dice"]
        cells = []
        for figure, digits in DIGITS.items():
            one = summary[figure]
            cells.append("-" if one is None else f"{one['mean']:.{digits}f} ± {one['std']:.{digits}f}")
        table.add_row(Text(name), str(counts["cases"] if counts else 0), *cells)
    means = [(found.mean(figure), digits) for figure, digits in DIGITS.items()]
    shown = ("-" if math.isnan(value) else f"{value:.{digits}f}" for value, digits in means)
    table.add_row(Text("mean", "bold"), "", *shown)
    console.print()
    console.print(table)
    console.print()
    ranked = sorted((found.of_case(name), name) for name in found.cases if not math.isnan(found.of_case(name)))
    if len(ranked) > 1:
        worst = ", ".join(f"{name} {value:.3f}" for value, name in ranked[:WORST])
        plain(console, f"lowest mean Dice: {worst}")
    for note in (*found.notes, RULE):
        plain(console, note)
