"""`classify`: from a scene and its labels to a map, its accuracy, and the accuracy of what it has to beat."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from functools import partial
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from hyperseg.core import LabelError, Scene, SceneError, SegmentationMap, SettingError, Split
from hyperseg.data.augment import SpectralNoise
from hyperseg.data.splits import make_split
from hyperseg.engine import choose_device, choose_precision, predict_scene, scene_progress
from hyperseg.hsi.classical import Method as ClassicalMethod
from hyperseg.hsi.classical import SpectralClassifier, fit_baseline, predict_map
from hyperseg.hsi.networks import Kind
from hyperseg.recipes.refine import refine_with_crf
from hyperseg.recipes.repeat import RepeatResult, load_repeat, save_repeat, score_map
from hyperseg.recipes.run_folder import RunFolder, open_run
from hyperseg.recipes.train import Trained, TrainSettings, train_network

Method = Literal["cnn3d", "ssrn", "hybrid", "svm", "rf"]
Refiner = Literal["dense-crf"]
METHODS: tuple[Method, ...] = ("cnn3d", "ssrn", "hybrid", "svm", "rf")
NETWORKS: dict[str, Kind] = {"cnn3d": "cnn3d", "ssrn": "ssrn", "hybrid": "hybrid"}
CLASSICAL: dict[str, ClassicalMethod] = {"svm": "svm", "rf": "random-forest", "lda": "lda3x3"}


@dataclass(frozen=True)
class ClassifySettings:
    """Everything that decides a run; written to run.json and repeatable from it.

    Attributes:
        method: what makes the map.
        split: spelling of the split, see `hyperseg.data.splits.make_split`.
        refine: refiners after the method, in order.
        baselines: classical methods measured beside it on the same split.
        repeats: runs with seeds seed, seed + 1, ...: each draws its own split and weights.
        seed: of the first repeat, whose map is the one written.
        crf_engine: "lattice" or "pydensecrf".
        flips: average predictions over the eight flips and rotations.
        train: how networks are trained.
    """

    method: Method = "cnn3d"
    split: str = "parcels"
    refine: tuple[Refiner, ...] = ("dense-crf",)
    baselines: tuple[str, ...] = ("svm",)
    repeats: int = 3
    seed: int = 0
    crf_engine: Literal["lattice", "pydensecrf"] = "lattice"
    flips: bool = False
    train: TrainSettings = field(default_factory=TrainSettings)

    def __post_init__(self) -> None:
        if self.method not in METHODS:
            raise SettingError(f"unknown method {self.method!r}: choose one of {', '.join(METHODS)}.")
        if self.repeats < 1:
            raise SettingError(f"repeats must be at least 1, got {self.repeats}.")
        unknown = set(self.baselines) - set(CLASSICAL)
        if unknown:
            raise SettingError(f"unknown baselines {sorted(unknown)}: choose from {', '.join(CLASSICAL)}.")

    def to_json(self) -> dict[str, Any]:
        return asdict(self)

    @staticmethod
    def from_json(data: Mapping[str, Any]) -> ClassifySettings:
        """The settings of a run.json; unknown keys are refused."""
        unknown = set(data) - {f.name for f in fields(ClassifySettings)}
        if unknown:
            raise SettingError(f"a classification run has no settings named {sorted(unknown)}.")
        train = dict(data.get("train", {}))
        if "noise" in train:
            train["noise"] = SpectralNoise(**train["noise"])
        plain: dict[str, Any] = {
            k: tuple(v) if isinstance(v, list) else v for k, v in data.items() if k != "train"
        }
        return ClassifySettings(**plain, train=TrainSettings(**train))


@dataclass(frozen=True)
class Masks:
    """Training and test rasters for the `fixed` split: bool masks or file codes, (H, W)."""

    train: NDArray[Any] | None = None
    test: NDArray[Any] | None = None


def classify(
    scene: Scene,
    settings: ClassifySettings | None = None,
    *,
    out: Path | None = None,
    masks: Masks | None = None,
    device: str = "auto",
    resume: bool = False,
    quiet: bool = False,
    inputs: Mapping[str, Any] | None = None,
) -> tuple[RunFolder, dict[str, Any]]:
    """Split, train, map, refine and score; write the run folder.

    Args:
        scene: with labels; two classes or more.
        settings: what to run.
        out: run folder; default runs/SCENE-METHOD.
        masks: for the `fixed` split.
        device: "auto", "cpu", "cuda", ...
        resume: continue an interrupted run.
        quiet: no progress bars.
        inputs: what the scene, labels and masks were opened from, kept in run.json.

    Returns:
        The folder and the content of metrics.json.

    Raises:
        HypersegError: before any training, for whatever the input lacks.
    """
    from hyperseg.recipes.outputs import finish_run

    settings, masks = settings or ClassifySettings(), masks or Masks()
    began = time.monotonic()
    check_scene(scene)
    where = choose_device(device)
    first_split = draw_split(scene, settings, masks, repeat=0)
    folder = open_run(out, default=f"{scene.name}-{settings.method}", resume=resume)
    results, first = [], None
    for repeat in range(settings.repeats):
        done = load_repeat(folder, repeat, settings) if resume else None
        if done is None:
            split = first_split if repeat == 0 else draw_split(scene, settings, masks, repeat=repeat)
            done = _run_repeat(scene, split, settings, repeat, folder, device=str(where), quiet=quiet)
            save_repeat(folder, repeat, settings, done)
        results.append(done.summary)
        first = first or done
    assert first is not None
    metrics = finish_run(
        folder,
        scene,
        first_split,
        settings,
        results,
        first,
        inputs=inputs or {},
        device=str(where),
        began=began,
    )
    return folder, metrics


def check_scene(scene: Scene) -> None:
    """Raise unless the scene can be classified."""
    if len(scene.shape) != 2:
        raise SceneError(
            f"{scene.name}: classify maps (rows, columns, bands) cubes, this one is {scene.cube.shape}."
        )
    counts = scene.class_counts()
    if np.count_nonzero(counts) < 2:
        raise LabelError(
            f"{scene.name}: {np.count_nonzero(counts)} class is labelled, at least 2 are needed to tell anything apart."
        )


def draw_split(scene: Scene, settings: ClassifySettings, masks: Masks, *, repeat: int) -> Split:
    """The split of one repeat."""
    assert scene.labels is not None
    return make_split(
        settings.split, scene.labels, scene.n_classes, seed=settings.seed + repeat, valid=scene.valid,
        train_mask=masks.train, test_mask=masks.test,
    )  # fmt: skip


@dataclass(frozen=True)
class Made:
    """A map, the model behind it, the window it looks at, and how long it took."""

    map: SegmentationMap
    model: Trained | SpectralClassifier
    window: int
    seconds: dict[str, float]


def _run_repeat(
    scene: Scene,
    split: Split,
    settings: ClassifySettings,
    repeat: int,
    folder: RunFolder,
    *,
    device: str,
    quiet: bool,
) -> RepeatResult:
    """Baselines, the method and its refiners on one split."""
    tag = f"repeat {repeat + 1}/{settings.repeats}"
    run = partial(
        _make_map, scene, split, settings, repeat=repeat, folder=folder, device=device, quiet=quiet, tag=tag
    )
    names = [*(b for b in settings.baselines if b != settings.method), settings.method]
    made = {name: run(name) for name in names}
    final = made[settings.method]
    steps = {name: score_map(m.map, scene, split, window=m.window) for name, m in made.items()}
    seconds = {key: value for m in made.values() for key, value in m.seconds.items()}
    refined, crf = final.map, None
    chain: str = settings.method
    for refiner in settings.refine:
        started = time.monotonic()
        crf = refine_with_crf(refined, scene, split, engine=settings.crf_engine, device=device)
        refined, chain = crf.map, f"{chain} + {refiner}"
        seconds[chain] = time.monotonic() - started
        steps[chain] = score_map(refined, scene, split, window=final.window)
    return RepeatResult.of(refined, final.model, crf, steps, seconds, split)


def _make_map(
    scene: Scene,
    split: Split,
    settings: ClassifySettings,
    name: str,
    *,
    repeat: int,
    folder: RunFolder,
    device: str,
    quiet: bool,
    tag: str,
) -> Made:
    """Fit one method on the split's training pixels and map the scene with it."""
    started, pixels, seed = time.monotonic(), scene.shape[0] * scene.shape[1], settings.seed + repeat
    if name in CLASSICAL:
        model = fit_baseline(scene, split, method=CLASSICAL[name], seed=seed)
        with scene_progress(f"{tag}: {name}", pixels, quiet=quiet) as progress:
            width = scene.shape[1]
            probs = predict_map(model, scene.cube, on_rows=lambda done, _: progress(done * width, pixels))
        made = SegmentationMap(probs, scene.classes, scene.colours, scene.grid, (name,), scene.valid)
        return Made(made, model, model.window, {name: time.monotonic() - started})
    precision = choose_precision(device)
    trained = train_network(
        scene, split, kind=NETWORKS[name], settings=settings.train, seed=seed, device=device, precision=precision,
        checkpoint=folder.unfinished / f"train{repeat}.pt", resume=True, quiet=quiet, label=f"{tag}: {name}",
    )  # fmt: skip
    training = time.monotonic() - started
    with scene_progress(f"{tag}: mapping", pixels, quiet=quiet) as progress:
        made = predict_scene(
            trained.network, scene, trained.preprocess, made_by=name, device=device, precision=precision,
            flips=settings.flips, progress=progress,
        )  # fmt: skip
    seconds = {f"{name}, training": training, name: time.monotonic() - started - training}
    return Made(made, trained, 2 * trained.network.margin + 1, seconds)
