"""Dice of cross-validation against minutes of training: folds of a data set, trained by the command line alone.

    OMP_NUM_THREADS=1 python tests/benchmarks/segment/bench_minutes.py --minutes 1 2 4 --folds 0 1 2 3 4

Needs HYPERSEG_DATA, for the Hippocampus volumes of the Medical Segmentation Decathlon, or --data. Minutes are those of
the clock and of one fold; what the thread had to wait for a processor is told beside them. Rules for short trainings
were chosen on fold 0 of seed 0. Runs that are finished are kept in --out and not trained again.
"""

from __future__ import annotations

import argparse
import json
import os
from pathlib import Path

import numpy as np

from hyperseg import segment
from hyperseg.recipes.segment.choosing import class_means

SET = "medical/msd_task04_hippocampus"
SETTLED = "weights.safetensors"


def trained(data: Path, root: Path, minutes: float, fold: int, seed: int) -> dict[str, object]:
    """The history of a fold, trained where it is not there yet."""
    files = list(root.glob(f"*/fold{fold}/{SETTLED}"))
    if not files:
        segment.train(data, root, minutes=minutes, fold=fold, seed=seed, device="cpu", resume=root.exists())
        files = list(root.glob(f"*/fold{fold}/{SETTLED}"))
    return dict(json.loads((files[0].parent / "history.json").read_text()))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path)
    parser.add_argument("--minutes", type=float, nargs="+", default=[1.0, 2.0, 4.0])
    parser.add_argument("--folds", type=int, nargs="+", default=[0, 1, 2, 3, 4])
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    parser.add_argument("--out", type=Path, default=Path("bench_minutes"))
    args = parser.parse_args()
    data = args.data or Path(os.environ["HYPERSEG_DATA"]) / SET
    args.out.mkdir(parents=True, exist_ok=True)
    print("| minutes | seed | folds | steps | waited | Dice of classes, mean over folds (± sd) |")
    print("|---|---|---|---|---|---|")
    for minutes in args.minutes:
        for seed in args.seeds:
            histories = [
                trained(data, args.out / f"{minutes:g}-{seed}", minutes, fold, seed) for fold in args.folds
            ]  # fmt: skip
            steps = [history["steps"] for history in histories]
            waited = np.mean([h["used"]["training"]["waited_s"] / max(h["seconds"], 1e-9) for h in histories])
            rows = [class_means([case["raw"] for case in history["cases"].values()]) for history in histories]
            means, spread = np.mean(rows, 0), np.std(rows, 0, ddof=1) if len(rows) > 1 else np.zeros(len(rows[0]))
            told = ", ".join(f"{m:.3f} ± {s:.3f}" for m, s in zip(means, spread, strict=True))
            cells = (
                f"{minutes:g}",
                seed,
                len(args.folds),
                f"{min(steps)} to {max(steps)}",
                f"{100 * waited:.0f} %",
                told,
            )
            print("| " + " | ".join(map(str, cells)) + " |", flush=True)


if __name__ == "__main__":
    main()
