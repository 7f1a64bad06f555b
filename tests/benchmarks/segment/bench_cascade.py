"""What a cascade is worth where a patch does not see what decides, and what disturbing its first answer adds.

    OMP_NUM_THREADS=1 .venv/bin/python tests/benchmarks/segment/bench_cascade.py --seeds 2

Simulated: spheres in a body, volumes of 16 x 112 x 112 voxels of 3 x 1 x 1 mm; they are class 1 in a small body and
class 2 in a large one, and look alike otherwise. A patch of 24 x 32 x 32 mm shows little of the body; the first
network sees all of it with voxels of 6 x 4 x 4 mm.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from dataclasses import replace
from pathlib import Path

import numpy as np

from hyperseg.core.runtime import Runtime
from hyperseg.io.cases import CaseFolder, open_cases
from hyperseg.medical.plan import Plan
from hyperseg.medical.training import Stage1Noise
from hyperseg.recipes.segment.choosing import class_means
from hyperseg.recipes.segment.fold import Budget
from hyperseg.recipes.segment.folder import (
    HISTORY,
    SegmentRun,
    fold_folder,
    load_networks,
    read_run,
    write_fold,
    write_run,
)
from hyperseg.recipes.segment.planning import plan_cases
from hyperseg.recipes.segment.summing import case_of
from hyperseg.recipes.segment.training import Order, train_cases

SHAPE, VOXEL = (16, 112, 112), (3.0, 1.0, 1.0)
NAMES = ("3d", "3d_low", "3d_cascade")


def write_cases(root: Path, n: int, seed: int) -> CaseFolder:
    """`n` volumes and their labels as NIfTI."""
    import nibabel

    affine = np.diag([*VOXEL[::-1], 1.0])
    for name in ("images", "labels"):
        (root / name).mkdir(parents=True)
    for i in range(n):
        rng = np.random.default_rng([seed, i])
        large = i % 2
        radius = rng.uniform(40, 46) if large else rng.uniform(26, 31)
        middle = np.array([24.0, 56.0, 56.0]) + rng.uniform(-4, 4, 3)
        places = [np.arange(size) * mm for size, mm in zip(SHAPE, VOXEL, strict=True)]
        at = np.stack(np.meshgrid(*places, indexing="ij"), -1) - middle
        image = (np.hypot(at[..., 1], at[..., 2]) < radius).astype(np.float64)
        labels = np.zeros(SHAPE, np.uint8)
        for _ in range(6):
            angle, far = rng.uniform(0, 2 * np.pi), rng.uniform(0, 16)
            centre = np.array([rng.uniform(-15, 15), far * np.sin(angle), far * np.cos(angle)])
            inside = ((at - centre) ** 2).sum(-1) < rng.uniform(4.5, 7) ** 2
            labels[inside] = 1 + large
            image[inside] = 2
        image += rng.normal(0, 0.3, SHAPE)
        for name, array in (("images", image.astype(np.float32)), ("labels", labels)):
            nibabel.save(nibabel.Nifti1Image(array.T, affine), root / name / f"c{i:02d}.nii.gz")
    return open_cases(root)


def plan_for(folder: CaseFolder, noise: Stage1Noise | None) -> Plan:
    """Preset v2's plan with small patches and networks, a first look, and two folds."""
    made = plan_cases(folder)
    full = made.configuration("3d")
    strides, kernels = ((1, 1, 1), (1, 2, 2), (2, 2, 2)), ((1, 3, 3), (3, 3, 3), (3, 3, 3))
    spec = replace(full.backbone, widths=(8, 16, 32), strides=strides, kernels=kernels, depths=(2, 2, 2))
    weights = (2 / 3, 1 / 3)
    full = replace(full, patch=(8, 32, 32), backbone=spec, batch=3, supervision=weights)
    deeper = replace(
        spec, widths=(8, 16, 32, 32), strides=(*strides, (1, 2, 2)), kernels=((3, 3, 3),) * 4, depths=(2,) * 4
    )
    low = replace(
        full, name="3d_low", spacing=(6.0, 4.0, 4.0), size=(8, 28, 28), patch=(8, 28, 28), backbone=deeper, batch=4,
        supervision=(4 / 7, 2 / 7, 1 / 7),
    )  # fmt: skip
    after = replace(full, name="3d_cascade", after="3d_low", backbone=replace(spec, in_channels=3))
    training = replace(made.training, inference=replace(made.training.inference, folds=2))
    if noise is not None:
        training = replace(training, augmentation=replace(training.augmentation, stage1=noise))
    return replace(made, configurations=(full, low, after), training=training)


def carried(run: SegmentRun, plan: Plan, root: Path) -> None:
    """A run of another plan with the first networks of this one: what is disturbed later does not matter to them."""
    other = write_run(root, plan, replace(run.record, trained={}, chosen=(), largest=()))
    for fold in range(len(run.record.folds)):
        (net,) = load_networks(run, "3d_low", [fold])
        history = json.loads((fold_folder(run.root, "3d_low", fold) / HISTORY).read_text(encoding="utf-8"))
        write_fold(other, "3d_low", fold, net.state_dict(), history)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--seeds", type=int, default=2)
    parser.add_argument("--cases", type=int, default=12)
    parser.add_argument("--steps", type=int, default=300)
    parser.add_argument("--all", action="store_true", help="both folds, and pairs")
    asked = parser.parse_args()
    print("| seed | disturbed | network | Dice 1 | Dice 2 | mean | CPU s |\n|---|---|---|---|---|---|---|")
    for seed in range(asked.seeds):
        with tempfile.TemporaryDirectory() as where:
            folder = write_cases(Path(where) / "data", asked.cases, seed)
            runtime, order = Runtime(seed, quiet=True), Order(Budget(steps=asked.steps), (), None if asked.all else 0)
            for noise, told in ((None, "yes"), (Stage1Noise((1, 8), 0.0, 0.0, 0.15), "no")):
                plan, root = plan_for(folder, noise), Path(where) / told
                if noise is not None:
                    carried(read_run(Path(where) / "yes"), plan, root)
                for name in NAMES if noise is None else NAMES[2:]:
                    began = time.process_time()
                    run = train_cases(
                        folder, plan, root, replace(order, configurations=(name,)), runtime, resume=root.exists()
                    )  # fmt: skip
                    dice = " | ".join(f"{value:.3f}" for value in means_of(run, name, all_folds=asked.all))
                    seconds = time.process_time() - began
                    print(f"| {seed} | {told} | {name} | {dice} | {seconds:.0f} |", flush=True)
                for name, row in run.record.found["dice"].items():
                    if "+" in name and noise is None:
                        print(f"| {seed} | {told} | {name} | | | {row['mean']:.3f} | |", flush=True)


def means_of(run: SegmentRun, name: str, *, all_folds: bool) -> list[float]:
    """Dice of both classes and their mean, over the cases of the first fold or of both."""
    rows = []
    for fold in range(2 if all_folds else 1):
        history = json.loads((fold_folder(run.root, name, fold) / HISTORY).read_text(encoding="utf-8"))
        rows += [case_of(row).raw for row in history["cases"].values()]
    means = class_means(rows).tolist()
    return [*means, sum(means) / len(means)]


if __name__ == "__main__":
    main()
