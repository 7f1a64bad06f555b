"""`hyperseg detect train`: a detector from few labelled images and many without labels."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import click

from hyperseg.cli.choices import Choice
from hyperseg.cli.device import HELP, Device
from hyperseg.cli.options import GroupedCommand, Section, by_set, typed_in
from hyperseg.cli.segment.reading import spacing_option
from hyperseg.core import SettingError
from hyperseg.recipes.detection.images.dividing import TEST
from hyperseg.recipes.detection.settings import FOCALMIX, METHODS, DetectSettings

if TYPE_CHECKING:
    from rich.console import Console

    from hyperseg.recipes.detection.folder import DetectRun

PATH = click.Path(path_type=Path)
MINUTES = 10.0  # checked against the recipe by a test


class TrainCommand(GroupedCommand):
    """A command whose help lists the settings that --set changes."""

    def sections(self, ctx: click.Context) -> Iterator[Section]:
        yield from by_set([(FOCALMIX, DetectSettings())])


@click.command(cls=TrainCommand)
@click.argument("folder", metavar="DIR", type=PATH)
@click.option("--boxes", type=PATH, metavar="FILE", help="CSV or JSON of boxes.  [default: DIR/boxes.csv, or masks]")
@click.option(
    "--labelled", type=click.IntRange(1), metavar="N",
    help="Learn from the boxes of N cases only, drawn by the seed; the others count as unlabelled.  [default: all that "
    "are not held out, or as the run was begun]",
)  # fmt: skip
@click.option(
    "--unlabelled", metavar="DIR2|none",
    help="Further images without boxes; those with the same bytes as another case are left out. "
    "none leaves out those of DIR that have no boxes too.  [default: those of DIR]",
)  # fmt: skip
@click.option(
    "--test", type=float, metavar="SHARE",
    help="Share of the cases with boxes that is never learnt from, at least two cases; 0 holds nothing out.  [default: "
    f"{TEST:g}, or as the run was begun]",
)  # fmt: skip
@click.option("--method", type=Choice(METHODS), default=FOCALMIX, show_default=True, help="What is trained.")
@click.option(
    "--set", "sets", multiple=True, metavar="NAME=VALUE",
    help="Any setting listed below: --set views=2. Widths, stem, levels, anchors, patch and batch follow from boxes "
    "and device where they are not set.",
)  # fmt: skip
@click.option("--alone", is_flag=True, help="Leave out the supervised twin.")
@click.option(
    "--minutes", type=click.FloatRange(0, min_open=True),
    help="How long the method is trained; the steps that fit in are found by a few of them, the twin takes as many. "
    f"Reading, the twin and scores come on top.  [default: {MINUTES:g}, or as the run was begun]",
)  # fmt: skip
@click.option("--steps", type=click.IntRange(1), help="Exactly so many steps instead.")
@click.option("--out", type=PATH, help="The run's folder.  [default: the name of DIR and -run, here]")
@click.option("--seed", type=click.IntRange(0), default=0, show_default=True, help="Of division, weights and batches.")
@click.option("--device", type=Device(), default="auto", show_default=True, help=HELP)
@spacing_option
@click.option("--resume", is_flag=True, help="Go on with the run in --out: what is trained already stays.")
@click.option("--overwrite", is_flag=True, help="Remove the run that is there; never anything else.")
@click.option("--quiet", is_flag=True, help="No progress.")
def train(
    folder: Path, boxes: Path | None, labelled: int | None, unlabelled: str | None, test: float | None, method: str,
    sets: tuple[str, ...], alone: bool, minutes: float | None, steps: int | None, out: Path | None, seed: int,
    device: str, spacing: tuple[float, ...], resume: bool, overwrite: bool, quiet: bool,
) -> None:  # fmt: skip
    """Train a detector on the images or volumes in DIR, also on those without boxes.

    FocalMix learns from few labelled cases and from what it predicts itself on cases without labels. Whether that helps
    is told by its supervised twin, which is trained beside it: the same labelled cases, first weights, patches and
    number of steps. Both are scored on cases that neither has seen: FROC, CPM and mAP stand side by side here and in
    RUN/report.html, beside slices with true boxes and found ones.

    DIR holds .nii.gz, .npy, .npz or pictures, and boxes.csv or boxes.json with a line for each object, or masks as
    hyperseg segment reads them. A fifth of the cases with boxes is held out, drawn by the seed alone. Each volume's
    values are cut to its 0.5 and 99.5 percentiles (a background that most voxels share takes no part in these) and
    brought to mean 0 and deviation 1; what is no finite number counts as the lowest value. Volumes whose voxels differ
    by more than a tenth are resampled to the median, boxes with them.

    Ctrl-C stops between two steps, --resume goes on. On a CPU the same seed gives the same weights, interrupted or not.

    \b
    Examples:
      hyperseg detect simulate nodules
      hyperseg detect train nodules --labelled 5 --minutes 5
      hyperseg detect train scans --boxes nodules.csv --unlabelled more-scans
      hyperseg detect train cells --method supervised --steps 2000
      hyperseg detect train nodules --labelled 5 --set image_mixup=false --out no-mixup
    """
    from rich.console import Console

    from hyperseg import detect

    if minutes is not None and steps is not None:
        raise SettingError("--minutes and --steps contradict each other: give one of them.")
    root = Path(f"{folder.resolve().name}-run") if out is None else out
    run = detect.train(
        folder, root, boxes=boxes, labelled=labelled, unlabelled=unlabelled, test=test, method=method,
        settings=typed(sets, DetectSettings()), minutes=minutes, steps=steps, spacing=spacing, seed=seed, device=device,
        alone=alone, resume=resume, overwrite=overwrite, quiet=quiet,
    )  # fmt: skip
    show(run, Console(highlight=False))


def typed(sets: tuple[str, ...], settings: object) -> dict[str, object]:
    """What --set was given, by path, as the types of these settings say."""
    from hyperseg.core.settings import find_leaf, parsed

    found: dict[str, object] = {}
    for name, text in typed_in(sets).items():
        leaf = find_leaf(settings, name)
        found[name if leaf is None else leaf.path] = text if leaf is None else parsed(text, leaf.hint, leaf.path)
    return found


def show(run: DetectRun, console: Console) -> None:
    """A line for each detector, which of them is ahead, and how to go on."""
    from rich.table import Table
    from rich.text import Text

    from hyperseg.recipes.detection.folder import REPORT
    from hyperseg.recipes.detection.reporting.sentences import HEADS, cautions, rows, verdict

    scores = run.record.found.get("scores", {})
    if scores:
        table = Table(box=None, header_style="bold", pad_edge=False)
        for head in HEADS:
            table.add_column(Text(head), justify="left" if head == HEADS[0] else "right", no_wrap=True)
        for row in rows(scores):
            table.add_row(*map(Text, row))
        console.print(table)
    for sentence in filter(None, (verdict(scores), *cautions(run, scores))):
        console.print(sentence, markup=False, soft_wrap=True)
    console.print(f"written to {run.root}; look at {run.root / REPORT}", markup=False, soft_wrap=True)
    usual = scores.get(run.record.method, {}).get("threshold")
    if usual is not None:
        console.print(
            f"a box counts from a score of {usual:.3g}, with which {run.record.method} has one false positive per "
            "held-out scan or fewer; detect predict takes it",
            markup=False, soft_wrap=True,
        )  # fmt: skip
    console.print(f"find in new images: hyperseg detect predict {run.root} IMAGES", markup=False, soft_wrap=True)
