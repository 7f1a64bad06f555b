"""A run read back from its folder: model, preprocessing, refiners, and what its classes are."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hyperseg.core import HypersegError, RunError
from hyperseg.data.drift import DriftReference
from hyperseg.data.preprocess import Preprocess
from hyperseg.gan.networks import Discriminator
from hyperseg.hsi.classical import SpectralClassifier, fit_features
from hyperseg.hsi.networks import SceneNet, build_network, for_inference, spec_from_json
from hyperseg.recipes.mapping.prepare import load_drift
from hyperseg.recipes.methods.look_at_gan import load_gan
from hyperseg.recipes.refiners.deep_crf import Encoder
from hyperseg.recipes.run.outputs import TRAINING
from hyperseg.recipes.run.rebuild import Refine, rebuild
from hyperseg.recipes.run.record import MODEL, RECORD, load_model, load_weights, unprefixed


@dataclass(frozen=True)
class LoadedRun:
    """A run read back: a network or a classical model, its preprocessing, what its classes are and what it saw."""

    model: SceneNet | Discriminator | SpectralClassifier
    preprocess: Preprocess
    classes: tuple[str, ...]
    colours: tuple[tuple[int, int, int], ...]
    chain: tuple[str, ...]
    refiners: tuple[Refine, ...]
    scene_name: str
    flips: bool = False
    wavelengths_nm: NDArray[np.float64] | None = None
    scale: float | None = None
    drift: DriftReference | None = None


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
        model = build_network(spec_from_json(record["model"]["network"]), seed=0)
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
        None if record.get("wavelengths_nm") is None else np.asarray(record["wavelengths_nm"], float),
        record.get("scale"),
        load_drift(tensors),
    )
