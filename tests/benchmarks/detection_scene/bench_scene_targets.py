"""Targets smaller than a few pixels, implanted in scenes: detectors beside ACE and the matched filter.

python tests/benchmarks/detection_scene/bench_scene_targets.py SCENE (--class NAME | --spectrum FILE | --truth FILE
[--object K ...]) [--fill 0.05 0.6] [--rows plain ace focalmix] [--repeats 5] [--steps 150] [--out FILE.jsonl]

With --truth the target is the mean of the pixels of object K (connected pixels of the mask, from 0), all other objects
are sought in the scene as it is. Prints the rows of docs/benchmarks.md, "Small targets in scenes". --out gains a line
after every repeat: a run that is stopped loses nothing of those before.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from scipy import ndimage

from hyperseg.core.runtime import Runtime
from hyperseg.io.open import open_scene
from hyperseg.recipes.detection.scene.candidates import RATES
from hyperseg.recipes.detection.scene.positions import read_places
from hyperseg.recipes.detection.scene.search import filtered
from hyperseg.recipes.detection.scene.settings import SceneTargetSettings
from hyperseg.recipes.detection.scene.spectrum import target_from_class, target_from_file, target_from_pixels
from hyperseg.recipes.detection.scene.study import Trial, make_ready, searched, study
from hyperseg.recipes.detection.scene.summary import (
    against_truth,
    best_filter,
    by_share,
    cautions,
    cells_of,
    compared_with,
    made_by,
    rows_of,
)
from hyperseg.recipes.run.blas import one_blas_thread


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("scene")
    parser.add_argument("--class", dest="label")
    parser.add_argument("--spectrum")
    parser.add_argument("--truth")
    parser.add_argument("--object", type=int, nargs="*", default=[0])
    parser.add_argument("--rows", nargs="+", default=["ace", "plain"])
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--steps", type=int, default=SceneTargetSettings().steps)
    parser.add_argument("--fill", type=float, nargs=2, default=(0.05, 0.6), metavar=("FROM", "TO"))
    parser.add_argument("--out", type=Path)
    given = parser.parse_args()
    torch.set_num_threads(1)
    scene = open_scene(given.scene, need_labels=given.label is not None)
    truth = None if given.truth is None else read_places(given.truth, scene)
    settings = SceneTargetSettings(
        repeats=given.repeats, steps=given.steps, fill_from=given.fill[0], fill_to=given.fill[1]
    )
    if truth is None:
        target = target_from_class(given.label, scene) if given.label else target_from_file(given.spectrum, scene)
        run(scene, target, settings, given.rows, None, given.out)
        return
    numbers, _ = ndimage.label(truth, np.ones((3, 3)))
    for k in given.object:
        run(
            scene,
            target_from_pixels(numbers == k + 1, scene, words=f"object {k}"),
            settings,
            given.rows,
            truth,
            given.out,
        )


def teller(out: Path | None, **of: object) -> Callable[[int, Trial], None]:
    """What prints a repeat, and keeps it."""

    def tell(repeat: int, trial: Trial) -> None:
        means = {name: round(found.mean, 5) for name, found in trial.found.items()}
        print(f"repeat {repeat + 1}: " + ", ".join(f"{name} {mean:.3f}" for name, mean in means.items()), flush=True)
        if out is not None:
            with out.open("a", encoding="utf-8") as file:
                file.write(json.dumps({**of, "repeat": repeat, "targets": len(trial.targets), "means": means}) + "\n")

    return tell


def run(scene, target, settings, rows, truth, out) -> None:  # type: ignore[no-untyped-def]
    began = time.perf_counter()
    ready = make_ready(scene, target, settings, seed=0, truth=truth)
    with one_blas_thread():
        done = study(
            ready, rows, Runtime(quiet=True), teller(out, scene=scene.name, target=target.words, steps=settings.steps)
        )
    n = [len(t.targets) for t in done.trials]
    print(
        f"\n{scene.name}, {target.words}: {ready.area_px} px, {ready.background.whitening.n_used} bands, contrast "
        f"{ready.background.contrast:.1f}, channels hold {ready.background.held:.2f}; targets {n}; "
        f"{time.perf_counter() - began:.0f} s\n"
    )
    print("| method | mean | " + " | ".join(f"{r:g}" for r in RATES) + " | against the best filter |")
    print("|---" * (3 + len(RATES)) + "|")
    for row in rows_of(done):
        print("| " + " | ".join(cells_of(row, best=best_filter(done))) + " |")
    print(made_by(done))
    for name in compared_with(done):
        found = by_share(done, name, rate=settings.false_alarms)
        print(
            f"{name}: "
            + ", ".join(f"{s['from']:g}-{s['to']:g}: {100 * s['found']:.0f} % of {s['targets']}" for s in found)
        )
    print(cautions(done))
    if truth is not None:
        scores = filtered(scene, ready.background, ready.local)
        told = against_truth(searched(done, scores, Runtime(quiet=True)), truth, target.known, ready.area_px)
        print(f"objects of {told['pixels']} px; false alarms before each is found")
        for name, values in told["methods"].items():
            print(f"| {name} | {values['false_alarms_before']} |")


if __name__ == "__main__":
    main()
