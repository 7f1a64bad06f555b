"""Time and memory of matching and suppression at the size of a 3-D detector's patches. Run by hand:

    OMP_NUM_THREADS=1 python tests/benchmarks/detection/bench_matching.py
    OMP_NUM_THREADS=1 python tests/benchmarks/detection/bench_matching.py --edge 96 --device cuda

Prints, each in a process of its own, the median and fastest time, processor time (which other programs on the machine
disturb least) and how much memory was needed at most beyond what was there before. What is timed: matching all anchors
of a patch of edge^3 voxels with its boxes (at stride 4, with 9 anchors a cell, 160^3 voxels have 576,000 anchors: the
goal is below one second); a batch of 8 such patches with 2 boxes each; suppression of 10,000 boxes in a volume (sparse:
most stay; crowded: most go). With MONAI installed the same by its own functions.
"""

from __future__ import annotations

import argparse
import json
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Callable

import torch
from torch import Tensor

from hyperseg.boxes.anchors import Anchors
from hyperseg.boxes.matching import match
from hyperseg.boxes.suppression import suppressed

MIB = 2**20
PER_CELL, STRIDE = 9, 4
CASES = ("match, 20 boxes", "match, 8 patches of 2", "suppress, sparse", "suppress, crowded")


def boxes_in(edge: int, count: int, seed: int, device: str) -> Tensor:
    """(count, 6) of 4 to 24 voxels a side."""
    generator = torch.Generator().manual_seed(seed)
    size = 4 + 20 * torch.rand(count, 3, generator=generator)
    lo = torch.rand(count, 3, generator=generator) * (edge - size)
    return torch.cat([lo, lo + size], 1).to(device)


def work_of(case: str, args: argparse.Namespace) -> tuple[Callable[[], object], str]:
    """What is timed, and how large it is."""
    if case.startswith("match"):
        sizes = tuple((4.0 + 2 * k,) * 3 for k in range(PER_CELL))
        levels = Anchors((sizes,), ((STRIDE,) * 3,)).boxes((args.edge,) * 3, device=args.device)
        patches = [boxes_in(args.edge, 20, 0, args.device)]
        if "patches" in case:
            patches = [boxes_in(args.edge, 2, seed, args.device) for seed in range(8)]
        return lambda: [matched(levels, boxes, args.by) for boxes in patches], f"{len(levels[0]):,} anchors"
    edge = 512 if "sparse" in case else 120
    boxes = boxes_in(edge, args.boxes, 1, args.device)
    scores = torch.rand(len(boxes), generator=torch.Generator().manual_seed(2)).to(args.device)
    return lambda: kept(boxes, scores, args.by), f"{len(boxes):,} boxes"


def matched(levels: list[Tensor], boxes: Tensor, by: str) -> Tensor:
    if by == "hyperseg":
        return match(levels, boxes, candidates=4)
    from monai.apps.detection.utils.ATSS_matcher import ATSSMatcher

    cells = [len(level) // PER_CELL for level in levels]
    found: Tensor = ATSSMatcher(num_candidates=4).compute_matches(boxes, torch.cat(levels), cells, PER_CELL)[1]
    return found


def kept(boxes: Tensor, scores: Tensor, by: str) -> Tensor:
    if by == "hyperseg":
        return suppressed(boxes, scores, overlap=0.22)
    from monai.data.box_utils import non_max_suppression

    found: Tensor = non_max_suppression(boxes, scores, nms_thresh=0.22)
    return found


def peak_bytes(device: str) -> int:
    if device == "cuda":
        return torch.cuda.max_memory_allocated()
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024  # Linux counts in KiB


def measure(case: str, args: argparse.Namespace) -> dict[str, object]:
    work, size = work_of(case, args)
    if args.device == "cuda":
        work()  # kernels are loaded
    before, wall, processor = peak_bytes(args.device), [], []
    for _ in range(args.runs):
        start = time.perf_counter(), time.process_time()
        work()
        if args.device == "cuda":
            torch.cuda.synchronize()
        wall.append(time.perf_counter() - start[0])
        processor.append(time.process_time() - start[1])
    return {
        "size": size, "median": statistics.median(wall), "fastest": min(wall), "processor": min(processor),
        "mib": (peak_bytes(args.device) - before) / MIB,
    }  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--edge", type=int, default=160, help="of the patch in voxels")
    parser.add_argument("--boxes", type=int, default=10_000, help="to suppress")
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--device", choices=["cpu", "cuda"], default="cpu")
    parser.add_argument("--case", choices=CASES, help=argparse.SUPPRESS)
    parser.add_argument("--by", choices=["hyperseg", "monai"], help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.case:
        print(json.dumps(measure(args.case, args)))
        return
    print(f"torch {torch.__version__}, {torch.get_num_threads()} threads, {args.device}\n")
    print("| what | by | size | median s | fastest s | processor s | peak MiB |\n|---|---|---|---:|---:|---:|---:|")
    for case in CASES:
        for by in ("hyperseg", "monai"):
            command = [sys.executable, __file__, *sys.argv[1:], "--case", case, "--by", by]
            done = subprocess.run(command, capture_output=True, text=True, check=False)
            if done.returncode:
                print(f"| {case} | {by} | {done.stderr.strip().splitlines()[-1]} | | | | |")
                continue
            row = json.loads(done.stdout.splitlines()[-1])
            times = " | ".join(f"{row[key]:.3f}" for key in ("median", "fastest", "processor"))
            print(f"| {case} | {by} | {row['size']} | {times} | {row['mib']:.0f} |", flush=True)


if __name__ == "__main__":
    main()
