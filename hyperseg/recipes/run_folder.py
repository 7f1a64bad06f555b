"""The folder of a run: what is in it, how it is created without overwriting, and how a run is read back."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hyperseg.core import RunError
from hyperseg.data.write import replacing, write_json

MODEL, RECORD, METRICS, UNFINISHED = "model.safetensors", "run.json", "metrics.json", "unfinished"


@dataclass(frozen=True)
class RunFolder:
    """Paths inside a run folder.

    Attributes:
        root: the folder.
    """

    root: Path

    @property
    def unfinished(self) -> Path:
        """Training states and finished repeats of a run that has not ended; removed at its end."""
        return self.root / UNFINISHED

    def __truediv__(self, name: str) -> Path:
        return self.root / name


def open_run(out: Path | None, *, default: str, resume: bool) -> RunFolder:
    """Create the folder of a run, or take up an unfinished one.

    Without `out` the folder is runs/DEFAULT, with -2, -3, ... where that exists. A folder that holds a run is
    never written into, except to resume it.

    Raises:
        RunError: `out` holds something already, cannot be written, or there is nothing to resume.
    """
    base = Path("runs") / default if out is None else out
    if resume:
        found = base if out is not None else _latest(base)
        if not (found / UNFINISHED).is_dir():
            state = "has ended" if (found / METRICS).exists() else "does not exist"
            raise RunError(f"{found}: nothing to resume, this run {state}. Start it without --resume.")
        return RunFolder(found)
    if out is None:
        n = 2
        while base.exists():
            base, n = Path("runs") / f"{default}-{n}", n + 1
    elif base.exists() and (not base.is_dir() or any(base.iterdir())):
        raise RunError(
            f"{base}: exists and is not empty; a run never overwrites another. "
            "Choose another --out, or continue an interrupted run with --resume."
        )
    try:
        (base / UNFINISHED).mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise RunError(
            f"{base}: the folder cannot be created ({error.strerror}). Choose a writable --out."
        ) from error
    return RunFolder(base)


def _latest(base: Path) -> Path:
    """The newest of runs/DEFAULT, runs/DEFAULT-2, ... that is unfinished, or the plain name."""
    found = [p for p in base.parent.glob(f"{base.name}*") if (p / UNFINISHED).is_dir()]
    return max(found, key=lambda p: p.stat().st_mtime, default=base)


def save_model(folder: RunFolder, tensors: Mapping[str, NDArray[Any]], record: Mapping[str, Any]) -> None:
    """Write weights and preprocessing (safetensors) and the record of the run (JSON)."""
    from safetensors.numpy import save_file

    with replacing(folder / MODEL) as temporary:
        save_file({name: np.ascontiguousarray(a) for name, a in tensors.items()}, str(temporary))
    write_json(folder / RECORD, record)


def load_model(run: Path) -> tuple[dict[str, NDArray[Any]], dict[str, Any]]:
    """Read back what `save_model` wrote.

    Raises:
        RunError: the folder holds no finished run, or its files are damaged.
    """
    from safetensors import SafetensorError
    from safetensors.numpy import load_file

    record = load_record(run / RECORD)
    try:
        return load_file(str(run / MODEL)), record
    except (OSError, SafetensorError) as error:
        raise RunError(
            f"{run / MODEL}: missing or damaged ({error}). Train again with --from {run / RECORD}."
        ) from error


def load_record(path: Path) -> dict[str, Any]:
    """Read a run.json; a folder stands for the run.json inside."""
    file = path / RECORD if path.is_dir() else path
    try:
        record = json.loads(file.read_text())
    except OSError as error:
        raise RunError(
            f"{file}: {error.strerror}. Give the folder of a finished run, e.g. runs/indian-pines."
        ) from error
    except ValueError as error:
        raise RunError(f"{file}: not a JSON record of a run ({error}).") from error
    if not isinstance(record, dict) or "settings" not in record:
        raise RunError(f"{file}: not the record of a run: it has no `settings`.")
    return record


def prefixed(prefix: str, arrays: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
    return {f"{prefix}.{name}": array for name, array in arrays.items()}


def unprefixed(prefix: str, arrays: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
    """The arrays under `prefix`, without it; empty where there are none."""
    return {n.removeprefix(prefix + "."): a for n, a in arrays.items() if n.startswith(prefix + ".")}
