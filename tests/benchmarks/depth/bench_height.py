"""Height of the ground, roofs and trees from spectra: heads on a denoiser's features beside ridge regression.

    OMP_NUM_THREADS=1 python tests/benchmarks/depth/bench_height.py FOLDER [--tune] [--to LINES.jsonl] [--keep FOLDER]

FOLDER holds muffle_dataset_130_90.mat (MUUFL Gulfport, 90x90 pixels, 64 bands, and a surface model by laser as `DSM`).
The surface model lies between 0.15 and 0.94 in that file, in no stated unit: errors are told in these units, not in
metres.

A denoiser learns all windows of the scene (whitened principal components), without heights; the spectra of test pixels
are among them, as they are in an ordinary map of a scene. Blocks of 15x15 pixels are dealt to both sides, 30 % to
training; pixels within 8 of a training block are in neither. Of the training side 50, 200 or 1000 pixels have a height.
Ten splits, the same for all rows. Settings were chosen on the splits 10 to 12 with 200 heights (`--tune`), the table is
of 0 to 9.
"""

from __future__ import annotations

import argparse
import itertools
import json
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.io import loadmat
from scipy.ndimage import maximum_filter, uniform_filter
from scipy.spatial import cKDTree

from hyperseg.backbone import resized, seeded
from hyperseg.core.runtime import Runtime
from hyperseg.dpm.model import DiffusionModel
from hyperseg.dpm.network import Denoiser, denoiser_spec
from hyperseg.dpm.stored import read_model, write_model
from hyperseg.dpm.tapped.head import PixelHead, head_spec
from hyperseg.dpm.tapped.learning import HeadSettings, read_heads, tapped_at, train_heads
from hyperseg.dpm.training import DiffusionSettings, train_diffusion

Array = NDArray[np.float64]

FILE = "muffle_dataset_130_90.mat"
SIDE, STRIDE = 16, 4  # of windows
BLOCK, SHARE, GUARD = 15, 0.3, 8
LABELLED = (50, 200, 1000)
LAMBDAS = 10.0 ** np.arange(-3, 6)
FOLDS = 5
SPLITS, TUNING = range(10), range(10, 13)


@dataclass(frozen=True)
class Chosen:
    """What was tuned."""

    components: int = 8
    steps: int = 1500  # of the denoiser
    head_steps: int = 150
    decay: float = 0.1
    latest: float = 0.5
    times: tuple[float, ...] = (0.05, 0.15, 0.3)
    fractions: tuple[float, ...] = (0.0, 0.5, 1.0)
    hidden: tuple[int, ...] = (64, 32)


@dataclass(frozen=True)
class Split:
    """Numbers of pixels: with heights and their blocks, and those that are tested."""

    train: NDArray[np.intp]
    block: NDArray[np.intp]
    test: NDArray[np.intp]


def drawn(shape: tuple[int, ...], n: int, seed: int) -> Split:
    """A split; fewer heights of one seed are among its more."""
    rng = np.random.default_rng(seed)
    rows, columns = (np.arange(extent) // BLOCK for extent in shape)
    block = rows[:, None] * (columns[-1] + 1) + columns
    order = rng.permutation(block.max() + 1)
    side = np.isin(block, order[: round(SHARE * len(order))])
    test = ~maximum_filter(side, 2 * GUARD + 1)
    train = rng.permutation(np.flatnonzero(side))[:n]
    return Split(train, block.ravel()[train], np.flatnonzero(test))


def ridge(x: Array, y: Array, split: Split) -> Array:
    """What ridge regression says of the test pixels; its lambda is chosen by whole blocks left out."""
    mean, scale = x[split.train].mean(0), x[split.train].std(0) + 1e-9
    x = (x - mean) / scale
    fold = np.unique(split.block, return_inverse=True)[1] % FOLDS
    errors = np.zeros(len(LAMBDAS))
    for k in range(FOLDS):
        away, kept = split.train[fold == k], split.train[fold != k]
        if len(away) and len(kept):
            errors += [np.square(said - y[away]).sum() for said in _solved(x[kept], y[kept], x[away], LAMBDAS)]
    best = LAMBDAS[int(np.argmin(errors))]
    return _solved(x[split.train], y[split.train], x[split.test], [best])[0]


def _solved(x: Array, y: Array, new: Array, lambdas: Iterable[float]) -> list[Array]:
    middle, level = x.mean(0), y.mean()
    u, s, v = np.linalg.svd(x - middle, full_matrices=False)
    a, b = (new - middle) @ v.T, u.T @ (y - level)
    return [a @ (s / (s * s + lam) * b) + level for lam in lambdas]


def near_by(y: Array, split: Split, shape: tuple[int, ...]) -> Array:
    """Heights of the eight nearest training pixels, weighted by one over the squared distance; spectra do not count."""
    places = np.stack(np.unravel_index(np.arange(len(y)), shape), 1)
    away, which = cKDTree(places[split.train]).query(places[split.test], k=8)
    weight = 1 / away**2
    return (weight * y[split.train][which]).sum(1) / weight.sum(1)


def windows(x: torch.Tensor) -> tuple[torch.Tensor, list[tuple[int, int]]]:
    """(n, C, 16, 16) windows of (C, h, w), and where they begin."""
    at = [[*range(0, extent - SIDE, STRIDE), extent - SIDE] for extent in x.shape[1:]]
    corners = [(i, j) for i in at[0] for j in at[1]]
    return torch.stack([x[:, i : i + SIDE, j : j + SIDE] for i, j in corners]), corners


def joined(parts: torch.Tensor, corners: list[tuple[int, int]], shape: tuple[int, ...]) -> torch.Tensor:
    """(C, h, w) of (n, C, 16, 16): what windows say of a pixel, weighted by how central it is in each."""
    ramp = torch.minimum(torch.arange(1, SIDE + 1), torch.arange(SIDE, 0, -1)).float()
    weight, total, sums = ramp[:, None] * ramp, torch.zeros(shape), torch.zeros(parts.shape[1], *shape)
    for part, (i, j) in zip(parts, corners, strict=True):
        sums[:, i : i + SIDE, j : j + SIDE] += part * weight
        total[i : i + SIDE, j : j + SIDE] += weight
    return sums / total


def whitened(cube: Array, k: int) -> torch.Tensor:
    """(k, h, w) principal components of variance 1 of all pixels."""
    x = cube.reshape(-1, cube.shape[-1])
    u, _, _ = np.linalg.svd(x - x.mean(0), full_matrices=False)
    parts = u[:, :k] * np.sqrt(len(x))
    return torch.from_numpy(parts.T.reshape(k, *cube.shape[:2]).astype(np.float32))


def trained(x: torch.Tensor, chosen: Chosen, seed: int) -> DiffusionModel:
    """A denoiser of all windows, wherever they begin."""
    every = x.unfold(1, SIDE, 1).unfold(2, SIDE, 1).permute(1, 2, 0, 3, 4).reshape(-1, len(x), SIDE, SIDE).contiguous()
    spec = denoiser_spec(len(x), 2, widths=(16, 32, 64), cond_dim=64)
    how = DiffusionSettings(
        objective="eps", schedule="linear", steps=chosen.steps, batch=32, lr=2e-3, ema=0.995, keep_raw=False
    )
    return train_diffusion(every, spec, how, Runtime(seed=seed, quiet=True))


def kept(x: torch.Tensor, chosen: Chosen, folder: Path | None) -> DiffusionModel:
    """The denoiser of seed 0, from a file of the folder where it was trained before."""
    if folder is None:
        return trained(x, chosen, 0)
    file = folder / f"height-{chosen.components}-{chosen.steps}.safetensors"
    if not file.exists():
        folder.mkdir(parents=True, exist_ok=True)
        write_model(file, trained(x, chosen, 0))
    return read_model(file)


def untrained(model: DiffusionModel, seed: int) -> DiffusionModel:
    with seeded(seed):
        return replace(model, network=Denoiser(model.spec).eval())


def features(model: DiffusionModel, x: torch.Tensor, chosen: Chosen) -> Array:
    """(pixels, features): all levels at several times, one noise each."""
    parts, corners = windows(x)
    noise = torch.randn(parts.shape, generator=torch.Generator().manual_seed(0))
    found = []
    for t in chosen.times:
        said = []
        for some, eta in zip(parts.split(64), noise.split(64), strict=True):
            levels = tapped_at(model, some, eta, torch.full((len(some),), t, dtype=torch.float64)).levels
            said.append(torch.cat([resized(level, (SIDE, SIDE)) for level in levels], 1))
        found.append(joined(torch.cat(said), corners, tuple(x.shape[1:])))
    return torch.cat(found).flatten(1).T.double().numpy()


def head_says(model: DiffusionModel, x: torch.Tensor, y: Array, split: Split, chosen: Chosen, seed: int) -> Array:
    """What a pixel head, trained on the split's heights, says of the test pixels: the mean over times."""
    parts, corners = windows(x)
    mean, scale = y[split.train].mean(), y[split.train].std()
    known = torch.full((x[0].numel(),), torch.nan)
    known[split.train] = torch.from_numpy((y[split.train] - mean) / scale).float()
    target, _ = windows(known.reshape(1, *x.shape[1:]))
    some = target.isfinite().flatten(1).any(1)
    with seeded(seed):
        head = PixelHead(head_spec(model.spec, chosen.fractions, 1, hidden=chosen.hidden))
    how = HeadSettings(steps=chosen.head_steps, batch=16, weight_decay=chosen.decay)
    runtime = Runtime(seed=seed, quiet=True)
    train_heads(model, {"height": head}, parts[some], target[some, 0], how, runtime, latest=chosen.latest)
    noise = torch.Generator().manual_seed(seed)
    said = torch.stack([read_heads(model, head, parts, time=t, generator=noise) for t in chosen.times]).mean(0)
    return joined(said, corners, tuple(x.shape[1:])).flatten().double().numpy()[split.test] * scale + mean


def rows(
    cube: Array, x: torch.Tensor, y: Array, model: DiffusionModel, chosen: Chosen, seed: int, *, plain: bool = True
) -> dict[str, Callable[..., Array]]:
    """Every way to say a height, by name: (split, seed) -> heights of the test pixels."""
    near = [uniform_filter(cube, (side, side, 1), mode="nearest") for side in (3, 7, 15)]
    spectra = cube.reshape(-1, cube.shape[-1])
    small = np.concatenate([spectra, near[0].reshape(spectra.shape)], 1)
    wide = np.concatenate([small, *(part.reshape(spectra.shape) for part in near[1:])], 1)
    learnt = features(model, x, chosen)
    found: dict[str, Callable[..., Array]] = {}
    if plain:
        raw = features(untrained(model, seed), x, chosen)
        found |= {
            "mean": lambda split, _: np.full(len(split.test), y[split.train].mean()),
            "nearest heights, no spectra": lambda split, _: near_by(y, split, cube.shape[:2]),
            "ridge, spectra": lambda split, _: ridge(spectra, y, split),
            "ridge, spectra and 3x3 mean": lambda split, _: ridge(small, y, split),
            "ridge, means of 1, 3, 7, 15": lambda split, _: ridge(wide, y, split),
            "ridge, untrained denoiser": lambda split, _: ridge(raw, y, split),
        }
    both = np.concatenate([wide, learnt], 1)
    found["ridge, means and denoiser"] = lambda split, _: ridge(both, y, split)
    found["ridge, denoiser"] = lambda split, _: ridge(learnt, y, split)
    found["pixel head, denoiser"] = lambda split, s: head_says(model, x, y, split, chosen, s)
    return found


def measured(
    ways: dict[str, Callable[..., Array]], y: Array, shape: tuple[int, ...], splits: Iterable[int],
    labelled: Iterable[int], note: dict[str, Any], to: Path | None,
) -> list[dict[str, Any]]:  # fmt: skip
    """A line for each way, number of heights and split; those that stand in a file are not measured again."""
    lines = []
    kept = {_key(line): line for line in map(json.loads, to.read_text().splitlines())} if to and to.exists() else {}
    for n, seed, (way, says) in itertools.product(labelled, splits, ways.items()):
        split = drawn(shape, n, seed)
        line: dict[str, Any] = {**note, "way": way, "labelled": n, "split": seed, "tested": len(split.test)}
        if (found := kept.get(_key(line))) is None:
            began = time.perf_counter()
            error = np.square(says(split, seed) - y[split.test])
            line["r2"] = 1 - error.mean() / y[split.test].var()
            line["rmse"] = float(np.sqrt(error.mean()))
            line["seconds"] = round(time.perf_counter() - began, 2)
            if to:
                with to.open("a") as file:
                    file.write(json.dumps(line) + "\n")
        lines.append(found or line)
    return lines


def _key(line: dict[str, Any]) -> str:
    return json.dumps({k: v for k, v in line.items() if k not in ("r2", "rmse", "seconds")}, sort_keys=True)


def table(lines: list[dict[str, Any]], beside: str = "ridge, means of 1, 3, 7, 15") -> str:
    """Means over splits, and in how many of them a way is better than the ridge regression with most context."""
    said = [f"{'':28} {'heights':>7} {'R2':>14} {'RMSE':>15} {'wins':>6}"]
    for n in sorted({line["labelled"] for line in lines}):
        here = [line for line in lines if line["labelled"] == n]
        base = {line["split"]: line["rmse"] for line in here if line["way"] == beside}
        for way in dict.fromkeys(line["way"] for line in here):
            of = [line for line in here if line["way"] == way]
            r2, rmse = (np.array([line[key] for line in of]) for key in ("r2", "rmse"))
            wins = sum(line["rmse"] < base[line["split"]] for line in of) if base else 0
            told = f"{r2.mean():6.3f} ± {r2.std():5.3f} {rmse.mean():7.4f} ± {rmse.std():5.4f}"
            said.append(f"{way:28} {n:7} {told} {wins:3}/{len(of)}")
    return "\n".join(said)


TRIED: tuple[dict[str, Any], ...] = (
    {}, {"head_steps": 50}, {"times": (0.02, 0.05, 0.1), "latest": 0.2}, {"times": (0.05, 0.3, 0.6), "latest": 0.8},
    {"decay": 10.0}, {"hidden": (16,)}, {"fractions": (0.0, 0.5)}, {"head_steps": 500}, {"components": 4},
)  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--tune", action="store_true", help="compare settings on the splits 10 to 12")
    parser.add_argument("--quick", action="store_true", help="few steps and two splits: whether all runs")
    parser.add_argument(
        "--to", type=Path, help="results are added to this file, a line each; an interrupted run goes on"
    )
    parser.add_argument("--keep", type=Path, help="a folder where trained denoisers are kept, to be used again")
    given = parser.parse_args()
    torch.set_num_threads(1)
    held = loadmat(given.folder / FILE)
    cube, height = held["Y"].astype(np.float64), held["DSM"].astype(np.float64)
    y, shape = height.ravel(), height.shape
    usual = Chosen(steps=50, head_steps=20) if given.quick else Chosen()
    splits = TUNING if given.tune else range(2) if given.quick else SPLITS
    models: dict[int, DiffusionModel] = {}  # by components
    for change in TRIED if given.tune else ({},):
        chosen, began = replace(usual, **change), time.perf_counter()
        x = whitened(cube, chosen.components)
        if chosen.components not in models:
            models[chosen.components] = kept(x, chosen, given.keep)
        ways = rows(cube, x, y, models[chosen.components], chosen, 0, plain=not change)
        print(f"{change or 'as chosen'}: denoiser and features in {time.perf_counter() - began:.0f} s", flush=True)
        note = {"tuning": given.tune, "quick": given.quick, "change": change}
        lines = measured(ways, y, shape, splits, (200,) if given.tune else LABELLED, note, given.to)
        print(table(lines), flush=True)


if __name__ == "__main__":
    main()
