"""The bridged U-Net and Cos-Dice on small sets: does the loss learn faster, end better and swing less, do bridges pay?

    OMP_NUM_THREADS=1 python tests/benchmarks/bridged/bench_bridged.py --choose  # rates, on images that are not scored
    OMP_NUM_THREADS=1 python tests/benchmarks/bridged/bench_bridged.py           # all sets, networks, losses, seeds
    ... bench_bridged.py --tables [--figure curves.png]  # of all that lies in --out
    ... bench_bridged.py --gradient docs/cosdice-gradient.png

Needs HYPERSEG_DATA. --out is a file of JSON lines, one for every training: what is there is not done again, and a
benchmark that was stopped goes on. "dice" here is 1 - soft Dice with Cos-Dice's sums, classes and smooth, so that the
cosine is the only difference; `dice-ce` is beside them on the default network as a reference. The rate of each loss is
that with the highest final Dice on seeds from 100 on: they split the images that are learnt from.
"""

from __future__ import annotations

import argparse
import json
import os
from collections import defaultdict
from collections.abc import Iterator, Sequence
from functools import cache
from pathlib import Path
from typing import NamedTuple

import torch
from bridged_curves import Line, final
from bridged_rows import DEFAULT, LOSSES, NETS, RATES, REFERENCE, Training, fit
from bridged_sets import CHOOSING, SETS, Images, read_set
from bridged_tables import curves_figure, tables

from hyperseg.report.slopes import slopes_figure

CHOSEN_ON, CHOOSING_SEEDS = "cup", (CHOOSING, CHOOSING + 1, CHOOSING + 2)


class Cell(NamedTuple):
    """What a training is known by."""

    set: str
    net: str
    loss: str
    optimiser: str
    lr: float
    seed: int


def read_lines(out: Path) -> list[Line]:
    return [json.loads(text) for text in out.read_text().splitlines()] if out.is_file() else []


def cell_of(line: Line) -> Cell:
    return Cell(*(line[key] for key in Cell._fields))


def rate_of(lines: Sequence[Line], loss: str, optimiser: str) -> float:
    """The rate whose trainings on choosing seeds have the highest mean of final Dice."""
    found = defaultdict(list)
    for line in lines:
        if line["seed"] >= CHOOSING and (line["loss"], line["optimiser"]) == (loss, optimiser):
            found[line["lr"]].append(final(line))
    if not found:
        raise SystemExit(f"no rate of {loss} with {optimiser} was chosen: run --choose --losses {loss} first.")
    return max(found, key=lambda lr: sum(found[lr]) / len(found[lr]))


def cells(asked: argparse.Namespace, lines: Sequence[Line]) -> Iterator[Cell]:
    """What is asked for: rates to choose from; or all networks and losses, seed by seed of every set."""
    if asked.choose:
        for seed in CHOOSING_SEEDS:
            for loss in asked.losses:
                for lr in RATES[asked.optimiser]:
                    yield Cell(CHOSEN_ON, DEFAULT, loss, asked.optimiser, lr, seed)
        return
    rates = {loss: asked.lr or rate_of(lines, loss.split(":")[0], asked.optimiser) for loss in asked.losses}
    for place in range(max(len(SETS[name].seeds) for name in asked.sets)):
        for name in asked.sets:
            for seed in SETS[name].seeds[place : place + 1]:
                for net in asked.nets:
                    for loss in asked.losses:
                        if loss != REFERENCE or net == DEFAULT:
                            yield Cell(name, net, loss, asked.optimiser, rates[loss], seed)


def work(asked: argparse.Namespace) -> None:
    @cache
    def images(name: str, seed: int) -> tuple[Images, Images]:
        return read_set(name, asked.data, seed)

    asked.out.parent.mkdir(parents=True, exist_ok=True)
    lines = read_lines(asked.out)
    there = {cell_of(line) for line in lines}
    training = Training(steps=asked.steps, optimiser=asked.optimiser)
    for cell in cells(asked, lines):
        if cell in there:
            continue
        found = fit(cell.net, cell.loss, cell.lr, *images(cell.set, cell.seed), training, cell.seed)
        line = {**cell._asdict(), "steps": asked.steps, "every": training.every, **found}
        with asked.out.open("a") as file:
            file.write(json.dumps(line) + "\n")
        print(*cell, f"| Dice {100 * final(line):.1f} | {line['seconds']:.1f} s", flush=True)


def write_picture(file: Path, drawn: bytes) -> None:
    """A PNG of 256 colours: a small file."""
    import io

    from PIL import Image

    with Image.open(io.BytesIO(drawn)) as picture:
        picture.convert("RGB").quantize(256, method=2).save(file, optimize=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=os.environ.get("HYPERSEG_DATA"))
    parser.add_argument("--out", type=Path, default=Path("bench_bridged.jsonl"))
    parser.add_argument("--sets", nargs="+", default=[*SETS], choices=[*SETS])
    parser.add_argument("--nets", nargs="+", default=[*NETS], choices=[*NETS])
    parser.add_argument("--losses", nargs="+", default=[*LOSSES, REFERENCE], help='also spelled, as "cosdice:q=3"')
    parser.add_argument("--optimiser", default="adam", choices=[*RATES])
    parser.add_argument("--lr", type=float, help="instead of the rate that was chosen")
    parser.add_argument("--steps", type=int, default=Training().steps)
    parser.add_argument("--choose", action="store_true", help="train with every rate on seeds that choose")
    parser.add_argument("--tables", action="store_true", help="print tables of what lies in --out, train nothing")
    parser.add_argument("--figure", type=Path, help="with --tables: a PNG of the curves")
    parser.add_argument("--gradient", type=Path, help="write the figure of gradients there, train nothing")
    asked = parser.parse_args()
    if asked.gradient is not None:
        write_picture(asked.gradient, slopes_figure())
    elif asked.tables:
        lines = read_lines(asked.out)
        print(tables(lines))
        if asked.figure is not None:
            write_picture(asked.figure, curves_figure(lines))
    elif asked.data is None or not Path(asked.data).is_dir():
        raise SystemExit("no data: set HYPERSEG_DATA, or give --data, a folder with medical/busi_subset and the like.")
    else:
        torch.set_num_threads(1)
        work(asked)


if __name__ == "__main__":
    main()
