"""One method fitted on the training pixels of a split, and its map of the scene."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hyperseg.core import Scene, SegmentationMap, Split
from hyperseg.engine import choose_precision, predict_scene, scene_progress
from hyperseg.hsi.classical import SpectralClassifier, fit_baseline, predict_map
from hyperseg.hsi.networks import for_inference
from hyperseg.recipes.run.settings import CLASSICAL, NETWORKS, TWIN, ClassifySettings
from hyperseg.recipes.training.gan import TrainedGan, train_gan
from hyperseg.recipes.training.network import Trained, train_network

TITLES = {TWIN: "supervised twin"}  # what a progress bar calls a step
Model = Trained | TrainedGan | SpectralClassifier


@dataclass(frozen=True)
class Made:
    """What a method made: its name, the map, the model behind it, the window it looks at, how long it took."""

    name: str
    map: SegmentationMap
    model: Model
    window: int
    seconds: Mapping[str, float]


@dataclass(frozen=True)
class Job:
    """What all methods of a repeat share.

    Attributes:
        scene, split, settings, seed: what to fit on, and how.
        pool: pixels a semi-supervised method may look at without their labels, or None for all of them.
        device: where networks are.
        checkpoints: stem of the files of interrupted training; the method's name is appended.
        tag: in front of every progress bar.
        quiet: no progress bars.
    """

    scene: Scene
    split: Split
    settings: ClassifySettings
    seed: int
    pool: NDArray[np.bool_] | None
    device: str
    checkpoints: Path
    tag: str
    quiet: bool


def make_map(job: Job, name: str) -> Made:
    """Fit the method called `name` and map the whole scene with it."""
    return _classical(job, name) if name in CLASSICAL else _network(job, name)


def _classical(job: Job, name: str) -> Made:
    started, scene = time.monotonic(), job.scene
    model = fit_baseline(scene, job.split, method=CLASSICAL[name], seed=job.seed)
    height, width = scene.shape
    with scene_progress(f"{job.tag}: {name}", height * width, quiet=job.quiet) as progress:
        probs = predict_map(model, scene.cube, on_rows=lambda done, _: progress(done * width, height * width))
    made = SegmentationMap(probs, scene.classes, scene.colours, scene.grid, (name,), scene.valid)
    return Made(name, made, model, model.window, {name: time.monotonic() - started})


def _network(job: Job, name: str) -> Made:
    started, settings = time.monotonic(), job.settings
    precision = choose_precision(job.device)
    how: dict[str, Any] = {
        "seed": job.seed, "device": job.device, "precision": precision, "quiet": job.quiet, "resume": True,
        "checkpoint": job.checkpoints.with_name(f"{job.checkpoints.name}-{name}.pt"),
        "label": f"{job.tag}: {TITLES.get(name, name)}",
    }  # fmt: skip
    trained: Trained | TrainedGan
    if name in NETWORKS:
        trained = train_network(job.scene, job.split, kind=NETWORKS[name], settings=settings.train, **how)
    else:
        gan = settings.gan.twin if name == TWIN else settings.gan
        trained = train_gan(job.scene, job.split, settings=gan, pool=job.pool, **how)
    training = time.monotonic() - started
    with scene_progress(f"{job.tag}: mapping", int(np.prod(job.scene.shape)), quiet=job.quiet) as progress:
        made = map_scene(
            trained, job.scene, made_by=name, device=job.device, precision=precision, flips=settings.flips,
            progress=progress,
        )  # fmt: skip
    seconds = {f"{name}, training": training, name: time.monotonic() - started - training}
    return Made(name, made, trained, 2 * trained.network.margin + 1, seconds)


def map_scene(
    trained: Trained | TrainedGan, scene: Scene, *, made_by: str, **options: Any
) -> SegmentationMap:
    """The map of a trained network, by a lean copy of it; further options are those of `predict_scene`."""
    lean, preprocess = for_inference(trained.network, trained.preprocess)
    return predict_scene(lean, scene, preprocess, made_by=made_by, **options)
