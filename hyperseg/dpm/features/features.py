"""`Features`: what a network says of samples; of real ones it is asked once."""

from __future__ import annotations

import zlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from hyperseg.core import DataFileError, SettingError, replaced
from hyperseg.core.files import make_folder
from hyperseg.metrics.generation import Moments, moments

BATCH = 256
INCEPTION = "inception"

Said = tuple[NDArray[np.float32], NDArray[np.float32]]
"""Features (n, d) and probabilities (n, K) of n samples."""


@dataclass(frozen=True)
class Features:
    """A network that samples are compared by.

    Attributes:
        name: of the network; a number is never given without it.
        of: (n, C, *S) samples in [-1, 1] -> what it says of them; a sample does not depend on the others.
        key: of its weights: other weights, another key.
        accuracy: share of test samples that it puts into the right class; None where that was not measured.
        note: what has to be said of it.
    """

    name: str
    of: Callable[[Tensor], Said]
    key: str
    accuracy: float | None = None
    note: str = ""

    @property
    def distance(self) -> str:
        """What the Frechet distance in these features is called; FID is that of one network only."""
        return "FID" if self.name == INCEPTION else f"FD-{self.name}"

    @property
    def score(self) -> str:
        """What the score is called that the literature calls IS where the network is Inception."""
        return "IS" if self.name == INCEPTION else f"IS-{self.name}"


@dataclass(frozen=True)
class Real:
    """What a network says of real samples: what generated ones are held against."""

    features: NDArray[np.float32]
    probs: NDArray[np.float32]

    @property
    def moments(self) -> Moments:
        return moments(self.features)


def real_features(features: Features, x: Tensor, *, checksum: str, file: Path | None = None) -> Real:
    """What the network says of real samples, asked once.

    Args:
        x: (n, C, *S) samples.
        checksum: of the data that they are from; with the key of the network and their number it names them.
        file: .npz to keep it in and to take it from. Of other data or another network, or damaged, it is written anew.

    Raises:
        DataFileError: the file cannot be written.
    """
    key = f"{features.name} {features.key} {checksum} {tuple(x.shape)}"
    kept = None if file is None else _kept(file, key)
    if kept is not None:
        return kept
    real = Real(*features.of(x))
    if file is not None:
        make_folder(file.parent)
        try:
            with replaced(file) as temporary, temporary.open("wb") as out:
                np.savez(out, key=np.array(key), features=real.features, probs=real.probs)
        except OSError as error:
            raise DataFileError(f"{file}: cannot be written ({error.strerror}). Choose a writable folder.") from error
    return real


def _kept(file: Path, key: str) -> Real | None:
    try:
        with np.load(file, allow_pickle=False) as held:
            return Real(held["features"], held["probs"]) if str(held["key"]) == key else None
    except Exception:  # absent, cut off, no zip file, no such array: numpy raises half a dozen types
        return None


def of_network(
    say: Callable[[Tensor], tuple[Tensor, Tensor]], device: torch.device | str, *, batch: int = BATCH
) -> Callable[[Tensor], Said]:
    """`Features.of` from a network: (n, C, *S) float32 on the device -> features and scores of classes, (n, ...) each.

    Args:
        batch: samples at once.
    """

    @torch.no_grad()
    def of(x: Tensor) -> Said:
        if not len(x):
            raise SettingError("no samples: give at least one.")
        parts: list[Said] = []
        for start in range(0, len(x), batch):
            found, scores = say(x[start : start + batch].to(device, torch.float32))
            parts.append((found.float().cpu().numpy(), scores.float().softmax(1).cpu().numpy()))
        return np.concatenate([part[0] for part in parts]), np.concatenate([part[1] for part in parts])

    return of


def key_of(*modules: nn.Module) -> str:
    """A checksum of all weights."""
    found = 0
    for module in modules:
        for name, value in module.state_dict().items():
            array: NDArray[Any] = np.ascontiguousarray(value.detach().cpu().numpy())
            found = zlib.crc32(array.data, zlib.crc32(name.encode(), found))
    return f"{found:08x}"
