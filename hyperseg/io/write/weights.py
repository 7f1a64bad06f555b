"""Weights of a run in a .safetensors file, with the seal of what they were trained by."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hyperseg.core import RunError
from hyperseg.core.words import one_line
from hyperseg.io.write.files import replacing
from hyperseg.io.write.runs import seal

if TYPE_CHECKING:
    from torch import Tensor, nn

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


def write_sealed(file: Path, tensors: Mapping[str, Tensor], *, kind: str, method: str, plan: Any) -> None:
    """Write a trained network of a run, whole or not at all, with the seal of its plan."""
    write_weights(file, tensors, {"kind": kind, "method": method, "plan": seal(plan)})


def load_sealed(file: Path, net: nn.Module, *, kind: str, plan: Any, record: Path) -> None:
    """Give a network of a plan the weights of `write_sealed`, and put it into evaluation mode.

    Args:
        record: the file that the plan is from, for messages.

    Raises:
        RunError: damaged, or trained with another plan.
    """
    tensors, about = read_weights(file)
    if about.get("kind") != kind or about.get("plan") != seal(plan):
        raise RunError(f"{file}: was trained with another plan than {record} has. Train again.")
    fill(net, tensors, file)


def fill(net: nn.Module, tensors: Mapping[str, Tensor], file: Path) -> None:
    """Give a network the weights of a file, and put it into evaluation mode.

    Raises:
        RunError: they are of another network.
    """
    try:
        net.load_state_dict(tensors)
    except RuntimeError as error:
        raise RunError(f"{file}: fits no network of the plan ({one_line(str(error), 160)}). Train again.") from error
    net.eval()
