"""Accuracy on Indian Pines or the simulated Pavia University: methods side by side, mean and spread over seeds.

    python tests/benchmarks/bench_accuracy.py --protocol parcels --seeds 10
    python tests/benchmarks/bench_accuracy.py --protocol random_fraction:0.1 random_total:200 fixed --seeds 5

`fixed` needs the published masks (HYPERSEG_DATA, or shared/data beside the checkout). Results are kept line by line
in --log, and a run that is started again goes on where it stopped.
"""

from __future__ import annotations

import argparse
import json
import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, get_args

import numpy as np
from numpy.typing import NDArray

from hyperseg.core import Scene, Split
from hyperseg.core.maps import Step
from hyperseg.core.parts import Method
from hyperseg.core.runtime import Runtime
from hyperseg.core.settings import changed
from hyperseg.core.task import Task
from hyperseg.data.splits import make_split
from hyperseg.gan.settings import Variant
from hyperseg.hsi.classical import fit_svm
from hyperseg.io.catalog import load_card, open_card
from hyperseg.metrics import mean_and_std, paired
from hyperseg.recipes.methods import METHODS
from hyperseg.recipes.methods.classical import classical_method
from hyperseg.recipes.methods.gan import told
from hyperseg.recipes.methods.network import network_method, spectral_spatial, whitened
from hyperseg.recipes.refiners import REFINERS
from hyperseg.recipes.run.classify import pool_mask
from hyperseg.recipes.run.repeat import score_step
from hyperseg.recipes.run.steps import make_map, refine
from hyperseg.simulated.scenes import make_up_spectra, simulate_pavia_university, simulate_potts, simulate_usgs_potts


def of(method: Method, **changes: Any) -> tuple[Method, Any]:
    """A method with its settings changed, by the ends of their paths."""
    return method, changed(method.settings(), changes)


HE_START = network_method(
    "cnn3d", METHODS["cnn3d"].settings, prepare=whitened, **spectral_spatial("none", initial_scale=lambda *given: 1.0)
)
PAPER = {"unlabelled": 1.0, "generated": 1.0}
PLAIN = ("svm", "rf", "cnn3d", "ssrn", "hybrid", "unet", "medsegdiff", "feed-forward")
KINDS = {name: of(METHODS[name]) for name in PLAIN} | {
    "svm 3x3": of(classical_method("svm", fit_svm, window=3)),
    "lda 3x3": of(METHODS["lda"]),
    "cnn3d, He start": of(HE_START),
    "gan spa, no norm": of(METHODS["gan"], variant="spa", norm="none", aim="match", **PAPER),
}
KINDS |= {f"gan {variant}": of(METHODS["gan"], variant=variant) for variant in get_args(Variant)}
VARIATIONS: dict[str, dict[str, Any]] = {
    "1x1": {"window": 1},
    "5x5": {"window": 5},
    "17x17": {"window": 17},
    "flips": {"flips": True},
    "best by validation": {"keep": "best"},
    "not whitened": {"whiten": False},
    "averaged": {"averaged": 0},
    "no noise": {"noise": 0.0},
    "not centred": {"centre": "never"},
    "centred": {"centre": "always"},
    "illumination": {"illumination": 0.05},
    "no average": {"average": 0.0},
    "unbalanced": {"balanced": False},
    "24 maps": {"maps": 24, "width": 128},
    "no norm": {"norm": "none"},
    "spectral norm": {"norm": "none", "spectral_norm": True},
    "implicit": {"fake_logit": "implicit"},
    "cond": {"conditional": True},
    "augment": {"conditional": True, **told(True)},
    "fool": {"aim": "fool"},
    "match": {"aim": "match"},
    "weights 1": PAPER,
    "weights 0.1": {"unlabelled": 0.1, "generated": 0.1},
    "no L2": {"unlabelled": 0.0},
    "agreement": {"agreement": 0.3},
}
POOLS: dict[str, Callable[[Scene, Split], Any]] = {  # what a GAN may look at
    "pool of labelled ground": lambda scene, split: scene.labelled,
    "pool without test": lambda scene, split: ~split.test,
}
REFINED = {"cnn3d", *(f"{kind} {variant}" for variant in get_args(Variant) for kind in ("gan", "twin"))}
SCENES = ("indian-pines", "simulated-pavia-university", "simulated-regions", "simulated-usgs-potts")


def data_folder() -> Path:
    return Path(os.environ.get("HYPERSEG_DATA", Path(__file__).parents[3] / "shared" / "data"))


def open_base(name: str) -> Scene:
    """Indian Pines, the stand-in for Pavia University made from its real ground truth, or invented regions."""
    if name == "simulated-regions":
        return simulate_potts((96, 96), make_up_spectra(8, 60, seed=0), seed=0, unlabelled=0.15, name=name).scene
    if name == "simulated-usgs-potts":
        return simulate_usgs_potts(data_folder(), seed=0).scene
    if name == "simulated-pavia-university":
        return simulate_pavia_university(data_folder(), seed=0).scene
    return open_card(load_card(name))


def task_of(base: Scene, protocol: str, seed: int) -> Task:
    """The scene with a split drawn by the seed.

    "fixed" is the 695/9671 split; its 256 pixels that the public ground truth leaves out keep the label of the masks.
    """
    masks, scene = {}, base
    if protocol == "fixed":
        with np.load(data_folder() / "hsi" / "indian_pines" / "disjoint_split_stdids.npz") as file:
            train, test = file["train"], file["test"]
        masks = {"train_mask": train > 0, "test_mask": test > 0}
        scene, seed = base.with_(labels=np.maximum(train, test).astype(np.int16) - 1), 0
    assert scene.labels is not None
    return Task((scene,), (make_split(protocol, scene.labels, scene.n_classes, seed=seed, **masks),))


def measure(
    base: Scene, protocol: str, names: list[str], chains: list[str] | None, seeds: range, log: Path
) -> Iterator[dict[str, Any]]:
    """A row for every seed, method and chain of refiners; what the log has is not computed again."""
    known = read_log(log, base, protocol)
    for seed in seeds:
        for name in names:
            after = chains_after(name) if chains is None else chains
            wanted = [name, *(f"{name} + {chain}" for chain in after)]
            rows = {r["step"]: r for r in known if (r["seed"], r["method"]) == (seed, name)}
            if lacking := [step for step in wanted if step not in rows]:
                made = list(run(task_of(base, protocol, seed), protocol, name, after, seed))
                write_log(log, [r for r in made if r["step"] in lacking])
                rows |= {r["step"]: r for r in made}
            yield from (rows[step] for step in wanted if step in rows)


def chains_after(name: str) -> list[str]:
    """What is measured after a method where nobody says."""
    return ["dense-crf"] if name in REFINED else []


def run(task: Task, protocol: str, name: str, chains: list[str], seed: int) -> Iterator[dict[str, Any]]:
    (method, chosen), pool = part(name)
    if pool is not None:
        task = replace(task, pools=(pool_mask(task.scene, pool(task.scene, task.split)),))
    runtime = Runtime(seed, quiet=True)
    made = make_map(method, chosen, task, runtime)
    steps = {name: made.step}
    for chain in chains:
        refiners = [REFINERS[refiner] for refiner in chain.split(" + ")]
        links = refine(made, method, chosen, [(r, r.settings()) for r in refiners], task, runtime)
        steps[f"{name} + {chain}"] = links[-1].step
    for shown, step in steps.items():
        yield row(task, protocol, seed, name, shown, step, made.step.seconds)


def part(name: str) -> tuple[tuple[Method, Any], Callable[[Scene, Split], NDArray[np.bool_]] | None]:
    """What a name means, a kind and variations of it ("cnn3d, 5x5, flips"): method, settings, pool.

    "twin" is the supervised twin of the GAN whose name follows.
    """
    whole = name.replace("twin", "gan", 1)
    kind = max((k for k in KINDS if whole.startswith(k)), key=len)
    (method, settings), pool = KINDS[kind], None
    for variation in whole.removeprefix(kind).split(", ")[1:]:
        if variation in POOLS:
            pool = POOLS[variation]
        else:
            settings = changed(settings, VARIATIONS[variation])
    return (method, settings) if whole == name else method.beside(settings)[0], pool


def row(task: Task, protocol: str, seed: int, method: str, name: str, step: Step, seconds: float) -> dict[str, Any]:
    """A line of the log."""
    found = score_step(step, task.scene, task.split)
    kept = {k: found[k] for k in ("OA", "AA", "kappa", "boundary_OA", "ece", "error_auroc", "per_class")}
    return {
        "scene": task.scene.name, "protocol": protocol, "seed": seed, "method": method, "step": name, **kept,
        "leak_a": found["leak"]["a"], "leak_b": found["leak"]["b"], "leak_region": found["leak"]["region"],
        "window": step.window_px, "seconds": seconds,
    }  # fmt: skip


def read_log(log: Path, base: Scene, protocol: str) -> list[dict[str, Any]]:
    """Its rows of this scene and protocol."""
    rows = [json.loads(line) for line in log.read_text().splitlines()] if log.exists() else []
    return [r for r in rows if (r.get("scene", "indian-pines"), r["protocol"]) == (base.name, protocol)]


def write_log(log: Path, rows: Sequence[dict[str, Any]]) -> None:
    with log.open("a") as file:
        file.writelines(json.dumps(r) + "\n" for r in rows)


def table(rows: list[dict[str, Any]], reference: str) -> str:
    """Markdown: mean and spread per step, and the paired difference in OA to `reference`."""
    columns = ("method", "window", "leak A / B / region", "OA", "AA", "kappa", "OA at borders", "ECE", "errors found")
    head = f"| {' | '.join(columns)} | OA - {reference}, paired | s |"
    lines = [head, "|" + "---|" * (len(columns) + 2)]
    for step in dict.fromkeys(r["step"] for r in rows):
        mine = sorted((r for r in rows if r["step"] == step), key=lambda r: r["seed"])
        theirs = {r["seed"]: r["OA"] for r in rows if r["step"] == reference}
        pairs = np.array([(r["OA"], theirs[r["seed"]]) for r in mine if r["seed"] in theirs])
        against = difference(pairs) if len(pairs) > 1 and step != reference else "–"
        cells = [spread(np.array([r[k] for r in mine])) for k in ("OA", "AA", "kappa", "boundary_OA", "ece")]
        leak = f"{np.mean([r['leak_a'] for r in mine]):.1f} / {np.mean([r['leak_b'] for r in mine]):.1f}"
        joined = [r["leak_region"] for r in mine if r.get("leak_region") is not None]
        leak += f" / {np.mean(joined):.1f}" if joined else ""
        doubts = [r["error_auroc"] for r in mine if "error_auroc" in r]  # not in lines of earlier logs
        cells.append(" / ".join(spread(np.array([d[of] for d in doubts])) for of in doubts[0]) if doubts else "–")
        seconds = float(np.median([r["seconds"] for r in mine]))
        lines.append(f"| {step} | {mine[0]['window']} | {leak} | {' | '.join(cells)} | {against} | {seconds:.0f} |")
    return "\n".join(lines)


def spread(values: NDArray[np.float64]) -> str:
    found = mean_and_std(values)
    return f"{found['mean']:.1f} ± {found['std']:.1f}"


def difference(pairs: NDArray[np.float64]) -> str:
    found = paired(pairs[:, 0], pairs[:, 1])
    return f"{found.mean_difference:+.1f} ± {found.standard_error:.1f}, {found.wins}/{found.n} won"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--scene", default="indian-pines", choices=SCENES)
    parser.add_argument("--protocol", nargs="+", default=["parcels"])
    parser.add_argument("--methods", nargs="+", default=["svm", "svm 3x3", "lda 3x3", "rf", "cnn3d"])
    parser.add_argument(
        "--after", nargs="*", help='chains of refiners, as "trees + deep-crf"; by default the dense CRF'
    )
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--first", type=int, default=0, help="first seed")
    parser.add_argument("--reference", default="svm")
    parser.add_argument("--log", type=Path, default=Path("bench_accuracy.jsonl"))
    options = parser.parse_args()
    base = open_base(options.scene)
    for protocol in options.protocol:
        seeds = range(options.first, options.first + options.seeds)
        rows = list(measure(base, protocol, options.methods, options.after, seeds, options.log))
        print(f"\n### {base.name}, {protocol}, {options.seeds} seeds\n\n{table(rows, options.reference)}", flush=True)


if __name__ == "__main__":
    main()
