"""Weights that were learnt without labels: some modules of a network and how they came, in one safetensors file."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from hyperseg.backbone.transfer import WITHIN, check_tensors, opened
from hyperseg.core import RunError, replaced

FORMAT = "hyperseg-pretrained-1"


@dataclass(frozen=True)
class Pretrained:
    """What a file of weights holds.

    Attributes:
        source: the file.
        parts: names of the modules that were trained, as in the network: "encoder", "decoder.merges.4".
        tensors: theirs by their names in the network, "encoder.stages.0....".
        about: JSON: how they were learnt, and from what. Empty in files of others.
    """

    source: Path
    parts: tuple[str, ...]
    tensors: dict[str, Tensor]
    about: dict[str, Any]


def save_pretrained(
    path: str | os.PathLike[str], net: nn.Module, parts: Sequence[str], about: Mapping[str, Any]
) -> None:
    """Write the tensors of these modules of `net`; an interrupted call leaves no half-written file there."""
    from safetensors.torch import save_file

    tensors = {name: t.detach().cpu().contiguous() for name, t in tensors_of(net, parts).items()}
    told = {FORMAT: json.dumps({"parts": list(parts), "about": dict(about)})}  # several keys have no order: other bytes
    with replaced(Path(path)) as temporary:
        save_file(tensors, temporary, metadata=told)


def read_pretrained(path: str | os.PathLike[str]) -> Pretrained:
    """What `save_pretrained` wrote; of a network's own weights, or a file of `save_encoder`, the encoder alone.

    Raises:
        RunError: no such file, no safetensors file, or one that holds no encoder.
    """
    from hyperseg.backbone.transfer import encoder_tensors

    source = Path(path)
    tensors, metadata = opened(source)
    if FORMAT in metadata:
        try:
            told = json.loads(metadata[FORMAT])
            parts, about = told["parts"], told["about"]
        except (KeyError, TypeError, json.JSONDecodeError) as error:
            raise RunError(f"{source} does not say what it holds ({error}): write it again.") from error
        return Pretrained(source, tuple(parts), tensors, about)
    encoder = {WITHIN + name: t for name, t in encoder_tensors(source).items()}
    return Pretrained(source, (WITHIN.removesuffix("."),), encoder, {})


def check_pretrained(given: Pretrained, net: nn.Module) -> None:
    """All tensors of these modules of `net`, which may be without values ("meta"), are there, and no others.

    Raises:
        RunError: a module that the network lacks; or names, shapes or types differ.
    """
    there = {name for name, _ in net.named_modules()}
    if lacking := [part for part in given.parts if part not in there]:
        raise RunError(
            f"{given.source} holds weights of {', '.join(lacking)}, which this network ({type(net).__name__}) does not "
            "have. Train the method that they were learnt for."
        )
    check_tensors(given.source, tensors_of(net, given.parts), given.tensors)


def load_pretrained(given: Pretrained, net: nn.Module) -> None:
    """Put the weights into `net`, in place; all else of it stays as it is.

    Raises:
        RunError: as `check_pretrained`.
    """
    check_pretrained(given, net)
    net.load_state_dict(given.tensors, strict=False)


def tensors_of(net: nn.Module, parts: Sequence[str]) -> dict[str, Tensor]:
    """Those tensors of a network that are in one of these modules."""
    return {name: t for name, t in net.state_dict().items() if any(name.startswith(f"{part}.") for part in parts)}
