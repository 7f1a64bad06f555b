"""Deep CRF and dense CRF side by side on one noisy map: seconds, memory, free energy, accuracy. Run by hand:

    python tests/benchmarks/bench_deep_crf.py
    python tests/benchmarks/bench_deep_crf.py --size 1220 680

Both refine the same made-up map with 10 iterations, each in a process of its own. The deep CRF reads its table of
neighbours from the map; its heads (64 features a pixel) are computed for every edge but untrained, so its accuracy is
that of the table alone. Free energies are each method's own, per pixel, of the map before and after: they say that
inference went down, not which method is better.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import time
from dataclasses import replace

import numpy as np
import torch
from bench_dense_crf import make_scene
from rich.console import Console
from rich.table import Table

from hyperseg.crf.deep import apply_deep_crf
from hyperseg.crf.dense import free_energy as dense_free_energy
from hyperseg.crf.dense import refine
from hyperseg.crf.meanfield import free_energy
from hyperseg.crf.piecewise import Pairwise, learn_tables
from hyperseg.crf.settings import DeepCRF, DenseCRF, MeanField
from hyperseg.filters.kernels import Kernels

CLASSES, WIDTH, RUNS = 9, 64, 3


def measure(method: str, height: int, width: int) -> dict[str, float]:
    """One method in this process."""
    map_, guide, truth = make_scene(height, width, CLASSES, noise=40.0)
    logs = torch.from_numpy(map_.probs).log()
    features = torch.randn(WIDTH, height, width, generator=torch.Generator().manual_seed(0))
    before = peak_mib()
    seconds = []
    if method == "deep-crf":
        crf = DeepCRF(inference=MeanField(iterations=10, damping=0.5))
        for _ in range(RUNS):
            started = time.perf_counter()
            pairwise = Pairwise(WIDTH, CLASSES).eval()
            pairwise.table.copy_(learn_tables(logs.exp().permute(2, 0, 1)))
            made = apply_deep_crf(map_, pairwise, lambda window: features[:, slice(*window[0]), slice(*window[1])], crf)
            seconds.append(time.perf_counter() - started)
        grown = peak_mib() - before
        with torch.inference_mode():
            shapes = {o: (height - o[0], width - o[1]) for o in ((0, 1), (1, 0))}
            tables = {
                o: -crf.weight * pairwise.table[i][..., None, None].expand(-1, -1, *shape)
                for i, (o, shape) in enumerate(shapes.items())
            }
            energies = [
                free_energy(torch.from_numpy(p).permute(2, 0, 1), -logs.permute(2, 0, 1), tables)
                for p in (map_.probs, made.probs)
            ]
    else:
        settings = replace(DenseCRF(), iterations=10)
        for _ in range(RUNS):
            started = time.perf_counter()
            kernels = Kernels(guide)
            made = refine(map_, guide, settings, kernels=kernels)
            seconds.append(time.perf_counter() - started)
        grown = peak_mib() - before
        used = [
            kernels.gaussian(settings.gaussian_sxy_px),
            kernels.bilateral(settings.bilateral_sxy_px, settings.bilateral_sfeature),
        ]
        weights = [settings.gaussian_weight, settings.bilateral_weight]
        flat = [torch.from_numpy(p.reshape(-1, CLASSES)) for p in (map_.probs, made.probs)]
        energies = [dense_free_energy(q, -logs.flatten(0, 1), used, weights) for q in flat]
    oa = [100 * float(np.mean(m.labels() == truth)) for m in (map_, made)]
    return {
        "seconds": float(np.median(seconds)), "mib": grown, "oa_in": oa[0], "oa_out": oa[1],
        "f_in": float(energies[0]) / truth.size, "f_out": float(energies[1]) / truth.size,
    }  # fmt: skip


def peak_mib() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", type=int, nargs=2, default=(610, 340), help="rows and columns")
    parser.add_argument("--method", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.method:
        print(json.dumps(measure(options.method, *options.size)))
        return
    table = Table(title=f"{options.size[0]} x {options.size[1]}, {torch.get_num_threads()} thread(s)")
    for column in ("method", "s", "MiB more", "free energy before", "after", "OA before", "after"):
        table.add_column(column, justify="right")
    for method in ("dense-crf", "deep-crf"):
        words = [sys.executable, __file__, "--method", method, "--size", *map(str, options.size)]
        found = json.loads(subprocess.run(words, capture_output=True, text=True, check=True).stdout.splitlines()[-1])
        numbers = [found[k] for k in ("seconds", "mib", "f_in", "f_out", "oa_in", "oa_out")]
        table.add_row(method, *(f"{n:.2f}" for n in numbers))
    Console().print(table)


if __name__ == "__main__":
    main()
