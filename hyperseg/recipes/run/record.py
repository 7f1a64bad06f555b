"""What a finished run leaves for later use: weights with their preprocessing, and the record of the run."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hyperseg.core import RunError
from hyperseg.core.words import one_line
from hyperseg.io.write import as_json, replacing, write_json
from hyperseg.io.write.targets import RECORD
from hyperseg.recipes.run.folder import UNFINISHED, RunFolder

WEIGHTS = "model.safetensors"
FORMAT = 3  # of the record
FREE = ("inputs", "settings", "versions")  # what a user may edit for a run like it; the rest belongs to the weights


def save_model(folder: RunFolder, tensors: Mapping[str, NDArray[Any]], record: Mapping[str, Any]) -> None:
    """Write weights and preprocessing (safetensors) and the record of the run (JSON)."""
    from safetensors.numpy import save

    # written here: safetensors' own writer reports a full disk as no OSError, and lets only the owner read
    weights = save({name: np.ascontiguousarray(a) for name, a in tensors.items()})
    with replacing(folder / WEIGHTS) as temporary:
        temporary.write_bytes(weights)
    kept = {"format": FORMAT, **record}
    write_json(folder / RECORD, {**kept, "seal": seal(weights, kept)})


def seal(weights: bytes, record: Mapping[str, Any]) -> str:
    """A checksum (SHA-256) of weights and of what the record says about them: neither goes without the other."""
    tied = {k: v for k, v in record.items() if k not in (*FREE, "seal")}
    tied["method"] = record["settings"].get("method") if isinstance(record["settings"], Mapping) else None
    text = json.dumps(json.loads(as_json(tied)), sort_keys=True)
    return hashlib.sha256(text.encode() + weights).hexdigest()


def load_model(run: Path) -> tuple[dict[str, NDArray[Any]], dict[str, Any]]:
    """Read back what `save_model` wrote.

    Raises:
        RunError: the folder holds no finished run, its files are damaged, or do not belong together.
    """
    from safetensors import SafetensorError
    from safetensors.numpy import load

    record = load_record(run)
    try:
        weights = (run / WEIGHTS).read_bytes()
        tensors = load(weights)
    except (OSError, SafetensorError, ValueError) as error:
        raise RunError(
            f"{run / WEIGHTS}: missing or damaged ({one_line(str(error))}). Train again with --from {run / RECORD}."
        ) from error
    if seal(weights, record) != record.get("seal"):
        raise RunError(
            f"{run}: {RECORD} and {WEIGHTS} do not belong together: one of them was edited, damaged or is of another "
            f"run. Put the originals back, or train again with --from {run / RECORD}."
        )
    if wrong := [name for name, a in tensors.items() if a.dtype.kind == "f" and not np.isfinite(a).all()]:
        raise RunError(f"{run / WEIGHTS}: {wrong[0]} holds numbers that are not finite; its maps would say nothing.")
    return tensors, record


def load_record(path: Path) -> dict[str, Any]:
    """Read a run.json; a folder stands for the run.json inside."""
    file = path / RECORD if path.is_dir() else path
    try:
        record = json.loads(file.read_text(encoding="utf-8"))
    except RecursionError as error:
        raise RunError(f"{file}: not a JSON record of a run (nested too deeply).") from error
    except OSError as error:
        hint = "Give the folder of a finished run, e.g. runs/indian-pines-cnn3d."
        if (file.parent / UNFINISHED).is_dir():
            hint = f"This run has not ended: repeat its `hyperseg classify ...` with --out {file.parent} --resume."
        raise RunError(f"{file}: {error.strerror}. {hint}") from error
    except ValueError as error:
        raise RunError(f"{file}: not a JSON record of a run ({error}).") from error
    if not isinstance(record, dict) or not isinstance(record.get("settings"), dict):
        raise RunError(f"{file}: not the record of a run: it has no `settings`.")
    if record.get("format") != FORMAT:
        by = record.get("versions")
        raise RunError(
            f"{file}: a record of format {record.get('format', 1)}, this version of hyperseg writes and reads format "
            f"{FORMAT}. Classify the scene again with the same options, or use the version that made the run "
            f"({by.get('hyperseg', 'not named') if isinstance(by, dict) else 'not named'})."
        )
    if not isinstance(record.get("inputs", {}), dict):
        raise RunError(f"{file}: not the record of a run: its `inputs` name no files.")
    return record
