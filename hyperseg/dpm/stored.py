"""A trained model as one file: safetensors, which hold numbers and text, and no code."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from hyperseg.core import RunError, SettingError
from hyperseg.core.parts import Saved
from hyperseg.core.words import one_line
from hyperseg.io.write import as_json, replacing

if TYPE_CHECKING:
    from hyperseg.dpm.model import DiffusionModel

MODEL = "model.safetensors"  # in a folder


def write_model(file: Path | str, model: DiffusionModel, *, overwrite: bool = False) -> None:
    """Write a model, whole or not at all.

    Raises:
        SettingError: the file is there already, or a schedule that cannot be saved.
    """
    from safetensors.numpy import save

    file = Path(file)
    if file.exists() and not overwrite:
        raise SettingError(f"{file} is there already: name another file, or write with overwrite=True.")
    saved = model.saved()
    arrays = {name: np.ascontiguousarray(a) for name, a in saved.arrays.items()}
    content = save(arrays, metadata={"record": as_json(saved.record)})
    with replacing(file) as temporary:
        temporary.write_bytes(content)


def read_model(file: Path | str) -> DiffusionModel:
    """What `write_model` wrote, on the CPU; a folder, as of a benchmark, stands for its model.safetensors.

    Raises:
        RunError: no such file, damaged, or no model.
    """
    from safetensors import SafetensorError, safe_open

    from hyperseg.dpm.model import load_model

    file = Path(file)
    file = file / MODEL if file.is_dir() else file
    try:
        with safe_open(file, framework="np") as opened:
            record = json.loads((opened.metadata() or {})["record"])
            arrays = {name: opened.get_tensor(name) for name in opened.keys()}  # noqa: SIM118
        return load_model(Saved(record, arrays))
    except (SafetensorError, OSError, KeyError, ValueError, TypeError, SettingError) as error:
        raise RunError(
            f"{file}: holds no diffusion model that can be read ({one_line(str(error), 100)}). Give a file that "
            "write_model wrote, or the folder of a benchmark, or its model.safetensors."
        ) from error
