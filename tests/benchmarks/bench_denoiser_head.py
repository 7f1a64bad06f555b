"""Indian Pines with few labels: a head on a denoiser that learnt without labels, its control, and three classifiers.

    python tests/benchmarks/bench_denoiser_head.py --minutes 60
    python tests/benchmarks/bench_denoiser_head.py --table

Rows are measured on the same splits, seeds 0 to 9 (settings were chosen on seeds 10 to 12). The control is the same
head, trained as long, on the same denoiser as it was drawn. Cells are lines of --log, each added when it is done: what
is started again goes on where it stopped. Split by split, so that whatever is there is paired.
"""

from __future__ import annotations

import argparse
import json
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from hyperseg.core import Scene
from hyperseg.core.parts import Method
from hyperseg.core.runtime import Runtime
from hyperseg.core.task import Task
from hyperseg.data.splits import make_split
from hyperseg.io.catalog import load_card, open_card
from hyperseg.metrics import mean_and_std, paired
from hyperseg.recipes.methods import METHODS
from hyperseg.recipes.run.repeat import score_step
from hyperseg.recipes.run.steps import make_map

PROTOCOLS = ("random_per_class:5", "random_per_class:10", "random_total:200", "parcels")
OURS = "denoiser-head"
SCORES = ("OA", "AA", "kappa")


def rows() -> dict[str, tuple[Method, Any]]:
    """Name -> method and settings, quick ones first."""
    ours = METHODS[OURS].settings()
    control = METHODS[OURS].beside(ours)[0]
    plain = {name: (METHODS[name], METHODS[name].settings()) for name in ("svm", "cnn3d", "twin")}
    return {**plain, OURS: (METHODS[OURS], ours), control[0].step_name: control}


def cell(base: Scene, protocol: str, seed: int, name: str, states: Path) -> dict[str, Any]:
    """A line of the log.

    A denoiser knows no label: that of one seed is the same on all splits of it. It is trained for the first of them,
    and the others take its finished state from the folder `states`; the longest time of a row is the whole one.
    """
    assert base.labels is not None
    task = Task((base,), (make_split(protocol, base.labels, base.n_classes, seed=seed),))
    method, chosen = rows()[name]
    runtime = Runtime(seed, quiet=True)
    if name == OURS:
        states.mkdir(exist_ok=True)
        runtime = replace(runtime, checkpoints=states / str(seed))
        head = runtime.checkpoint("head")
        assert head is not None
        head.unlink(missing_ok=True)  # that of another split
    made = make_map(method, chosen, task, runtime)
    found = score_step(made.step, base, task.split)
    return {
        "protocol": protocol, "seed": seed, "row": name, **{score: found[score] for score in SCORES},
        "labels": int(task.split.train.sum()), "leak_a": found["leak"]["a"], "seconds": made.step.seconds,
    }  # fmt: skip


def read(log: Path) -> dict[tuple[str, int, str], dict[str, Any]]:
    lines = log.read_text(encoding="utf-8").splitlines() if log.exists() else []
    found = [json.loads(line) for line in lines if line.endswith("}")]  # the last line of a killed run may be half
    return {(r["protocol"], r["seed"], r["row"]): r for r in found}


def table(cells: dict[tuple[str, int, str], dict[str, Any]], protocol: str) -> str:
    """Markdown: means and spreads, and each row less the head on the denoiser, on the splits that both have."""
    head = f"| method | n | OA | AA | kappa | {OURS} less it: OA, paired | s |"
    lines = [f"**{protocol}**", "", head, "|---|---|---|---|---|---|---|"]
    for name in rows():
        mine = {seed: r for (of, seed, row), r in sorted(cells.items()) if (of, row) == (protocol, name)}
        ours = {seed: r for (of, seed, row), r in cells.items() if (of, row) == (protocol, OURS)}
        both = sorted(set(mine) & set(ours))
        if not mine:
            continue
        scores = [spread(np.array([r[score] for r in mine.values()])) for score in SCORES]
        against = "–"
        if name != OURS and len(both) > 1:
            found = paired([ours[s]["OA"] for s in both], [mine[s]["OA"] for s in both])
            against = f"{found.mean_difference:+.1f} ± {found.standard_error:.1f}, {found.wins}/{found.n} won"
        seconds = max(r["seconds"] for r in mine.values())
        lines.append(f"| {name} | {len(mine)} | {' | '.join(scores)} | {against} | {seconds:.0f} |")
    return "\n".join(lines)


def spread(values: np.ndarray) -> str:
    found = mean_and_std(values) if len(values) > 1 else {"mean": float(values[0]), "std": float("nan")}
    return f"{found['mean']:.1f} ± {found['std']:.1f}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--protocols", nargs="+", default=PROTOCOLS, choices=PROTOCOLS)
    parser.add_argument("--rows", nargs="+", help="by default all")
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--first", type=int, default=0, help="first seed")
    parser.add_argument("--minutes", type=float, default=float("inf"), help="no cell is begun after so many")
    parser.add_argument("--log", type=Path, default=Path("bench_denoiser_head.jsonl"))
    parser.add_argument("--table", action="store_true", help="measure nothing, print what the log has")
    options = parser.parse_args()
    torch.set_num_threads(1)
    started, base = time.monotonic(), open_card(load_card("indian-pines"))
    every = [
        (protocol, seed, name)
        for seed in range(options.first, options.first + options.seeds)
        for protocol in options.protocols
        for name in options.rows or rows()
    ]
    for protocol, seed, name in [] if options.table else every:
        if (protocol, seed, name) in read(options.log):
            continue
        if time.monotonic() - started > 60 * options.minutes:
            break
        made = cell(base, protocol, seed, name, options.log.with_suffix(".states"))
        with options.log.open("a", encoding="utf-8") as file:
            file.write(json.dumps(made) + "\n")
        print(f"{protocol}, seed {seed}, {name}: OA {made['OA']:.1f} in {made['seconds']:.0f} s", flush=True)
    cells = {key: r for key, r in read(options.log).items() if key in every}
    print("\n\n".join(table(cells, protocol) for protocol in options.protocols), flush=True)


if __name__ == "__main__":
    main()
