"""A detector on a volume of 512 x 512 x 300 that is never in memory: seconds, and how much memory the finding takes.

    OMP_NUM_THREADS=1 python tests/benchmarks/detection/bench_whole_volume.py --patch 96

Windows are made when they are asked for, as a reader of a file would; the network is small and has learnt nothing, and
its threshold is so low that every tile gives all the candidates that it may.
"""

from __future__ import annotations

import argparse
import resource
import time

import numpy as np
import torch

from hyperseg.backbone import seeded
from hyperseg.detection.finding import Lazy, find
from hyperseg.detection.network import Detector, detector_spec
from hyperseg.detection.settings import DetectorSettings


def peak_mb() -> float:
    """Most memory that the process has had, in MB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--shape", type=int, nargs=3, default=[300, 512, 512])
    parser.add_argument("--patch", type=int, default=96)
    parser.add_argument("--overlap", type=float, default=0.25)
    asked = parser.parse_args()
    torch.set_num_threads(1)
    spec = detector_spec(1, 3, DetectorSettings(widths=(8, 16, 32), head_width=16, levels=(1,), anchors=(6.0, 10.0)))
    with seeded(0):
        net = Detector(spec).eval()

    def read(where: tuple[slice, ...]) -> np.ndarray:
        rng = np.random.default_rng([cut.start for cut in where])
        return rng.standard_normal((1, *(cut.stop - cut.start for cut in where)), np.float32)

    patch = (asked.patch,) * 3
    find([net], Lazy(patch, read), spec, patch=patch, threshold=0.0)
    before, began, tiles = peak_mb(), time.process_time(), 0

    def done(_: int, of: int) -> None:
        nonlocal tiles
        tiles = of

    found = find(
        [net], Lazy(tuple(asked.shape), read), spec, patch=patch, overlap=asked.overlap, threshold=0.0, done=done
    )
    whole = np.prod(asked.shape) * 4 / 2**20
    print(f"volume {asked.shape}, {whole:.0f} MB as float32; {tiles} tiles of {asked.patch}^3, overlap {asked.overlap}")
    print(f"{time.process_time() - began:.0f} s of one core, {len(found.scores)} boxes")
    print(f"peak memory {peak_mb():.0f} MB, {peak_mb() - before:.0f} MB more than one tile took")


if __name__ == "__main__":
    main()
