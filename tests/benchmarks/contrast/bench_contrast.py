"""Contrastive pre-training on hearts and hippocampi: what does it bring with 1, 2 and 8 labelled volumes?

    OMP_NUM_THREADS=1 python tests/benchmarks/contrast/bench_contrast.py --minutes 45
    ... bench_contrast.py --tables          # of all that lies in --out
    ... bench_contrast.py --figure docs/contrast-acdc.png

Needs HYPERSEG_DATA. --out is a folder: `cells.jsonl`, a line for every fine-tuning (--lines: another name), and the
weights that were learnt without labels, a file for each draw and strategy. What is there is not done again: a benchmark
that was stopped goes on, and --minutes stops it before the next cell. A draw divides patients (all volumes of a patient
are on one side): some are tested, of all others the volumes are learnt from without labels, and 1, 2 or 8 of these
volumes have labels. All rows of a draw have the same labelled volumes, initial weights of what is not carried over,
batches and steps.
"""

from __future__ import annotations

import argparse
import json
import os
import time
from collections.abc import Iterator
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import NamedTuple

import torch
from contrast_plan import ROWS, Plan, Row
from contrast_rows import network, pretrain, score, tune
from contrast_sets import SETS, Draw, Stack, draw, read_stacks
from contrast_tables import gains_figure, tables

from hyperseg.backbone.pretrained import load_pretrained, read_pretrained

AGAIN = "random, another seed"  # the noise: nothing but the seed of weights and batches differs
BOTH = {**ROWS, AGAIN: Row(None)}
FEW = ("random", "G^R", "G^D", "G^D + L^R", AGAIN)
PLANS = {"acdc": Plan(), "hippocampus": Plan()}
DRAWS = (0, 1, 2, 3, 4)
OWN = {"G^R": {"tuning_lr": 5e-3}}  # what these rows fine-tune better with on draws 100 and 101; see --own


class Cell(NamedTuple):
    """What a fine-tuning is known by."""

    set: str
    draw: int
    labelled: int
    row: str


def cells(asked: argparse.Namespace) -> Iterator[Cell]:
    """The most important first: whole draws of hearts with few labels."""
    stages = [
        ("acdc", (1, 2), [*BOTH]),
        ("acdc", (8,), [*BOTH]),
        ("hippocampus", (1,), [*FEW]),
        ("hippocampus", (2, 8), [*FEW]),
    ]
    for name, numbers, every in stages:
        rows = [row for row in every if row in (asked.rows or every) and (row in OWN or not asked.own)]
        for seed in asked.draws if name in asked.sets else ():
            for n in sorted(set(numbers) & set(asked.labelled)):
                yield from (Cell(name, seed, n, row) for row in rows)


def fit(cell: Cell, stacks: list[Stack], of: Draw, folder: Path, plan: Plan) -> dict[str, object]:
    """A cell's line; weights that are learnt without labels are made where they are not there yet."""
    row, n_classes, found, carried = BOTH[cell.row], SETS[cell.set].n_classes, {}, []
    seed = cell.draw + (1000 if cell.row == AGAIN else 0)
    net = network(plan, n_classes, seed)
    if row.pairs is not None:
        first = folder / f"{cell.set}-{cell.draw}-{row.pairs}.safetensors"
        second = first.with_stem(f"{first.stem}-local")
        learnt = [stacks[i] for i in of.learnt]
        if not first.is_file():
            pretrain(first, learnt, row, plan, n_classes, cell.draw)
        if row.local and not second.is_file():
            pretrain(second, learnt, row, plan, n_classes, cell.draw, first=first)
        given = read_pretrained(second if row.local else first)
        check_learnt(given.about["plan"], plan, given.source)
        load_pretrained(given, net)
        carried = list(given.parts)
        found = {key: given.about[key] for key in ("global", "local", "seconds") if key in given.about}
    began = time.process_time()
    labelled = [stacks[i] for i in of.labelled[: cell.labelled]]
    tune(net, labelled, plan, seed, mixup=row.mixup, n_classes=n_classes, carried=carried)
    spent = time.process_time() - began
    dice = score(net, [stacks[i] for i in of.tested], n_classes)
    return {"dice": dice, "tuned_s": round(spent, 1), "learnt": found}


def check_learnt(about: dict[str, object], plan: Plan, source: object) -> None:
    """Raise SystemExit where weights were learnt without labels by another plan."""
    if any(about[name] != value for name, value in plan.learning().items()):
        raise SystemExit(f"{source} was learnt by another plan: give another --out.")


def work(asked: argparse.Namespace, plans: dict[str, Plan]) -> None:
    asked.out.mkdir(parents=True, exist_ok=True)
    lines, began = file_of(asked), time.monotonic()
    there = {Cell(*(line[key] for key in Cell._fields)) for line in read_lines(lines)}
    stacks = cache(lambda name: read_stacks(name, asked.data))
    for cell in cells(asked):
        if cell in there:
            continue
        if asked.minutes is not None and time.monotonic() - began > 60 * asked.minutes:
            print("stopped: the time that was asked for is over; the same command goes on.", flush=True)
            return
        every = stacks(cell.set)
        plan = replace(plans[cell.set], **(OWN.get(cell.row, {}) if asked.own else {}))
        found = fit(cell, every, draw(every, SETS[cell.set].tested, cell.draw), asked.out, plan)
        with lines.open("a") as file:
            file.write(json.dumps({**cell._asdict(), **found}) + "\n")
        minutes = (time.monotonic() - began) / 60
        print(f"{minutes:6.1f} min", *cell, f"Dice {mean_of(found['dice']):.1f}", flush=True)


def file_of(asked: argparse.Namespace) -> Path:
    return Path(asked.out) / f"{'own' if asked.own else asked.lines}.jsonl"


def told(asked: argparse.Namespace) -> list[dict]:
    """Lines for tables; with --own those of `own.jsonl` beside the lines of all other rows."""
    lines = read_lines(asked.out / f"{asked.lines}.jsonl")
    if not asked.own:
        return lines
    return [line for line in lines if line["row"] not in OWN] + read_lines(file_of(asked))


def mean_of(dice: object) -> float:
    return 100 * float(torch.tensor(dice).nanmean())


def read_lines(path: Path) -> list[dict]:
    return [json.loads(text) for text in path.read_text().splitlines()] if path.is_file() else []


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=os.environ.get("HYPERSEG_DATA"))
    parser.add_argument("--out", type=Path, default=Path("bench_contrast"))
    parser.add_argument("--sets", nargs="+", default=[*SETS], choices=[*SETS])
    parser.add_argument("--rows", nargs="+", choices=[*BOTH], help="these alone")
    parser.add_argument("--draws", nargs="+", type=int, default=[*DRAWS], help="from 100 on: draws that choose")
    parser.add_argument("--labelled", nargs="+", type=int, default=[1, 2, 8], help="volumes with labels")
    parser.add_argument("--lines", default="cells", help="name of the file of lines, for another --plan")
    parser.add_argument("--own", action="store_true", help="rows with a rate of their own, into own.jsonl")
    parser.add_argument("--minutes", type=float, help="begin no cell after so many")
    parser.add_argument("--plan", type=json.loads, default={}, help='settings that differ, JSON: {"steps": 800}')
    parser.add_argument("--tables", action="store_true", help="print tables of what lies in --out, train nothing")
    parser.add_argument("--figure", type=Path, help="write the figure of gains there, train nothing")
    asked = parser.parse_args()
    if asked.tables or asked.figure is not None:
        lines = told(asked)
        if asked.figure is not None:
            gains_figure(lines, asked.figure)
        else:
            print(tables(lines))
    elif asked.data is None or not Path(asked.data).is_dir():
        raise SystemExit("no data: set HYPERSEG_DATA, or give --data, a folder with medical/acdc_h5 and the like.")
    else:
        torch.set_num_threads(1)
        work(asked, {name: replace(plan, **asked.plan) for name, plan in PLANS.items()})


if __name__ == "__main__":
    main()
