"""`hyperseg segment train`: networks for a folder of images or volumes, by cross-validation."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from hyperseg.cli.choices import Choice
from hyperseg.cli.device import HELP, Device
from hyperseg.cli.segment.costs import show_costs, watts_option
from hyperseg.cli.segment.methods import MethodsCommand, changes_of
from hyperseg.cli.segment.objects import TRAINED_BY, method_of_objects, refuse_others, train_objects
from hyperseg.cli.segment.reading import spacing_option, target_option
from hyperseg.core import SettingError
from hyperseg.recipes.methods import ON_FOLDERS

if TYPE_CHECKING:
    from rich.console import Console

    from hyperseg.recipes.segment.folder import SegmentRun

AUTO, ALL = "auto", "all"
CONFIGURATIONS = (AUTO, ALL, "2d", "3d", "3d_low", "3d_cascade")  # checked against the plan's names by a test
MINUTES = 30.0


class Fold(click.ParamType):
    """The number of a fold, or "all", which is None."""

    name = "fold"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> int | None:
        if value is None or isinstance(value, int) or value == "all":
            return value if isinstance(value, int) else None
        if not str(value).isdecimal():
            raise SettingError(f"--fold {value}: is no fold; give a number from 0, or all.")
        return int(str(value))


@click.command(cls=MethodsCommand)
@click.argument("folder", metavar="DIR", type=click.Path(path_type=Path))
@click.option(
    "--out", type=click.Path(path_type=Path), help="The run's folder.  [default: the name of DIR and -run, here]"
)
@click.option(
    "--plan", "plan_file", type=click.Path(dir_okay=False, path_type=Path),
    help="A plan of this folder, by hyperseg segment plan --out. Without it one is made: for a card of 8 GB, or on a "
    "CPU for the minutes that are given.",
)  # fmt: skip
@click.option(
    "--config", "configurations", type=Choice(CONFIGURATIONS), multiple=True,
    help="A network of the plan; may be given several times, all takes every one: then the best of them and of their "
    "pairs by cross-validation predicts.  [default: auto: 3d for volumes; 2d for pictures and, in short trainings, for "
    "volumes of few slices; the cascade where the plan has one and a network has an hour or 2500 steps]",
)  # fmt: skip
@click.option(
    "--method", metavar="NAME",
    help="What is trained, on the grid, patches and batches of the plan; they are listed below.  [default: "
    f"{ON_FOLDERS}, or as the run was begun]",
)  # fmt: skip
@click.option(
    "--set", "sets", multiple=True, metavar="NAME=VALUE", help="Any other setting of the method: --set train.lr=1e-3.",
)  # fmt: skip
@click.option(
    "--trick", "tricks", multiple=True, metavar="NAME[:SETTING=VALUE]",
    help="Something that may make the method better, see hyperseg tricks; may be given several times.  [default: none, "
    "or as the run was begun]",
)  # fmt: skip
@click.option(
    "--weights", type=click.Path(dir_okay=False, path_type=Path), metavar="FILE",
    help="Begin with weights that hyperseg pretrain learnt without labels; plan and network are those of FILE where no "
    "--plan and --config are given.",
)  # fmt: skip
@click.option(
    "--labelled", type=click.IntRange(1), metavar="N",
    help="Learn from N labelled cases alone in each fold, drawn by --seed, of different patients where it can be; the "
    "rest of its training cases is not used.  [default: all, or as the run was begun]",
)  # fmt: skip
@click.option("--alone", is_flag=True, help="Leave out what is trained beside the method, to compare it with.")
@click.option("--fold", type=Fold(), metavar="N|all", help="Train this fold only, numbered from 0.  [default: all]")
@click.option(
    "--minutes", type=click.FloatRange(0, min_open=True),
    help="How long every network is trained; the steps that fit in are found by a few of them. Preparing cases and "
    f"predicting those of the fold comes on top.  [default: {MINUTES:g}, or as the run was begun]",
)  # fmt: skip
@click.option(
    "--steps", type=click.IntRange(1),
    help="Exactly so many steps instead; the plan is then one for a card of 8 GB, however long a CPU takes for it.",
)  # fmt: skip
@click.option(
    "--mirror/--no-mirror", default=None,
    help="Cross-validation averages over mirror images (4 times the work for pictures, 8 for volumes), and so does "
    "prediction with the run.  [default: on a GPU; not on a CPU, where it would often take longer than the training]",
)  # fmt: skip
@click.option("--seed", type=click.IntRange(0), default=0, show_default=True, help="Of folds, weights and batches.")
@click.option("--device", type=Device(), default="auto", show_default=True, help=HELP)
@watts_option
@spacing_option
@target_option
@click.option("--resume", is_flag=True, help="Go on with the run in --out: what is trained already stays.")
@click.option("--overwrite", is_flag=True, help="Remove the run that is there; never anything else.")
@click.option("--quiet", is_flag=True, help="No progress.")
def train(
    folder: Path, out: Path | None, plan_file: Path | None, configurations: tuple[str, ...], method: str | None,
    sets: tuple[str, ...], tricks: tuple[str, ...], weights: Path | None, labelled: int | None, alone: bool,
    fold: int | None, minutes: float | None, steps: int | None, mirror: bool | None, seed: int, device: str,
    watts: float | None, spacing: tuple[float, ...], target: tuple[str, ...], resume: bool, overwrite: bool,
    quiet: bool, **given: Any,
) -> None:  # fmt: skip
    """Train networks on the images or volumes in DIR.

    The cases are divided into five folds; for each of them a network learns from the four others and is tried on it.
    Loss, changes of patches and optimiser are those of nnU-Net's second version (AdamW in trainings of fewer than 2500
    steps), the learning rate falls over as many steps as the time allows. Ctrl-C stops between two steps, --resume goes
    on. With --steps on a CPU the same seed gives the same weights, interrupted or not. Plans of preset msd2018 are
    trained by the numbers of the first version instead.

    Another --method learns from the same patches of the same plan. What it has to beat may be trained beside it, on the
    same folds for as many steps: a whole run in RUN/beside/NAME, whose Dice stands beside that of the method.

    Where labels number objects (a_inst.png), --method mask-rcnn finds them one by one: one fold of five is held out
    (--fold, the first by default), and AP50, AP and PQ stand beside those of a threshold and a watershed, unless
    --alone. All other methods learn such objects as one class.

    Before it begins it tries some steps and tells time, memory and energy to expect; RUN/report.html shows them beside
    what they were, with curves, Dice of every case, and slices.

    \b
    Examples:
      hyperseg segment train Task04_Hippocampus --minutes 20
      hyperseg segment train photos --fold 0 --steps 500 --out photos-run
      hyperseg segment train Task04_Hippocampus --config 2d --config 3d --resume
      hyperseg segment train fundus --target cup
      hyperseg segment train photos --method medsegdiff --samples 25 --set draw.calls=10
      hyperseg segment train nuclei --method mask-rcnn --minutes 10
      hyperseg segment train DIR --weights DIR-pretrained.safetensors --labelled 2
    """
    from rich.console import Console

    from hyperseg import segment
    from hyperseg.recipes.segment.few_labels.weights import with_weights
    from hyperseg.recipes.segment.starting import begun_method

    if minutes is not None and steps is not None:
        raise SettingError("--minutes and --steps contradict each other: give one of them.")
    root = Path(f"{folder.resolve().name}-run") if out is None else out
    if (objects := method_of_objects(root, method, resume=resume)) is not None:
        refuse_others(objects, TRAINED_BY)
        train_objects(
            folder, root, objects, sets, Console(highlight=False), minutes=minutes, steps=steps, fold=fold, seed=seed,
            device=device, alone=alone, resume=resume, overwrite=overwrite, quiet=quiet,
        )  # fmt: skip
        return
    chosen = begun_method(root, method, {}, with_weights(tricks, weights), resume=resume)
    run = segment.train(
        folder, root, minutes=minutes, steps=steps,
        plan=plan_file, networks=tuple(name for name in configurations if name != AUTO), fold=fold, mirror=mirror,
        spacing=spacing, target=target, watts=watts, seed=seed, device=device, method=method,
        settings=changes_of(chosen, given, sets), tricks=tricks, weights=weights, labelled=labelled, alone=alone,
        resume=resume, overwrite=overwrite, quiet=quiet,
    )  # fmt: skip
    show(run, Console(highlight=False))


def show(run: SegmentRun, console: Console) -> None:
    """A line per configuration, also of methods beside, whether these compare, what was chosen, and how to go on."""
    from rich.table import Table
    from rich.text import Text

    from hyperseg.core.words import listed, number, runs
    from hyperseg.recipes.segment.methods.beside import about_folds, dice_rows
    from hyperseg.recipes.segment.reporting.run_page import REPORT
    from hyperseg.recipes.tricks.words import with_tricks

    classes = run.record.classes
    if run.record.tricks:
        console.print(f"{run.record.method} {with_tricks(run.record.tricks)}:", markup=False, soft_wrap=True)
    table = dice_rows(run)
    if table:
        shown = Table(box=None, header_style="bold", pad_edge=False)
        for head in ("network", "folds", "cases", "mean Dice", *classes[1:]):
            shown.add_column(Text(head), justify="left" if head == "network" else "right")
        for name, row in table.items():
            values = (row["mean"], *row["classes"].values())
            shown.add_row(*map(Text, (name, runs(row["folds"]), str(row["cases"]), *(number(v, 3) for v in values))))
        console.print(shown)
    for sentence in about_folds(run):
        console.print(sentence, markup=False, soft_wrap=True)
    if run.record.chosen:
        parts = [" and ".join(classes[k] for k in part) for part in run.record.largest]
        kept = f"; the largest piece alone is kept of {'; of '.join(parts)}" if parts else ""
        console.print(f"{listed(run.record.chosen)} predicts{kept}", markup=False, soft_wrap=True)
    show_costs(run.record.found.get("costs") or {}, console)
    console.print(f"written to {run.root}; look at {run.root / REPORT}", markup=False, soft_wrap=True)
