"""Prediction of large volumes: seconds by stage and peak memory; and what a region that is found first saves.

    OMP_NUM_THREADS=1 python tests/benchmarks/segment/bench_prediction.py stages
    ... bench_prediction.py stages --width 32 --answers 3 --mirror
    ... bench_prediction.py region

stages: a volume of 512 x 512 x 300 voxels (16 bit, 0.8 x 0.8 x 1.5 mm), ten classes, planned networks with untrained
weights of another spacing (0.9 x 0.9 x 1.25 mm), so that images and scores are resampled. Each row is a process of its
own: peak resident size, and seconds on the clock by stage. With --answers N networks really run N times only and repeat
the last answer then: memory and export are what they are (and 0.1 GB more), seconds of the network are those of N
answers times all that were asked for. Wide networks take hours on a CPU otherwise.

region: five volumes with two compact organs each are made and a small network is trained on them; three other volumes
are predicted whole and region first, with its own network as the first look: seconds of all windows, share of
voxels, and Dice of both against the truth.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from hyperseg.backbone.conv import seeded
from hyperseg.core import Grid, Scene
from hyperseg.medical.fingerprint import Fingerprint, Intensity
from hyperseg.medical.networks import build_unet
from hyperseg.medical.plan import Plan, make_plan
from hyperseg.medical.prepare import Prepared, prepare
from hyperseg.medical.v2 import FIRST_WIDTH
from hyperseg.recipes.segment import folder, predicting
from hyperseg.recipes.segment.prediction.cost import Cost

CLASSES = 10
PLANNED = (1.25, 0.9, 0.9)  # mm
HOUNSFIELD = (280.0, 150.0, -80.0, 200.0, -20.0, 120.0, 240.0, 80.0, 320.0)
STAGES = ("reading", "preparing", "first look", "network", "export", "pieces", "writing")


def phantom(size: Sequence[int], organs: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """(D, H, W) int16 of a body in fat with ellipsoids in a compact place, under noise; and their classes."""
    rng = np.random.default_rng(seed)
    grid = np.meshgrid(*(np.linspace(-1, 1, n, dtype=np.float32) for n in size), indexing="ij", sparse=True)
    centre = rng.uniform(-0.3, 0.3, 3)
    places = centre + rng.uniform(-0.2, 0.2, (organs, 3))
    radii = rng.uniform(0.06, 0.12, (organs, 3))
    image, labels = np.empty(size, np.int16), np.zeros(size, np.uint8)
    for z in range(size[0]):
        body = (grid[1][0] / 0.84) ** 2 + (grid[2][0] / 0.92) ** 2 < 1
        values = np.where(body, 30.0, -150.0).astype(np.float32)
        for k, (place, radius) in enumerate(zip(places, radii, strict=True)):
            at = [grid[0][z], grid[1][0], grid[2][0]]
            inside = sum(((a - p) / r) ** 2 for a, p, r in zip(at, place, radius, strict=True)) < 1
            values[inside], labels[z][inside] = HOUNSFIELD[k], k + 1
        image[z] = values + rng.normal(scale=25, size=values.shape)
    return image, labels


def save(path: Path, volume: np.ndarray, spacing: Sequence[float]) -> None:
    import nibabel

    path.parent.mkdir(parents=True, exist_ok=True)
    affine = np.diag([*spacing[::-1], 1.0])
    nibabel.save(nibabel.Nifti1Image(np.ascontiguousarray(volume.transpose(2, 1, 0)), affine), path)


def narrow(plan: Plan, width: int) -> Plan:
    """The plan with networks that begin with so many channels."""
    made = []
    for one in plan.configurations:
        widths = tuple(max(w * width // FIRST_WIDTH, 1) for w in one.backbone.widths)
        made.append(replace(one, backbone=replace(one.backbone, widths=widths)))
    return replace(plan, configurations=tuple(made))


def untrained(root: Path, width: int, folds: int) -> Path:
    """A run whose networks have been given random weights."""
    names = ("background", *(f"organ {k}" for k in range(1, CLASSES)))
    seen = Fingerprint(
        (PLANNED,) * 20, ((360, 455, 455),) * 20, 1.0, ("CT",), (Intensity(40.0, 80.0, -900.0, 300.0),), names,
        (9,) * CLASSES,
    )  # fmt: skip
    plan = narrow(make_plan(seen), width)
    pieces = (tuple(range(1, CLASSES)), *((k,) for k in range(1, CLASSES)))
    record = folder.Record(
        "none", names, tuple(range(CLASSES)), ("CT",), 0, tuple((str(fold),) for fold in range(folds)),
        trained={"3d": list(range(folds))}, largest=pieces,
    )  # fmt: skip
    run = folder.write_run(root, plan, record)
    for fold in range(folds):
        with seeded(fold):
            net = build_unet(plan.configuration("3d"), CLASSES)
        folder.write_fold(run, "3d", fold, net.state_dict(), {})
    return root


class Repeating(nn.Module):
    """Networks that run a few times, then repeat the last answer of any of them."""

    answers = runs = calls = 0
    seconds = 0.0
    last: Tensor | None = None

    def __init__(self, net: nn.Module) -> None:
        super().__init__()
        self.net = net

    def forward(self, x: Tensor) -> Tensor:
        kind = type(self)
        kind.calls += 1
        if kind.runs < kind.answers:
            kind.last = None
            began = time.perf_counter()
            kind.last = self.net(x)
            kind.seconds += time.perf_counter() - began
            kind.runs += 1
        assert kind.last is not None
        return kind.last


def child(asked: dict[str, Any]) -> dict[str, Any]:
    """Predict, in a process of its own; seconds by stage, peak memory, share of voxels."""
    torch.set_num_threads(asked["threads"])
    cost, load = Cost(), predicting.load_networks
    Repeating.answers = asked["answers"]

    def loaded(*args: Any) -> list[nn.Module]:
        return [Repeating(net) for net in load(*args)] if asked["answers"] else load(*args)

    with mock.patch.object(predicting, "load_networks", loaded):
        predicting.predict_images(
            Path(asked["run"]), Path(asked["images"]), out=Path(asked["out"]), device=asked["device"],
            mirror=asked["mirror"], region_first=asked["region"], overlays=asked["overlays"], overwrite=True,
            quiet=True, cost=cost,
        )  # fmt: skip
    spent = dict(cost.spent)
    if asked["answers"]:
        spent["network"] += Repeating.seconds / Repeating.runs * (Repeating.calls - Repeating.runs)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    return {"spent": spent, "gib": peak, "shares": cost.shares, "cpu": time.process_time()}


def predict(run: Path, images: Path, out: Path, args: argparse.Namespace, **more: Any) -> dict[str, Any]:
    """`child` in a fresh process."""
    asked = {
        "run": str(run), "images": str(images), "out": str(out), "threads": args.threads, "device": args.device,
        "answers": 0, "mirror": False, "region": False, "overlays": False, **more,
    }  # fmt: skip
    done = subprocess.run(
        [sys.executable, __file__, "child", json.dumps(asked)], stdout=subprocess.PIPE, text=True, check=True
    )
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def shown(title: str, found: dict[str, Any], cases: int = 1) -> str:
    each = [found["spent"].get(stage, 0.0) / cases for stage in STAGES]
    rest = sum(each) - each[2] - each[3]
    return f"{title:28s}" + "".join(f"{s:11.1f}" for s in (*each, rest)) + f"{found['gib']:9.2f}"


def heading() -> str:
    return f"{'seconds a case':28s}" + "".join(f"{stage:>11s}" for stage in (*STAGES, "all rest")) + f"{'GiB':>9s}"


def stages(args: argparse.Namespace, root: Path) -> None:
    save(root / "images" / "case.nii.gz", phantom(args.size, CLASSES - 1, 0)[0], (1.5, 0.8, 0.8))
    print(heading())
    for folds in args.folds:
        run = untrained(root / f"run{folds}", args.width, folds)
        for mirror in (False, True) if args.mirror else (False,):
            title = f"{folds} fold{'s' * (folds > 1)}, {'8 mirrors' if mirror else 'no mirrors'}"
            more = {"mirror": mirror, "overlays": True, "answers": args.answers}
            print(shown(title, predict(run, root / "images", root / "out", args, **more)), flush=True)


def region(args: argparse.Namespace, root: Path) -> None:
    run = args.run or trained(root, args.steps)
    for seed in range(10, 13):
        for name, volume in zip(("images", "labels"), phantom((90, 154, 154), 2, seed), strict=True):
            save(root / "test" / name / f"c{seed}.nii.gz", volume, (4.0, 2.6, 2.6))
    print(heading() + f"{'share':>9s}{'Dice':>9s}")
    for mirror in (False, True) if args.mirror else (False,):
        for first in (False, True):
            out = root / f"out{int(first)}"
            found = predict(run, root / "test" / "images", out, args, mirror=mirror, region=first)
            share = np.mean(found["shares"]) if first else 1.0
            dice = np.mean([dice_of(out / path.name, path) for path in (root / "test" / "labels").iterdir()])
            title = f"{'region first' if first else 'whole'}, {'8 mirrors' if mirror else 'no mirrors'}"
            print(shown(title, found, 3) + f"{share:9.1%}{dice:9.4f}", flush=True)
        same = [np.mean(read(root / "out0" / p.name) == read(p)) for p in (root / "out1").iterdir()]
        print(f"voxels that are the same: {min(same):.6f} at least")


def read(path: Path) -> np.ndarray:
    import nibabel

    return np.asarray(nibabel.load(path).dataobj)


def dice_of(found: Path, truth: Path) -> float:
    """Mean over the classes of the truth."""
    a, b = read(found), read(truth)
    scores = [2 * ((a == k) & (b == k)).sum() / ((a == k).sum() + (b == k).sum()) for k in np.unique(b)[1:]]
    return float(np.mean(scores))


def trained(root: Path, steps: int) -> Path:
    """A run whose small network has learnt the two organs from patches of five volumes, without changes of them."""
    names, size, spacing = ("background", "one", "two"), (72, 120, 120), (5.0, 3.33, 3.33)
    seen = Fingerprint(
        (spacing,) * 5, (size,) * 5, 1.0, ("CT",), (Intensity(150.0, 100.0, -150.0, 350.0),), names, (9, 9, 9)
    )  # fmt: skip
    plan = narrow(make_plan(seen, gigabytes=0.2), 8)
    configuration, rng = plan.configuration("3d"), np.random.default_rng(0)
    cases = []
    for seed in range(5):
        image, labels = phantom(size, 2, seed)
        scene = Scene(image[..., None], labels.astype(np.int16), classes=names, grid=Grid(spacing, "mm"))
        cases.append(prepare(scene, plan, configuration, labels=True))
    with seeded(0):
        net = build_unet(configuration, 3)
    optimiser = torch.optim.Adam(net.parameters(), lr=4e-3)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, 4e-3, steps)
    for step in range(steps):
        x, y = (
            torch.stack(part) for part in zip(*(patch_of(cases, configuration.patch, rng) for _ in "ab"), strict=True)
        )
        probs, truth = (logits := net(x)).softmax(1), functional.one_hot(y, 3).movedim(-1, 1)
        axes = (0, 2, 3, 4)
        dice = (2 * (probs * truth).sum(axes) + 1) / ((probs + truth).sum(axes) + 1)
        loss = functional.cross_entropy(logits, y) + 1 - dice[1:].mean()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        schedule.step()
        if step % 25 == 0 or step == steps - 1:
            print(f"step {step}: loss {loss.item():.3f}", flush=True)
    record = folder.Record("none", names, (0, 1, 2), ("CT",), 0, (("x",),), trained={"3d": [0]})
    folder.write_fold(folder.write_run(root / "trained", plan, record), "3d", 0, net.state_dict(), {})
    return root / "trained"


def patch_of(cases: Sequence[Prepared], patch: Sequence[int], rng: np.random.Generator) -> tuple[Tensor, Tensor]:
    """(1, *patch) values and (*patch) classes; every second patch is around a voxel of an organ."""
    case = cases[rng.integers(len(cases))]
    assert case.labels is not None
    if rng.random() < 0.5:
        there = np.argwhere(case.labels > 0)
        centre = there[rng.integers(len(there))]
    else:
        centre = rng.integers(0, case.labels.shape)
    starts = [min(max(c - p // 2, 0), n - p) for c, p, n in zip(centre, patch, case.labels.shape, strict=True)]
    cut = tuple(slice(a, a + p) for a, p in zip(starts, patch, strict=True))
    return torch.from_numpy(case.image[:, *cut].copy()), torch.from_numpy(case.labels[cut].astype(np.int64))


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=["stages", "region", "child"])
    parser.add_argument("asked", nargs="?", help=argparse.SUPPRESS)
    parser.add_argument("--size", type=int, nargs=3, default=(300, 512, 512))
    parser.add_argument("--width", type=int, default=8, help="channels of the finest maps")
    parser.add_argument("--folds", type=int, nargs="+", default=[1, 5])
    parser.add_argument("--mirror", action="store_true", help="rows with mirror images too")
    parser.add_argument("--answers", type=int, default=0, help="times that networks really run; 0: always")
    parser.add_argument("--steps", type=int, default=250, help="of the training before region")
    parser.add_argument("--run", type=Path, help="a run that was trained for region before")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--device", default="cpu")
    return parser.parse_args()


def main() -> None:
    args = arguments()
    if args.what == "child":
        print(json.dumps(child(json.loads(args.asked))))
        return
    with tempfile.TemporaryDirectory() as folder_name:
        (stages if args.what == "stages" else region)(args, Path(folder_name))


if __name__ == "__main__":
    main()
