"""Where the ceiling lies on fields that were not trained on: oracle pooling, leave one field out, fields out of reach.

    python tests/benchmarks/bench_ceiling.py --seeds 10 --first 10 --maps bench_ceiling_maps

Settings are the defaults; splits are parcels. *True fields*: the test pixels of every field (8-connected pixels of one
class) get one answer together, as if somebody had drawn the fields before mapping. *Best of three*: of every field the
answer of the method that is best on it. *Crops*: classes merged to the groups of the scene. Results are kept line by
line in --log, and a run that is started again goes on where it stopped. Maps in --maps, where that is given, are made
once; they are kept and used in half precision.
"""

from __future__ import annotations

import argparse
import json
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
from bench_accuracy import part, write_log
from ceiling_tables import REFERENCE, Fields, Ints, left_out_table, oracle_table, reach_tables
from numpy.typing import NDArray

from hyperseg.core import UNLABELLED, Scene, SegmentationMap, Split
from hyperseg.core.parts import Context
from hyperseg.core.runtime import Runtime
from hyperseg.core.task import Task
from hyperseg.data.splits import make_split
from hyperseg.data.splits.drawing import near
from hyperseg.io.open import open_scene
from hyperseg.metrics.scores import confusion, scores
from hyperseg.recipes.refiners import REFINERS
from hyperseg.recipes.run.steps import make_map

BASE, TREES = "cnn3d", REFINERS["trees"]
BASES = (BASE, "lda 3x3", "svm 3x3")
LEFT_OUT = (("lda 3x3", 50), ("lda 3x3", None), (BASE, 50))  # method, training pixels per class
POOLS = ("mean of log-probabilities", "mean of probabilities", "majority vote")


def maps_of(scene: Scene, split: Split, name: str, seed: int, file: Path | None = None) -> dict[str, SegmentationMap]:
    """The map of a method and that after the trees, by the names of the steps; the first one is kept in `file`."""
    method, settings = part(name)[0]
    task, runtime = Task((scene,), (split,)), Runtime(seed, quiet=True)
    masks = {"train": split.train, "val": split.val, "test": split.test}
    if file is not None and file.exists():
        with np.load(file) as kept:
            if any((kept[role] != mask).any() for role, mask in masks.items()):
                raise SystemExit(f"{file}: was made on another split; remove it.")
            probs = kept["probs"]
    else:
        probs = make_map(method, settings, task, runtime).step.map.probs.astype(np.float16)
        if file is not None:
            file.parent.mkdir(parents=True, exist_ok=True)
            np.savez(file, probs=probs, **masks)
    map = SegmentationMap(probs.astype(np.float32), scene.classes, scene.colours, scene.grid, (name,), scene.valid)
    nothing: Any = None  # the trees ask for no model and train nothing again
    fitted = TREES.fit(map, task, TREES.settings(), Context(nothing, runtime, nothing))
    return {name: map, f"{name} + trees": fitted.apply(map, scene, runtime)}


def pooled(probs: NDArray[np.float32], number: Ints, test: NDArray[np.bool_], how: str) -> Ints:
    """(*S) one class for the test pixels of every field, -1 elsewhere."""
    k, at = probs.shape[-1], number[test]
    values = {
        POOLS[0]: np.log(np.maximum(probs[test], 1e-7)),
        POOLS[1]: probs[test],
        POOLS[2]: np.eye(k)[probs[test].argmax(-1)],
    }[how]
    sums = np.stack([np.bincount(at, column, minlength=number.max() + 1) for column in values.T], -1)
    found = np.full(number.shape, UNLABELLED, np.int16)
    found[test] = sums.argmax(-1)[at]
    return found


def of_seed(scene: Scene, fields: Fields, seed: int, maps: Path | None) -> dict[str, Any]:
    """A line of the log: OA and AA by step, and what every field is taken for."""
    assert scene.labels is not None
    assert scene.groups is not None
    k = scene.n_classes
    split = make_split("parcels", scene.labels, k, seed=seed)
    truth = np.where(split.test, scene.labels, np.int16(UNLABELLED))
    made: dict[str, SegmentationMap] = {}
    for name in BASES:
        made |= maps_of(scene, split, name, seed, maps and maps / f"{name.replace(' ', '-')}-seed{seed:02d}.npz")
    said = {name: np.asarray(map.labels()) for name, map in made.items()}
    answers = {name: fields.answers(said[name], split.test, k) for name in said if name.endswith(" + trees")}
    shares = {how: pooled(made[BASE].probs, fields.number, split.test, how) for how in POOLS}
    tables = {name: confusion(truth, labels, k) for name, labels in said.items()}
    tables |= {f"{BASE}, true fields, {how}": confusion(truth, labels, k) for how, labels in shares.items()}
    every, i = np.stack(list(answers.values())), np.arange(len(fields.pixels))
    best = np.zeros((k, k), np.int64)
    np.add.at(best, fields.of_class, every[every[:, i, fields.of_class].argmax(0), i])
    tables["best of three + trees, known for every field"] = best
    to_group, n = scene.groups.labels, len(scene.groups.names)
    tables |= {f"{s}, crops": confusion(to_group(truth), to_group(said[s]), n) for s in (BASE, REFERENCE)}
    found = {name: scores(table) for name, table in tables.items()}
    cut = np.intersect1d(fields.number[split.test], fields.number[split.train | split.val])
    return {
        "seed": seed, "scores": {name: (s.oa, s.aa) for name, s in found.items()}, "cut": cut.tolist(),
        "fields": {name: table.tolist() for name, table in answers.items()},
    }  # fmt: skip


def left_out(scene: Scene, fields: Fields, field: int, cap: int | None, seed: int) -> Split:
    """All other fields train, beyond a guard of 4 pixels around this one, which is tested."""
    assert scene.labels is not None
    test = fields.number == field
    train, rng = (fields.number >= 0) & ~near(test, 4), np.random.default_rng([seed, field])
    for k in range(scene.n_classes):
        mine = np.flatnonzero(train & (scene.labels == k))
        train.reshape(-1)[rng.permutation(mine)[len(mine) if cap is None else cap :]] = False
    lacking = tuple(k for k in range(scene.n_classes) if not (train & (scene.labels == k)).any())
    none = np.zeros_like(test)
    return Split(train, none, test, f"all fields but one (cap={cap})", seed, guard_px=4, untrainable=lacking)


def largest(fields: Fields, n: int) -> list[int]:
    """The largest fields of classes that have another one."""
    several = np.bincount(fields.of_class)[fields.of_class] > 1
    return [int(i) for i in np.argsort(-fields.pixels, kind="stable") if several[i]][:n]


def left_out_rows(scene: Scene, fields: Fields, wanted: list[int], seeds: range, log: Path) -> list[dict[str, Any]]:
    """Lines of the log, by method, field and step; what it has is not computed again."""
    rows = [r for r in read(log) if "field" in r]
    known = {(r["name"], r["field"], r["seed"]) for r in rows}
    for base, cap in LEFT_OUT:
        name = base if cap is not None else f"{base}, no cap"
        for field, seed in product(wanted, seeds):
            if (name, field, seed) in known:
                continue
            split, made = left_out(scene, fields, field, cap, seed), []
            for step, map in maps_of(scene, split, base, seed).items():
                counts = fields.answers(map.labels(), split.test, scene.n_classes)[field].tolist()
                key = {"name": name, "field": field, "seed": seed}
                made.append({**key, "step": step.replace(base, name), "counts": counts})
            write_log(log, made)
            rows += made
    return [r for r in rows if r["field"] in wanted and r["seed"] in seeds]


def seed_rows(scene: Scene, fields: Fields, seeds: range, maps: Path | None, log: Path) -> list[dict[str, Any]]:
    rows = {r["seed"]: r for r in read(log) if "scores" in r}
    for seed in seeds:
        if seed not in rows:
            rows[seed] = of_seed(scene, fields, seed, maps)
            write_log(log, [rows[seed]])
    return [rows[seed] for seed in seeds]


def read(log: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in log.read_text().splitlines()] if log.exists() else []


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--scene", default="indian-pines", help="one with groups of classes")
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--first", type=int, default=10, help="first seed")
    parser.add_argument("--fields", type=int, default=16, help="so many of the largest fields are left out in turn")
    parser.add_argument("--times", type=int, default=1, help="trainings for each field left out")
    parser.add_argument("--maps", type=Path, help="folder that keeps the maps of the seeds")
    parser.add_argument("--log", type=Path, default=Path("bench_ceiling.jsonl"))
    given = parser.parse_args()
    scene = open_scene(given.scene)
    fields = Fields.of(scene)
    seeds = seed_rows(scene, fields, range(given.first, given.first + given.seeds), given.maps, given.log)
    print(f"### Oracle pooling, {given.seeds} seeds\n\n{oracle_table(seeds)}", flush=True)
    print(f"\n### Fields out of reach, {given.seeds} seeds\n\n{reach_tables(seeds, fields, scene)}", flush=True)
    left = left_out_rows(scene, fields, largest(fields, given.fields), range(given.times), given.log)
    print(f"\n### Leave one field out\n\n{left_out_table(left, seeds, fields, scene)}", flush=True)


if __name__ == "__main__":
    main()
