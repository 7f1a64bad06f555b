"""Losses that several families share; those of class scores stand in this table, one file each."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hyperseg.core.errors import SettingError
from hyperseg.core.parts import Entry, Parts, read_settings, spelling_of, split_spelling

if TYPE_CHECKING:
    from hyperseg.losses.loss import Loss

LOSSES = Parts(
    "loss",
    {
        "dice-ce": Entry("hyperseg.losses.dice:DiceCE", "soft Dice and cross-entropy, as nnU-Net"),
        "ce": Entry("hyperseg.losses.ce:CrossEntropy", "cross-entropy, every pixel alike"),
    },
)
PLAIN = "ce"  # what tricks are measured against


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
