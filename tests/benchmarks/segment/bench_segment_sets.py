"""Folders of images and volumes, trained by the command line without an option that is made for one of them.

    OMP_NUM_THREADS=1 python tests/benchmarks/segment/bench_segment_sets.py --minutes 3 --seeds 3

Needs HYPERSEG_DATA. Of every set fold 0 is trained: its own cases give the first rows. Where a set holds cases back (a
folder `test`, a `test.list`), these are predicted and scored too. Every seed draws its own folds. Minutes are those of
the clock; CPU minutes and steps are told beside them, as a busy machine does fewer. Finished runs are kept in --out,
and a benchmark that is started again goes on with those that are missing.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
from collections import defaultdict
from pathlib import Path
from typing import Any

import numpy as np

SETS = ("acdc_h5", "drishti_gs1_512", "busi_subset", "dsb2018_subset")
FIGURES = ("dice", "hd95")


def spent(*words: str | Path) -> float:
    """CPU minutes of a command of `hyperseg segment`."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run([sys.executable, "-m", "hyperseg", "segment", *map(str, words)], check=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return (after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime) / 60


def run(data: Path, out: Path, seed: int, minutes: float) -> dict[str, Any]:
    """Train fold 0 of a set; predict and score its own cases, and those that the set holds back."""
    kept = out / f"{data.name}-{seed}.json"
    if kept.exists():
        return dict(json.loads(kept.read_text()))
    root = out / f"{data.name}-{seed}"
    cpu = spent("train", data, "--fold", "0", "--minutes", f"{minutes:g}", "--seed", str(seed), "--out", root,
                *(["--resume"] if (root / "run.json").exists() else []))  # fmt: skip
    record = json.loads((root / "run.json").read_text())
    (name,) = record["trained"]
    history = json.loads((root / name / "fold0" / "history.json").read_text())
    plan = json.loads((root / "plan.json").read_text())
    network = next(each for each in plan["configurations"] if each["name"] == name)
    fold = record["folds"][0]
    rows = {f"fold 0 ({len(fold)})": parts_of(data, root, out, fold, record["classes"])}
    if held := held_back(data):
        rows[f"held back ({len(held)})"] = parts_of(data, root, out, held, record["classes"])
    found = {
        "set": data.name, "seed": seed, "network": name, "learnt": sum(map(len, record["folds"])) - len(fold),
        "cpu_minutes": cpu, "steps": history["steps"], "batch": network["batch"], "patch": network["patch"],
        "width": network["backbone"]["widths"][0], "rows": rows,
    }  # fmt: skip
    kept.write_text(json.dumps(found, indent=1))
    return found


def held_back(data: Path) -> list[str]:
    from hyperseg.io.cases import list_cases

    return [case.name for case in list_cases(data).unlabelled if case.label is not None]


def parts_of(data: Path, root: Path, out: Path, names: list[str], classes: list[str]) -> dict[str, dict[str, float]]:
    """Mean Dice and HD95 of each class over the named cases, predicted without mirror images."""
    from hyperseg.io.cases import open_cases, read_case, write_prediction
    from hyperseg.recipes.segment.folder import load_networks, read_run
    from hyperseg.recipes.segment.predicting import predict_case
    from hyperseg.recipes.segment.scoring import score_cases

    loaded, folder = read_run(root), open_cases(data)
    networks = {name: load_networks(loaded, name, [0]) for name in loaded.chosen}
    made = out / f"{root.name}-predicted-{len(names)}"
    made.mkdir(exist_ok=True)
    for name in names:
        case = folder.case(name)
        found = predict_case(read_case(folder, case, labels=False), loaded.plan, networks, loaded.chosen, mirror=False)
        flat = found.ndim == 2
        write_prediction(made / f"{name}{'.png' if flat else '.npy'}", found, like=case.images[0],
                         codes=folder.codes, overwrite=True)  # fmt: skip
    scored = score_cases(made, data)
    return {
        name: {figure: float(np.nanmean(scored.values(code, figure) or [np.nan])) for figure in FIGURES}
        for code, name in zip(loaded.record.codes[1:], classes[1:], strict=True)
    }


def spread(values: list[float], factor: float, digits: int) -> str:
    known = factor * np.array(values)
    told = f"{known.mean():.{digits}f}"
    return told if len(known) < 2 else f"{told} ± {known.std(ddof=1):.{digits}f}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sets", nargs="+", default=SETS)
    parser.add_argument("--minutes", type=float, default=3.0)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--out", type=Path, default=Path("bench_segment_sets"))
    args = parser.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)
    data = Path(os.environ["HYPERSEG_DATA"]) / "medical"
    of: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for seed in range(args.seeds):
        for name in args.sets:
            of[name].append(run(data / name, args.out, seed, args.minutes))
    print("| set | learnt | scored | network | CPU min | steps | seeds | class | Dice % | HD95 px |")
    print("|---|---|---|---|---|---|---|---|---|---|")
    for name, runs in of.items():
        widths, steps, cpu = ([each[key] for each in runs] for key in ("width", "steps", "cpu_minutes"))
        one = runs[0]
        network = f"{one['network']}, {'x'.join(map(str, one['patch']))}, batch {one['batch']}, width {min(widths)}"
        network += f" to {max(widths)}" if len(set(widths)) > 1 else ""
        for part in one["rows"]:
            for label in one["rows"][part]:
                cells = [[each["rows"][p][label][figure] for each in runs for p in each["rows"]
                          if p.split(" (")[0] == part.split(" (")[0]] for figure in FIGURES]  # fmt: skip
                cost = f"{np.mean(cpu):.1f} | {min(steps)} to {max(steps)}"
                print(
                    f"| {name} | {one['learnt']} | {part} | {network} | {cost} | "
                    f"{len(runs)} | {label} | {spread(cells[0], 100, 1)} | {spread(cells[1], 1, 1)} |"
                )


if __name__ == "__main__":
    main()
