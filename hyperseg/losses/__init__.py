"""Losses that several families share; those of class scores stand in this table, one file each."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hyperseg.core.errors import SettingError
from hyperseg.core.parts import Entry, Parts, read_settings, respelt, spelling_of, split_spelling

if TYPE_CHECKING:
    from hyperseg.losses.loss import Loss

LOSSES = Parts(
    "loss",
    {
        "dice-ce": Entry("hyperseg.losses.dice:DiceCE", "soft Dice and cross-entropy, as nnU-Net"),
        "cosdice": Entry(
            "hyperseg.losses.cosdice:CosDice", "cosine of soft Dice to a power: short steps near the optimum"
        ),
        "ce": Entry("hyperseg.losses.ce:CrossEntropy", "cross-entropy, every pixel alike"),
        "dice": Entry("hyperseg.losses.dice_loss:Dice", "soft Dice of every class, background too"),
        "tversky": Entry(
            "hyperseg.losses.tversky:Tversky", "Dice that weighs what is missed and what is wrongly named"
        ),
        "focal": Entry("hyperseg.losses.focal:Focal", "cross-entropy that counts pixels less that are sure already"),
        "weighted-ce": Entry("hyperseg.losses.weighted_ce:WeightedCE", "cross-entropy that counts background less"),
        "ohem": Entry("hyperseg.losses.ohem:Ohem", "cross-entropy of the hardest pixels of a batch alone"),
        "active-contour": Entry(
            "hyperseg.losses.active_contour:ActiveContour", "short borders around regions that agree, as contours"
        ),
    },
)
PLAIN = "ce"  # every pixel alike: of patches without a background, and what tricks are measured against


def parse_loss(text: str) -> Loss:
    """The loss that is spelled, with its settings: "cosdice:q=2".

    Raises:
        SettingError: an unknown loss or setting (the nearest one is told), or a value that it cannot have.
    """
    name, words = split_spelling(text)
    kind = LOSSES[name]
    try:
        found: Loss = read_settings(kind, words, name)
    except SettingError as why:
        raise SettingError(f"the loss {text!r}: {why} It is spelled {spelling_of(name, kind)}.") from None
    return found


def respelt_loss(text: str) -> str:
    """The loss as it is always spelled, "cosdice" for "Cosdice:q=1.7"; without settings it is not imported.

    Raises:
        SettingError: see `parse_loss`.
    """
    name, words = split_spelling(text)
    return name if name in LOSSES and not words.strip(", ") else respelt(name, parse_loss(text))
