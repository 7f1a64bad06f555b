"""Discriminator and generator: one skeleton, four kernel shapes, each the other's mirror.

The discriminator is a scene network like any other, (B, 1, L, h, w) -> (B, K, h - 2 margin, w - 2 margin), whose
map of scores is the same patch by patch and for a whole scene; beside the classes it can say "generated".
"""

from __future__ import annotations

import math
from dataclasses import replace
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from hyperseg.backbone import BackboneSpec, ClassHead, ConvSpec, Decoder, Encoder, dropout, scale_weights, seeded
from hyperseg.backbone.blocks import Finish
from hyperseg.backbone.spec import Size
from hyperseg.core import SettingError
from hyperseg.core.settings import option, required, settings
from hyperseg.gan.settings import FakeLogit, Norm, Variant


@settings
class GanSpec:
    """What a discriminator and its generator are built from.

    Source: Zhong & Li, arXiv 1802.03495 (2018): four kernel shapes over one skeleton, a discriminator of K + 1 classes,
        a generator of transposed convolutions. The paper prints no layer table: every size is our reconstruction, after
        the same author's SSRN (7 bands, stride 2 along them).
    Differs: 4 spectral maps instead of SSRN's 24 and `width` 64 instead of 128 and 24, for speed on a CPU; `maps=24,
        width=128` is the larger form. The second spectral convolution is unpadded; the first has 8 bands where their
        number is even, which leaves as many and drops none.

    Raises:
        SettingError: a value outside what it may be, or too few bands for the variant.
    """

    variant: Variant = required(
        "Along the bands, then in space (ss), along the bands only (spc), all bands at once, then in space (spa), or "
        "3-D kernels over bands and space together (conv)."
    )
    n_features: int = required("L, bands after preprocessing.", low=1)
    n_classes: int = required("K.", low=2)
    maps: int = option(4, "Feature maps of the convolutions that keep a band axis.", low=1, high=4_096)
    width: int = option(64, "Feature maps once the bands are collapsed.", low=1, high=8_192)
    window: int = option(
        9,
        "Side of the square of pixels a decision looks at, odd; what the convolutions leave of it is averaged.",
        low=5,
        high=129,
    )
    noise: int = option(100, "Length of the generator's random code.", low=1, high=65_536)
    fake_logit: FakeLogit = option(
        "explicit", 'Score of "generated": learnt (explicit), or fixed to 0 (implicit: K logits).'
    )
    conditional: bool = option(False, "The generator is told which class to make.")
    norm: Norm = option("batch", "Normalisation of the discriminator; the generator always has batch norm.")
    spectral_norm: bool = option(False, "Bound the discriminator's weights by their largest singular value.")
    dropout: float = option(
        0.3, "Probability of dropping a feature of the discriminator, in training only.", low=0, below=1
    )
    initial_scale: float = option(
        0.2,
        "Spread of the discriminator's initial weights, relative to He's; 1 without batch norm, which undoes it.",
        above=0,
    )

    def __post_init__(self) -> None:
        if self.window % 2 == 0:
            raise SettingError(f"a window has a middle pixel: its side must be odd, got {self.window}.")
        fewest = {"ss": 19, "spc": 19, "spa": 1, "conv": 11}[self.variant]
        if self.n_features < fewest:
            raise SettingError(
                f"the variant {self.variant} convolves along the bands and needs at least {fewest} of them, the "
                f"scene has {self.n_features} usable: use --variant spa."
            )
        self.backbone  # noqa: B018  raises for sizes that cannot be

    @property
    def backbone(self) -> BackboneSpec:
        """The discriminator's encoder, unpadded everywhere, whose mirror is the generator's decoder."""
        maps, width = self.maps, self.width
        first = 8 - self.n_features % 2  # 7 would leave the last of an even number of bands out
        plane: tuple[Size, ...] = ((1, 3, 3), (1, 3, 3))
        along: tuple[tuple[int, int, int], ...]
        match self.variant:
            case "ss" | "spc":
                along = ((first, 1, 1), (7, 1, 1))
            case "spa":
                along = ()
            case "conv":
                along = ((first, 3, 3), (3, 3, 3))
        left = self.n_features
        for i, kernel in enumerate(along):
            left = (left - kernel[0]) // (1 if i else 2) + 1
        shapes = (*along, (left, 1, 1), *(plane if self.variant in ("ss", "spa") else ()))
        widths = (*(maps for _ in along), *(width for _ in shapes[len(along) :]))
        strides = tuple((2, 1, 1) if along and i == 0 else (1, 1, 1) for i in range(len(shapes)))
        conv = ConvSpec(3, norm=self.norm, act="leaky_relu", padding="valid", spectral_norm=self.spectral_norm)
        return BackboneSpec(1, widths, strides, shapes, (1,) * len(shapes), conv)

    @property
    def pooled(self) -> int:
        """Side of the square of features that are averaged: what the convolutions leave of the window."""
        return self.window - 2 * self.backbone.margin[1]


class Judged(NamedTuple):
    """What a discriminator says of every position.

    Attributes:
        classes: (B, K, h, w) logits of the classes.
        fake: (B, h, w) logit of "generated"; zeros where it is implicit.
        features: (B, width, h, w), what both are read from.
    """

    classes: Tensor
    fake: Tensor
    features: Tensor


class Discriminator(nn.Module):
    """K + 1 scores at every pixel of a scene: its classes, and "generated".

    Without padding and with an average over a fixed square, the scores of a scene are those of every pixel's own
    window. Called like a scene network it gives the K class logits alone.
    """

    padded = False

    def __init__(self, spec: GanSpec) -> None:
        super().__init__()
        self.spec, backbone = spec, spec.backbone
        self.encoder = Encoder(backbone)
        self.drop = dropout(ConvSpec(2, dropout=spec.dropout))
        flat = BackboneSpec(1, (spec.width,), (1,), (1,), (1,), ConvSpec(2, spectral_norm=spec.spectral_norm))
        self.head = ClassHead(flat, spec.n_classes + (spec.fake_logit == "explicit"))
        self.pooled, self.margin = spec.pooled, spec.window // 2

    def identify(self, x: Tensor) -> Judged:
        """(B, 1, L, h, w) -> scores at every pixel that has a whole window, h - 2 margin by w - 2 margin."""
        found = self.encoder(x)[-1].squeeze(2)
        if self.pooled > 1:
            found = F.avg_pool2d(found, self.pooled, stride=1)
        scores = self.head([found if self.drop is None else self.drop(found)])
        n = self.spec.n_classes
        fake = scores[:, n] if scores.shape[1] > n else torch.zeros_like(scores[:, 0])
        return Judged(scores[:, :n], fake, found)

    def features(self, x: Tensor) -> Tensor:
        """(B, 1, L, h, w) -> (B, width, h - 2 margin, w - 2 margin), what the head reads."""
        return self.identify(x).features

    def forward(self, x: Tensor) -> Tensor:
        """(B, 1, L, h, w) -> (B, K, h - 2 margin, w - 2 margin) class logits."""
        return self.identify(x).classes


class Generator(nn.Module):
    """A random code, and a class where the generator is conditional, become a window of the scene.

    The discriminator's encoder mirrored, transposed convolution for convolution. Batch norm inside, none at the
    end; the output is linear, in units of the preprocessed bands.
    """

    def __init__(self, spec: GanSpec) -> None:
        super().__init__()
        self.spec = spec
        self.shape = (spec.n_features, spec.window, spec.window)
        mirrored = replace(spec.backbone, conv=ConvSpec(3, act="leaky_relu", padding="valid"))
        self.seed_shape = (spec.width, *mirrored.sizes(self.shape)[-1])
        given = spec.noise + spec.n_classes * spec.conditional
        self.start = nn.Linear(given, math.prod(self.seed_shape))
        self.settle = Finish(mirrored.conv, spec.width)
        self.decoder = Decoder(mirrored, skips="none")

    def forward(self, codes: Tensor, classes: Tensor | None = None) -> Tensor:
        """(B, noise) codes and, where conditional, (B,) classes -> (B, 1, L, window, window).

        Raises:
            SettingError: classes are missing, or given to a generator that is not conditional.
        """
        if (classes is not None) != self.spec.conditional:
            raise SettingError("classes go to a conditional generator, and to no other.")
        if classes is not None:
            every = torch.arange(self.spec.n_classes, device=classes.device)
            codes = torch.cat((codes, (classes[:, None] == every).to(codes)), 1)
        first = self.settle(self.start(codes).unflatten(1, self.seed_shape), None)
        return self.decoder(first, shape=self.shape)[0]


def build_discriminator(spec: GanSpec, *, seed: int) -> Discriminator:
    """A discriminator with weights drawn from `seed`."""
    with seeded(seed):
        net = Discriminator(spec)
    scale_weights(net, spec.initial_scale if spec.norm == "batch" else 1.0)
    return net


def build_generator(spec: GanSpec, *, seed: int) -> Generator:
    """A generator with weights drawn from `seed`."""
    with seeded(seed):
        return Generator(spec)


@torch.inference_mode()
def generate(generator: Generator, n: int, *, seed: int, told: Tensor | None = None, batch: int = 128) -> Tensor:
    """`n` cubes from codes drawn from `seed`, (n, 1, L, window, window) on the CPU: same seed, same cubes.

    Args:
        generator: in evaluation mode.
        told: (n,) classes for a conditional generator, else None.
        batch: cubes at a time.
    """
    device = next(generator.parameters()).device
    codes = torch.randn(n, generator.spec.noise, generator=torch.Generator().manual_seed(seed)).split(batch)
    classes = [None] * len(codes) if told is None else [part.to(device) for part in told.split(batch)]
    return torch.cat([generator(c.to(device), t).cpu() for c, t in zip(codes, classes, strict=True)])
