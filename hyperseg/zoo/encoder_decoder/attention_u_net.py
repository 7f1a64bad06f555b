"""Attention U-Net."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn

from hyperseg.backbone import BackboneSpec, ClassHead, Conv, Decoder, Encoder, resized
from hyperseg.zoo.member import Member


class Gate(nn.Module):
    """A skip weighed pixel by pixel, by what the coarser map makes of it: a = sigmoid(psi(ReLU(W skip + V coarse))).

    The weight is computed at the coarser map's size and raised to the skip's.
    """

    def __init__(self, spec: BackboneSpec, level: int) -> None:
        super().__init__()
        stage, coarser = spec.stages[level], spec.stages[level + 1]
        plain = replace(spec.conv, norm="none")
        hidden = max(1, stage.width // 2)
        self.of_skip = Conv(plain, stage.width, hidden, coarser.stride, coarser.stride, bias=False)
        self.of_coarse = Conv(plain, coarser.width, hidden, 1)
        self.psi = Conv(plain, hidden, 1, 1)

    def weight(self, skip: Tensor, coarse: Tensor) -> Tensor:
        """(B, C, *S), (B, C_coarse, *T) -> (B, 1, *S) in [0, 1]."""
        weight = torch.sigmoid(self.psi(torch.relu(self.of_skip(skip) + self.of_coarse(coarse))))
        return resized(weight, skip.shape[2:])

    def forward(self, skip: Tensor, coarse: Tensor) -> Tensor:
        return self.weight(skip, coarse) * skip


class AttentionUNet(nn.Module):
    """(B, C, *S) -> (B, K, *S): a U-Net whose skips are weighed by additive gates.

    Defined by: before an encoder's map is joined on the way up, each of its pixels is multiplied by a weight between 0
    and 1, read from the map itself and from the coarser one that is being raised.
    Use: small organs in large volumes, where a U-Net's skips bring much that is not wanted; a gate costs little.

    Source: Oktay et al., "Attention U-Net: Learning Where to Look for the Pancreas", arXiv 1804.03999.
    Differs: all skips have a gate, the finest too, which the paper leaves as it is; gates have no normalisation, so
    that they work on maps of one pixel; no deep supervision. Widths, depths and strides are the backbone's.
    """

    def __init__(self, spec: BackboneSpec, n_classes: int, chosen: Any) -> None:
        super().__init__()
        self.encoder, self.decoder = Encoder(spec), Decoder(spec)
        self.gates = nn.ModuleList(Gate(spec, level) for level in range(len(spec.widths) - 1))
        self.head = ClassHead(spec, n_classes)

    def forward(self, x: Tensor) -> Tensor:
        *skips, found = self.encoder(x)
        for merge, gate, skip in zip(self.decoder.merges[::-1], self.gates[::-1], skips[::-1], strict=True):
            found = merge(found, gate(skip, found))
        return resized(self.head([found]), x.shape[2:])


ATTENTION_U_NET = Member("attention-u-net", "Attention U-Net", 2018, "encoder-decoder", AttentionUNet, AttentionUNet)
