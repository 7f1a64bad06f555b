"""Refiners side by side on one map: accuracy, accuracy at borders, seconds; mean and spread over seeds.

    python tests/benchmarks/bench_refiners.py --protocol parcels --first 10 --seeds 10
    python tests/benchmarks/bench_refiners.py --protocol fixed random_total:200 random_fraction:0.1 --seeds 5
    python tests/benchmarks/bench_refiners.py --scene simulated-usgs-potts --protocol random_fraction:0.05 --seeds 5
    python tests/benchmarks/bench_refiners.py --base svm cnn3d --chains dense-crf deep-crf "deep-crf + deconv"

`--chains` names refiners joined by " + ", each with options in brackets, see ABLATIONS. A refiner chooses its weight on
validation pixels, "leave the map alone" included; "forced" takes its default without asking. Results are kept line by
line in --log, and a run that is started again goes on where it stopped.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from bench_accuracy import SCENES, open_base, read_log, row, table, task_of, write_log

from hyperseg.core.parts import Refiner
from hyperseg.core.runtime import Runtime
from hyperseg.core.settings import changed
from hyperseg.core.task import Task
from hyperseg.engine import choose_precision
from hyperseg.recipes.methods import METHODS
from hyperseg.recipes.refiners import REFINERS
from hyperseg.recipes.run.steps import make_map, refine

BASES = {METHODS[name].step_name: name for name in METHODS}
UNARY = METHODS["deep-crf"].step_name
CHAINS = ("dense-crf", "deep-crf", "deep-crf + deconv")
ABLATIONS: dict[str, dict[str, Any]] = {
    "dense-crf": {},
    "deep-crf": {},
    "deep-crf (as published)": {"form": "joint", "same_share": 0.5},
    "deep-crf (table alone)": {"heads": (0.0,)},
    "deep-crf (half equal)": {"same_share": 0.5},
    "deep-crf (em 0)": {"em_steps": 0},
    "deep-crf (em 10)": {"em_steps": 10},
    "deep-crf (nodes of 2 px)": {"stride": 2},
    "deep-crf (nodes of 4 px)": {"stride": 4},
    "deep-crf (radius 2)": {"radius": 2},
    "deep-crf (forced)": {"forced": True},
    "deep-crf (through inference)": {"joint": True},
    "deconv": {},
    "deconv (not cross-fitted)": {"parts": 1},
    "deconv (no switches)": {"switches": False},
    "deconv (mean of masks)": {"fuse": "mean"},
    "deconv (forced)": {"strengths": (1.0,), "forced": True},
}


def measure(
    task: Task, protocol: str, base: str, chains: list[str], seed: int, known: set[str]
) -> Iterator[dict[str, Any]]:
    """One row for the method alone and one per chain, those already known left out; seconds are of the last step."""
    wanted = [c for c in ("", *chains) if f"{base} + {c}".removesuffix(" + ") not in known]
    if not wanted:
        return
    runtime = Runtime(seed, precision=choose_precision("cpu"), quiet=True)
    method = METHODS[BASES[base]]
    made = make_map(method, method.settings(), task, runtime)
    for chain in wanted:
        step, name = made.step, base
        if chain:
            links, name = [link(word) for word in chain.split(" + ")], f"{base} + {chain}"
            for place, (refiner, chosen) in enumerate(links):
                refiner.check(task, chosen, method, method.settings(), place)
            step = refine(made, method, method.settings(), links, task, runtime)[-1].step
        yield row(task, protocol, seed, base, name, step, step.seconds)


def link(name: str) -> tuple[Refiner, Any]:
    """A refiner with the settings that its brackets name."""
    if name not in ABLATIONS:
        raise SystemExit(f"unknown refiner {name!r}: {', '.join(ABLATIONS)}.")
    refiner = REFINERS[name.split(" (")[0]]
    return refiner, changed(refiner.settings(), ABLATIONS[name])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--scene", default="indian-pines", choices=SCENES)
    parser.add_argument("--protocol", nargs="+", default=["parcels"])
    parser.add_argument("--base", nargs="+", default=[UNARY], choices=BASES)
    parser.add_argument("--chains", nargs="+", default=list(CHAINS))
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--first", type=int, default=0, help="first seed")
    parser.add_argument("--log", type=Path, default=Path("bench_refiners.jsonl"))
    options = parser.parse_args()
    base, seeds = open_base(options.scene), range(options.first, options.first + options.seeds)
    for protocol in options.protocol:
        for seed in seeds:
            known = {r["step"] for r in read_log(options.log, base, protocol) if r["seed"] == seed}
            for name in options.base:
                for found in measure(task_of(base, protocol, seed), protocol, name, options.chains, seed, known):
                    write_log(options.log, [found])
        rows = [r for r in read_log(options.log, base, protocol) if r["seed"] in seeds]
        print(f"\n### {base.name}, {protocol}, {options.seeds} seeds\n", flush=True)
        for name in options.base:
            print(table([r for r in rows if r["method"] == name], name), flush=True)


if __name__ == "__main__":
    main()
