"""`classify`: from a scene and its labels to a map, its accuracy, and the accuracy of what it has to beat."""

from __future__ import annotations

import os
import time
import zlib
from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, replace
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hyperseg.core import LabelError, Scene, SceneError, SettingError, Split, SplitError
from hyperseg.data.splits import make_split
from hyperseg.engine import choose_device, from_first, join_processes, rank
from hyperseg.hsi.networks import build_network
from hyperseg.recipes.methods.look_at_gan import describe_gan
from hyperseg.recipes.refiners.deep_crf import training_pairs
from hyperseg.recipes.run.chain import Link, refine
from hyperseg.recipes.run.folder import RunFolder, going_on, open_run
from hyperseg.recipes.run.make import Job, Made, make_map
from hyperseg.recipes.run.repeat import RepeatResult, load_repeat, save_repeat, score_map
from hyperseg.recipes.run.settings import CLASSICAL, METHODS, NETWORKS, TWIN, ClassifySettings
from hyperseg.recipes.training.gan import TrainedGan, pool_mask
from hyperseg.recipes.training.network import network_spec, prepare

__all__ = ["METHODS", "ClassifySettings", "Masks", "classify"]


@dataclass(frozen=True)
class Masks:
    """Rasters beside the labels, bool masks or file codes, (H, W).

    Attributes:
        train, test: for the `fixed` split.
        pool: pixels that a semi-supervised method may look at without their labels; None is the whole scene.
    """

    train: NDArray[Any] | None = None
    test: NDArray[Any] | None = None
    pool: NDArray[Any] | None = None


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

    Under torchrun all processes do the same and share every batch of the training; process 0 alone writes and talks.
    With equal shares gradients are those of the whole batch, but batch norm and dropout see only a share: the map
    is as good as that of one process, not the same.

    Args:
        scene: with labels; two classes or more.
        settings: what to run.
        out: run folder; default runs/SCENE-METHOD.
        masks: for the `fixed` split, and the pool of `gan`.
        device: "auto", "cpu", "cuda", ...
        resume: continue an interrupted run.
        quiet: no progress bars.
        inputs: what the scene, labels and masks were opened from, kept in run.json.

    Returns:
        The folder and the content of metrics.json.

    Raises:
        HypersegError: before any training, for whatever the input lacks.
    """
    from hyperseg.recipes.run.outputs import finish_run

    settings, masks = settings or ClassifySettings(), masks or Masks()
    began = time.monotonic()
    check_scene(scene)
    if settings.method not in CLASSICAL:
        check_memory(scene)
    where = choose_device(device)
    splits = [draw_split(scene, settings, masks, repeat=repeat) for repeat in range(settings.repeats)]
    check_method(scene, splits[0], settings)
    pool = None if masks.pool is None else pool_mask(scene, masks.pool)
    join_processes(where)
    started = identity(scene, splits, settings, pool)
    folder = from_first(
        lambda: open_run(out, default=f"{scene.name}-{settings.method}", resume=resume, started=started)
    )
    with going_on(folder) if rank() == 0 else nullcontext():
        results: list[RepeatResult] = []
        for repeat, split in enumerate(splits):
            # all processes do the same, or they would wait for each other for ever
            if not (resume and from_first(partial(_taken_up, results, folder, repeat))):
                job = Job(
                    scene, split, settings, seed=settings.seed + repeat, pool=pool, device=str(where),
                    checkpoints=folder.unfinished / f"train{repeat}", tag=f"repeat {repeat + 1}/{settings.repeats}",
                    quiet=quiet,
                )  # fmt: skip
                results.append(_run_repeat(job))
                from_first(partial(save_repeat, folder, repeat, results[-1]))
            if len(results) > 1:  # of the further ones only the scores are needed
                results[-1] = replace(results[-1], tensors={})
        metrics = from_first(
            lambda: finish_run(
                folder, scene, splits[0], settings, [r.summary for r in results], results[0], inputs=inputs or {},
                device=str(where), began=began,
            )
        )  # fmt: skip
    return folder, metrics


def _taken_up(results: list[RepeatResult], folder: RunFolder, repeat: int) -> bool:
    """Whether an interrupted run has done this repeat; its result is appended then."""
    done = load_repeat(folder, repeat)
    results += [] if done is None else [done]
    return done is not None


def check_scene(scene: Scene) -> None:
    """Raise unless the scene can be classified."""
    if len(scene.shape) != 2:
        raise SceneError(
            f"{scene.name}: classify maps (rows, columns, bands) cubes, this one is {scene.cube.shape}."
        )
    counts = scene.class_counts()
    if np.count_nonzero(counts) < 2:
        named = ", ".join(scene.classes[k] for k in np.flatnonzero(counts)) or "none"
        raise LabelError(
            f"{scene.name}: {np.count_nonzero(counts)} class is labelled ({named}), at least 2 are needed to tell "
            "anything apart. Label pixels of another class."
        )


def check_memory(scene: Scene) -> None:
    """Raise for a scene whose preprocessed cube, which training holds, is more than this machine's memory."""
    needed, there = 4 * int(np.prod(scene.cube.shape)), memory_bytes()
    if there is not None and needed > there:
        raise SceneError(
            f"{scene.name}: training holds {needed / 1e9:.1f} GB of preprocessed pixels, this machine has "
            f"{there / 1e9:.1f} GB of memory. Train on a part that holds the labels (gdal_translate -srcwin COLUMN ROW "
            "WIDTH HEIGHT SCENE PART), then map all of it with `hyperseg map RUN SCENE`."
        )


def memory_bytes() -> int | None:
    """Memory of this machine; None where the system does not tell (Windows)."""
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, ValueError, OSError):
        return None


def draw_split(scene: Scene, settings: ClassifySettings, masks: Masks, *, repeat: int) -> Split:
    """The split of one repeat; one without test pixels is refused, as nothing could be said about its map."""
    assert scene.labels is not None
    split = make_split(
        settings.split, scene.labels, scene.n_classes, seed=settings.seed + repeat, valid=scene.valid,
        train_mask=masks.train, test_mask=masks.test, parcels=scene.parcels,
    )  # fmt: skip
    if not split.test.any():
        raise SplitError(
            f"{scene.name}: the split {split.how} with seed {split.seed} leaves no test pixel ({split.note}). "
            "Label more, train on less, or choose a smaller guard or a random split."
        )
    return split


def check_method(scene: Scene, split: Split, settings: ClassifySettings) -> None:
    """Raise for whatever would stop the method or its refiners later, after minutes of training."""
    kind = NETWORKS.get(settings.base, "cnn3d")
    preprocess = prepare(scene, split, kind=kind, whiten=settings.train.whiten)
    if settings.base in NETWORKS:
        build_network(network_spec(scene, split, preprocess, kind=kind, settings=settings.train), seed=0)
    if settings.method in ("gan", TWIN):
        settings.gan.spec(n_features=preprocess.n_out, n_classes=scene.n_classes)
    n_train, n_classes = int(split.train.sum()), scene.n_classes - len(split.untrainable)
    if "lda" in settings.baselines and n_train <= n_classes:
        raise SettingError(
            f"the baseline lda needs more training pixels than classes, the split gives {n_train} for {n_classes}: "
            "train on more, or choose another baseline."
        )
    if "deep-crf" in settings.refiners and settings.deep.crf.form == "joint":
        training_pairs(scene, split, replace(settings.deep, least_edges=1), seed=settings.seed)
    if (
        "dense-crf" in settings.refiners
        and settings.crf_engine == "pydensecrf"
        and find_spec("pydensecrf") is None
    ):
        raise SettingError(
            "--crf-engine pydensecrf is not installed: pip install 'hyperseg[crf]' (a C++ compiler is needed), or "
            "use lattice, which gives the same map and needs nothing."
        )


def identity(
    scene: Scene, splits: Sequence[Split], settings: ClassifySettings, pool: NDArray[np.bool_] | None
) -> dict[str, Any]:
    """What a run to be resumed must have been started with, as JSON."""
    assert scene.labels is not None
    parts = b"".join(
        np.packbits(m).tobytes() for split in splits for m in (split.train, split.val, split.test)
    )
    return {
        "settings": settings.to_json(),
        "scene": {"name": scene.name, "shape": list(scene.shape), "bands": scene.n_bands},
        "labels": {"classes": list(scene.classes), "checksum": zlib.crc32(scene.labels.tobytes())},
        "split": {"checksum": zlib.crc32(parts)},
        "pool": None if pool is None else {"checksum": zlib.crc32(np.packbits(pool).tobytes())},
    }


def _run_repeat(job: Job) -> RepeatResult:
    """Baselines, the method and its refiners on one split."""
    scene, split, settings = job.scene, job.split, job.settings
    made = {name: make_map(job, name) for name in settings.steps}
    base = made[settings.base]
    steps = {name: score_map(m.map, scene, split, window=m.window) for name, m in made.items()}
    seconds = {key: value for m in made.values() for key, value in m.seconds.items()}
    for control, refiners in settings.controls:
        _score_links(refine(job, made[control], refiners), made[control], job, steps, seconds)
    links = refine(job, base, settings.refiners)
    _score_links(links, base, job, steps, seconds)
    gan = None
    if isinstance(base.model, TrainedGan):
        gan = describe_gan(base.model, scene, split, pool=job.pool, seed=job.seed)
    final = links[-1].map if links else base.map
    return RepeatResult.of(final, base.model, links, steps, seconds, gan=gan)


def _score_links(
    links: Sequence[Link], base: Made, job: Job, steps: dict[str, Any], seconds: dict[str, float]
) -> None:
    """Add a step for every refiner, named by the chain so far."""
    chain = base.name
    for link in links:
        chain = f"{chain} + {link.name}"
        seconds[chain] = link.seconds
        steps[chain] = score_map(link.map, job.scene, job.split, window=link.window)
