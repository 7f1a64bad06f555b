"""Encoders on disk: weights and spec in one safetensors file, taken back only where everything agrees."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from hyperseg.backbone.conv import seeded
from hyperseg.backbone.encoder import Encoder
from hyperseg.backbone.spec import BackboneSpec
from hyperseg.core import RunError, SettingError, replaced
from hyperseg.core.settings import from_json, to_json
from hyperseg.core.words import counted, listed, some

FORMAT = "hyperseg-encoder-1"
WITHIN = "encoder."  # before the names of an encoder's tensors among those of a network
SHOWN = 3  # differences that are told


def save_encoder(path: str | os.PathLike[str], encoder: Encoder, spec: BackboneSpec) -> None:
    """Write weights and spec to `path`; an interrupted call leaves no half-written file there.

    Raises:
        RunError: `spec` is not the spec the encoder was built from.
    """
    from safetensors.torch import save_file

    target = Path(path)
    if spec != encoder.spec:
        raise RunError(f"{target} was not written: {_differences(encoder.spec, spec, 'the encoder has', 'given')}.")
    tensors = {name: t.detach().cpu().contiguous() for name, t in encoder.state_dict().items()}
    with replaced(target) as temporary:
        save_file(tensors, temporary, metadata={"format": FORMAT, "spec": json.dumps(to_json(spec))})


def load_encoder(path: str | os.PathLike[str], spec: BackboneSpec) -> Encoder:
    """The encoder saved at `path`, on the CPU and in training mode, if it was built from exactly this `spec`.

    Raises:
        RunError: no such file or not one of ours; another spec; tensors missing, unexpected, or of another
            shape or dtype. The message names what differs.
    """
    source = Path(path)
    tensors, metadata = _read(source)
    try:
        saved = from_json(BackboneSpec, json.loads(metadata["spec"]))
    except (KeyError, json.JSONDecodeError, SettingError) as error:
        raise RunError(f"{source} holds no readable backbone spec ({error}): write it with save_encoder.") from error
    if saved != spec:
        raise RunError(
            f"{source} holds an encoder of another spec: {_differences(saved, spec, 'file', 'wanted')}. "
            "Build the model from the file's spec, or train an encoder for this one."
        )
    with seeded(0):  # the values are replaced below: leave the caller's random numbers alone
        encoder = Encoder(spec)
    _check_tensors(source, encoder.state_dict(), tensors)
    encoder.load_state_dict(tensors)
    return encoder


def encoder_tensors(path: str | os.PathLike[str]) -> dict[str, Tensor]:
    """Tensors of an encoder by name: of a file of `save_encoder`, or those of a network that begin with "encoder.".

    Raises:
        RunError: no such file, no safetensors file, or no encoder in it.
    """
    source = Path(path)
    tensors, metadata = opened(source)
    if metadata.get("format") == FORMAT:
        return tensors
    own = {name.removeprefix(WITHIN): t for name, t in tensors.items() if name.startswith(WITHIN)}
    if not own:
        raise RunError(
            f"{source} holds no encoder: of its {counted(len(tensors), 'tensor')} none has a name that begins with "
            f"{WITHIN!r}. Give the weights.safetensors of a fold of a trained U-Net, or a file of save_encoder."
        )
    return own


def check_encoder(source: str | os.PathLike[str], encoder: nn.Module, tensors: Mapping[str, Tensor]) -> None:
    """All tensors of `encoder`, which may be without values ("meta"), are there, and no others.

    Raises:
        RunError: names, shapes or types differ; what was found and what was expected is told of the first of them.
    """
    check_tensors(source, encoder.state_dict(), tensors)


def check_tensors(source: str | os.PathLike[str], wanted: Mapping[str, Tensor], given: Mapping[str, Tensor]) -> None:
    """Both have the same names, shapes and types.

    Raises:
        RunError: what was found and what was expected is told of the first differences.
    """
    faults = list(_faults(dict(wanted), dict(given), most=SHOWN))
    if faults:
        more = f"; and {counted(len(faults) - SHOWN, 'other difference')}" if len(faults) > SHOWN else ""
        raise RunError(
            f"{source} does not fit the network that is to be trained: {'; '.join(faults[:SHOWN])}{more}. Give the "
            "weights of a network of the same plan, or train by the plan that they were trained by (--plan)."
        )


def _read(source: Path) -> tuple[dict[str, Tensor], dict[str, str]]:
    tensors, metadata = opened(source)
    if metadata.get("format") != FORMAT:
        raise RunError(
            f"{source} is not an encoder of this package (format {metadata.get('format')!r}, "
            f"expected {FORMAT!r}): use save_encoder."
        )
    return tensors, metadata


def opened(source: Path) -> tuple[dict[str, Tensor], dict[str, str]]:
    """All tensors of a safetensors file and its metadata; RunError for what is none."""
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(source, framework="pt") as file:
            metadata = file.metadata() or {}
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except FileNotFoundError as error:
        raise RunError(f"{source} does not exist: give a file of weights, as hyperseg pretrain writes it.") from error
    except (SafetensorError, OSError) as error:
        raise RunError(f"{source} is not a whole safetensors file ({error}): write it again.") from error
    return tensors, metadata


def _check_tensors(source: Path, wanted: dict[str, Tensor], given: dict[str, Tensor]) -> None:
    faults = list(_faults(wanted, given))
    if faults:
        raise RunError(f"{source} does not fit its own spec: {'; '.join(faults)}. Write it again with save_encoder.")


def _faults(wanted: dict[str, Tensor], given: dict[str, Tensor], *, most: int | None = None) -> Iterator[str]:
    """In what two sets of tensors differ; of names that one of them lacks at most so many are told."""
    for name in (name for name in wanted if name in given):
        for what in ("shape", "dtype"):
            theirs, ours = getattr(given[name], what), getattr(wanted[name], what)
            if theirs != ours:
                shown = (tuple(theirs), tuple(ours)) if what == "shape" else (theirs, ours)
                yield f"{name} has {what} {shown[0]}, expected {shown[1]}"
    for what, names in (("missing", set(wanted) - set(given)), ("unexpected", set(given) - set(wanted))):
        if names:
            yield f"{what} {listed(sorted(names)) if most is None else some(sorted(names), most)}"


def _differences(left: BackboneSpec, right: BackboneSpec, left_name: str, right_name: str) -> str:
    """The fields in which two specs differ, both values shown."""
    a, b = _flat(to_json(left)), _flat(to_json(right))
    return "; ".join(f"{key}: {left_name} {a[key]}, {right_name} {b[key]}" for key in a if a[key] != b[key])


def _flat(data: dict[str, Any]) -> dict[str, Any]:
    flat = {key: value for key, value in data.items() if key != "conv"}
    return flat | {f"conv.{key}": value for key, value in data["conv"].items()}
