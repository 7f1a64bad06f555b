"""U-Net++."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from hyperseg.backbone import BackboneSpec, ClassHead, ConvBlock, ConvTranspose, Encoder, ResidualBlock, resized
from hyperseg.core.settings import option, settings
from hyperseg.zoo.member import Member


@settings
class UNetPlusPlusSettings:
    """What of U-Net++ can be chosen."""

    deep_supervision: bool = option(
        True, "In training the maps of all nested U-Nets are scored, not the largest alone."
    )


class Node(nn.Module):
    """X^{i,j}: all maps before it of its level, and the raised one of the next coarser level, then convolutions."""

    def __init__(self, spec: BackboneSpec, level: int, before: int) -> None:
        super().__init__()
        stage, coarser = spec.stages[level], spec.stages[level + 1]
        self.up = ConvTranspose(spec.conv, coarser.width, stage.width, coarser.stride, coarser.stride, bias=True)
        block = ResidualBlock if spec.conv.residual else ConvBlock
        inputs = [(before + 1) * stage.width, *[stage.width] * (stage.depth - 1)]
        self.blocks = nn.Sequential(*[block(spec.conv, n, stage.width, stage.kernel) for n in inputs])

    def forward(self, before: Sequence[Tensor], coarse: Tensor) -> Tensor:
        """`before` maps (B, width, *S), and (B, width of the coarser level, *T) -> (B, width, *S)."""
        raised = self.up(coarse, before[0].shape[2:])
        found: Tensor = self.blocks(torch.cat((*before, raised), dim=1))
        return found


class UNetPlusPlus(nn.Module):
    """(B, C, *S) -> (B, K, *S): U-Nets of all depths over one encoder, each level's maps joined with all before.

    Defined by: X^{i,j} is made of X^{i,0}, ..., X^{i,j-1} and the raised X^{i+1,j-1}; X^{i,0} is the encoder, and
    every X^{0,j} with j > 0 is a segmentation of its own that may be scored in training (deep supervision).
    Use: like U-Net where its skips join maps that are too different; several times its memory and time.

    Source: Zhou, Siddiquee, Tajbakhsh, Liang, "UNet++: A Nested U-Net Architecture for Medical Image Segmentation",
    arXiv 1807.10165.
    Differs: the map is always that of the largest U-Net, the mean of all is not taken; all that are scored count alike
    in training. Widths, depths and strides are the backbone's.
    """

    def __init__(self, spec: BackboneSpec, n_classes: int, chosen: UNetPlusPlusSettings) -> None:
        super().__init__()
        self.encoder = Encoder(spec)
        last = len(spec.widths) - 1
        self.nodes = nn.ModuleList(  # nodes[j - 1][i] is X^{i,j}
            nn.ModuleList(Node(spec, level, column) for level in range(last + 1 - column))
            for column in range(1, last + 1)
        )
        scored = max(1, last) if chosen.deep_supervision else 1
        self.heads = nn.ModuleList(ClassHead(spec, n_classes) for _ in range(scored))
        self.weights = (1 / scored,) * scored

    def columns(self, x: Tensor) -> list[Tensor]:
        """The finest maps X^{0,0}, X^{0,1}, ..., (B, widths[0], *S_0) each."""
        rows = [[found] for found in self.encoder(x)]
        for nodes in self.nodes:
            assert isinstance(nodes, nn.ModuleList)
            column = [node(row, below[-1]) for node, row, below in zip(nodes, rows, rows[1:], strict=False)]
            rows = [[*row, found] for row, found in zip(rows, column, strict=False)]
        return rows[0]

    def forward(self, x: Tensor) -> Tensor:
        return resized(self.heads[0]([self.columns(x)[-1]]), x.shape[2:])

    def levels(self, x: Tensor) -> list[Tensor]:
        """The scores of X^{0,L}, and where deep supervision is on, those of X^{0,L-1}, ..., X^{0,1}, all (B, K, *S)."""
        maps = self.columns(x)[::-1]
        return [resized(head([found]), x.shape[2:]) for head, found in zip(self.heads, maps, strict=False)]


U_NET_PLUS_PLUS = Member(
    "u-net-plus-plus", "U-Net++", 2018, "encoder-decoder", UNetPlusPlus, UNetPlusPlus, UNetPlusPlusSettings
)
