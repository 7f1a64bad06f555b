"""MedSegDiff's parts, its feed-forward twin and MONAI's U-Net on small sets: Table 2 of the paper in form.

    OMP_NUM_THREADS=1 python tests/benchmarks/medsegdiff/bench_medsegdiff.py --sets cup --seeds 0 1 2
    ... bench_medsegdiff.py --sets cup --rows "+ dynamic + FF-Parser" --seeds 0 1 2 --compare  # calls, samples, fusion
    ... bench_medsegdiff.py --tables  # of all that lies in --out

Needs HYPERSEG_DATA. All rows of a seed see the same batches, are as long in training, and answer for the same images.
Seeds from 100 on choose settings (--change): they score a third of Drishti's training pictures. Finished trainings are
files of one JSON line in --out; a benchmark that is started again goes on where it stopped, and several may work side
by side on different sets, rows or seeds.

Images are resized by area as a whole to the sizes in mask_sets.py, scores are of that grid. Slices of BraTS: all with
tumour and every fourth of those with brain and without; ultrasound includes normal images. An image without the object
counts in no mean of Dice where the answer is empty too, and 0 where it is not.
"""

from __future__ import annotations

import argparse
import json
import os
from pathlib import Path
from typing import Any

import torch
from mask_draws import compared, scored
from mask_rows import FULL, ROWS, Training, fit_row, with_settings
from mask_scores import rounded
from mask_sets import SETS, read_set
from mask_tables import tables

from hyperseg.core import HypersegError


def file_of(out: Path, name: str, row: str, seed: int, changes: dict[str, Any]) -> Path:
    """Where the line of a training lies; weights are beside it."""
    told = "".join(f" {key}={value}" for key, value in sorted(changes.items()))
    return out / f"{name} {row}{told} {seed}.json".replace(" ", "_").replace("/", "-")


def measure(name: str, row: str, seed: int, training: Training, asked: argparse.Namespace) -> dict[str, Any]:
    """The line of a training, from its file where there is one."""
    file = file_of(asked.out, name, row, seed, asked.change)
    line = json.loads(file.read_text()) if file.is_file() else {}
    if line and (not asked.compare or "compared" in line):
        return dict(line)
    one = with_settings(ROWS[row], asked.change)
    learnt, tested = read_set(name, asked.data, seed)
    trained = fit_row(one, learnt, training, seed, file.with_suffix(".pt"))
    if not line:
        line = {
            "set": name, "row": row, "seed": seed, "change": asked.change, "steps": training.steps,
            "parameters": trained.parameters, "train_s": trained.seconds, "images": [len(learnt), len(tested)],
            "scores": scored(one, trained, tested, seed),
        }  # fmt: skip
    if asked.compare and one.samples:
        line["compared"] = compared(one, trained, tested, seed)
    line = rounded(line)
    part = file.with_suffix(".part")
    part.write_text(json.dumps(line) + "\n")
    part.replace(file)
    return line


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=os.environ.get("HYPERSEG_DATA"))
    parser.add_argument("--sets", nargs="+", default=[*SETS], choices=[*SETS])
    parser.add_argument("--rows", nargs="+", default=[*ROWS], choices=[*ROWS])
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--steps", type=int, default=Training().steps)
    parser.add_argument("--change", type=json.loads, default={}, help='settings of all rows, as {"lr": 0.005}')
    parser.add_argument("--compare", action="store_true", help=f"also calls, samples and fusion, as of {FULL!r}")
    parser.add_argument("--out", type=Path, default=Path("bench_medsegdiff"))
    parser.add_argument("--tables", action="store_true", help="print tables of what lies in --out, train nothing")
    asked = parser.parse_args()
    if asked.tables:
        print(tables([json.loads(file.read_text()) for file in sorted(asked.out.glob("*.json"))]))
        return
    if asked.data is None or not Path(asked.data).is_dir():
        raise SystemExit(
            "no data: set HYPERSEG_DATA, or give --data, a folder with medical/drishti_gs1_512 and the like."
        )
    torch.set_num_threads(1)
    asked.out.mkdir(parents=True, exist_ok=True)
    for name in asked.sets:
        for seed in asked.seeds:
            for row in asked.rows:
                try:
                    line = measure(name, row, seed, Training(steps=asked.steps), asked)
                except HypersegError as error:  # a set that is not there, MONAI that is not installed
                    print(f"{name} | {row} | {seed} | left out: {error}", flush=True)
                    continue
                found = line["scores"]
                told = " ".join(f"{of} {found[of]:.2f}" for of in ("dice", "micro", "ece", "doubt") if found.get(of))
                print(f"{name} | {row} | {seed} | {told} | {line['train_s']:.0f} s", flush=True)


if __name__ == "__main__":
    main()
