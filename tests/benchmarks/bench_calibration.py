"""How far confidence is from accuracy, before and after calibration, on fields not trained on; per method and chain.

    python tests/benchmarks/bench_calibration.py --seeds 10 --first 10 --bases cnn3d svm lda
    python tests/benchmarks/bench_calibration.py --seeds 10 --first 10 --bases cnn3d --chain dense-crf --set expected=1

ECE and NLL (negative log-likelihood of the true class, nats) are of the test pixels. *All splits*: the ECE of the test
pixels of all splits together. *Best*: the temperature under which the test pixels themselves are most likely, which
nobody knows. *Floor*: the ECE that perfectly calibrated confidence would have if every field were right or wrong as a
whole: one split has so few fields that it cannot come near 0.
"""

from __future__ import annotations

import argparse
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hyperseg.core import Scene, SegmentationMap, Split
from hyperseg.core.parts import Context
from hyperseg.core.runtime import Runtime
from hyperseg.core.settings import changed
from hyperseg.core.task import Task
from hyperseg.data.splits import make_split
from hyperseg.data.splits.components import parcel_numbers
from hyperseg.io.open import open_scene
from hyperseg.metrics.calibration import BINS, likeliest_temperature, reliability, tempered
from hyperseg.recipes.methods import METHODS
from hyperseg.recipes.refiners import REFINERS
from hyperseg.recipes.run.steps import make_map, refine

CALIBRATION = REFINERS["temperature"]


def measure(scene: Scene, base: str, chain: list[str], protocol: str, seed: int, options: dict[str, Any]) -> Any:
    """{"none", "fitted", "best"} -> (temperature, ECE in percent, NLL, table); and the floor in percent."""
    assert scene.labels is not None
    method = METHODS[base]
    split = make_split(protocol, scene.labels, scene.n_classes, seed=seed)
    task, runtime = Task((scene,), (split,)), Runtime(seed, quiet=True)
    before = [(REFINERS[name], REFINERS[name].settings()) for name in chain]

    def mapped(of: Task, inner: Runtime) -> tuple[Any, SegmentationMap]:
        made = make_map(method, method.settings(), of, inner)
        links = refine(made, method, method.settings(), before, of, inner)
        return made.model, (links[-1].step if links else made.step).map

    def again(other: Split, inner: Runtime) -> SegmentationMap:
        return mapped(replace(task, splits=(other,)), inner)[1]

    model, map = mapped(task, runtime)
    settings = changed(CALIBRATION.settings(), options)
    fitted = CALIBRATION.fit(map, task, settings, Context(model, runtime, again))
    probs, truth = map.probs[split.test], scene.labels[split.test]
    best = likeliest_temperature(probs, truth, np.ones(len(truth)), expected=1.0, spread=10.0)
    values: dict[str, float] = {"none": 1.0, "fitted": getattr(fitted, "temperature", None) or 1.0, "best": best}
    found = {}
    for name, value in values.items():
        said = tempered(probs, value)
        table = reliability(said, truth)
        likely = np.maximum(said[np.arange(len(truth)), truth], 1e-12)
        found[name] = (value, 100 * table.ece, -float(np.log(likely).mean()), table)
    return found, floor(tempered(probs, best).max(-1), parcel_numbers(scene.labels)[split.test], seed)


def floor(sure: NDArray[np.float32], field: NDArray[np.int32], seed: int, draws: int = 50) -> float:
    """Mean ECE (percent) of right confidence where all pixels of a field are right or wrong by one number drawn."""
    rng, found = np.random.default_rng(seed), []
    _, which = np.unique(field, return_inverse=True)
    bin_of = np.searchsorted(np.arange(1, BINS) / BINS, sure, side="left")
    for _ in range(draws):
        right = rng.random(which.max() + 1)[which] < sure
        found.append(100 * np.abs(np.bincount(bin_of, right - sure, minlength=BINS)).sum() / len(sure))
    return float(np.mean(found))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--scene", default="indian-pines")
    parser.add_argument("--protocol", default="parcels")
    parser.add_argument("--bases", nargs="+", default=["cnn3d", "svm", "lda"])
    parser.add_argument("--chain", nargs="*", default=[], help="refiners before the calibration")
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--first", type=int, default=10)
    parser.add_argument("--set", nargs="*", default=[], help="settings of the calibration, NAME=VALUE")
    given = parser.parse_args()
    scene = open_scene(given.scene)
    options = {k: float(v) for k, _, v in (text.partition("=") for text in given.set)}
    print("| map | temperature | T | ECE | ECE, all splits | NLL | floor of the ECE |\n|---|---|---|---|---|---|---|")
    for base in given.bases:
        seeds = range(given.first, given.first + given.seeds)
        results = [measure(scene, base, given.chain, given.protocol, seed, options) for seed in seeds]
        lowest = np.mean([least for _, least in results])
        for name in ("none", "fitted", "best"):
            rows = [found[name] for found, _ in results]
            t, ece, nll = (np.array([row[i] for row in rows]) for i in range(3))
            sums = [sum(getattr(row[3], part) for row in rows) for part in ("pixels", "sure", "right")]
            whole = 100 * float(np.abs(sums[2] - sums[1]).sum() / sums[0].sum())
            shown = " + ".join([base, *given.chain])
            print(
                f"| {shown} | {name} | {t.mean():.2f} ± {t.std(ddof=1):.2f} | {ece.mean():.1f} ± {ece.std(ddof=1):.1f} "
                f"| {whole:.1f} | {nll.mean():.2f} | {lowest:.1f} |",
                flush=True,
            )


if __name__ == "__main__":
    main()
