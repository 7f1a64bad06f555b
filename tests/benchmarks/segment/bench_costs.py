"""What was expected of a training, and what it was: seconds without waiting, peak memory; several shapes of networks.

Every run is a process of its own, so that none begins with the memory of another.

    OMP_NUM_THREADS=1 .venv/bin/python tests/benchmarks/segment/bench_costs.py
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from dataclasses import replace
from pathlib import Path

import numpy as np

STEPS, CASES = 12, 6
ROWS = ("training_s", "validation_s", "training_bytes", "prediction_bytes")
SHAPES = {  # size of a case, network, patch, channels of the first stage, patches a step
    "pictures, 256": ((256, 256), "2d", (256, 256), 16, 4),
    "volumes, small": ((40, 56, 40), "3d", (40, 56, 40), 8, 2),
    "volumes, wide": ((40, 56, 40), "3d", (40, 56, 40), 32, 1),
    "volumes, many windows": ((96, 96, 96), "3d", (48, 48, 48), 8, 2),
    "slices of volumes": ((24, 96, 96), "2d", (96, 96), 16, 8),
}


def write_cases(folder: Path, size: tuple[int, ...]) -> None:
    """Boxes in noise."""
    for i in range(CASES):
        rng = np.random.default_rng(i)
        labels = np.zeros(size, np.uint8)
        labels[tuple(slice(n // 4, n // 4 + n // 3 + i) for n in size)] = 1
        for kind, array in (("images", labels + rng.normal(0, 0.4, size)), ("labels", labels)):
            (folder / kind).mkdir(exist_ok=True)
            np.save(folder / kind / f"c{i}.npy", array.astype(np.float32 if kind == "images" else np.uint8))


def one_run(name: str) -> dict[str, dict[str, float]]:
    from hyperseg.core.runtime import Runtime
    from hyperseg.engine.device import choose_precision
    from hyperseg.io.cases import open_cases
    from hyperseg.medical.topology import parameters_of, training_bytes, values_of
    from hyperseg.recipes.segment.fold import Budget
    from hyperseg.recipes.segment.planning import plan_cases
    from hyperseg.recipes.segment.training import Order, train_cases

    size, network, patch, width, batch = SHAPES[name]
    with tempfile.TemporaryDirectory() as place:
        (Path(place) / "data").mkdir()
        write_cases(Path(place) / "data", size)
        folder = open_cases(Path(place) / "data")
        plan = plan_cases(folder)
        one = plan.configuration(network)
        spec = replace(one.backbone, widths=tuple(w * width // one.backbone.widths[0] for w in one.backbone.widths))
        one = replace(one, patch=patch, backbone=spec, batch=batch)
        values, parameters = values_of(one.topology, spec.widths, 2), parameters_of(spec, 2, heads=len(one.supervision))
        one = replace(
            one, values=values, parameters=parameters, training_bytes=training_bytes(values, batch, parameters)
        )  # fmt: skip
        plan = replace(plan, configurations=tuple(one if c.name == network else c for c in plan.configurations))
        runtime = Runtime(precision=choose_precision("cpu"), quiet=True)
        run = train_cases(folder, plan, Path(place) / "run", Order(Budget(steps=STEPS), (network,), 0), runtime)
        found: dict[str, dict[str, float]] = run.record.found["costs"][network]["rows"]
        return found


def main() -> None:
    print(f"| {'network':22} | what | expected | was | waited | ratio |\n|---|---|---|---|---|---|")
    for name in SHAPES:
        done = subprocess.run([sys.executable, __file__, name], capture_output=True, text=True, check=True)
        rows = json.loads(done.stdout.splitlines()[-1])
        for what in ROWS:
            row = rows[what]
            scale, unit = (1e9, "GB") if what.endswith("bytes") else (1, "s")
            waited = f"{row['waited']:.1f}" if "waited" in row else ""
            told = f"{row['estimated'] / scale:.2f} {unit} | {row['measured'] / scale:.2f} {unit} | {waited}"
            print(f"| {name:22} | {what} | {told} | {row['ratio']:.2f} |", flush=True)


if __name__ == "__main__":
    if len(sys.argv) > 1:
        print(json.dumps(one_run(sys.argv[1])))
    else:
        main()
