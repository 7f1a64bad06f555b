"""Time and agreement of the dense CRF engines, and the cost of tuning. Run by hand:

python tests/benchmarks/bench_dense_crf.py
"""

from __future__ import annotations

import importlib.util
import time
from collections.abc import Callable
from typing import TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table
from scipy.ndimage import gaussian_filter

from hyperseg.core import SegmentationMap
from hyperseg.crf.dense import energy, refine, weighted_kernels
from hyperseg.crf.settings import DenseCRF
from hyperseg.crf.tune import tune
from hyperseg.filters.kernels import Kernels

SIZES = ((145, 145, 16), (610, 340, 9))
THREADS = (1, 2)
REPEATS = 3

T = TypeVar("T")


def make_scene(
    height: int, width: int, classes: int, noise: float
) -> tuple[SegmentationMap, NDArray[np.float32], NDArray[np.int16]]:
    """A noisy map, a guide of three features and the truth."""
    rng = np.random.default_rng(0)
    truth = gaussian_filter(rng.standard_normal((classes, height, width)), (0, 6, 6)).argmax(0).astype(np.int16)
    guide = rng.uniform(0, 255, (classes, 3))[truth] + rng.normal(0, noise, (height, width, 3))
    scores = rng.normal(0, 1, (height, width, classes)) + 1.5 * np.eye(classes)[truth]
    probs = np.exp(scores) / np.exp(scores).sum(-1, keepdims=True)
    names = tuple(str(i) for i in range(classes))
    map_ = SegmentationMap(probs.astype(np.float32), classes=names, colours=((0, 0, 0),) * classes)
    return map_, np.clip(guide, 0, 255).astype(np.float32), truth


def main() -> None:
    places = [("cpu", threads) for threads in THREADS] + [("cuda", 1)] * torch.cuda.is_available()
    pydensecrf = importlib.util.find_spec("pydensecrf") is not None
    settings = DenseCRF(iterations=10)
    table = Table(title=f"dense CRF, 10 iterations, medians of {REPEATS}; all: from guide and map to the new map")
    columns = ("scene", "noise", "engine", "device", "build s", "infer s", "all s", "all CPU s", "corners")
    for column in (*columns, "OA in", "OA out", "energy", "differ"):
        table.add_column(column, justify="right")
    for (height, width, classes), noise in ((size, noise) for size in SIZES for noise in (10.0, 40.0)):
        map_, guide, truth = make_scene(height, width, classes, noise)
        scene = (f"{height}x{width}x{classes}", f"{noise:.0f}")
        before = f"{np.mean(map_.labels() == truth):.4f}"
        reference = None
        if pydensecrf:
            seconds, reference = time_of(lambda m=map_, g=guide: refine(m, g, settings, engine="pydensecrf"))
            accuracy = f"{np.mean(reference.labels() == truth):.4f}"
            table.add_row(
                *scene, "pydensecrf", "cpu, 1 thread", "", "", *(f"{s:.3f}" for s in seconds),
                "", before, accuracy, f"{gibbs(reference, map_, guide, settings):.0f}", "",
            )  # fmt: skip
        for device, threads in places:
            torch.set_num_threads(threads)
            kernels = Kernels(guide, device=device)
            build, lattices = time_of(lambda g=guide, d=device: weighted_kernels(Kernels(g, device=d), settings)[0])
            weighted_kernels(kernels, settings)
            infer, _ = time_of(lambda m=map_, g=guide, k=kernels: refine(m, g, settings, kernels=k))
            both, after = time_of(lambda m=map_, g=guide, d=device: refine(m, g, settings, device=d))
            corners = "+".join(str(lattice.n_vertices) for lattice in lattices)
            difference = "" if reference is None else f"{np.abs(after.probs - reference.probs).max():.1e}"
            table.add_row(
                *scene, "lattice", f"cpu, {threads} thread(s)" if device == "cpu" else device,
                f"{build[0]:.3f}", f"{infer[0]:.3f}", *(f"{s:.3f}" for s in both), corners, before,
                f"{np.mean(after.labels() == truth):.4f}", f"{gibbs(after, map_, guide, settings):.0f}", difference,
            )  # fmt: skip
    console = Console(width=170)
    console.print(table)

    torch.set_num_threads(1)
    map_, guide, truth = make_scene(145, 145, 16, 30.0)
    val = np.random.default_rng(1).random(truth.shape) < 0.05
    start = time.perf_counter()
    tuned = tune(map_, guide, truth, val)
    console.print(f"tune, {len(tuned.table)} candidates, 145x145x16: {time.perf_counter() - start:.1f} s")
    console.print(f"chosen: {tuned.settings}")


def time_of(work: Callable[[], T]) -> tuple[tuple[float, float], T]:
    """Seconds by the clock and of all CPUs, medians, and the result; once before to warm up."""
    result = work()
    wall, cpu = [], []
    for _ in range(REPEATS):
        started = time.perf_counter(), time.process_time()
        result = work()
        if torch.cuda.is_available():
            torch.cuda.synchronize()
        wall.append(time.perf_counter() - started[0])
        cpu.append(time.process_time() - started[1])
    return (float(np.median(wall)), float(np.median(cpu))), result


def gibbs(after: SegmentationMap, before: SegmentationMap, guide: NDArray[np.float32], settings: DenseCRF) -> float:
    """Energy of the labelling `after` in the model of `before`."""
    labels = torch.from_numpy(after.labels().ravel().astype(np.int64))
    unary = torch.from_numpy(-np.log(np.clip(before.probs, settings.floor, 1)).reshape(len(labels), -1))
    return float(energy(labels, unary, *weighted_kernels(Kernels(guide), settings)))


if __name__ == "__main__":
    main()
