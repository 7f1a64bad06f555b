"""Cross-entropy that counts sure pixels less. Imported without torch: a trick of this name has the same settings."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hyperseg.core.settings import option, settings

if TYPE_CHECKING:
    from torch import Tensor

    from hyperseg.losses.loss import Sums, Terms

ALPHA_BACKGROUND = 0.25
LEAST_DOUBT = 1e-12  # below it a power with an exponent under 1 has no finite slope


@settings
class Focal:
    """The mean over labelled pixels of -alpha (1 - p) ** gamma log p, where p is the probability of a pixel's class.

    Where no class is background (`sums.first` is 0) all have the alpha of the rest.

    Source: Lin et al., arXiv 1708.02002, equation 5; both alphas as arXiv 2209.10307, "CBL: Focal".
    """

    gamma: float = option(2.0, "How much less a pixel counts that is sure; 0 is cross-entropy.", low=0, high=10)
    alpha_background: float = option(ALPHA_BACKGROUND, "Weight of pixels of the background.", low=0, high=1e3)
    alpha: float = option(0.75, "Weight of pixels of every other class.", above=0, high=1e3)

    @property
    def needs_background(self) -> bool:
        """Whether it says something of background that cannot be followed where there is none."""
        return self.alpha_background != ALPHA_BACKGROUND

    def __call__(self, logits: Tensor, labels: Tensor, sums: Sums) -> Terms:
        from hyperseg.losses.per_pixel import class_weights, labelled_mean, pixel_entropy

        entropy = pixel_entropy(logits, labels)
        alpha = class_weights(labels, background=self.alpha_background if sums.first else self.alpha, rest=self.alpha)
        doubt = (-(-entropy).expm1()).clamp(min=LEAST_DOUBT)
        return {"focal": labelled_mean(alpha * doubt**self.gamma * entropy, labels)}
