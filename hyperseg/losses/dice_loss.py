"""One minus soft Dice, of all classes alike. Imported without torch: a trick of this name has the same settings."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hyperseg.core.settings import option, settings

if TYPE_CHECKING:
    from torch import Tensor

    from hyperseg.losses.loss import Sums, Terms


@settings
class Dice:
    """1 - the mean over images and classes of (2 found + smooth) / (2 found + wrong + missed + smooth).

    Background is a class as the others. A class that is in no label of an image pulls the mean down, but has next to no
    gradient as long as anything of it is expected. Where `sums.batch`, and where S is empty, the sums run over the
    batch and the mean over classes alone.

    Source: arXiv 2209.10307, "CBL: Dice"; background and smooth of its published code.
    """

    smooth: float = option(1e-8, "Added to both sides of the fraction.", above=0, high=1e3)

    def __call__(self, logits: Tensor, labels: Tensor, sums: Sums) -> Terms:
        from hyperseg.losses.overlap import overlap

        found, missed, wrong = overlap(logits, labels, batch=sums.batch)
        return {"dice": 1 - ((2 * found + self.smooth) / (2 * found + wrong + missed + self.smooth)).mean()}
