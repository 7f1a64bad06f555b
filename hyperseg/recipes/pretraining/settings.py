"""Settings of contrastive pre-training on a folder of images or volumes. Imported without torch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from typing import Any, Literal

from hyperseg.core import SettingError
from hyperseg.core.settings import option, settings

MINUTES = 20.0


def refuse_idle(of: Any, idle: Mapping[str, bool], why: str) -> None:
    """Raise SettingError where a setting was given that cannot count.

    Args:
        of: settings.
        idle: name -> whether it does not count.
        why: to end a sentence.
    """
    for f in fields(of):
        value = getattr(of, f.name)
        if idle.get(f.name) and value != f.default:
            raise SettingError(f"{f.name} {value} changes nothing {why}: leave it out.")


@settings
class FolderContrast:
    """How images are learnt from without their labels.

    Source: temperature, partitions, batch, learning rate and levels are those of Chaitanya et al., NeurIPS 2020, and
    its published code.
    Differs: AdamW over one cycle (there Adam with a constant rate); minutes instead of 10 000 steps a stage.
    """

    pairs: Literal["auto", "gr", "gd-", "gd"] = option(
        "auto",
        "Which slices count as alike. gr: two changed views of one slice. gd-: its views, and slices at other heights "
        "of all volumes are unlike. gd: slices at the same height of other volumes are alike too. auto is gd for "
        "volumes (gd- for a single one) and gr for pictures.",
        shown="pairs",
    )
    local: bool = option(
        False, "A second stage: places within an image, by the first levels of the decoder.", shown="local",
        off="global-only",
    )  # fmt: skip
    minutes: float = option(
        MINUTES, "Of training, all stages together; preparing images comes on top.", above=0, shown="minutes"
    )
    steps: int = option(
        0, "Exactly so many steps of each stage instead; 0 leaves it to the minutes.", low=0, high=10_000_000,
        shown="steps",
    )  # fmt: skip
    parts: int = option(4, "Partitions of a volume, from its first slice to its last.", low=2, high=1000)
    batch: int = option(12, "Slices in a step; each is seen in two or three views.", low=2, high=65_536)
    temperature: float = option(0.1, "Of both losses: small ones look at what is nearly alike.", above=0, high=100)
    lr: float = option(1e-3, "Peak learning rate of the one-cycle schedule (AdamW).", above=0)
    levels: int = option(
        3,
        "Levels of the decoder, from the coarsest, that the local stage trains; all where it has fewer.",
        low=1,
        high=9,
    )
    field: float = option(
        0.3, "Deviation of smooth fields of brightness in views of the local stage (ours); 0 for none.", low=0, high=10
    )
    noise: float = option(
        0.1, "Deviation of noise in views of the local stage (ours), of scaled values; 0 for none.", low=0, high=10
    )

    def __post_init__(self) -> None:
        refuse_idle(self, dict.fromkeys(("levels", "field", "noise"), not self.local), "without --local")
        refuse_idle(self, {"parts": self.pairs == "gr"}, "with pairs gr, which know no partitions")
        if self.pairs in ("gd-", "gd") and self.batch < self.parts * (2 if self.pairs == "gd" else 1):
            least = self.parts * (2 if self.pairs == "gd" else 1)
            raise SettingError(
                f"pairs {self.pairs} need {least} slices in a step, as a volume has {self.parts} partitions; batch is "
                f"{self.batch}. Make the batch larger, or take fewer parts."
            )
