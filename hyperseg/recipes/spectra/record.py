"""A model of spectra in a folder, with what has to be known to apply it elsewhere."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hyperseg import __version__
from hyperseg.core import DataFileError, HypersegError, RunError, Scene
from hyperseg.core.parts import Saved
from hyperseg.core.settings import to_json
from hyperseg.data.preprocess import Preprocess
from hyperseg.io.write.targets import RECORD
from hyperseg.recipes.run.folder import RunFolder
from hyperseg.recipes.run.record import WEIGHTS, load_model, load_record, save_model
from hyperseg.recipes.spectra.model import SpectraModel, load_spectra_model
from hyperseg.recipes.spectra.typical import Typical

KIND = "spectra"  # what run.json calls such a run


@dataclass(frozen=True)
class Found:
    """What a command on spectra came to.

    Attributes:
        root: the folder.
        scores: as in its JSON, anomaly.json or generate.json.
    """

    root: Path
    scores: Mapping[str, Any]


@dataclass(frozen=True, eq=False)
class SpectraRun:
    """A model read back.

    Attributes:
        model: on the CPU.
        typical: what it finds usual.
        scene_name, wavelengths_nm, scale, nodata: of the scene it was learned from.
        learned: from which pixels of it.
    """

    model: SpectraModel
    typical: Typical
    scene_name: str
    learned: str
    wavelengths_nm: NDArray[np.float64] | None = None
    scale: float | None = None
    nodata: float | None = None
    applicability: None = None  # the score says it

    @property
    def preprocess(self) -> Preprocess:
        return self.model.whitening.preprocess


def save_run(root: Path, run: SpectraRun, *, inputs: Mapping[str, Any], n_learned: int, device: str) -> None:
    """Write model.safetensors and run.json."""
    saved = run.model.saved()
    record = {
        "kind": KIND, "settings": to_json(run.model.settings) | {"seed": run.model.seed}, "inputs": dict(inputs),
        "scene": {"name": run.scene_name, "nodata": run.nodata}, "wavelengths_nm": run.wavelengths_nm,
        "scale": run.scale, "learned": run.learned, "n_learned": n_learned, "device": device, "model": saved.record,
        "versions": {"hyperseg": __version__},
    }  # fmt: skip
    save_model(RunFolder(root), saved.arrays | run.typical.to_arrays(), record)


def load_spectra_run(root: Path) -> SpectraRun:
    """Read a run back.

    Raises:
        RunError: the folder holds no model of spectra, or its files do not fit together.
    """
    check_kind(root)
    tensors, record = load_model(root)
    try:
        nm = record.get("wavelengths_nm")
        return SpectraRun(
            load_spectra_model(Saved(record["model"], tensors)), Typical.from_arrays(tensors), record["scene"]["name"],
            record["learned"], None if nm is None else np.asarray(nm, float), record.get("scale"),
            record["scene"].get("nodata"),
        )  # fmt: skip
    except (KeyError, TypeError, ValueError, AttributeError, HypersegError) as error:
        raise RunError(
            f"{root}: {RECORD} and {WEIGHTS} do not fit together or were edited ({type(error).__name__}: {error}). "
            "Repeat its `hyperseg anomaly ...`."
        ) from error


def check_kind(root: Path) -> None:
    """Raise RunError unless the folder is a run of this kind."""
    if load_record(root).get("kind") != KIND:
        raise RunError(
            f"{root}: is a run that maps classes, not a model of spectra: `hyperseg anomaly SCENE` makes one."
        )


def check_replaceable(root: Path, *, overwrite: bool) -> None:
    """Refuse a folder that holds another run, unless it is of this kind and may be replaced.

    Raises:
        DataFileError: it does.
    """
    if not (root / RECORD).exists() and not (root / WEIGHTS).exists():
        return
    try:
        check_kind(root)
    except RunError as error:
        raise DataFileError(f"{root}: holds another run, and would be overwritten; choose another --out.") from error
    if not overwrite:
        raise DataFileError(
            f"{root}: holds a model, which is finished: `hyperseg anomaly {root} SCENE --out {root}` goes on without "
            "training. To learn anew choose another --out, or give --overwrite to replace the model."
        )


def check_other(out: Path, root: Path) -> None:
    """Refuse a map of one model in the folder of another one.

    Raises:
        DataFileError: `out` holds a run that is not `root`.
    """
    holds = (out / RECORD).exists() or (out / WEIGHTS).exists()
    if holds and out.resolve() != root.resolve():
        raise DataFileError(
            f"{out}: holds another model than {root}, and the map would seem to be that one's; choose another --out."
        )


def run_of(model: SpectraModel, typical: Typical, scene: Scene, learned: str) -> SpectraRun:
    """The run of a model that was learned from a scene."""
    return SpectraRun(model, typical, scene.name, learned, scene.wavelengths_nm, scene.scale, scene.nodata)
