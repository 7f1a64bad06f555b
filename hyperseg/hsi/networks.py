"""Networks for scenes: cube in, map of class scores out, without spatial padding.

Both are functions (B, 1, L, h, w) -> (B, K, h - 2 margin, w - 2 margin): a patch of side 2 margin + 1 gives one
score vector, a scene gives the whole map with the same weights and the same numbers.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal

from torch import Tensor, nn

from hyperseg.backbone import BackboneSpec, ClassHead, ConvBlock, ConvSpec, Encoder, dropout, seeded
from hyperseg.core import SceneError, SettingError

Kind = Literal["cnn3d", "hybrid"]


@dataclass(frozen=True)
class NetworkSpec:
    """What a scene network is built from.

    Attributes:
        kind: "cnn3d" (spectral stage, band collapse, spatial stage) or "hybrid" (3-D stages, then 2-D).
        n_features: L, features per pixel after preprocessing.
        n_classes: K.
        spectral_width: channels of the spectral or 3-D stage.
        spectral_stride: stride along the bands of the first spectral convolution.
        width: channels of the spatial stage.
        blocks: spatial residual blocks; each costs 2 pixels of margin.
        dropout: probability of dropping a feature map before the head, in training only.
    """

    kind: Kind
    n_features: int
    n_classes: int
    spectral_width: int = 16
    spectral_stride: int = 4
    width: int = 64
    blocks: int = 2
    dropout: float = 0.3

    def to_json(self) -> dict[str, Any]:
        return asdict(self)

    @staticmethod
    def from_json(data: Mapping[str, Any]) -> NetworkSpec:
        return NetworkSpec(**data)


def build_network(spec: NetworkSpec, *, seed: int) -> SpectralSpatialNet | HybridNet:
    """The network of `spec` with weights drawn from `seed`."""
    with seeded(seed):
        match spec.kind:
            case "cnn3d":
                return SpectralSpatialNet(spec)
            case "hybrid":
                return HybridNet(spec)
            case _:
                raise SettingError(f"unknown network {spec.kind!r}: choose cnn3d or hybrid.")
