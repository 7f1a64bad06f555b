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
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, get_args

import numpy as np
from hyperseg.recipes.run.make import map_scene
from numpy.typing import NDArray

from hyperseg.core import Scene, SegmentationMap, Split
from hyperseg.data.augment import SpectralNoise
from hyperseg.data.splits import make_split
from hyperseg.gan.settings import Variant, Weights
from hyperseg.hsi.classical import fit_lda, fit_random_forest, fit_spectral, fit_svm, predict_map
from hyperseg.io.catalog import load_card, open_card
from hyperseg.metrics import mean_and_std, paired
from hyperseg.recipes.refiners.dense_crf import refine_with_crf
from hyperseg.recipes.run.repeat import score_map
from hyperseg.recipes.training.gan import GanSettings, augmenting, train_gan
from hyperseg.recipes.training.network import TrainSettings, train_network
from hyperseg.simulated.scenes import make_up_spectra, simulate_pavia_university, simulate_potts, simulate_usgs_potts

BASE = TrainSettings()
NETWORKS: dict[str, tuple[str, TrainSettings, dict[str, Any]]] = {
    "cnn3d": ("cnn3d", BASE, {}),
    "cnn3d, not whitened": ("cnn3d", replace(BASE, whiten=False), {}),
    "cnn3d, no noise": ("cnn3d", replace(BASE, noise=SpectralNoise()), {}),
    "cnn3d, no average": ("cnn3d", replace(BASE, average=0.0), {}),
    "cnn3d, He start": ("cnn3d", BASE, {"initial_scale": 1.0}),
    "cnn3d, best by validation": ("cnn3d", replace(BASE, keep="best"), {}),
    "cnn3d, 5x5": ("cnn3d", replace(BASE, window=5), {}),
    "cnn3d, 1x1": ("cnn3d", replace(BASE, window=1), {}),
    "cnn3d, 17x17": ("cnn3d", replace(BASE, window=17), {}),
    "ssrn": ("ssrn", BASE, {}),
    "hybrid": ("hybrid", BASE, {}),
}
GANS = {f"gan {variant}": GanSettings(variant=variant) for variant in get_args(Variant)}
SS = GANS["gan ss"]
GANS |= {
    "gan ss, cond": replace(SS, conditional=True),
    "gan ss, augment": augmenting(SS),
    "gan spa, augment": augmenting(GANS["gan spa"]),
    "gan spa, no norm": replace(
        GANS["gan spa"], norm="none", weights=Weights(unlabelled=1.0, generated=1.0, aim="match")
    ),
    "gan ss, fool": replace(SS, weights=Weights(aim="fool")),
    "gan ss, match": replace(SS, weights=Weights(aim="match")),
    "gan ss, weights 1": replace(SS, weights=Weights(unlabelled=1.0, generated=1.0)),
    "gan ss, weights 0.1": replace(SS, weights=Weights(unlabelled=0.1, generated=0.1)),
    "gan ss, no L2": replace(SS, weights=Weights(unlabelled=0.0)),
    "gan ss, agreement": replace(SS, weights=Weights(agreement=0.3)),
    "gan ss, implicit": replace(SS, fake_logit="implicit"),
    "gan ss, spectral norm": replace(SS, norm="none", spectral_norm=True),
    "gan ss, no norm": replace(SS, norm="none"),
    "gan ss, no average": replace(SS, average=0.0),
    "gan ss, unbalanced": replace(SS, balanced=False),
    "gan ss, no noise": replace(SS, noise=SpectralNoise()),
    "gan ss, not whitened": replace(SS, whiten=False),
    "gan ss, 24 maps": replace(SS, maps=24, width=128),
}
GANS |= {name.replace("gan", "twin", 1): settings.twin for name, settings in GANS.items()}
REFINED = {f"{kind} {variant}" for variant in get_args(Variant) for kind in ("gan", "twin")}
POOLS = ("", ", pool of labelled ground", ", pool without test")  # after a GAN's name: what it may look at
SCENES = ("indian-pines", "simulated-pavia-university", "simulated-regions", "simulated-usgs-potts")
CLASSICAL = {"svm": (fit_svm, 1), "svm 3x3": (fit_svm, 3), "rf": (fit_random_forest, 1), "lda 3x3": (fit_lda, 3)}


def data_folder() -> Path:
    return Path(os.environ.get("HYPERSEG_DATA", Path(__file__).parents[3] / "shared" / "data"))


def published(scene: Scene) -> tuple[Scene, Split]:
    """The 695/9671 split; its 256 pixels that the public ground truth leaves out keep the label of the masks."""
    with np.load(data_folder() / "hsi" / "indian_pines" / "disjoint_split_stdids.npz") as masks:
        train, test = masks["train"], masks["test"]
    labels = np.maximum(train, test).astype(np.int16) - 1
    masks = {"train_mask": train > 0, "test_mask": test > 0}
    return scene.with_(labels=labels), make_split("fixed", labels, scene.n_classes, seed=0, **masks)


def make_map(name: str, scene: Scene, split: Split, seed: int) -> tuple[SegmentationMap, int]:
    """A map of the scene and the side of the window the method looks at."""
    if name in CLASSICAL:
        fit, window = CLASSICAL[name]
        model = fit_spectral(scene, split, fit, window=window, seed=seed)
        probs = predict_map(model, scene.cube)
        return SegmentationMap(probs, scene.classes, scene.colours, made_by=(name,)), model.window
    if name.startswith(("gan", "twin")):
        return make_gan_map(name, scene, split, seed)
    plain = name.removesuffix(", flips")
    kind, settings, shape = NETWORKS[plain]
    trained = train_network(scene, split, kind=kind, settings=settings, network=shape, seed=seed, quiet=True)  # type: ignore[arg-type]
    made = map_scene(trained, scene, made_by=name, flips=name != plain)
    return made, 2 * trained.network.margin + 1


def make_gan_map(name: str, scene: Scene, split: Split, seed: int) -> tuple[SegmentationMap, int]:
    ending = next(e for e in reversed(POOLS) if name.endswith(e))
    assert scene.labels is not None
    pool = {POOLS[0]: None, POOLS[1]: scene.labels >= 0, POOLS[2]: ~split.test}[ending]
    settings = GANS[name.removesuffix(ending)]
    trained = train_gan(scene, split, settings=settings, pool=pool, seed=seed, quiet=True)
    return map_scene(trained, scene, made_by=name), settings.window


def open_base(name: str) -> Scene:
    """Indian Pines, the stand-in for Pavia University made from its real ground truth, or invented regions."""
    if name == "simulated-regions":
        return simulate_potts((96, 96), make_up_spectra(8, 60, seed=0), seed=0, unlabelled=0.15, name=name).scene
    if name == "simulated-usgs-potts":
        return simulate_usgs_potts(data_folder(), seed=0).scene
    if name == "simulated-pavia-university":
        return simulate_pavia_university(data_folder(), seed=0).scene
    return open_card(load_card(name))


def measure(base: Scene, protocol: str, names: list[str], seeds: range, log: Path) -> Iterator[dict[str, Any]]:
    """One row per protocol, seed and method, with and without the CRF; rows in the log are not computed again."""
    known = [json.loads(line) for line in log.read_text().splitlines()] if log.exists() else []
    for seed in seeds:
        for name in names:
            wanted = (base.name, protocol, seed, name)
            rows = [
                r for r in known if (r.get("scene", "indian-pines"), r["protocol"], r["seed"], r["method"]) == wanted
            ]
            if not rows:
                if protocol == "fixed":
                    scene, split = published(base)
                else:
                    assert base.labels is not None
                    scene, split = base, make_split(protocol, base.labels, base.n_classes, seed=seed)
                rows = list(run(protocol, name, scene, split, seed))
                with log.open("a") as file:
                    file.writelines(json.dumps(r) + "\n" for r in rows)
            yield from rows


def run(protocol: str, name: str, scene: Scene, split: Split, seed: int) -> Iterator[dict[str, Any]]:
    started = time.perf_counter()
    made, window = make_map(name, scene, split, seed)
    seconds = time.perf_counter() - started
    maps: dict[str, Callable[[], SegmentationMap]] = {"": lambda: made}
    if (name == "cnn3d" or name in REFINED) and split.val.any():
        maps[" + dense-crf"] = lambda: refine_with_crf(made, scene, split, engine="lattice", device="cpu").map
    for suffix, get in maps.items():
        found = score_map(get(), scene, split, window=window)
        kept = {k: found[k] for k in ("OA", "AA", "kappa", "boundary_OA", "ece", "per_class")}
        leak = found["leak"]
        yield {
            "scene": scene.name, "protocol": protocol, "seed": seed, "method": name, "step": name + suffix, **kept,
            "leak_a": leak["a"], "leak_b": leak["b"], "window": window, "seconds": seconds,
        }  # fmt: skip


def table(rows: list[dict[str, Any]], reference: str) -> str:
    """Markdown: mean and spread per step, and the paired difference in OA to `reference`."""
    head = f"| method | window | leak A / B | OA | AA | kappa | OA at borders | ECE | OA - {reference}, paired | s |"
    lines = [head, "|---|---|---|---|---|---|---|---|---|---|"]
    for step in dict.fromkeys(r["step"] for r in rows):
        mine = sorted((r for r in rows if r["step"] == step), key=lambda r: r["seed"])
        theirs = {r["seed"]: r["OA"] for r in rows if r["step"] == reference}
        pairs = np.array([(r["OA"], theirs[r["seed"]]) for r in mine if r["seed"] in theirs])
        against = difference(pairs) if len(pairs) > 1 and step != reference else "–"
        cells = [spread(np.array([r[k] for r in mine])) for k in ("OA", "AA", "kappa", "boundary_OA", "ece")]
        leak = f"{np.mean([r['leak_a'] for r in mine]):.1f} / {np.mean([r['leak_b'] for r in mine]):.1f}"
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
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--first", type=int, default=0, help="first seed")
    parser.add_argument("--reference", default="svm")
    parser.add_argument("--log", type=Path, default=Path("bench_accuracy.jsonl"))
    options = parser.parse_args()
    base = open_base(options.scene)
    for protocol in options.protocol:
        seeds = range(options.first, options.first + options.seeds)
        rows = list(measure(base, protocol, options.methods, seeds, options.log))
        print(f"\n### {base.name}, {protocol}, {options.seeds} seeds\n\n{table(rows, options.reference)}", flush=True)


if __name__ == "__main__":
    main()
