"""The network of MedSegDiff: one encoder for the image, one for the noisy mask, stepped side by side, one decoder."""

from __future__ import annotations

from typing import Literal, NamedTuple

from torch import Tensor, nn

from hyperseg.backbone import BackboneSpec
from hyperseg.core.settings import option, required, settings
from hyperseg.dpm.masks.settings import MaskNetworkSettings, Skips

Stem = Literal["none", "pixel", "cube"]


@settings
class MaskDenoiserSpec:
    """What the network is built from."""

    backbone: BackboneSpec = required(
        "Encoder of the noisy mask, and the decoder: in_channels is M, the channels of a coded mask; cond_dim is above "
        "0. The image's encoder has the same widths, without a condition."
    )
    image_channels: int = required("C of the image: channels, or features of a pixel of a scene.", low=1)
    size: tuple[int, ...] = required("Sides of the patches it is trained on; the FF-Parser's maps belong to them.", low=1)
    stem: Stem = option("none", "What comes before the image's encoder: nothing, 1x1 convolutions, or a cube's encoder.")
    dynamic: bool = option(True, "Eq. 3 on the middle two stages; else the image's map goes on as it is.")
    ff_parser: bool = option(True, "Eq. 4-6 on the noisy mask's maps before Eq. 3.")
    skips: Skips = option("both", "Skips of the decoder: the sum of both encoders' maps, or the mask's alone.")
    norm: Literal["channel", "all"] = option("channel", "LN of Eq. 3.")


def mask_denoiser_spec(
    backbone: BackboneSpec, *, channels: int, size: tuple[int, ...], image_channels: int,
    chosen: MaskNetworkSettings, stem: Stem = "none", cond_dim: int = 128,
) -> MaskDenoiserSpec:  # fmt: skip
    """The spec with the widths, strides and kernels of a planned backbone.

    Args:
        backbone: of any kind: residual blocks, group norms and SiLU take the place of its own.
        channels: M, of a coded mask.
        size: of the patches.
        image_channels: C.
        chosen: by the user.
    """
    raise NotImplementedError


class Condition(NamedTuple):
    """What of an image does not depend on the noisy mask: computed once, for all samples and steps.

    Attributes:
        maps: (B, w_k, *S_k) of the image's encoder, fine to coarse, up to the first stage that is fused.
    """

    maps: tuple[Tensor, ...]

    def repeated(self, n: int) -> Condition:
        """For n samples of every image: (B * n, ...), those of an image one after the other."""
        return Condition(tuple(one.repeat_interleave(n, 0) for one in self.maps))


class MaskDenoiser(nn.Module):
    """(x (B, M, *S), place (B,), image (B, C, *S) or its `Condition`) -> (B, M, *S) what it says of the mask."""

    def __init__(self, spec: MaskDenoiserSpec) -> None:
        super().__init__()
        self.spec = spec
        raise NotImplementedError

    def condition(self, image: Tensor) -> Condition:
        """(B, C, *S) -> what does not depend on the mask."""
        raise NotImplementedError

    def forward(self, x: Tensor, place: Tensor, image: Tensor | Condition) -> Tensor:
        raise NotImplementedError

    def blank(self, image: Tensor | Condition, place: float) -> Tensor:
        """What it says where the mask is all zero, at one place for all: the feed-forward twin's forward."""
        raise NotImplementedError
