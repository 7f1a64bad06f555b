"""From the supervised twin to FocalMix, row by row, on made-up nodules: CPM, same labels, seeds, patches and steps.

    OMP_NUM_THREADS=1 python tests/benchmarks/detection/bench_focalmix.py --labels 5 --seeds 0 1 2 3 4
    ... bench_focalmix.py --tables --figure docs/focalmix-froc.png  # of all that lies in --out

A seed decides about everything: volumes with labels, without, and for testing (`hyperseg.simulated.nodules`), the first
weights, and the patches of every step. The first labelled volumes of a seed are the same for 5, 10 and 25 labels.
Seeds from 100 on choose settings (--change). Finished trainings are files of one JSON line in --out; a benchmark that
is started again goes on where it stopped, and several may work side by side on different seeds or rows.
"""

from __future__ import annotations

import argparse
import json
import time
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from focalmix_tables import STEPS, figure, tables, told

from hyperseg.backbone import seeded
from hyperseg.core.runtime import Runtime
from hyperseg.core.settings import changed
from hyperseg.detection.batch import draw_batch
from hyperseg.detection.finding import find
from hyperseg.detection.lesson import NETWORK, lesson
from hyperseg.detection.network import Detector, DetectorSpec, detector_spec
from hyperseg.detection.settings import ABLATION, DetectorSettings, FocalMixSettings
from hyperseg.engine.one_cycle import train
from hyperseg.metrics.froc import Froc, Marks, Truth, froc
from hyperseg.simulated.nodules import Difficulty, nodules

SIDE, PATCH, UNLABELLED, TESTED, MOST_LABELLED = 48, 32, 50, 60, 25
HARD = Difficulty(sizes=(4.0, 12.0), most=3)
COUNTS = (4, 4)  # labelled and unlabelled patches of a batch
NETWORK_SETTINGS = DetectorSettings(widths=(8, 16, 32), head_width=16, levels=(1,), per_level=2)
LR = 5e-3
CHOSEN = {"shaken": 0.3}  # of all rows, as `detect train` has it; chosen on seeds from 100 on as the defaults were


@cache
def volumes(seed: int) -> tuple[list[Any], list[Any], list[Any]]:
    """Labelled and test volumes with boxes, and volumes without, all (1, *S) float32."""
    total = MOST_LABELLED + UNLABELLED + TESTED
    made = nodules(total, shape=(SIDE,) * 3, seed=seed, difficulty=HARD)
    every = [
        (volume[None].astype(np.float32), boxes.astype(np.float32))
        for volume, boxes in zip(made.volumes, made.boxes, strict=True)
    ]
    bare = [volume for volume, _ in every[MOST_LABELLED : MOST_LABELLED + UNLABELLED]]
    return every[:MOST_LABELLED], bare, every[-TESTED:]


def fit(row: str, labels: int, seed: int, steps: int, changes: dict[str, Any]) -> tuple[Detector, DetectorSpec, float]:
    """A trained detector, and the processor's seconds that it took."""
    known, bare, _ = volumes(seed)
    known = known[:labels]
    boxes = torch.from_numpy(np.concatenate([boxes for _, boxes in known]))
    spec = detector_spec(1, 3, NETWORK_SETTINGS, boxes=boxes)
    with seeded(seed):
        net = Detector(spec)
    own = {key: value for key, value in changes.items() if key != "lr"}
    settings = changed(FocalMixSettings(), {**CHOSEN, **own, **ABLATION[row]})
    phases, averages = lesson(net, settings, steps=steps, lr=changes.get("lr", LR))
    began = time.process_time()
    train(
        phases, lambda step: draw_batch(known, bare, patch=(PATCH,) * 3, counts=COUNTS, seed=seed, step=step), steps,
        modules={NETWORK: net}, averages=averages, runtime=Runtime(seed=seed, quiet=True), name="focalmix", title=row,
    )  # fmt: skip
    return net, spec, time.process_time() - began


def scored(net: Detector, spec: DetectorSpec, seed: int) -> Froc:
    """The FROC of a detector on the test volumes of its seed."""
    tested = volumes(seed)[2]
    found = [Marks(*find([net], volume, spec, patch=(PATCH,) * 3, threshold=0.001)) for volume, _ in tested]
    return froc(found, [Truth(boxes) for _, boxes in tested])


def measure(row: str, labels: int, seed: int, asked: argparse.Namespace) -> dict[str, Any]:
    """The line of a training, from its file where there is one."""
    other = told(asked.change, asked.steps)
    file = asked.out / f"{labels} {row}{other} {seed}.json".replace(" ", "_").replace("/", "-")
    if file.is_file():
        return dict(json.loads(file.read_text()))
    net, spec, seconds = fit(row, labels, seed, asked.steps, asked.change)
    result = scored(net, spec, seed)
    line = {
        "row": row, "labels": labels, "seed": seed, "change": asked.change, "steps": asked.steps, "train_s": seconds,
        "cpm": result.cpm, "sensitivities": list(result.sensitivities), "objects": result.objects,
        "curve": points(result),
    }  # fmt: skip
    part = file.with_suffix(f".part{asked.seeds[0]}")
    part.write_text(json.dumps(line) + "\n")
    part.replace(file)
    return line


def points(result: Froc) -> list[list[float]]:
    """Rate, sensitivity and threshold of the operating points that a curve up to 8 false positives per scan needs."""
    curve = result.curve
    some = zip(curve.rates, curve.sensitivities, np.minimum(curve.thresholds, 2), strict=True)
    return [[round(float(value), 5) for value in point] for point in some if point[0] <= 9]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", nargs="+", default=[*ABLATION], choices=[*ABLATION])
    parser.add_argument("--labels", type=int, nargs="+", default=[5])
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2, 3, 4])
    parser.add_argument("--steps", type=int, default=STEPS)
    parser.add_argument("--change", type=json.loads, default={}, help='settings of all rows, as {"teacher": "ema"}')
    parser.add_argument("--out", type=Path, default=Path("bench_focalmix"))
    parser.add_argument("--tables", action="store_true", help="print tables of what lies in --out, train nothing")
    parser.add_argument("--figure", type=Path, help="with --tables: write the FROC curves there")
    asked = parser.parse_args()
    if asked.tables:
        lines = [json.loads(file.read_text()) for file in sorted(asked.out.glob("*.json"))]
        print(tables(lines, [*ABLATION]))
        if asked.figure:
            figure(lines, [*ABLATION], asked.figure)
        return
    torch.set_num_threads(1)
    asked.out.mkdir(parents=True, exist_ok=True)
    for labels in asked.labels:
        for seed in asked.seeds:
            for row in asked.rows:
                line = measure(row, labels, seed, asked)
                shares = " ".join(f"{share:.2f}" for share in line["sensitivities"])
                print(f"{labels} | {seed} | {row} | {line['cpm']:.3f} | {shares} | {line['train_s']:.0f} s", flush=True)


if __name__ == "__main__":
    main()
