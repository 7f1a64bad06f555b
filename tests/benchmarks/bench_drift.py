"""Drift: what share of a changed scene lies outside what a model saw, and what the change costs in accuracy.

    python tests/benchmarks/bench_drift.py
    python tests/benchmarks/bench_drift.py --illumination 0 0.05 --first 10 --seeds 10

A run of `hyperseg classify indian-pines` is made first (or given with --run); its scene is changed on purpose and
mapped. With --illumination, networks are trained for every value and parcel split instead, and only accuracy is shown.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from bench_stream import made_run
from numpy.typing import NDArray

from hyperseg.core.runtime import Runtime
from hyperseg.core.settings import changed
from hyperseg.core.task import Task
from hyperseg.data.drift import measure_drift
from hyperseg.data.splits import make_split
from hyperseg.io.catalog import load_card, open_card
from hyperseg.recipes.mapping.windows import make_mapper, plan_windows
from hyperseg.recipes.methods.cnn3d import CNN3D
from hyperseg.recipes.run.load import load_run

Floats = NDArray[np.float32]


def shifted(cube: Floats, share: float) -> Floats:
    """Bands moved by a share of their spacing (about 10 nm), by linear interpolation."""
    places = np.clip(np.arange(cube.shape[-1]) + share, 0, cube.shape[-1] - 1)
    low = np.minimum(places.astype(int), cube.shape[-1] - 2)
    weight = (places - low).astype(np.float32)
    return cube[..., low] * (1 - weight) + cube[..., low + 1] * weight


CHANGES: dict[str, Callable[[Floats], Floats]] = {
    "none": lambda x: x,
    "gain 2 %": lambda x: x * 1.02,
    "gain 5 %": lambda x: x * 1.05,
    "gain 30 %": lambda x: x * 1.3,
    "offset 30 (of about 3000)": lambda x: x + 30,
    "offset 300": lambda x: x + 300,
    "bands moved by a fifth of their spacing": lambda x: shifted(x, 0.2),
    "bands moved by half of it": lambda x: shifted(x, 0.5),
    "noise 2 %": lambda x: x * (1 + 0.02 * np.random.default_rng(0).standard_normal(x.shape, np.float32)),
}


def compare(scene: Any, spreads: list[float], seeds: range) -> None:
    """OA of networks trained under varied light, on the scene as it is and changed."""
    cube, found = np.asarray(scene.cube, np.float32), {spread: [] for spread in spreads}
    for seed in seeds:
        split = make_split("parcels", scene.labels, scene.n_classes, seed=seed, valid=scene.valid)
        runtime = Runtime(seed, quiet=True)
        for spread in spreads:
            settings = changed(CNN3D.settings(), {"illumination": spread})
            model = CNN3D.fit(Task((scene,), (split,)), settings, runtime)
            row = []
            for change in CHANGES.values():
                labels = model.map(scene.with_(cube=change(cube)), runtime).labels()
                row.append(100 * (labels[split.test] == scene.labels[split.test]).mean())
            found[spread].append(row)
            print(seed, spread, np.round(row, 1), flush=True)
    print(f"| change | {' | '.join(f'illumination {s:g}' for s in spreads)} |\n|{'---|' * (len(spreads) + 1)}")
    for k, name in enumerate(CHANGES):
        values = [np.array(found[s])[:, k] for s in spreads]
        print(f"| {name} | {' | '.join(f'{v.mean():.1f} ± {v.std(ddof=1):.1f}' for v in values)} |")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--run", type=Path, help="a finished run of Indian Pines, seed 0, parcels; made without")
    parser.add_argument("--illumination", type=float, nargs="+")
    parser.add_argument("--first", type=int, default=10)
    parser.add_argument("--seeds", type=int, default=10)
    options = parser.parse_args()
    scene: Any = open_card(load_card("indian-pines"))
    if options.illumination:
        return compare(scene, options.illumination, range(options.first, options.first + options.seeds))
    test = make_split("parcels", scene.labels, scene.n_classes, seed=0, valid=scene.valid).test
    print("| change | outside (sample) | level | outside (map) | OA | OA inside |")
    print("|---|---|---|---|---|---|")
    with tempfile.TemporaryDirectory() as folder, made_run(options.run, Path(folder)) as place:
        run = load_run(place)
        assert run.applicability is not None
        mapper = make_mapper(run, refine=False, probabilities=False, device="cpu")
        for name, change in CHANGES.items():
            other = scene.with_(cube=change(np.asarray(scene.cube, np.float32)))
            found = measure_drift(run.applicability, other)
            (window,) = plan_windows(other, halo_px=mapper.halo_px)
            made = mapper(other, window, other.cube)
            right, outside = made.labels == scene.labels, made.applicability > 1
            inside = f"{100 * right[test & ~outside].mean():.1f}" if (test & ~outside).any() else "-"
            accuracy = f"{100 * right[test].mean():.1f} | {inside}"
            print(f"| {name} | {found.share:.0%} | {found.level} | {outside.mean():.0%} | {accuracy} |", flush=True)


if __name__ == "__main__":
    main()
