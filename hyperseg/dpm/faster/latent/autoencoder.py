"""A small autoencoder for spectra, images and cubes: a map of fewer numbers, and back."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn

from hyperseg.backbone import BackboneSpec, Conv, ConvSpec, Decoder, Encoder
from hyperseg.core import SettingError
from hyperseg.core.settings import option, required, settings


@settings
class AutoencoderSpec:
    """What an autoencoder is."""

    backbone: BackboneSpec = required("Encoder, which the decoder mirrors.")
    channels: int = option(4, "Channels of the latent map.", low=1)

    def __post_init__(self) -> None:
        if self.backbone.conv.cond_dim:
            raise SettingError("an autoencoder is told nothing: its backbone needs cond_dim 0.")


def autoencoder_spec(
    channels: int, ndim: int, *, widths: Sequence[int] = (32, 64), latent: int = 4, depth: int = 2, kernel: int = 3
) -> AutoencoderSpec:
    """The usual one: every stage after the first halves each axis.

    Args:
        channels: of the data.
        ndim: axes beside the channels.
        widths: of the stages.
        latent: channels of the latent map.
        depth: convolutions of a stage.
    """
    n = len(widths)
    conv = ConvSpec(ndim, norm="none", act="silu")  # a norm over the map would lose how bright a sample is
    backbone = BackboneSpec(channels, tuple(widths), (1,) + (2,) * (n - 1), (kernel,) * n, (depth,) * n, conv)
    return AutoencoderSpec(backbone, latent)


class Code(NamedTuple):
    """The Gaussian of a latent map: (B, channels, *T) mean and log of the variance."""

    mean: Tensor
    logvar: Tensor


class Autoencoder(nn.Module):
    """Data to a Gaussian over a smaller map, and a map to data.

    Source: Rombach et al., "High-Resolution Image Synthesis with Latent Diffusion Models", CVPR 2022, section 3.1, with
        the light penalty on the Kullback-Leibler divergence; for the rest: Kingma & Welling, ICLR 2014.
    Differs: the square error alone, no discriminator and no perceptual loss.
    """

    mean: Tensor
    spread: Tensor

    def __init__(self, spec: AutoencoderSpec) -> None:
        super().__init__()
        self.spec, backbone, width = spec, spec.backbone, spec.backbone.widths[-1]
        self.encoder, self.decoder = Encoder(backbone), Decoder(backbone, skips="none")
        self.leave = Conv(backbone.conv, width, 2 * spec.channels, 1, bias=True)
        self.enter = Conv(backbone.conv, spec.channels, width, 1, bias=True)
        shape = (1, spec.channels, *(1,) * backbone.conv.ndim)
        self.register_buffer("mean", torch.zeros(shape))
        self.register_buffer("spread", torch.ones(shape))

    def code(self, x: Tensor) -> Code:
        """(B, C, *S) -> the Gaussian of its latent map, not yet normalised."""
        mean, logvar = self.leave(self.encoder(x)[-1]).chunk(2, 1)
        return Code(mean, logvar.clamp(-20, 10))

    def rebuild(self, code: Tensor, shape: Sequence[int]) -> Tensor:
        """A latent map that is not normalised, and the size S to reach -> (B, C, *S)."""
        return self.decoder(self.enter(code), shape=shape)[0]

    def encode(self, x: Tensor) -> Tensor:
        """(B, C, *S) -> (B, channels, *T) of mean 0 and variance 1 over the training data, channel by channel."""
        return (self.code(x).mean - self.mean) / self.spread

    def decode(self, z: Tensor, shape: Sequence[int]) -> Tensor:
        """Its inverse, as far as there is one."""
        return self.rebuild(z * self.spread + self.mean, shape)

    def latent_shape(self, shape: Sequence[int]) -> tuple[int, ...]:
        """(channels, *T) for data of size S = `shape`."""
        return (self.spec.channels, *self.spec.backbone.sizes(tuple(shape))[-1])
