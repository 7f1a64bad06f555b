"""Refiners side by side on one map: accuracy, accuracy at borders, seconds; mean and spread over seeds.

    python tests/benchmarks/bench_refiners.py --protocol parcels --first 10 --seeds 10
    python tests/benchmarks/bench_refiners.py --protocol fixed random_total:200 random_fraction:0.1 --seeds 5
    python tests/benchmarks/bench_refiners.py --scene simulated-usgs-potts --protocol random_fraction:0.05 --seeds 5
    python tests/benchmarks/bench_refiners.py --base svm cnn3d --chains dense-crf deep-crf "deep-crf + deconv"

`--chains` names refiners joined by " + ", each with options in brackets, see ABLATIONS. A refiner chooses its weight on
validation pixels, "leave the map alone" included; "forced" takes its default without asking. Results are kept line by
line in --log, and a run that is started again goes on where it stopped.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

from bench_accuracy import SCENES, open_base, published, table
from hyperseg.recipes.run.chain import refine
from hyperseg.recipes.run.make import Job, Made, make_map

from hyperseg.core import Scene, Split
from hyperseg.data.splits import make_split
from hyperseg.recipes.refiners.deconv import DeconvSettings
from hyperseg.recipes.refiners.deep_crf import DeepCrfSettings
from hyperseg.recipes.run.repeat import score_map
from hyperseg.recipes.run.settings import UNARY, ClassifySettings
from hyperseg.recipes.training.joint import JointSettings

DEEP, DECONV = DeepCrfSettings(), DeconvSettings()
CHAINS = ("dense-crf", "deep-crf", "deep-crf + deconv")
ABLATIONS: dict[str, DeepCrfSettings | DeconvSettings] = {
    "deep-crf": DEEP,
    "deep-crf (as published)": replace(DEEP, crf=replace(DEEP.crf, form="joint"), same_share=0.5),
    "deep-crf (table alone)": replace(DEEP, heads=(0.0,)),
    "deep-crf (half equal)": replace(DEEP, same_share=0.5),
    "deep-crf (em 0)": replace(DEEP, em_steps=0),
    "deep-crf (em 10)": replace(DEEP, em_steps=10),
    "deep-crf (nodes of 2 px)": replace(DEEP, crf=replace(DEEP.crf, stride=2)),
    "deep-crf (nodes of 4 px)": replace(DEEP, crf=replace(DEEP.crf, stride=4)),
    "deep-crf (radius 2)": replace(DEEP, crf=replace(DEEP.crf, radius=2)),
    "deep-crf (forced)": replace(DEEP, forced=True),
    "deep-crf (through inference)": replace(DEEP, joint=JointSettings(steps=300)),
    "deconv": DECONV,
    "deconv (not cross-fitted)": replace(DECONV, parts=1),
    "deconv (no switches)": replace(DECONV, switches=False),
    "deconv (mean of masks)": replace(DECONV, fuse="mean"),
    "deconv (forced)": replace(DECONV, strengths=(1.0,), forced=True),
}


def measure(
    scene: Scene, split: Split, protocol: str, base_name: str, chains: list[str], seed: int, known: set[str]
) -> Iterator[dict[str, Any]]:
    """One row for the method alone and one per chain, those already known left out."""
    wanted = [c for c in ("", *chains) if f"{base_name} + {c}".removesuffix(" + ") not in known]
    if not wanted:
        return
    with tempfile.TemporaryDirectory() as folder:
        settings = ClassifySettings(method="deep-crf" if base_name == UNARY else base_name, split=protocol, seed=seed)  # type: ignore[arg-type]
        job = Job(
            scene, split, settings, seed=seed, pool=None, device="cpu", checkpoints=Path(folder) / "train", tag="",
            quiet=True,
        )  # fmt: skip
        started = time.perf_counter()
        base = make_map(job, base_name)
        training = time.perf_counter() - started
        for i, chain in enumerate(wanted):
            made, window, seconds = base.map, base.window, training
            if chain:
                own = replace(job, settings=configured(settings, chain), checkpoints=Path(folder) / f"chain{i}")
                made, window, seconds = refined(own, base, chain)
            found = score_map(made, scene, split, window=window)
            kept = {k: found[k] for k in ("OA", "AA", "kappa", "boundary_OA", "ece", "per_class")}
            step = f"{base_name} + {chain}" if chain else base_name
            yield {
                "scene": scene.name, "protocol": protocol, "seed": seed, "method": base_name, "step": step, **kept,
                "leak_a": found["leak"]["a"], "leak_b": found["leak"]["b"], "window": window, "seconds": seconds,
            }  # fmt: skip


def configured(settings: ClassifySettings, chain: str) -> ClassifySettings:
    """The run's settings with the options that a chain's brackets name."""
    for name in chain.split(" + "):
        match ABLATIONS.get(name):
            case DeepCrfSettings() as deep:
                settings = replace(settings, deep=deep)
            case DeconvSettings() as deconv:
                settings = replace(settings, deconv=deconv)
            case None if name != "dense-crf":
                raise SystemExit(f"unknown refiner {name!r}: dense-crf, {', '.join(ABLATIONS)}.")
    return settings


def refined(job: Job, base: Made, chain: str) -> tuple[Any, int, float]:
    """The last link's map and window, and the seconds of that link alone."""
    links = refine(job, base, [name.split(" (")[0] for name in chain.split(" + ")])  # type: ignore[misc]
    return links[-1].map, links[-1].window, links[-1].seconds


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--scene", default="indian-pines", choices=SCENES)
    parser.add_argument("--protocol", nargs="+", default=["parcels"])
    parser.add_argument("--base", nargs="+", default=[UNARY])
    parser.add_argument("--chains", nargs="+", default=list(CHAINS))
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--first", type=int, default=0, help="first seed")
    parser.add_argument("--log", type=Path, default=Path("bench_refiners.jsonl"))
    options = parser.parse_args()
    base = open_base(options.scene)
    for protocol in options.protocol:
        for seed in range(options.first, options.first + options.seeds):
            if protocol == "fixed":
                scene, split = published(base)
            else:
                assert base.labels is not None
                scene, split = base, make_split(protocol, base.labels, base.n_classes, seed=seed)
            for name in options.base:
                rows = [json.loads(line) for line in options.log.open()] if options.log.exists() else []
                mine = {
                    r["step"] for r in rows if (r["scene"], r["protocol"], r["seed"]) == (scene.name, protocol, seed)
                }
                for row in measure(scene, split, protocol, name, options.chains, seed, mine):
                    with options.log.open("a") as file:
                        file.write(json.dumps(row) + "\n")
        rows = [json.loads(line) for line in options.log.open()]
        seeds = range(options.first, options.first + options.seeds)
        rows = [r for r in rows if (r["scene"], r["protocol"]) == (scene.name, protocol) and r["seed"] in seeds]
        print(f"\n### {scene.name}, {protocol}, {options.seeds} seeds\n", flush=True)
        for name in options.base:
            print(table([r for r in rows if r["method"] == name], name), flush=True)


if __name__ == "__main__":
    main()
