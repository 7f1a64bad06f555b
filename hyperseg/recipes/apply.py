"""A trained run applied to another scene of the same sensor, streamed window by window."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from os.path import exists, samefile
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hyperseg.core import (
    UNLABELLED,
    DataFileError,
    HypersegError,
    RunError,
    Scene,
    SceneError,
    SegmentationMap,
)
from hyperseg.data.preprocess import Preprocess, row_blocks
from hyperseg.data.read import split_key
from hyperseg.data.write import MapWriter
from hyperseg.engine import choose_device, choose_precision, predict_tiles, scene_progress
from hyperseg.gan.networks import Discriminator
from hyperseg.hsi.classical import SpectralClassifier, fit_features, predict_rows
from hyperseg.hsi.networks import NetworkSpec, SceneNet, build_network, for_inference
from hyperseg.recipes.chain import Refine, rebuild
from hyperseg.recipes.look_at_gan import load_gan
from hyperseg.recipes.outputs import TRAINING
from hyperseg.recipes.record import MODEL, RECORD, load_model, load_weights, unprefixed
from hyperseg.recipes.refine_deep import Encoder

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class LoadedRun:
    """A run read back: a network or a classical model, its preprocessing, and what its classes are."""

    model: SceneNet | Discriminator | SpectralClassifier
    preprocess: Preprocess
    classes: tuple[str, ...]
    colours: tuple[tuple[int, int, int], ...]
    chain: tuple[str, ...]
    refiners: tuple[Refine, ...]
    scene_name: str
    flips: bool = False


def load_run(run: Path) -> LoadedRun:
    """Read the model of a run folder.

    Raises:
        RunError: the folder is not a finished run, or its parts do not fit together.
    """
    tensors, record = load_model(run)
    try:
        return _rebuilt(tensors, record)
    except (KeyError, TypeError, ValueError, RuntimeError, HypersegError) as error:
        raise RunError(
            f"{run}: {RECORD} and {MODEL} do not fit together or were edited ({type(error).__name__}: {error}). "
            f"Train again with --from {run / RECORD}."
        ) from error


def _rebuilt(tensors: Mapping[str, NDArray[Any]], record: Mapping[str, Any]) -> LoadedRun:
    preprocess = Preprocess.from_arrays(unprefixed("preprocess", tensors))
    model: SceneNet | Discriminator | SpectralClassifier
    if "network" in record["model"]:
        model = build_network(NetworkSpec.from_json(record["model"]["network"]), seed=0)
        load_weights(model, "network", tensors)
    elif "gan" in record["model"]:
        model = load_gan(tensors, record["model"]).network
    else:
        stored, saved = unprefixed(TRAINING, tensors), record["model"]["classical"]
        model = fit_features(
            stored["features"], stored["labels"], method=saved["name"], seed=int(record["split"]["seed"]),
            n_classes=len(record["classes"]), preprocess=preprocess, window=int(saved["window"]),
        )  # fmt: skip
    scored = model.n_classes if isinstance(model, SpectralClassifier) else model.spec.n_classes
    if not scored == len(record["classes"]) == len(record["colours"]):
        raise ValueError(
            f"{scored} classes are scored, {len(record['classes'])} named, {len(record['colours'])} coloured"
        )
    base = None
    if not isinstance(model, SpectralClassifier):
        base = Encoder(*for_inference(model, preprocess))
    return LoadedRun(
        model,
        preprocess,
        tuple(record["classes"]),
        tuple(tuple(c) for c in record["colours"]),
        tuple(record["chain"]),
        tuple(rebuild(record["model"], tensors, base)),
        record["scene"]["name"],
        bool(record["settings"].get("flips", False)),
    )


def apply_run(
    run: Path, scene: Scene, *, out: Path, refine: bool = False, device: str = "auto", quiet: bool = False
) -> Path:
    """Map `scene` with the model of `run`; write `out` and OUT-confidence.tif.

    Args:
        run: folder written by `classify`.
        scene: same bands as the run's scene; read window by window.
        out: GeoTIFF to write.
        refine: apply the run's refiners too; then the probabilities are held in memory.
        device, quiet: as in `classify`.

    Raises:
        RunError: the folder holds no whole run.
        SceneError: another number of bands.
        DataFileError: `out` cannot be written, or is the scene itself.
    """
    where = str(choose_device(device))
    loaded = load_run(run)
    if scene.n_bands != loaded.preprocess.n_bands:
        raise SceneError(
            f"{scene.name} has {scene.n_bands} bands, the run {run} was trained on {loaded.preprocess.n_bands} "
            f"({loaded.scene_name}). A model can only map scenes with the same bands in the same order."
        )
    check_bands(loaded, scene)
    if refine and not loaded.refiners:
        log.warning("%s: this run has no refiner, or none changed anything: the map is not refined", run)
    return map_windows(loaded, scene, out=out, refine=refine, device=where, quiet=quiet)


def check_bands(loaded: LoadedRun, scene: Scene) -> None:
    """Remark on bands that the model reads and that hold nothing in this scene."""
    if scene.good_bands is None:
        return
    lacking = np.flatnonzero(loaded.preprocess.keep & ~scene.good_bands)
    if lacking.size:
        log.warning(
            "%s: the model reads %d bands that are dead or marked bad here (%s): expect a worse map",
            scene.name, lacking.size, ", ".join(map(str, lacking[:10])),
        )  # fmt: skip


def map_windows(
    loaded: LoadedRun, scene: Scene, *, out: Path, refine: bool = False, device: str, quiet: bool
) -> Path:
    """Predict window by window and write each as it comes; memory does not grow with the scene."""
    scene = scene.with_(labels=None, classes=loaded.classes, colours=loaded.colours)
    confidence = out.with_name(out.stem + "-confidence.tif")
    source = split_key(scene.source)[0]
    for target in (out, confidence):
        if exists(target) and exists(source) and samefile(target, source):
            raise DataFileError(f"{target}: is the scene itself; choose another --out for its map.")
    parts = predictions(loaded, scene, device=device)
    if refine:
        parts = _refined(loaded, scene, parts, device=device)
    done, total = 0, scene.shape[0] * scene.shape[1]
    writer = MapWriter(
        out, scene.shape, classes=loaded.classes, colours=loaded.colours, grid=scene.grid, confidence_path=confidence,
        made_by=loaded.chain if refine else loaded.chain[:1],
    )  # fmt: skip
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise DataFileError(
            f"{out.parent}: the folder cannot be created ({error.strerror}). Choose a writable --out."
        ) from error
    with writer, scene_progress(f"mapping {scene.name}", total, quiet=quiet) as progress:
        for window, probs in parts:
            labels = probs.argmax(-1).astype(np.int16)
            if scene.valid is not None:
                labels[~scene.valid[window]] = UNLABELLED
            writer.write(window, labels, probs.max(-1))
            done += labels.size
            progress(done, total)
    return out


def predictions(loaded: LoadedRun, scene: Scene, *, device: str) -> Iterator[tuple[tuple[slice, ...], Any]]:
    """(window, (h, w, K) probabilities) over the scene."""
    if isinstance(loaded.model, SpectralClassifier):
        for rows in row_blocks(scene.cube):
            yield (rows, slice(0, scene.shape[1])), predict_rows(loaded.model, scene.cube, rows)
        return
    where = choose_device(device)
    network, preprocess = for_inference(loaded.model.to(where), loaded.preprocess)
    tiles = predict_tiles(
        network,
        scene,
        preprocess,
        device=where,
        precision=choose_precision(where),
        flips=loaded.flips,
    )
    for tile, probs in tiles:
        yield tile.core_slices, probs


def _refined(
    loaded: LoadedRun, scene: Scene, parts: Iterator[tuple[tuple[slice, ...], Any]], *, device: str
) -> Iterator[tuple[tuple[slice, ...], Any]]:
    if not loaded.refiners:
        yield from parts
        return
    probs = np.empty((*scene.shape, len(loaded.classes)), np.float32)
    for window, values in parts:
        probs[window] = values
    refined = SegmentationMap(
        probs, loaded.classes, loaded.colours, scene.grid, loaded.chain[:1], scene.valid
    )
    for refine in loaded.refiners:
        refined = refine(refined, scene, device)
    yield tuple(slice(0, n) for n in scene.shape), refined.probs
