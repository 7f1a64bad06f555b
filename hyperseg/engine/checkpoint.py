"""Training state on disk: written whole or not at all, read back without pickle's code execution."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

from hyperseg.core import RunError, replaced
from hyperseg.core.words import one_line


def save_state(path: Path, state: dict[str, Any]) -> None:
    """Write tensors and plain values to `path` through a temporary name beside it.

    Raises:
        RunError: the file could not be written; what `path` held before is untouched.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with replaced(path) as temporary:
            torch.save(state, temporary)
    except (OSError, RuntimeError) as error:  # torch reports a full disk as RuntimeError
        raise RunError(
            f"{path}: the training state could not be written ({error}). Free space or write elsewhere."
        ) from error


def load_state(path: Path) -> dict[str, Any]:
    """What `save_state` wrote, tensors on the CPU.

    Raises:
        RunError: the file is absent, cut off, or not a training state.
    """
    what = f"{path}: not a training state of this program"
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # torch raises half a dozen types here, depending on where the file is damaged
        raise RunError(f"{what} ({one_line(str(error), 200)}). Remove the file to start afresh.") from error
    if not isinstance(state, dict):
        raise RunError(f"{what}. Remove the file to start afresh.")
    return state
