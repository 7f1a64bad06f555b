"""Time and memory of mean field on a grid with a full table per edge, at the size of Pavia University. Run by hand:

    python tests/benchmarks/bench_mean_field.py
    OMP_NUM_THREADS=1 python tests/benchmarks/bench_mean_field.py --radius 2

Prints, for 10 sweeps in float32: median and fastest time, processor time (which other programs on the machine
disturb least) and by how much the peak resident size grew beyond tables, energies and marginals, each order in a
process of its own (the sequential one, far slower, is run once); then one step of training through 3 unrolled sweeps.
"""

from __future__ import annotations

import argparse
import json
import resource
import statistics
import subprocess
import sys
import time

import torch

from hyperseg.crf.grid import offsets
from hyperseg.crf.meanfield import infer
from hyperseg.crf.settings import MeanField

ORDERS = ("parallel", "checkerboard", "sequential")
MIB = 2**20


def peak_bytes() -> int:
    """Peak resident size of this process (Linux counts in KiB)."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def measure(case: str, args: argparse.Namespace) -> dict[str, float]:
    """Time one order, or the training step, in this process."""
    rng = torch.Generator().manual_seed(0)
    k, h, w = args.classes, args.height, args.width
    unary = torch.randn(k, h, w, generator=rng)
    tables = {
        (dy, dx): torch.empty(k, k, h - abs(dy), w - abs(dx)).normal_(0, 0.3, generator=rng)
        for dy, dx in offsets(args.radius)
    }
    training = case == "training step"
    if training:
        for tensor in (unary, *tables.values()):
            tensor.requires_grad_()
    settings = MeanField(3) if training else MeanField(args.iterations, case)  # type: ignore[arg-type]
    wall, processor = [], []
    before = peak_bytes()
    for _ in range(1 if case == "sequential" else args.runs):
        start = time.perf_counter(), time.process_time()
        found = infer(unary, tables, settings=settings)
        if training:
            found.q[0].sum().backward()
        wall.append(time.perf_counter() - start[0])
        processor.append(time.process_time() - start[1])
    return {
        "threads": torch.get_num_threads(),
        "tables": sum(t.numel() * t.element_size() for t in tables.values()),
        "marginals": unary.numel() * unary.element_size(),
        "median": statistics.median(wall),
        "fastest": min(wall),
        "processor": statistics.median(processor),
        "grown": peak_bytes() - before,
        "peak": peak_bytes(),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--height", type=int, default=610)
    parser.add_argument("--width", type=int, default=340)
    parser.add_argument("--classes", type=int, default=9)
    parser.add_argument("--radius", type=int, default=1)
    parser.add_argument("--iterations", type=int, default=10)
    parser.add_argument("--runs", type=int, default=7)
    parser.add_argument("--case", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.case:
        print(json.dumps(measure(args.case, args)))
        return
    for case in (*ORDERS, "training step"):
        words = [sys.executable, __file__, *sys.argv[1:], "--case", case]
        done = subprocess.run(words, capture_output=True, text=True, check=False)
        if done.returncode:
            sys.exit(done.stderr)
        found = json.loads(done.stdout.splitlines()[-1])
        if case == ORDERS[0]:
            print(
                f"{args.height} x {args.width}, {args.classes} classes, radius {args.radius}, "
                f"{args.iterations} sweeps, {args.runs} runs, {found['threads']:.0f} thread(s); tables "
                f"{found['tables'] / MIB:.0f} MiB, marginals {found['marginals'] / MIB:.1f} MiB"
            )
            print(f"{'':14} {'median s':>9} {'fastest':>9} {'processor':>9} {'grown MiB':>9} {'peak MiB':>9}")
        seconds = " ".join(f"{found[name]:9.3f}" for name in ("median", "fastest", "processor"))
        print(f"{case:14} {seconds} {found['grown'] / MIB:9.0f} {found['peak'] / MIB:9.0f}", flush=True)


if __name__ == "__main__":
    main()
