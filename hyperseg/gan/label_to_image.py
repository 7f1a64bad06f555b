"""Images made from maps of classes: a generator, a critic that sees both, and the game between them.

Source: Isola et al., "Image-to-Image Translation with Conditional Adversarial Networks", CVPR 2017 (arXiv 1611.07004):
U-Net, a critic of patches that is told the condition, an L1 term beside the adversarial one.
Differs: the objective is the project's (`hyperseg.gan.objective`, with one "class": real); noise comes in as further
channels, not by dropout; group norms, so that an image does not depend on others of its batch; three stages; N-d. Every
size is ours.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from hyperseg.backbone import BackboneSpec, ClassHead, ConvSpec, Decoder, Encoder
from hyperseg.gan import objective

WIDTHS, STRIDES, DEPTHS = (16, 32, 64), (1, 2, 2), (1, 1, 1)
GRAIN, TONE = 2, 2  # channels of noise: another value at every voxel, and one for a whole patch


class LabelToImage(nn.Module):
    """Makes images from classes and noise.

    Args:
        n_axes: of images.
        n_classes: K.
        n_channels: C of the images.
    """

    def __init__(self, n_axes: int, n_classes: int, n_channels: int) -> None:
        super().__init__()
        self.n_classes = n_classes
        conv = ConvSpec(n_axes, norm="group", act="leaky_relu")
        spec = BackboneSpec(n_classes + 1 + GRAIN + TONE, WIDTHS, STRIDES, (3,) * len(WIDTHS), DEPTHS, conv)
        self.encoder, self.decoder = Encoder(spec), Decoder(spec, up="interpolate")
        self.head = ClassHead(spec, n_channels)

    def forward(self, classes: Tensor, noise: Tensor) -> Tensor:
        """(B, *S) classes, -1 unknown, and (B, GRAIN + TONE, *S) noise of `noise_for` -> (B, C, *S)."""
        x = torch.cat((planes_of(classes, self.n_classes), noise), 1)
        return self.head(self.decoder(self.encoder(x)))


class Critic(nn.Module):
    """Says of every region of an image whether it is real, given its classes."""

    def __init__(self, n_axes: int, n_classes: int, n_channels: int) -> None:
        super().__init__()
        self.n_classes = n_classes
        conv = ConvSpec(n_axes, norm="none", act="leaky_relu", spectral_norm=True)
        spec = BackboneSpec(n_channels + n_classes + 1, WIDTHS, STRIDES, (3,) * len(WIDTHS), DEPTHS, conv)
        self.encoder, self.head = Encoder(spec), ClassHead(spec, 1, level=-1)

    def forward(self, images: Tensor, classes: Tensor) -> Tensor:
        """(B, C, *S), (B, *S) -> (B, 1, *T) log odds of being real."""
        x = torch.cat((images, planes_of(classes, self.n_classes)), 1)
        return self.head(self.encoder(x))


class Told(NamedTuple):
    """What a step is made of.

    Attributes:
        images: (B, C, *S) real ones.
        classes: (B, *S) of them.
        noise: of `noise_for`.
    """

    images: Tensor
    classes: Tensor
    noise: Tensor


@dataclass(frozen=True)
class ImageGame:
    """The two sides; `likeness` weighs the mean absolute difference from the image whose classes were told."""

    generator: LabelToImage
    critic: Critic
    likeness: float = 10.0

    def judge(self, told: Told) -> dict[str, Tensor]:
        """The critic's terms."""
        with torch.no_grad():
            made = self.generator(told.classes, told.noise)
        real, false = self.critic(told.images, told.classes), self.critic(made, told.classes)
        return {
            "real": objective.real_loss(real, torch.zeros_like(real[:, 0])),
            "made": objective.generated_loss(false, torch.zeros_like(false[:, 0])),
        }

    def make(self, told: Told) -> dict[str, Tensor]:
        """The generator's terms."""
        made = self.generator(told.classes, told.noise)
        false = self.critic(made, told.classes)
        return {
            "fool": objective.fooling_loss(false, torch.zeros_like(false[:, 0])),
            "likeness": self.likeness * F.l1_loss(made, told.images),
        }


def planes_of(classes: Tensor, n_classes: int) -> Tensor:
    """(B, *S) classes -> (B, K + 1, *S): one plane for each class, and the last one where none is known (-1)."""
    known = torch.where(classes < 0, n_classes, classes)
    every = torch.arange(n_classes + 1, device=classes.device).reshape(-1, *(1,) * (classes.ndim - 1))
    return (known[:, None] == every).float()


def noise_for(classes: Tensor, generator: torch.Generator | None = None) -> Tensor:
    """(B, *S) -> (B, GRAIN + TONE, *S) standard normal noise; from torch's own generator where none is given."""
    device = classes.device if generator is None else generator.device
    n, size = len(classes), classes.shape[1:]
    grain = torch.randn((n, GRAIN, *size), generator=generator, device=device)
    tone = torch.randn((n, TONE, *(1,) * len(size)), generator=generator, device=device)
    return torch.cat((grain, tone.expand(-1, -1, *size)), 1).to(classes.device)


@torch.no_grad()
def with_made(images: Tensor, classes: Tensor, generator: LabelToImage, p: float) -> Tensor:
    """(B, C', *S) images, each with probability p replaced by one that is made of its classes.

    Channels behind those that the generator makes (answers of a network before) stay. Where nothing is replaced it is
    the same tensor. Randomness comes from torch's own generator.
    """
    chosen = torch.rand(len(images), device=images.device) < p
    if not chosen.any():
        return images
    told = classes[chosen]
    made = generator(told, noise_for(told)).to(images.dtype)
    found = images.clone()
    found[chosen, : made.shape[1]] = made
    return found
