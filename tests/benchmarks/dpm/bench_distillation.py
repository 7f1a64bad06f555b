"""What distillation loses on the digits, against the teacher on the same starting noise. Run by hand:

    OMP_NUM_THREADS=1 python tests/benchmarks/dpm/bench_distillation.py --seeds 0,1,2 [--models DIR] [--steps 300]

For every seed a teacher of the default benchmark is trained anew (network, judge and settings of
`hyperseg bench samplers`), then the students; DIR keeps teachers (DIR/s0, DIR/s1, ...) for the next time. Prints the
Frechet distance in the classifier's features (FD-cls), mean over draws of starting noise that all rows share, processor
seconds of the training, and the last lines mean and spread over seeds.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from statistics import mean, stdev

import numpy as np
import torch
from torch import Tensor

from hyperseg.core.runtime import Runtime
from hyperseg.dpm.denoise import Sampled
from hyperseg.dpm.faster.ddgan.train import train_ddgan
from hyperseg.dpm.faster.distil import RoundSettings
from hyperseg.dpm.faster.latent.model import train_latent
from hyperseg.dpm.faster.progressive import ProgressiveSettings, halved
from hyperseg.dpm.faster.speedup import generator_of
from hyperseg.dpm.faster.student import train_student
from hyperseg.dpm.model import DiffusionModel
from hyperseg.metrics.generation import frechet_distance, moments
from hyperseg.recipes.bench.data.digits import load_digits
from hyperseg.recipes.bench.data.pictures import Choice
from hyperseg.recipes.bench.judge import as_files
from hyperseg.recipes.bench.preparing import features_of, model_of
from hyperseg.recipes.bench.settings import BenchSettings

PART = 250  # samples at a time
OTHERS = {"student": train_student, "ddgan": train_ddgan, "latent": train_latent}
Make = Callable[[int, torch.Generator], Sampled]


def distances(make: Make, judge: Callable[[Tensor], float], samples: int, draws: int) -> list[float]:
    """Of so many samples, for each draw of starting noise."""
    found = []
    for draw in range(draws):
        parts = [
            make(PART, torch.Generator().manual_seed(1000 * (draw + 1) + k)).x for k in range(max(samples // PART, 1))
        ]
        found.append(judge(torch.cat(parts)))
    return found


def rows_of(seed: int, args: argparse.Namespace, root: Path) -> dict[str, tuple[float, float]]:
    """Row -> mean distance, and processor seconds of its training."""
    pictures = load_digits(None, Choice())
    settings, runtime = BenchSettings(seed=seed), Runtime(seed=seed, quiet=True)
    folder = root / f"s{seed}"
    folder.mkdir(exist_ok=True)
    began = time.process_time()
    model = model_of(folder, settings, pictures, runtime)
    seconds = {"teacher, 64 steps": time.process_time() - began}
    features = features_of(settings, pictures, replace(runtime, checkpoints=folder / "judge"))
    reference = moments(np.asarray(features.of(as_files(pictures.x, pictures.levels))[0], np.float64))

    def judge(x: Tensor) -> float:
        return frechet_distance(reference, np.asarray(features.of(as_files(x, pictures.levels))[0], np.float64))

    shape = tuple(pictures.x.shape[1:])
    makes: dict[str, Make] = {f"teacher, {n} steps": generator_of(model, shape, n, None) for n in (64, 16, 4, 2, 1)}
    began = time.process_time()
    makes |= _students(model, pictures.x, args, runtime)
    seconds["student, 4 steps"] = time.process_time() - began
    for name in args.others.split(",") if args.others else ():
        began = time.process_time()
        makes |= {f"{name}, {n} calls": make for n, make in OTHERS[name](model, pictures.x, None, runtime).items()}
        seconds[name] = time.process_time() - began
    found = {}
    for name, make in makes.items():
        each = distances(make, judge, args.samples, args.draws)
        found[name] = (mean(each), seconds.get(name, seconds.get(name.split(",")[0], 0.0)))
        print(
            f"seed {seed}  {name:22} {found[name][0]:7.3f}  {found[name][1]:6.0f} s",
            [round(d, 3) for d in each],
            flush=True,
        )
    return found


def _students(model: DiffusionModel, x: Tensor, args: argparse.Namespace, runtime: Runtime) -> dict[str, Make]:
    how = ProgressiveSettings(paths=args.paths, round=RoundSettings(steps=args.steps))
    shape = tuple(x.shape[1:])
    return {
        f"student, {n} steps": generator_of(one, shape, n, None)
        for n, one in halved(model, x, how, runtime).items()
    }  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", default="0,1,2")
    parser.add_argument("--models", type=Path, help="folder that keeps teachers")
    parser.add_argument("--steps", type=int, default=RoundSettings().steps, help="for each step of a student")
    parser.add_argument("--paths", type=int, default=ProgressiveSettings().paths)
    parser.add_argument("--samples", type=int, default=2000)
    parser.add_argument("--draws", type=int, default=2, help="of starting noise")
    parser.add_argument("--others", default="", help="other speed-ups: student,ddgan,latent")
    args = parser.parse_args()
    if wrong := {*filter(None, args.others.split(","))} - {*OTHERS}:
        parser.error(f"--others are {', '.join(OTHERS)}, got {', '.join(wrong)}")
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as temporary:
        root = args.models or Path(temporary)
        root.mkdir(parents=True, exist_ok=True)
        found = [rows_of(int(seed), args, root) for seed in args.seeds.split(",")]
    print()
    for name in found[0]:
        values = [one[name][0] for one in found]
        ratio = [100 * (one[name][0] / one["teacher, 64 steps"][0] - 1) for one in found]
        spread = stdev(values) if len(values) > 1 else 0.0
        told = ", ".join(f"{r:+.0f} %" for r in ratio)
        print(f"{name:22} {mean(values):6.2f} ± {spread:.2f}   against the teacher: {told}")


if __name__ == "__main__":
    main()
