"""The depth head on real pictures: whether it learns the few it is shown, and only where their depth is known.

    OMP_NUM_THREADS=1 python tests/benchmarks/depth/bench_real_pairs.py FOLDER... [--quick]

FOLDER is any folder of pictures with depth (`rgbd_open3d`, `middlebury_motorcycle`). A small denoiser learns crops of
all its pictures. Strong and weak head then learn a few of the crops that have depth, of each of which a random half of
the squares of 4x4 pixels is taken away. The table tells the mean absolute error of inverse depth (0 to 1) in these
crops, at the pixels that were shown and at those that were not, beside the best single number: the median. A handful
of frames of one room says nothing about other rooms: no more is claimed than that the heads learn real depth, and that
holes teach them nothing.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from hyperseg.backbone import seeded
from hyperseg.core.runtime import Runtime
from hyperseg.dpm.model import DiffusionModel
from hyperseg.dpm.network import denoiser_spec
from hyperseg.dpm.tapped.head import PixelHead, head_spec
from hyperseg.dpm.tapped.learning import HeadSettings, read_heads, train_heads
from hyperseg.dpm.tapped.tap import STRONG, WEAK
from hyperseg.dpm.training import DiffusionSettings, train_diffusion
from hyperseg.io.depths import open_pairs
from hyperseg.recipes.depth.pictures import Pictures, from_pairs

SIZE, CROPS, SHOWN, SQUARE = 32, 16, 8, 4
TIMES = (0.05, 0.2, 0.5, 0.8)


def without_half(y: NDArray[np.float32], seed: int) -> NDArray[np.float32]:
    """(n, s, s) with a random half of the squares of 4x4 pixels unknown."""
    squares = np.random.default_rng(seed).random((len(y), SIZE // SQUARE, SIZE // SQUARE)) < 0.5
    return np.where(np.kron(squares, np.ones((1, SQUARE, SQUARE), bool)), np.float32(np.nan), y)


def learnt(pictures: Pictures, steps: int) -> DiffusionModel:
    spec = denoiser_spec(3, 2, widths=(16, 32, 64, 64), cond_dim=64)
    how = DiffusionSettings(objective="eps", schedule="linear", steps=steps, batch=32, lr=2e-3, ema=0.99)
    return train_diffusion(torch.from_numpy(pictures.images), spec, how, Runtime(quiet=True), title="pictures")


def told(folder: Path, steps: int, head_steps: int) -> None:
    pairs = open_pairs(folder)
    pictures = from_pairs(pairs, SIZE, crops=CROPS)
    print(f"{folder.name}: {pictures.made_by}")
    for remark in pairs.remarks:
        print(f"  {remark}")
    began = time.perf_counter()
    model = learnt(pictures, steps)
    print(f"  denoiser: {steps} steps in {time.perf_counter() - began:.0f} s")
    with seeded(0):
        heads = {
            name: PixelHead(head_spec(model.spec, at, 1, hidden=(64, 32), coarse=True))
            for name, at in (("strong", STRONG), ("weak", WEAK))
        }
    which = np.random.default_rng(0).permutation(pictures.labelled)[:SHOWN]
    x, whole = torch.from_numpy(pictures.images[which]), pictures.y[which]
    y = without_half(whole, 0)
    shown = np.isfinite(y)
    taken = np.isfinite(whole) & ~shown
    began = time.perf_counter()
    how = HeadSettings(steps=head_steps, batch=SHOWN)
    train_heads(model, heads, x, torch.from_numpy(y), how, Runtime(quiet=True))
    print(f"  heads: {head_steps} steps on {len(which)} crops in {time.perf_counter() - began:.0f} s")
    level = np.nanmedian(y)
    print(f"  {'':8} {'t':>5} {'pixels shown':>13} {'not shown':>10}   ({shown.sum()} and {taken.sum()} pixels)")
    errors = np.abs(whole - level)
    print(f"  {'median':8} {'':5} {errors[shown].mean():13.4f} {errors[taken].mean():10.4f}")
    for name, head in heads.items():
        for t in TIMES:
            said = read_heads(model, head, x, time=t, generator=torch.Generator().manual_seed(1))[:, 0].numpy()
            errors = np.abs(whole - said)
            print(f"  {name:8} {t:5.2f} {errors[shown].mean():13.4f} {errors[taken].mean():10.4f}", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folders", type=Path, nargs="+")
    parser.add_argument("--quick", action="store_true", help="few steps: whether all runs")
    given = parser.parse_args()
    torch.set_num_threads(1)
    for folder in given.folders:
        told(folder, *((20, 20) if given.quick else (600, 600)))


if __name__ == "__main__":
    main()
