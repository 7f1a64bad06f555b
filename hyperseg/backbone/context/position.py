"""Attention between all positions of a map."""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional as F

from hyperseg.backbone.conv import Conv
from hyperseg.backbone.spec import ConvSpec


def attend(query: Tensor, key: Tensor, value: Tensor, *, scale: float = 1.0) -> Tensor:
    """What every position reads from all positions, those most whose keys are like its query.

    Position i gets the sum over j of value_j times the softmax over j of scale * query_i . key_j.

    Queries and keys are lengthened by zeros to the length of the values: their products stay, and torch's fused kernel
    takes them. With it memory grows with the number of positions N; the N x N weights never stand there as a whole.
    Without it (another device or type) they do: B N^2 numbers.

    Args:
        query, key: (B, d, *S).
        value: (B, C, *S).
        scale: of the products.

    Returns:
        (B, C, *S).
    """
    most = max(query.shape[1], value.shape[1])
    # (B, 1, N, most), one head; the fused kernel wants numbers of a position side by side
    q, k, v = (
        F.pad(x.flatten(2), (0, 0, 0, most - x.shape[1])).transpose(1, 2).contiguous()[:, None]
        for x in (query, key, value)
    )
    found = F.scaled_dot_product_attention(q, k, v, scale=scale)
    return found[:, 0, :, : value.shape[1]].transpose(1, 2).reshape(value.shape)


class PositionAttention(nn.Module):
    """(B, C, *S) -> (B, C, *S): what every position reads from all positions; 1x1 convolutions say what and how.

    Args:
        spec: of the convolutions.
        channels: C.
        narrow: channels of queries and keys.
        shared: queries are the keys, so that two positions weigh each other's products alike.
        scale: of the products of queries and keys.

    Source: Fu et al., "Dual Attention Network for Scene Segmentation", arXiv 1809.02983, section 3.2.
    """

    def __init__(self, spec: ConvSpec, channels: int, narrow: int, *, shared: bool = False, scale: float = 1.0) -> None:
        super().__init__()
        self.scale = scale
        self.query = None if shared else Conv(spec, channels, narrow, 1, bias=True)
        self.key = Conv(spec, channels, narrow, 1, bias=True)
        self.value = Conv(spec, channels, channels, 1, bias=True)

    def forward(self, x: Tensor) -> Tensor:
        key = self.key(x)
        return attend(key if self.query is None else self.query(x), key, self.value(x), scale=self.scale)
