"""Cos-Dice: the cosine of soft Dice raised to a power, whose gradient fades as the overlap becomes perfect."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from hyperseg.core.errors import SettingError
from hyperseg.core.settings import option, settings
from hyperseg.losses.dice import soft_dice
from hyperseg.losses.loss import Sums, Terms


def cos_dice(dsc: Tensor, q: float) -> Tensor:
    """cos(pi/2 dsc)^q, written as sin(pi/2 (1 - dsc))^q: 1 at dsc 0, and 0 with gradient 0 at dsc 1.

    The cosine itself is -4e-8 at dsc 1 in float32, and a dsc just above 1 by rounding makes it negative too: to a
    power that is no whole number both are NaN. 1 - dsc is clamped at 0, so the sine is never negative.

    Args:
        dsc: of any shape, 0 to 1.
        q: above 1. Near the optimum the loss is (pi/2 (1 - dsc))^q. Its gradient is largest where
            tan(pi/2 dsc)^2 = 1 / (q - 1), and near dsc 0 it is small: q dsc (pi/2)^2.
    """
    return (math.pi / 2 * (1 - dsc).clamp(min=0)).sin().pow(q)


def mean_of_present(values: Tensor, present: Tensor) -> Tensor:
    """Of every image the mean over the classes that it has, then the mean over images.

    An image that has none of the classes is held to all of them: there is nothing to find.

    Args:
        values: (B, C).
        present: (B, C), bool.
    """
    counted = present | ~present.any(1, keepdim=True)
    return ((values * counted).sum(1) / counted.sum(1)).mean()


@settings
class CosDice:
    """The mean over images, and over the classes that an image has, of `cos_dice` of their soft Dice.

    An image without any of the classes counts too: an answer that is empty as well has the loss 0 (through `smooth`),
    any other a finite one. A class that an image does not have is not held against it where it has others: there,
    only the loss of the others keeps pixels from it.

    The loss has its own `smooth`, and sums run over each image, whatever `sums` say of both: the cosine bends the
    overlap of one mask, and a batch whose masks are summed together has one overlap, that of its largest masks.
    Scores of single pixels, (B, K) with labels (B,), are no image each: the batch is taken as one image.

    Source: the loss is of Chen et al., "W-net: Bridged U-net for 2D Medical Image Segmentation", arXiv 1807.04459;
    written from the formula of public re-implementations that name it, with one foreground class and softmax here.
    Differs: the mean over several classes, each with its own cosine, is our reconstruction.
    """

    q: float = option(
        1.7,
        "Power of the cosine, above 1: the higher, the sooner steps become short near the optimum. 1.7 is that of a "
        "public re-implementation; the paper's is not known to us.",
        high=10,
    )
    smooth: float = option(
        1.0,
        "Added to both sides of the Dice fraction, in pixels: an empty answer to an empty mask is right. 1 is that of "
        "a public re-implementation (another one has 0.001); it matters for masks of a few pixels.",
        above=0,
        high=1e6,
    )

    def __post_init__(self) -> None:
        if self.q <= 1:
            raise SettingError(
                f"q is {self.q}: give more than 1, as 1.7. At 1 or below the gradient is largest at a perfect "
                "overlap, so that steps do not become shorter near the optimum, which this loss is for."
            )

    def __call__(self, logits: Tensor, labels: Tensor, sums: Sums) -> Terms:
        if logits.ndim == 2:  # single pixels
            logits, labels = logits.t().unsqueeze(0), labels.unsqueeze(0)
        logs = torch.log_softmax(logits.float(), 1)
        found = soft_dice(logs, labels, batch=False, smooth=self.smooth, first=sums.first)
        return {"cos_dice": mean_of_present(cos_dice(found.dsc, self.q), found.present)}
