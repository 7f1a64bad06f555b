"""Self-attention between all positions of a map."""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional as F

from hyperseg.backbone.layers import norm
from hyperseg.backbone.spec import ConvSpec
from hyperseg.core import SettingError


class SelfAttention(nn.Module):
    """x + what every position reads from all positions; it starts as the identity.

    There is no dropout: in evaluation nothing is left on. Memory grows with the number of positions, not its square,
    where torch has a fused kernel.

    Args:
        spec: for the normalisation before (none: none).
        channels: C.
        heads: that share the channels.

    Source: Vaswani et al., "Attention Is All You Need", NeurIPS 2017; in denoisers: Ho et al., NeurIPS 2020.
    """

    def __init__(self, spec: ConvSpec, channels: int, heads: int) -> None:
        super().__init__()
        if channels % heads:
            raise SettingError(f"{heads} heads cannot share {channels} channels evenly: use a divisor.")
        self.heads = heads
        self.norm = norm(spec, channels)
        self.read = nn.Linear(channels, 3 * channels)
        self.write = nn.Linear(channels, channels)
        nn.init.zeros_(self.write.weight)
        nn.init.zeros_(self.write.bias)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, *S) -> (B, C, *S)."""
        flat = (x if self.norm is None else self.norm(x)).flatten(2).transpose(1, 2)
        query, key, value = self.read(flat).unflatten(2, (3, self.heads, -1)).permute(2, 0, 3, 1, 4)
        found = F.scaled_dot_product_attention(query, key, value).transpose(1, 2).flatten(2)
        return x + self.write(found).transpose(1, 2).reshape(x.shape)
