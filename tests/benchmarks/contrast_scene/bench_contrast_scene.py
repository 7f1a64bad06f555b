"""Contrastive pre-training on a scene: the default method with and without it, paired on the same splits and seeds.

    python tests/benchmarks/contrast_scene/bench_contrast_scene.py --out DIR --first 60 --splits 10

Weights are learnt --learnt times, from all pixels and no labels, and splits take them in turn. Whatever is finished
lies in --out and is not done again; --table prints what is there. Other rows: --row 'NAME={"steps":100}'.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from hyperseg.core import UNLABELLED, Scene, SegmentationMap
from hyperseg.core.runtime import Runtime
from hyperseg.core.settings import changed
from hyperseg.core.task import Task
from hyperseg.data.splits import make_split
from hyperseg.io.catalog import load_card, open_card
from hyperseg.metrics import confusion, scores
from hyperseg.metrics.gains import corrected_t_test, holm, noise_of
from hyperseg.recipes.methods import BASELINE, METHODS
from hyperseg.recipes.pretraining.scene_settings import SceneContrast
from hyperseg.recipes.refiners import REFINERS
from hyperseg.recipes.run.steps import make_map, refine
from hyperseg.recipes.tricks.choosing import tricked_method

LABELS = {"5 a class": "parcels:cap=5", "10 a class": "parcels:cap=10", "about 200": "parcels:cap=13"}
PLAIN, AGAIN, CLASSICAL = "none", "none, another seed", BASELINE
ROWS: dict[str, dict[str, Any]] = {
    "gr": {"pairs": "gr"},
    "gd- strata": {"pairs": "gd-", "partitions": "strata"},
    "gd clusters": {},
    "gd clusters + local": {"local": True},
}
OTHER_SEED = 1_000_003
CELLS, TREES = "cells.jsonl", REFINERS.default


def weights_for(scene: Scene, row: Mapping[str, Any], name: str, seed: int, out: Path) -> Path:
    """The weights file of a row; made where it is not there."""
    from hyperseg.recipes.pretraining.scene import WEIGHTS, pretrain_scene

    folder = out / f"{name.replace(' ', '_')}-{seed}"
    if not (folder / WEIGHTS).exists():
        began = time.monotonic()
        settings = changed(SceneContrast(), row)
        runtime = Runtime(seed, quiet=True, checkpoints=out / "unfinished")
        pretrain_scene([scene], settings, runtime, folder, pictures=True)
        for file in out.glob("unfinished-*"):
            file.unlink()
        print(f"{name}, seed {seed}: learnt without labels in {time.monotonic() - began:.0f} s", flush=True)
    return folder / WEIGHTS


def cell(scene: Scene, split: str, seed: int, row: str, weights: Path | None, changes: Mapping[str, Any]) -> Any:
    """A training on a split and its accuracy, before and after the trees."""
    assert scene.labels is not None
    task = Task((scene,), (make_split(split, scene.labels, scene.n_classes, seed=seed),))
    plain = METHODS[CLASSICAL if row == CLASSICAL else METHODS.default]
    method = tricked_method(plain, [] if weights is None else [f"given-weights:file={weights}"])
    settings = plain.settings() if row == CLASSICAL else changed(plain.settings(), changes)
    runtime = Runtime(seed + OTHER_SEED * (row == AGAIN), quiet=True)
    made = make_map(method, settings, task, runtime)
    trees = REFINERS[TREES]
    after = refine(made, method, settings, ((trees, trees.settings()),), task, runtime)[-1].step.map

    def told(map: SegmentationMap) -> tuple[float, float]:
        truth = np.where(task.split.test, np.asarray(scene.labels), np.int16(UNLABELLED))
        found = scores(confusion(truth, map.labels(), scene.n_classes))
        return float(found.oa), float(found.aa)

    names = ("OA", "AA", "OA trees", "AA trees")
    return dict(zip(names, (*told(made.step.map), *told(after)), strict=True)) | {
        "labels": int(task.split.train.sum()), "seconds": made.step.seconds
    }  # fmt: skip


def read(out: Path) -> dict[tuple[str, str, int], dict[str, Any]]:
    """Cells that are there, by (row, split, seed)."""
    lines = (out / CELLS).read_text(encoding="utf-8").splitlines() if (out / CELLS).exists() else []
    return {(c["row"], c["split"], c["seed"]): c for c in map(json.loads, lines)}


def table(out: Path, of: str) -> Iterator[str]:
    """Markdown: of every number of labels the rows, mean and spread over splits, and what they gain on `none`; p after
    Holm over these rows but the other seed."""
    cells = read(out)
    rows = [row for row in dict.fromkeys(row for row, _, _ in cells) if row != PLAIN]
    yield f"| labels | row | splits | {of} | AA{of.removeprefix('OA')} | gain | ± 95 % | p | p (Holm) | noise line |"
    yield "|---|---|---:|---:|---:|---:|---:|---:|---:|---:|"
    for labels, split in LABELS.items():
        mine = {(row, seed): c for (row, s, seed), c in cells.items() if s == split}
        seeds = sorted(seed for row, seed in mine if row == PLAIN)
        twice = [[mine[row, s][of] for row in (PLAIN, AGAIN)] for s in seeds if (AGAIN, s) in mine]
        both = {row: [s for s in seeds if (row, s) in mine] for row in rows}
        tested = {
            row: corrected_t_test([mine[row, s][of] - mine[PLAIN, s][of] for s in both[row]])
            for row in rows if len(both[row]) > 1
        }  # fmt: skip
        judged = [row for row in tested if row != AGAIN]
        corrected = dict(zip(judged, holm([tested[row].p for row in judged]), strict=True))
        for row in (PLAIN, *tested) if seeds else ():
            shown = seeds if row == PLAIN else both[row]
            both_of = [[mine[row, s][k] for s in shown] for k in (of, of.replace("OA", "AA"))]
            told = [f"{np.mean(x):.1f} ± {np.std(x, ddof=1):.1f}" if len(x) > 1 else f"{x[0]:.1f}" for x in both_of]
            line = f"| {labels} | {row} | {len(shown)} | {told[0]} | {told[1]} |"
            if row == PLAIN:
                yield f"{line} – | – | – | – | – |"
                continue
            g = tested[row]
            after = f"{corrected[row]:.3f}" if row in corrected else "–"
            noise = f"{noise_of(twice).line(g.n):.1f}" if twice else "–"
            yield f"{line} {g.mean:+.1f} | {g.half:.1f} | {g.p:.3f} | {after} | {noise} |"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--scene", default="indian-pines")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--first", type=int, default=60, help="seed of the first split")
    parser.add_argument("--splits", type=int, default=10)
    parser.add_argument("--labels", nargs="+", default=list(LABELS), choices=list(LABELS))
    parser.add_argument("--rows", nargs="+", help="of those known, and of --row; by default all")
    parser.add_argument("--row", nargs="+", default=[], help="NAME=JSON of changed settings of the pre-training")
    parser.add_argument("--train", type=json.loads, default={}, help="JSON of changed settings of the method, all rows")
    parser.add_argument("--learnt", type=int, default=2, help="trainings without labels of a row")
    parser.add_argument("--table", action="store_true", help="only print what is there")
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    known = ROWS | {name: json.loads(text) for name, _, text in (one.partition("=") for one in options.row)}
    rows = options.rows or [PLAIN, AGAIN, CLASSICAL, *known]
    scene = open_card(load_card(options.scene))
    scene = scene.with_(cube=np.asarray(scene.cube[:]))
    for seed in range(options.first, options.first + options.splits * (not options.table)):
        for labels in options.labels:
            for row in rows:
                split = LABELS[labels]
                if (row, split, seed) in read(options.out):
                    continue
                weights = None
                if row in known:
                    weights = weights_for(scene, known[row], row, seed % options.learnt, options.out)
                found = cell(scene, split, seed, row, weights, options.train)
                with (options.out / CELLS).open("a", encoding="utf-8") as file:
                    file.write(json.dumps({"row": row, "split": split, "seed": seed, **found}) + "\n")
    for of in ("OA", "OA trees"):
        print("\n".join(["", *table(options.out, of)]), flush=True)


if __name__ == "__main__":
    main()
