"""How many labelled regions does a map need: those that `hyperseg suggest` names, beside random and other choices.

    python tests/benchmarks/bench_suggest.py --first 10 --seeds 20
    python tests/benchmarks/bench_suggest.py --first 10 --seeds 20 --test fields
    python tests/benchmarks/bench_suggest.py --scene simulated-pavia-university --first 10 --seeds 10 --rounds 6

Units are the regions that `suggest` cuts out of the scene (`find_fields`), of which the ground truth covers more than
half; a region that is chosen is labelled whole with the class of most of its pixels. One region of every class is
there at the start, then `--batch` are added at a time. The map is LDA on means of 3 x 3 pixels with the refiner
`trees`, trained on all pixels of the labelled regions.

The test pixels of a seed are the same for all strategies, and are never candidates: half of the regions of every
class (`--test regions`: the rest of this scene, where a test region may lie beside a labelled one of its field), or
every third field of the ground truth (`--test fields`: new fields; regions that touch one are no candidates, classes of
one field are not tested). Test pixels within `--guard` pixels of any candidate are dropped.

The last table tells how many *added* regions a strategy needs for what random choice reaches, as a share of what
random choice adds, on the mean curves; "all" counts the first regions too.
"""

from __future__ import annotations

import argparse
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import binary_dilation

from hyperseg.core import Scene
from hyperseg.data.preprocess import fit_preprocess
from hyperseg.data.splits.components import parcel_numbers
from hyperseg.hsi.classical import fit_lda, gather_features
from hyperseg.io.catalog import load_card, open_card
from hyperseg.regions.fields import Fields, find_fields
from hyperseg.regions.gain import choose, expected_wrong
from hyperseg.regions.scene import Regions, mnf_of, regions_of
from hyperseg.regions.settings import Cut, Growth
from hyperseg.simulated.scenes import simulate_pavia_university

DATA = Path(os.environ.get("HYPERSEG_DATA", Path(__file__).parents[3] / "shared" / "data"))
SCENES = ("indian-pines", "simulated-pavia-university")
STRATEGIES = ("random", "largest", "uncertain", "suggest")
Mask = NDArray[np.bool_]


@dataclass(frozen=True)
class World:
    """A scene with what all strategies share."""

    scene: Scene
    fields: Fields
    regions: Regions
    features: NDArray[np.float32]  # (H, W, L) means of 3 x 3 standardised pixels
    counts: NDArray[np.int64]  # (R, K) pixels of every class

    @property
    def truth(self) -> NDArray[np.int16]:
        assert self.scene.labels is not None
        return self.scene.labels


@dataclass(frozen=True)
class Trial:
    """What one seed decides."""

    test: Mask
    candidates: Mask
    start: list[int]
    seed: int


def open_base(name: str) -> Scene:
    return open_card(load_card(name)) if name == SCENES[0] else simulate_pavia_university(DATA, seed=0).scene


def open_world(scene: Scene, field_px: float) -> World:
    fields = find_fields(scene, field_px=field_px)
    found = mnf_of(scene, max(Growth().components))
    assert fields is not None
    assert found is not None
    assert scene.labels is not None
    every = np.ones(scene.shape, bool) if scene.valid is None else scene.valid
    raw = np.asarray(scene.cube)[every]
    preprocess = fit_preprocess(raw[:: max(1, len(raw) // 20_000)].astype(np.float32), good_bands=scene.good_bands)
    features = gather_features(scene, np.ones(scene.shape, bool), preprocess=preprocess, window=3)
    counts = np.zeros((len(fields.pixels), scene.n_classes), np.int64)
    known = (scene.labels >= 0) & (fields.number >= 0)
    np.add.at(counts, (fields.number[known], scene.labels[known]), 1)
    regions = regions_of(scene, *found, Growth())
    return World(scene, fields, regions, features.reshape(*scene.shape, -1), counts)


def draw(world: World, seed: int, test: str, guard: int) -> Trial:
    rng = np.random.default_rng(seed)
    truth, number, major = world.truth, world.fields.number, world.counts.argmax(1)
    covered = world.counts.sum(1) > 0.5 * world.fields.pixels
    candidates, chosen = covered.copy(), np.zeros(truth.shape, bool)
    for k in range(world.scene.n_classes):
        if test == "regions":
            mine = rng.permutation(np.flatnonzero(covered & (major == k)))
            held = mine[: len(mine) // 2]
            candidates[held] = False
            chosen |= np.isin(number, held) & (truth >= 0)
        else:
            parcels = parcel_numbers(truth)
            mine = rng.permutation(np.unique(parcels[truth == k]))
            n = len(mine) // 3 if len(mine) > 2 else len(mine) - 1
            chosen |= np.isin(parcels, mine[: max(n, 0)])
    if test == "fields":
        candidates &= ~world.fields.holding(chosen)
    area = np.append(candidates, False)[number]
    chosen &= ~binary_dilation(area, np.ones((3, 3)), iterations=guard)
    classes = [np.flatnonzero(candidates & (major == k)) for k in range(world.scene.n_classes)]
    return Trial(chosen, candidates, [int(rng.choice(c)) for c in classes if len(c)], seed)


def map_with(world: World, labelled: list[int]) -> NDArray[np.float32]:
    """(H, W, K) probabilities of LDA with trees, trained on all pixels of the labelled regions."""
    mask = np.isin(world.fields.number, labelled)
    classes = world.counts.argmax(1)[world.fields.number[mask]]
    model = fit_lda(world.features[mask], classes, seed=0, n_classes=world.scene.n_classes)
    probs = model.probabilities(world.features.reshape(-1, world.features.shape[-1]))
    return world.regions.pooled(probs.reshape(*world.truth.shape, -1), Cut())


def pick(
    strategy: str, world: World, trial: Trial, labelled: list[int], probs: Any, n: int, rng: np.random.Generator
) -> list[int]:
    fields = world.fields
    known = np.isin(np.arange(len(fields.pixels)), labelled)
    free = np.flatnonzero(trial.candidates & ~known)
    means = fields.means(probs)
    match strategy:
        case "random":
            return [int(r) for r in rng.permutation(free)[:n]]
        case "largest":
            value = fields.pixels.astype(float)
        case "uncertain":
            value = 1 - means.max(1)
        case "suggest":
            wrong = expected_wrong(means, fields.pixels)
            found = choose(wrong, fields.spectra, labelled=known, open_to=trial.candidates, budget=n)
            return [int(r) for r in found.regions]
        case _:
            raise SystemExit(f"unknown strategy {strategy!r}: {', '.join(STRATEGIES)}.")
    return [int(r) for r in free[np.argsort(-value[free], kind="stable")[:n]]]


def run(world: World, trial: Trial, strategy: str, *, batch: int, rounds: int) -> NDArray[np.float64]:
    """(rounds + 1, 2) OA and AA in percent."""
    labelled, found, rng = list(trial.start), [], np.random.default_rng([trial.seed, 1])
    for done in range(rounds + 1):
        probs = map_with(world, labelled)
        right, truth = probs.argmax(-1)[trial.test] == world.truth[trial.test], world.truth[trial.test]
        found.append((right.mean(), np.mean([right[truth == k].mean() for k in np.unique(truth)])))
        if done < rounds:
            labelled += pick(strategy, world, trial, labelled, probs, batch, rng)
    return 100 * np.array(found)


def needed(reference: NDArray[np.float64], curve: NDArray[np.float64], batch: int, start: float = 0) -> list[float]:
    """For what the reference has reached after every batch: the share of its regions that the curve needs; NaN: more
    than were added. A curve counts as having what it had before."""
    reference, curve = np.maximum.accumulate(reference), np.maximum.accumulate(curve)
    added = start + batch * np.arange(len(curve))
    shares = []
    for i in range(1, len(reference)):
        if curve[-1] < reference[i]:
            shares.append(float("nan"))
            continue
        j = int(np.argmax(curve >= reference[i]))  # the first that reaches it
        part = 1.0 if j == 0 else (reference[i] - curve[j - 1]) / (curve[j] - curve[j - 1])
        shares.append(float(added[j] - (1 - part) * batch * (j > 0)) / added[i])
    return shares


def show(curves: dict[str, NDArray[np.float64]], *, batch: int, start: float) -> None:
    """Mean and spread over seeds of OA and AA; paired differences to random choice; what each needs."""
    added = [f"+{batch * i}" for i in range(next(iter(curves.values())).shape[1])]
    for m, what in enumerate(("OA", "AA")):
        print(f"\n| {what} after | {' | '.join(added)} |\n|---|{'---|' * len(added)}")
        for name, runs in curves.items():
            cells = [f"{a:.1f} ± {s:.1f}" for a, s in zip(runs[..., m].mean(0), runs[..., m].std(0), strict=True)]
            print(f"| {name} | {' | '.join(cells)} |")
    base = curves.get("random")
    if base is None:
        return
    print(
        "\n| | mean OA - random | mean AA - random | share needed for OA | AA | all, OA | all, AA |\n|---|" + "---|" * 6
    )
    for name, runs in curves.items():
        gap = runs[:, 1:].mean(1) - base[:, 1:].mean(1)
        error = gap.std(0, ddof=1) / len(gap) ** 0.5 if len(gap) > 1 else np.zeros(2)
        ends = [f"{g:+.1f} ± {e:.1f} (s.e.)" for g, e in zip(gap.mean(0), error, strict=True)]
        for first in (0.0, start):
            for m in range(2):
                shares = needed(base[..., m].mean(0), runs[..., m].mean(0), batch, first)
                missed = int(np.isnan(shares).sum())
                middle = float(np.median(np.nan_to_num(shares, nan=9.0)))  # what is never reached counts as the most
                ends.append(f"{100 * middle:.0f} %{f' ({missed} of {len(shares)} not reached)' * bool(missed)}")
        print(f"| {name} | {' | '.join(ends)} |")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--scene", default="indian-pines", choices=SCENES)
    parser.add_argument("--strategies", nargs="+", default=list(STRATEGIES))
    parser.add_argument("--test", default="regions", choices=("regions", "fields"))
    parser.add_argument("--guard", type=int, default=2)
    parser.add_argument("--batch", type=int, default=5)
    parser.add_argument("--rounds", type=int, default=8)
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--first", type=int, default=0, help="first seed")
    parser.add_argument("--field-px", type=float, default=80)
    chosen = parser.parse_args()
    world = open_world(open_base(chosen.scene), chosen.field_px)
    seeds = range(chosen.first, chosen.first + chosen.seeds)
    trials = [draw(world, seed, chosen.test, chosen.guard) for seed in seeds]
    start = float(np.mean([len(t.start) for t in trials]))
    print(
        f"\n### {world.scene.name}, test {chosen.test}, seeds {seeds[0]}-{seeds[-1]}: {len(world.fields.pixels)} "
        f"regions, {np.mean([t.candidates.sum() for t in trials]):.0f} candidates, {start:.0f} at the start, "
        f"{np.mean([t.test.sum() for t in trials]):.0f} test pixels",
        flush=True,
    )
    curves = {}
    for strategy in chosen.strategies:
        runs = [run(world, t, strategy, batch=chosen.batch, rounds=chosen.rounds) for t in trials]
        curves[strategy] = np.stack(runs)
    show(curves, batch=chosen.batch, start=start)


if __name__ == "__main__":
    main()
