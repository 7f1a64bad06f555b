"""Cross-entropy with a weight of background. Imported without torch: a trick of this name has the same settings."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hyperseg.core.settings import option, settings

if TYPE_CHECKING:
    from torch import Tensor

    from hyperseg.losses.loss import Sums, Terms


@settings
class WeightedCE:
    """The weighted mean over labelled pixels of their cross-entropy, in nats: the weights are divided by their sum.

    Where no class is background (`sums.first` is 0) it is cross-entropy.

    Source: arXiv 2209.10307, "CBL: weighted CE", weights 0.2 and 0.8; the mean is that of `torch.nn.CrossEntropyLoss`.
    """

    background: float = option(0.2, "Weight of pixels of the background.", above=0, high=1e3)
    foreground: float = option(0.8, "Weight of pixels of every other class.", above=0, high=1e3)

    @property
    def needs_background(self) -> bool:
        """It says nothing where there is none."""
        return True

    def __call__(self, logits: Tensor, labels: Tensor, sums: Sums) -> Terms:
        from hyperseg.losses.per_pixel import class_weights, pixel_entropy

        background = self.background if sums.first else self.foreground
        weights = class_weights(labels, background=background, rest=self.foreground)
        total = weights.sum()
        summed = (weights * pixel_entropy(logits, labels)).sum()
        return {"cross_entropy": summed / (total + (total == 0))}
