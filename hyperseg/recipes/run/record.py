"""What a finished run leaves for later use: weights with their preprocessing, and the record of the run."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from hyperseg.core import RunError
from hyperseg.io.write import replacing, write_json
from hyperseg.recipes.run.folder import UNFINISHED, RunFolder

if TYPE_CHECKING:
    from torch import nn

    from hyperseg.data.preprocess import Preprocess

MODEL, RECORD = "model.safetensors", "run.json"


def save_model(folder: RunFolder, tensors: Mapping[str, NDArray[Any]], record: Mapping[str, Any]) -> None:
    """Write weights and preprocessing (safetensors) and the record of the run (JSON)."""
    from safetensors.numpy import save

    # written here: safetensors' own writer reports a full disk as no OSError, and lets only the owner read
    with replacing(folder / MODEL) as temporary:
        temporary.write_bytes(save({name: np.ascontiguousarray(a) for name, a in tensors.items()}))
    write_json(folder / RECORD, record)


def load_model(run: Path) -> tuple[dict[str, NDArray[Any]], dict[str, Any]]:
    """Read back what `save_model` wrote.

    Raises:
        RunError: the folder holds no finished run, or its files are damaged.
    """
    from safetensors import SafetensorError
    from safetensors.numpy import load_file

    record = load_record(run)
    try:
        return load_file(str(run / MODEL)), record
    except (OSError, SafetensorError) as error:
        raise RunError(
            f"{run / MODEL}: missing or damaged ({_one_line(error)}). Train again with --from {run / RECORD}."
        ) from error


def load_record(path: Path) -> dict[str, Any]:
    """Read a run.json; a folder stands for the run.json inside."""
    file = path / RECORD if path.is_dir() else path
    try:
        record = json.loads(file.read_text(encoding="utf-8"))
    except OSError as error:
        hint = "Give the folder of a finished run, e.g. runs/indian-pines-cnn3d."
        if (file.parent / UNFINISHED).is_dir():
            hint = f"This run has not ended: continue it with --out {file.parent} --resume."
        raise RunError(f"{file}: {error.strerror}. {hint}") from error
    except ValueError as error:
        raise RunError(f"{file}: not a JSON record of a run ({error}).") from error
    if not isinstance(record, dict) or "settings" not in record:
        raise RunError(f"{file}: not the record of a run: it has no `settings`.")
    return record


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())


def prefixed(prefix: str, arrays: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
    return {f"{prefix}.{name}": array for name, array in arrays.items()}


def unprefixed(prefix: str, arrays: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
    """The arrays under `prefix`, without it; empty where there are none."""
    return {n.removeprefix(prefix + "."): a for n, a in arrays.items() if n.startswith(prefix + ".")}


def weights_of(prefix: str, network: nn.Module) -> dict[str, NDArray[Any]]:
    """The state of a network as named arrays; `load_weights` is the inverse."""
    return prefixed(prefix, {k: v.detach().cpu().numpy() for k, v in network.state_dict().items()})


def network_arrays(network: nn.Module, preprocess: Preprocess) -> dict[str, NDArray[Any]]:
    """What a network needs to be used again: its state and its preprocessing."""
    return weights_of("network", network) | prefixed("preprocess", preprocess.to_arrays())


def load_weights(network: nn.Module, prefix: str, arrays: Mapping[str, NDArray[Any]]) -> None:
    """Give a network the state under `prefix` and put it into evaluation mode."""
    import torch

    network.load_state_dict({k: torch.from_numpy(v.copy()) for k, v in unprefixed(prefix, arrays).items()})
    network.eval()
