"""The denoising network: the common U-Net, told the time and perhaps a class, for spectra, images and cubes."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from hyperseg.backbone import (
    BackboneSpec,
    ClassEmbedding,
    Conv,
    ConvBlock,
    ConvSpec,
    Decoder,
    Encoder,
    Pyramid,
    TimeEmbedding,
)
from hyperseg.core import SettingError
from hyperseg.core.settings import option, required, settings
from hyperseg.dpm.adapters import Extra

VALUES, CARD_VALUES = 2**14, 2**22  # of a batch: what the caches of a CPU and the memory of a card bear


def most_at_once(values: int, device: str) -> int:
    """How many samples of so many values go through a network in one batch, where nothing is learnt."""
    return max((CARD_VALUES if device.startswith("cuda") else VALUES) // values, 1)


@settings
class DenoiserSpec:
    """What a denoising network is."""

    backbone: BackboneSpec = required("Encoder and decoder; its cond_dim is the length of the embedded time.")
    n_classes: int = option(0, "Classes that it can be told; 0 for none.", low=0)
    extras: tuple[Extra, ...] = option((), "What it says besides its prediction: share, squared, residual.")

    def __post_init__(self) -> None:
        if not self.backbone.conv.cond_dim:
            raise SettingError("a denoising network is told the time: its backbone needs cond_dim above 0.")


def denoiser_spec(
    channels: int, ndim: int, *, widths: Sequence[int] = (32, 64, 64), depth: int = 1, kernel: int = 3,
    heads: Sequence[int] = (), cond_dim: int = 128, n_classes: int = 0, extras: tuple[Extra, ...] = (),
) -> DenoiserSpec:  # fmt: skip
    """The usual network: residual blocks, group norms, halved from stage to stage.

    Args:
        channels: of the data.
        ndim: 1 for spectra (B, 1, L), 2 for images, 3 for cubes (B, 1, L, h, w).
        widths: of the stages.
        depth: blocks of a stage.
        heads: of self-attention at each stage; empty for none.
    """
    conv = ConvSpec(ndim, norm="group", act="silu", residual=True, cond_dim=cond_dim)
    n = len(widths)
    backbone = BackboneSpec(
        in_channels=channels, widths=tuple(widths), strides=(1,) + (2,) * (n - 1), kernels=(kernel,) * n,
        depths=(depth,) * n, conv=conv, attention=tuple(heads),
    )  # fmt: skip
    return DenoiserSpec(backbone, n_classes=n_classes, extras=extras)


class Denoiser(nn.Module):
    """U-Net that gives as many channels as it gets, and as many again for each of `extras`; it predicts zero at first.

    Source: Ho et al., "Denoising Diffusion Probabilistic Models", NeurIPS 2020, for the plan: a U-Net told the time in
        every block, attention at coarse levels.
    Differs: blocks activate after their sum, and the time scales and shifts instead of being added, as everywhere in
        `hyperseg.backbone`.
    """

    def __init__(self, spec: DenoiserSpec) -> None:
        super().__init__()
        self.spec, backbone = spec, spec.backbone
        self.time = TimeEmbedding(backbone.conv.cond_dim)
        self.classes = ClassEmbedding(spec.n_classes, backbone.conv.cond_dim) if spec.n_classes else None
        self.encoder, self.decoder = Encoder(backbone), Decoder(backbone)
        self.last = Conv(backbone.conv, backbone.widths[0], backbone.in_channels, 1, bias=True)
        nn.init.zeros_(self.last.layer.weight)  # type: ignore[arg-type]
        self.more = Head(spec) if spec.extras else None

    def forward(self, x: Tensor, place: Tensor, labels: Tensor | None = None) -> Tensor:
        """Say what is noise in x.

        Args:
            x: (B, C, *S).
            place: (B,) `Schedule.place` of the time.
            labels: (B,) classes, -1 for "not told"; None tells none of them.

        Returns:
            (B, C * (1 + extras), *S).
        """
        return self.tapped(x, place, labels)[0]

    def tapped(
        self, x: Tensor, place: Tensor, labels: Tensor | None = None, *, sparing: bool = False
    ) -> tuple[Tensor, tuple[Tensor, ...]]:
        """What `forward` gives, and (B, widths[i], *S_i) the levels of the decoder, fine to coarse.

        Args:
            sparing: what stages work out within is not kept for gradients, but worked out again.
        """
        levels, cond = self.features(x, place, labels, sparing=sparing)
        out = self.last(levels[0])
        return (out if self.more is None else torch.cat((out, self.more(levels[0], cond, place)), 1)), tuple(levels)

    def features(
        self, x: Tensor, place: Tensor, labels: Tensor | None = None, *, sparing: bool = False
    ) -> tuple[Pyramid, Tensor]:
        """The levels of the decoder, from the finest of which the answers are read, and (B, cond_dim) what is told."""
        cond = self.time(place)
        if self.classes is not None:
            if labels is None:
                labels = torch.full_like(place, -1, dtype=torch.long)
            cond = cond + self.classes(labels)
        elif labels is not None:
            raise SettingError("this network was built without classes: leave `labels` out, or give n_classes.")
        return self.decoder(self.encoder(x, cond, sparing=sparing), cond, sparing=sparing), cond


class Head(nn.Module):
    """What a network says besides its prediction: a convolution told the time, then C channels for each extra.

    It has an embedding of the time of its own: a trained network that is frozen may tell times apart badly.
    """

    def __init__(self, spec: DenoiserSpec) -> None:
        super().__init__()
        backbone = spec.backbone
        self.time = TimeEmbedding(backbone.conv.cond_dim)
        self.block = ConvBlock(backbone.conv, backbone.widths[0], backbone.widths[0], backbone.kernels[0])
        self.last = Conv(backbone.conv, backbone.widths[0], backbone.in_channels * len(spec.extras), 1, bias=True)

    def forward(self, features: Tensor, cond: Tensor, place: Tensor) -> Tensor:
        """(B, widths[0], *S), (B, cond_dim), (B,) -> (B, C * extras, *S)."""
        return self.last(self.block(features, cond + self.time(place)))
