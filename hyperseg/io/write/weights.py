"""Weights of a run in a .safetensors file, with the seal of what they were trained by."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hyperseg.core import RunError
from hyperseg.core.words import one_line
from hyperseg.io.write.files import replacing

if TYPE_CHECKING:
    from torch import Tensor

ABOUT = "about"


def write_weights(file: Path, tensors: Mapping[str, Tensor], about: Mapping[str, Any]) -> None:
    """Write tensors and what they are, whole or not at all; the same content gives the same bytes."""
    from safetensors.torch import save

    metadata = {ABOUT: json.dumps(about)}  # one key: several have no order of their own, and bytes would differ
    content = save({name: t.detach().cpu().contiguous() for name, t in tensors.items()}, metadata)
    with replacing(file) as temporary:
        temporary.write_bytes(content)


def read_weights(file: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """What `write_weights` wrote.

    Raises:
        RunError: damaged.
    """
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(file, framework="pt") as opened:
            about = json.loads((opened.metadata() or {}).get(ABOUT, "{}"))
            return {name: opened.get_tensor(name) for name in opened.keys()}, about  # noqa: SIM118
    except (SafetensorError, OSError) as error:
        raise RunError(f"{file}: damaged ({one_line(str(error), 100)}). Train again.") from error
