"""Dice whose two kinds of mistake have weights. Imported without torch: a trick of this name has the same settings."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hyperseg.core import SettingError
from hyperseg.core.settings import option, settings

if TYPE_CHECKING:
    from torch import Tensor

    from hyperseg.losses.loss import Sums, Terms

LEAST = 1e-3  # of the larger weight: with less the fraction is 1, whatever the scores


@settings
class Tversky:
    """1 - the mean over images and classes of (found + smooth) / (found + fn_weight missed + fp_weight wrong + smooth).

    Both weights 0.5 make it Dice. Background is a class as the others, and sums are taken as in `losses.dice_loss`.

    Source: arXiv 2209.10307, "CBL: Tversky"; weights and smooth of its published code.
    Differs: nothing of that; but Salehi et al., arXiv 1706.05721, who made this loss, weigh what is missed with 0.7 and
    what is wrongly named with 0.3, so that more is found. Ask for theirs with fn_weight=0.7, fp_weight=0.3.
    """

    fn_weight: float = option(0.3, "Of pixels that are missed; 0.7 in the paper that made the loss.", low=0, high=1e3)
    fp_weight: float = option(0.7, "Of pixels that are wrongly named; 0.3 in that paper.", low=0, high=1e3)
    smooth: float = option(1e-7, "Added to both sides of the fraction.", above=0, high=1e3)

    def __post_init__(self) -> None:
        if max(self.fn_weight, self.fp_weight) < LEAST:
            raise SettingError(
                f"fn_weight is {self.fn_weight} and fp_weight {self.fp_weight}: no mistake would count. Give one of "
                f"them {LEAST} or more."
            )

    def __call__(self, logits: Tensor, labels: Tensor, sums: Sums) -> Terms:
        from hyperseg.losses.overlap import overlap

        found, missed, wrong = overlap(logits, labels, batch=sums.batch)
        weighed = self.fn_weight * missed + self.fp_weight * wrong
        return {"tversky": 1 - ((found + self.smooth) / (found + weighed + self.smooth)).mean()}
