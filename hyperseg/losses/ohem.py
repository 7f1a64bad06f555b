"""Cross-entropy of the hardest pixels. Imported without torch: a trick of this name has the same settings."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hyperseg.core.settings import option, settings

if TYPE_CHECKING:
    from torch import Tensor

    from hyperseg.losses.loss import Sums, Terms


@settings
class Ohem:
    """The mean cross-entropy, in nats, of those labelled pixels of a batch that have the most of it.

    Of n pixels n - round((1 - share) n) count, one at least; all where the share is 1.

    Source: arXiv 2209.10307, "OHEM" (online hard example mining), share 0.7.
    """

    share: float = option(0.7, "Of the labelled pixels of a batch that count, the hardest first.", above=0, high=1)

    def __call__(self, logits: Tensor, labels: Tensor, sums: Sums) -> Terms:
        import torch

        from hyperseg.losses.per_pixel import pixel_entropy

        # sorted, as how many there are is not known to the host: asking would make it wait for the device
        entropy = pixel_entropy(logits, labels).flatten()
        known = (labels >= 0).flatten()
        ranked = entropy.masked_fill(~known, -1).sort(descending=True).values
        n = known.sum()
        many = n - ((1 - self.share) * n).round().long()
        counts = torch.arange(len(ranked), device=labels.device) < many.maximum(n.clamp(max=1))
        return {"cross_entropy": (ranked * counts).sum() / counts.sum().clamp(min=1)}
