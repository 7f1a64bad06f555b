"""`Evaluation`: what an evaluation found, of all networks, and its JSON."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hyperseg.metrics.overlap import RULE
from hyperseg.recipes.segment.evaluation.figures import Figures
from hyperseg.recipes.tricks.words import with_tricks
from hyperseg.report.segment.slices import Slice


@dataclass(frozen=True)
class Evaluation:
    """How good and how honest the networks of a run are.

    Attributes:
        root: the run.
        data: the folder of the images.
        how: which networks answered which image, in words.
        classes: names, background first.
        unit: of distances: "mm", or "px" where a file does not say.
        networks: the run's own first, then those beside it.
        slices: of all images by the run's own networks.
        doubt: what is shown as doubt in them.
        notes: what to know, a sentence each.
        tricks: that all of them answer with, as they are spelled.
    """

    root: Path
    data: Path
    how: str
    classes: tuple[str, ...]
    unit: str
    networks: tuple[Figures, ...]
    slices: tuple[Slice, ...] = ()
    doubt: str = "entropy"
    notes: tuple[str, ...] = ()
    tricks: tuple[str, ...] = ()

    @property
    def asked(self) -> str:
        """Which networks answered which image, and with which tricks, in words."""
        return f"{self.how}, {with_tricks(self.tricks)}" if self.tricks else self.how

    def to_json(self) -> dict[str, Any]:
        """metrics.json. Of each network under its name:

        run: its folder. mean (dice, iou, hd95, assd): over classes of means over images; micro (dice, iou): all images
        as one; classes: each figure's mean, std and number of images. ece, brier, bins (percent): of the mean
        probabilities of all labelled pixels; auroc: of each doubt. calls: looks at each window; seconds: of an image.
        drawn: how masks were drawn, or null; energy_distance, diversity: mean over images; dice_by: samples, calls,
        fusion -> value -> mean Dice. images: figures of every image.
        """
        return {
            "run": str(self.root), "data": str(self.data), "how": self.how, "unit": self.unit, "rule": RULE,
            "tricks": list(self.tricks), "classes": list(self.classes), "notes": list(self.notes),
            "n_images": len(self.networks[0].worths), "networks": {one.name: one.to_json() for one in self.networks},
        }  # fmt: skip
