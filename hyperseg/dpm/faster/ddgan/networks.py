"""Generator and discriminator of neighbouring states, from the common backbone."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor, nn

from hyperseg.backbone import ClassEmbedding, Encoder, PoolHead, TimeEmbedding
from hyperseg.dpm.network import Denoiser, DenoiserSpec


class Generator(nn.Module):
    """The denoising network with a random code beside the time: for one state it can say many clean data.

    Args:
        spec: of the denoising network; it has no extras here.
        codes: length of the code.

    Source: Xiao et al., "Tackling the Generative Learning Trilemma with Denoising Diffusion GANs", ICLR 2022.
    Differs: the code is added to the condition, through which it scales and shifts every block, instead of going
        through layers of its own; the output is linear.
    """

    def __init__(self, spec: DenoiserSpec, codes: int) -> None:
        super().__init__()
        self.codes, dim = codes, spec.backbone.conv.cond_dim
        self.body = Denoiser(replace(spec, extras=()))
        self.read = nn.Sequential(nn.Linear(codes, dim), nn.SiLU(), nn.Linear(dim, dim), nn.SiLU())

    def forward(self, x: Tensor, place: Tensor, codes: Tensor, labels: Tensor | None = None) -> Tensor:
        """(B, C, *S) scaled states, (B,) places, (B, codes) -> (B, C, *S) clean data."""
        body = self.body
        cond = body.time(place) + self.read(codes)
        if body.classes is not None:
            cond = cond + body.classes(torch.full_like(place, -1, dtype=torch.long) if labels is None else labels)
        return body.last(body.decoder(body.encoder(x, cond), cond)[0])


class Discriminator(nn.Module):
    """How real a state looks as what was before a noisier one: one logit.

    Args:
        spec: of the denoising network whose encoder it mirrors.
    """

    def __init__(self, spec: DenoiserSpec) -> None:
        super().__init__()
        backbone = spec.backbone
        conv = replace(backbone.conv, act="leaky_relu", dropout=0.0)
        judge = replace(backbone, in_channels=2 * backbone.in_channels, conv=conv, attention=())
        self.time = TimeEmbedding(conv.cond_dim)
        self.classes = ClassEmbedding(spec.n_classes, conv.cond_dim) if spec.n_classes else None
        self.encoder, self.head = Encoder(judge), PoolHead(judge, 1)

    def forward(self, before: Tensor, x: Tensor, place: Tensor, labels: Tensor | None = None) -> Tensor:
        """(B, C, *S) scaled states at the smaller and the larger level, (B,) place of the larger -> (B,) logits."""
        cond = self.time(place)
        if self.classes is not None:
            cond = cond + self.classes(torch.full_like(place, -1, dtype=torch.long) if labels is None else labels)
        return self.head(self.encoder(torch.cat((before, x), 1), cond))[:, 0]
