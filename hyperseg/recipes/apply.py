"""A trained run applied to another scene of the same sensor, streamed window by window."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from hyperseg.core import UNLABELLED, RunError, Scene, SceneError, SegmentationMap
from hyperseg.crf import DenseCRF
from hyperseg.data.preprocess import Preprocess, row_blocks
from hyperseg.data.write import MapWriter
from hyperseg.engine import choose_device, choose_precision, predict_tiles, scene_progress
from hyperseg.hsi.classical import SpectralClassifier, fit_features, predict_rows
from hyperseg.hsi.networks import NetworkSpec, SceneNet, build_network
from hyperseg.recipes.outputs import TRAINING
from hyperseg.recipes.refine import refine_like
from hyperseg.recipes.run_folder import load_model, unprefixed


@dataclass(frozen=True)
class LoadedRun:
    """A run read back: a network or a classical model, its preprocessing, and what its classes are."""

    model: SceneNet | SpectralClassifier
    preprocess: Preprocess
    classes: tuple[str, ...]
    colours: tuple[tuple[int, int, int], ...]
    chain: tuple[str, ...]
    crf: DenseCRF | None
    guide: Preprocess | None
    scene_name: str


def load_run(run: Path) -> LoadedRun:
    """Read the model of a run folder.

    Raises:
        RunError: the folder is not a finished run, or its parts do not fit together.
    """
    tensors, record = load_model(run)
    preprocess = Preprocess.from_arrays(unprefixed("preprocess", tensors))
    model: SceneNet | SpectralClassifier
    if "network" in record["model"]:
        spec = NetworkSpec.from_json(record["model"]["network"])
        model = build_network(spec, seed=0)
        weights = {k: torch.from_numpy(v.copy()) for k, v in unprefixed("network", tensors).items()}
        try:
            model.load_state_dict(weights)
        except RuntimeError as error:
            raise RunError(f"{run}: the weights do not fit the network of run.json ({error}).") from error
        model.eval()
    else:
        stored, saved = unprefixed(TRAINING, tensors), record["model"]["classical"]
        model = fit_features(
            stored["features"], stored["labels"], method=saved["name"], seed=int(record["split"]["seed"]),
            n_classes=len(record["classes"]), preprocess=preprocess, window=int(saved["window"]),
        )  # fmt: skip
    guide, crf = unprefixed("guide", tensors), record["model"].get("crf")
    return LoadedRun(
        model,
        preprocess,
        tuple(record["classes"]),
        tuple(tuple(c) for c in record["colours"]),
        tuple(record["chain"]),
        DenseCRF(**crf) if crf else None,
        Preprocess.from_arrays(guide) if guide else None,
        record["scene"]["name"],
    )


def apply_run(
    run: Path, scene: Scene, *, out: Path, refine: bool = False, device: str = "auto", quiet: bool = False
) -> Path:
    """Map `scene` with the model of `run`; write `out` and OUT-confidence.tif.

    Args:
        run: folder written by `classify`.
        scene: same bands as the run's scene; read window by window.
        out: GeoTIFF to write.
        refine: apply the run's dense CRF too; then probabilities and guide are held in memory.
        device, quiet: as in `classify`.

    Raises:
        SceneError: another number of bands.
    """
    loaded = load_run(run)
    if scene.n_bands != loaded.preprocess.n_bands:
        raise SceneError(
            f"{scene.name} has {scene.n_bands} bands, the run {run} was trained on {loaded.preprocess.n_bands} "
            f"({loaded.scene_name}). A model can only map scenes with the same bands in the same order."
        )
    scene = scene.with_(labels=None, classes=loaded.classes, colours=loaded.colours)
    confidence = out.with_name(out.stem + "-confidence.tif")
    out.parent.mkdir(parents=True, exist_ok=True)
    parts = predictions(loaded, scene, device=device)
    if refine:
        parts = _refined(loaded, scene, parts)
    done, total = 0, scene.shape[0] * scene.shape[1]
    with (
        MapWriter(
            out,
            scene.shape,
            classes=loaded.classes,
            colours=loaded.colours,
            grid=scene.grid,
            confidence_path=confidence,
        ) as writer,
        scene_progress(f"mapping {scene.name}", total, quiet=quiet) as progress,
    ):
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
    network = loaded.model.to(where)
    tiles = predict_tiles(
        network,
        scene,
        loaded.preprocess,
        device=where,
        precision=choose_precision(where),
    )
    for tile, probs in tiles:
        yield tile.core_slices, probs


def _refined(
    loaded: LoadedRun, scene: Scene, parts: Iterator[tuple[tuple[slice, ...], Any]]
) -> Iterator[tuple[tuple[slice, ...], Any]]:
    if loaded.crf is None or loaded.guide is None:
        yield from parts
        return
    probs = np.empty((*scene.shape, len(loaded.classes)), np.float32)
    for window, values in parts:
        probs[window] = values
    rough = SegmentationMap(probs, loaded.classes, loaded.colours, scene.grid, loaded.chain[:1], scene.valid)
    whole = tuple(slice(0, n) for n in scene.shape)
    yield whole, refine_like(rough, scene, loaded.crf, loaded.guide).probs
