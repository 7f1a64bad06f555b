"""`hyperseg score`: accuracy of a map against labels."""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from hyperseg.cli.reading import given_drawn, groups_option, overwrite_option, vector_options
from hyperseg.core.words import listed, thousands

if TYPE_CHECKING:
    from rich.console import Console

    from hyperseg.recipes.scoring.score import MapScore


@click.command()
@click.argument("map_file", metavar="MAP|RUN")
@click.argument("labels", metavar="LABELS")
@vector_options
@groups_option
@click.option(
    "--classes-from",
    metavar="NAME|FILE",
    help="Class names for codes without names: a public scene (indian-pines), a raster or run that carries names, a "
    ".qml, or a table with a line for every code (1,corn).",
)
@click.option(
    "--json",
    "json_file",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Also write everything, with the confusion matrix, to this file.",
)
@overwrite_option
def score(
    map_file: str, labels: str, classes_from: str | None, class_groups: str | None, json_file: Path | None,
    overwrite: bool, **drawn: Any,
) -> None:  # fmt: skip
    """Score MAP against LABELS: OA, AA, kappa, every class, borders between classes, and areas.

    MAP is a map of hyperseg, a run folder or any label raster. LABELS are polygons with a class (.gpkg, .geojson, .shp,
    also zipped), points (.csv with x, y or lon, lat and a class), a label raster (FILE or FILE:KEY), or a public scene
    such as indian-pines, for its ground truth. Labels on another grid are brought onto the map's. Unlabelled pixels are
    not scored.
    Classes are matched by name where both files have names, else by code. Codes that only number names (of polygons
    with classes in words) match no others: --classes-from tells which is which. Where classes have groups, the same
    map is scored by group too.

    \b
    Examples:
      hyperseg score runs/indian-pines-cnn3d indian-pines
      hyperseg score map.tif field_check.tif --json score.json
      hyperseg score map.tif fields.gpkg --class-column crop
      hyperseg score map.tif truth.mat:gt --classes-from salinas-a
    """
    from rich.console import Console

    from hyperseg.io.labels.vectors import VectorOptions
    from hyperseg.io.write import write_json
    from hyperseg.io.write.targets import check_targets
    from hyperseg.recipes.scoring.score import score as score_files

    if json_file is not None:
        read = [map_file, labels, *filter(None, (classes_from, class_groups))]
        check_targets([json_file], inputs=read, overwrite=overwrite)
    vectors = VectorOptions(**given_drawn(drawn))
    found = score_files(map_file, labels, classes_from=classes_from, vectors=vectors, groups=class_groups)
    show(found, Console(highlight=False))
    if json_file is not None:
        write_json(json_file, found.to_json())
        click.echo(f"written to {json_file}")


def show(found: MapScore, console: Console) -> None:
    """Print totals, a line per class, and what to know about them."""
    from rich.table import Table
    from rich.text import Text

    from hyperseg.recipes.scoring.score import BORDER_PX

    totals = found.scores
    print_plain(console, f"{found.map} against {found.labels}")
    print_plain(console, f"{thousands(totals.n)} pixels scored, classes matched by {found.matched_by}")
    console.print(f"OA {totals.oa:.2f} %   AA {totals.aa:.2f} %   kappa {totals.kappa:.2f} %", style="bold")
    if by_group := found.by_group().get("groups"):
        print_plain(console, f"as groups ({listed(by_group['classes'], most=6)}): {_accuracies(by_group)}")
    *notes, origin = found.notes  # what the map was trained on belongs beside the number
    print_plain(console, origin)
    near = "there are none" if math.isnan(found.boundary) else f"OA {found.boundary:.2f} %"
    console.print(f"within {BORDER_PX} px of a border between classes: {near}")
    table = Table(box=None, header_style="bold", pad_edge=False)
    table.add_column("class")
    for column in ("pixels", "recall %", "F1 %", "IoU %"):
        table.add_column(column, justify="right", no_wrap=True)
    for k, name in enumerate(found.classes):
        values = (totals.per_class[k], totals.f1[k], totals.iou[k])
        numbers = ("-" if math.isnan(v) else f"{v:.2f}" for v in values)
        table.add_row(Text(name), str(found.pixels[k]), *numbers)
    console.print()
    console.print(table)
    if found.areas is not None:
        show_areas(found.areas, console)
    for note in notes:
        print_plain(console, f"\n{note}")


def _accuracies(scores: dict[str, Any]) -> str:
    return f"OA {scores['OA']:.2f} %   AA {scores['AA']:.2f} %   kappa {scores['kappa']:.2f} %"


def show_areas(areas: dict[str, Any], console: Console) -> None:
    """Print what every class covers: as mapped, and corrected for the errors of the map."""
    from rich.table import Table
    from rich.text import Text

    from hyperseg.metrics.area_table import area_rows, design_sentence, unit_of

    console.print()
    table = Table(box=None, header_style="bold", pad_edge=False)
    table.add_column(f"area in {unit_of(areas)}")
    columns = {"mapped": "mapped", "estimated": "estimated", "interval": "95 % interval", "users": "user's %"}
    for title in columns.values():
        table.add_column(title, justify="right", no_wrap=True)
    for row in area_rows(areas):
        table.add_row(Text(row["name"]), *(row[key] for key in columns))
    console.print(table)
    for sentence in filter(None, (areas["sample"], design_sentence(areas), *areas["notes"])):
        print_plain(console, sentence)


def print_plain(console: Console, text: str) -> None:
    """Text as it is: names of files and classes are never markup."""
    console.print(text, markup=False, soft_wrap=True)
