"""Time and agreement of the dense CRF engines, and the cost of tuning. Run by hand:

OMP_NUM_THREADS=1 python tests/benchmarks/bench_dense_crf.py
"""

from __future__ import annotations

import importlib.util
import time

import numpy as np
import torch
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table
from scipy.ndimage import gaussian_filter

from hyperseg.core import SegmentationMap
from hyperseg.crf.dense import energy, refine, weighted_kernels
from hyperseg.crf.kernels import Kernels
from hyperseg.crf.settings import DenseCRF
from hyperseg.crf.tune import tune

SIZES = ((145, 145, 16), (610, 340, 9))
REPEATS = 3


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
    devices = ["cpu", *(["cuda"] if torch.cuda.is_available() else [])]
    pydensecrf = importlib.util.find_spec("pydensecrf") is not None
    settings = DenseCRF(iterations=10)
    table = Table(title=f"dense CRF, 10 iterations, {torch.get_num_threads()} thread(s), medians of {REPEATS}")
    columns = ("scene", "noise", "engine", "build s", "infer s", "corners", "OA in", "OA out", "energy", "differ")
    for column in columns:
        table.add_column(column, justify="right")
    for (height, width, classes), noise in ((size, noise) for size in SIZES for noise in (10.0, 40.0)):
        map_, guide, truth = make_scene(height, width, classes, noise)
        before = f"{np.mean(map_.labels() == truth):.4f}"
        reference = None
        if pydensecrf:
            seconds = []
            for _ in range(REPEATS):
                start = time.perf_counter()
                reference = refine(map_, guide, settings, engine="pydensecrf")
                seconds.append(time.perf_counter() - start)
            accuracy = f"{np.mean(reference.labels() == truth):.4f}"
            table.add_row(
                f"{height}x{width}x{classes}", f"{noise:.0f}", "pydensecrf", "", f"{np.median(seconds):.3f}",
                "", before, accuracy, f"{gibbs(reference, map_, guide, settings):.0f}", "",
            )  # fmt: skip
        for device in devices:
            build, infer = [], []
            for _ in range(REPEATS):
                kernels = Kernels(guide, device=device)
                start = time.perf_counter()
                lattices, _ = weighted_kernels(kernels, settings)
                build.append(time.perf_counter() - start)
                start = time.perf_counter()
                after = refine(map_, guide, settings, kernels=kernels)
                infer.append(time.perf_counter() - start)
            corners = "+".join(str(lattice.n_vertices) for lattice in lattices)  # type: ignore[attr-defined]
            difference = "" if reference is None else f"{np.abs(after.probs - reference.probs).max():.1e}"
            table.add_row(
                f"{height}x{width}x{classes}", f"{noise:.0f}", f"lattice {device}", f"{np.median(build):.3f}",
                f"{np.median(infer):.3f}", corners, before, f"{np.mean(after.labels() == truth):.4f}",
                f"{gibbs(after, map_, guide, settings):.0f}", difference,
            )  # fmt: skip
    console = Console(width=150)
    console.print(table)

    map_, guide, truth = make_scene(145, 145, 16, 30.0)
    val = np.random.default_rng(1).random(truth.shape) < 0.05
    start = time.perf_counter()
    tuned = tune(map_, guide, truth, val)
    console.print(f"tune, {len(tuned.table)} candidates, 145x145x16: {time.perf_counter() - start:.1f} s")
    console.print(f"chosen: {tuned.settings}")


def gibbs(after: SegmentationMap, before: SegmentationMap, guide: NDArray[np.float32], settings: DenseCRF) -> float:
    """Energy of the labelling `after` in the model of `before`."""
    labels = torch.from_numpy(after.labels().ravel().astype(np.int64))
    unary = torch.from_numpy(-np.log(np.clip(before.probs, settings.floor, 1)).reshape(len(labels), -1))
    return float(energy(labels, unary, *weighted_kernels(Kernels(guide), settings)))


if __name__ == "__main__":
    main()
