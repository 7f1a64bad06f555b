"""`Features` of Inception v3 from a file of weights, the only ones whose distance is called FID."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from hyperseg.core import DataFileError, SettingError
from hyperseg.core.words import counted, one_line, some
from hyperseg.dpm.features.features import INCEPTION, Features, key_of, of_network
from hyperseg.dpm.features.inception_network import N_FEATURES, N_OUT, InceptionV3

SIZE, LEVELS, BATCH = 299, 256, 32
NOT_NEEDED = ("num_batches_tracked", "AuxLogits.")
WANTED = "the weights of the FID's Inception v3 (names like Conv2d_1a_3x3.conv.weight, 1008 outputs)"


def inception_features(path: str | Path, *, device: torch.device | str = "cpu") -> Features:
    """The Inception network of the Frechet inception distance and of the inception score.

    Images of one channel are shown as grey, values are cut to [-1, 1] and rounded to 256 levels, as files of images
    would hold them, and images are enlarged to 299 x 299 by bilinear interpolation.

    Args:
        path: weights: .safetensors, or what torch.save wrote (no code in it is run); see `WANTED`.
        device: where the network is.

    Raises:
        DataFileError: no such file, not readable, or not these weights; it says what lacks.

    Source: Heusel et al., NeurIPS 2017; Salimans et al., NeurIPS 2016.
    Differs: the first programs enlarged with another grid of pixels, which moves an FID by some hundredths; numbers
        compare with those of programs that use torch's interpolation.
    """
    file = Path(path)
    held = _read(file)
    with torch.device("meta"):  # no random weights are drawn only to be replaced
        network = InceptionV3()
    network.load_state_dict(_fitting(file, network, held), assign=True)
    network.eval().requires_grad_(False).to(device)

    def say(x: Tensor) -> tuple[Tensor, Tensor]:
        out: tuple[Tensor, Tensor] = network(as_shown(x))
        return out

    note = f"{N_FEATURES} features of Inception v3 ({file.name})."
    return Features(INCEPTION, of_network(say, device, batch=BATCH), key_of(network), None, note)


def as_shown(x: Tensor) -> Tensor:
    """Images (B, 1 or 3, H, W) in [-1, 1] as Inception is shown them: (B, 3, 299, 299).

    Raises:
        SettingError: other samples than images, which Inception says nothing of.
    """
    if x.ndim != 4 or x.shape[1] not in (1, 3):
        raise SettingError(
            f"Inception looks at images of 1 or 3 channels (n, C, H, W), got {tuple(x.shape)}: train features on the "
            "data instead."
        )
    half = (LEVELS - 1) / 2
    x = ((x.clamp(-1, 1) + 1) * half).round() / half - 1
    return F.interpolate(x.expand(-1, 3, -1, -1), size=(SIZE, SIZE), mode="bilinear", align_corners=False)


def _read(file: Path) -> Mapping[str, Any]:
    if not file.is_file():
        raise DataFileError(f"{file}: no such file; expected {WANTED}.")
    try:
        if file.suffix == ".safetensors":
            from safetensors.torch import load_file

            return load_file(file)
        found = torch.load(file, map_location="cpu", weights_only=True)
    except Exception as error:  # either library raises half a dozen types, depending on where the file is damaged
        raise DataFileError(
            f"{file}: cannot be read as weights ({one_line(str(error), 120)}); expected {WANTED}."
        ) from error
    if isinstance(found, Mapping) and isinstance(found.get("state_dict"), Mapping):
        found = found["state_dict"]
    if not isinstance(found, Mapping) or not all(isinstance(value, Tensor) for value in found.values()):
        raise DataFileError(f"{file}: holds no table of tensors by name; expected {WANTED}.")
    return found


def _fitting(file: Path, network: InceptionV3, found: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The file's tensors under the names of our layers."""
    ours = network.state_dict()
    names = {name.replace(".conv.layer.", ".conv."): name for name in ours if "num_batches" not in name}
    missing = [name for name in names if name not in found]
    if missing:
        raise DataFileError(
            f"{file}: {counted(len(missing), 'array')} of {len(names)} lack: {some(missing, 3)}; expected {WANTED}."
        )
    extra = [name for name in found if name not in names and not any(word in name for word in NOT_NEEDED)]
    if extra:
        raise DataFileError(f"{file}: holds arrays of another network: {some(extra, 3)}; expected {WANTED}.")
    for name, own in names.items():
        if found[name].shape != ours[own].shape:
            other = " This is the classifier of ImageNet." if name.startswith("fc.") else ""
            raise DataFileError(
                f"{file}: {name} has the shape {tuple(found[name].shape)}, {tuple(ours[own].shape)} was expected: "
                f"{N_OUT} outputs are those of the FID.{other}"
            )
    counts = {name: torch.zeros((), dtype=torch.long) for name in ours if "num_batches" in name}
    return counts | {own: found[name].float() for name, own in names.items()}
