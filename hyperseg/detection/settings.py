"""Settings of the detector and of what it learns from: the supervised twin, FocalMix, and every step between. No torch.

Where a default comes from is said in its help. What this was written from is a second-hand account of the paper, which
has no public code: "our reading" is a value that we remember or chose, not one that was read there. "Measured" is what
did best on made-up nodules, on seeds that no table shows (docs/benchmarks.md, FocalMix); PAPER has our reading instead.
"""

from __future__ import annotations

from typing import Any, Literal

from hyperseg.boxes.levels import check_levels
from hyperseg.core import SettingError
from hyperseg.core.settings import option, settings

Classification = Literal["bce", "focal"]
Teacher = Literal["self", "ema"]
Normaliser = Literal["halves", "batch"]
Norm = Literal["group", "instance", "batch"]


@settings
class DetectorSettings:
    """What the network of the detector is; defaults are ours, for a few cores."""

    widths: tuple[int, ...] = option((16, 32, 64), "Channels of the stages, from fine to coarse.", low=2)
    depth: int = option(1, "Convolutions of a stage.", low=1)
    stem: int = option(2, "Stride of the first stage; of every other one it is 2.", low=1, high=8)
    levels: tuple[int, ...] = option((0, 1), "Levels of the pyramid that are read, 0 is the finest.", low=0)
    anchors: tuple[float, ...] = option(
        (),
        "Sides of the anchors in voxels, of all levels, from small to large; empty plans them from the training boxes. "
        "They have one side for all axes that may be exchanged, so that rotations keep the set as it is.",
        above=0,
    )
    per_level: int = option(2, "Anchors at a place of a level, where they are planned.", low=1, high=32)
    head_width: int = option(32, "Channels of the head, which all levels share.", low=2)
    head_depth: int = option(1, "Convolutions of the head before scores and boxes, each.", low=1)
    norm: Norm = option(
        "group",
        "Normalisation. Targets are predicted in evaluation mode; with batch norm they still drift with what the "
        "network has seen.",
    )
    prior: float = option(0.01, "Probability of an object that the network starts from (focal loss).", above=0, below=1)

    def __post_init__(self) -> None:
        if not self.widths:
            raise SettingError("widths (): give the channels of one stage at least, as 16,32,64.")
        check_levels(self.widths, self.levels, self.anchors)


@settings
class FocalMixSettings:
    """What a step learns from. The defaults are all of FocalMix; `ABLATION` has the steps that lead to it."""

    classification: Classification = option(
        "focal",
        "Loss of the scores: focal, of soft targets over all anchors, or bce, cross-entropy of objects and hard "
        "negatives (the recipe of the supervised detector in MONAI: 64 anchors of an image, 0.3 of them positive).",
    )
    alpha0: float = option(0.5, "Focal weight of a target of 0. Measured; our reading: 0.05.", low=0, high=1e3)
    alpha1: float = option(0.5, "Focal weight of a target of 1. Measured; our reading: 0.95.", above=0, high=1e3)
    gamma: float = option(2.0, "How much less counts what is predicted well; 0: nothing. Our reading.", low=0, high=10)
    unlabelled: bool = option(True, "Learn from predicted targets of volumes without labels.")
    views: int = option(
        4, "K, flips and rotations that a predicted target is the mean of. Our reading.", low=1, high=48
    )
    temperature: float = option(
        0.4, "T of the sharpening of predicted targets; 1 leaves them. Measured; our reading: 0.7.", above=0, high=1
    )
    doubtful: tuple[float, float] = option(
        (0.02, 0.5),
        "Predicted targets between these two are in doubt and carry no loss; two equal numbers: none are, as in the "
        "paper. Ours, measured.",
        low=0,
        high=1,
    )
    image_mixup: bool = option(True, "Mix whole patches, and their targets with them.")
    object_mixup: bool = option(True, "Mix objects with each other, in their boxes; targets stay.")
    eta: float = option(
        0.2, "Both parameters of the Beta distribution that shares are drawn from. Our reading.", above=0
    )
    teacher: Teacher = option(
        "ema", "Who predicts the targets: the network as it is (self) or the average of its weights (ema). Measured."
    )
    warm_up: float = option(
        0.3,
        "Share of the steps that learn from labels alone, before anything is predicted or mixed. Ours.",
        low=0,
        high=1,
    )
    confident: float = option(
        0.5,
        "Predicted targets from here on are objects that are mixed; no box is learnt from them. Ours.",
        above=0,
        high=1,
    )
    normaliser: Normaliser = option(
        "halves",
        "What the focal loss is divided by: the sum of the targets, of labelled and unlabelled patches each by its own "
        "(halves), or one sum of all (batch), by which many faint targets make labels count less. Ours.",
    )
    weight: float = option(1.0, "Weight of the loss of volumes without labels.", low=0, high=100)
    boxes: float = option(1.0, "Weight of the L1 loss of box codes, of labelled objects alone. Ours.", low=0, high=100)
    turned: bool = option(True, "Turn and mirror patches at random; the same for every row of a comparison.")
    shaken: float = option(
        0.0,
        "How much contrast and brightness of patches change at random and how much noise is added, as a share of their "
        "own spread; targets are predicted before. The same for every row of a comparison. Ours; of 0 and 0.3 the "
        "latter measured better, for the twin too.",
        low=0,
        below=1,
    )
    average: float = option(
        0.98, "Decay of the moving average of the weights, which is what is kept. Ours.", low=0, below=1
    )

    def __post_init__(self) -> None:
        if len(self.doubtful) != 2 or self.doubtful[0] > self.doubtful[1]:
            raise SettingError(f"doubtful {self.doubtful}: give two numbers from 0 to 1, the smaller one first.")
        if self.classification == "bce" and (self.unlabelled or self.image_mixup):
            raise SettingError(
                "classification=bce chooses hard negatives of hard targets; predicted targets and mixed patches are "
                "soft. Use classification=focal, or unlabelled=false and image_mixup=false."
            )


ABLATION: dict[str, dict[str, Any]] = {
    "twin": {"classification": "bce", "unlabelled": False, "image_mixup": False, "object_mixup": False},
    "+ soft focal": {"unlabelled": False, "image_mixup": False, "object_mixup": False},
    "+ target prediction": {"image_mixup": False, "object_mixup": False},
    "+ image MixUp": {"object_mixup": False},
    "+ object MixUp": {},
}
"""From the supervised twin to FocalMix, row by row: what differs from the defaults of `FocalMixSettings`."""

PAPER: dict[str, Any] = {
    "alpha0": 0.05, "alpha1": 0.95, "temperature": 0.7, "doubtful": (0.5, 0.5), "teacher": "self", "shaken": 0.0,
}  # fmt: skip
"""The paper as we read it, where the defaults are others."""
