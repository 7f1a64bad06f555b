"""A run read back from its folder: model, refiners, what its classes are and what it saw."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hyperseg.core import HypersegError, RunError
from hyperseg.core.codes import codes_of
from hyperseg.core.groups import Fallback
from hyperseg.core.parts import Fitted, Model, Saved, unprefixed
from hyperseg.core.words import distinct
from hyperseg.data.applicability import Applicability
from hyperseg.data.preprocess import Preprocess
from hyperseg.io.write.targets import RECORD
from hyperseg.recipes.mapping.applicability import load_applicability
from hyperseg.recipes.methods import METHODS
from hyperseg.recipes.refiners import REFINERS
from hyperseg.recipes.run.record import WEIGHTS, load_model
from hyperseg.recipes.run.repeat import MODEL
from hyperseg.recipes.tricks.choosing import tricked_method


@dataclass(frozen=True)
class LoadedRun:
    """A run read back.

    Attributes:
        model: the method.
        refiners: those of its chain that change a map.
        classes, colours: of its maps.
        chain: names of all that made its map.
        scene_name, wavelengths_nm, scale, nodata: of the scene it was trained on.
        codes: of the classes in its maps, as in `Scene`; None in runs of versions that kept none.
        fallback: what its maps fall back to where a class is a guess, or None where its classes have no groups.
        calibrated: whether its refined maps are: the last refiner that has a say in that calibrates.
        applicability: where its accuracy means something, or None where too little is known.
        disagrees: whether its maps tell how far the answers of its method disagree.
    """

    model: Model
    refiners: tuple[Fitted, ...]
    classes: tuple[str, ...]
    colours: tuple[tuple[int, int, int], ...]
    chain: tuple[str, ...]
    scene_name: str
    wavelengths_nm: NDArray[np.float64] | None = None
    scale: float | None = None
    nodata: float | None = None
    codes: tuple[int, ...] | None = None
    fallback: Fallback | None = None
    calibrated: bool = False
    applicability: Applicability | None = None
    disagrees: bool = False

    @property
    def preprocess(self) -> Preprocess:
        found: Preprocess = self.model.preprocess
        return found


def load_run(run: Path) -> LoadedRun:
    """Read the model of a run folder.

    Raises:
        RunError: the folder is not a finished run, or its parts do not fit together.
    """
    tensors, record = load_model(run)
    if "kind" in record:
        raise RunError(f"{run}: is a model of spectra and maps no classes: use `hyperseg anomaly {run} SCENE`.")
    try:
        return _taken_up(tensors, record)
    except (KeyError, TypeError, ValueError, AttributeError, RuntimeError, HypersegError) as error:
        raise RunError(
            f"{run}: {RECORD} and {WEIGHTS} do not fit together or were edited ({type(error).__name__}: {error}). "
            f"Train again with --from {run / RECORD}."
        ) from error


def _taken_up(tensors: Mapping[str, NDArray[Any]], record: Mapping[str, Any]) -> LoadedRun:
    parts = record["model"]
    method = tricked_method(METHODS[record["settings"]["method"]], record["settings"].get("tricks", ()))
    model: Model = method.load(Saved(parts["model"], unprefixed(MODEL, tensors)))
    if not model.n_classes == len(record["classes"]) == len(record["colours"]):
        raise ValueError(
            f"{model.n_classes} classes are scored, {len(record['classes'])} named, {len(record['colours'])} coloured"
        )
    fitted = [
        REFINERS[entry["name"]].load(Saved(entry["record"], unprefixed(f"refiner{i}", tensors)), model)
        for i, entry in enumerate(parts["refiners"])
    ]
    refiners = tuple(refiner for refiner in fitted if not refiner.changes_nothing)
    deciding = [kind for r in refiners if not (kind := REFINERS[r.name]).keeps_calibration]
    return LoadedRun(
        model,
        refiners,
        distinct(record["classes"]),
        tuple(tuple(c) for c in record["colours"]),
        tuple(record["chain"]),
        record["scene"]["name"],
        None if record.get("wavelengths_nm") is None else np.asarray(record["wavelengths_nm"], float),
        record.get("scale"),
        record["scene"].get("nodata"),
        None if (codes := record.get("codes")) is None else codes_of(len(record["classes"]), codes),
        None if (groups := record.get("groups")) is None else Fallback.from_json(groups),
        bool(deciding) and deciding[-1].calibrates,
        load_applicability(tensors),
        method.disagrees,
    )
