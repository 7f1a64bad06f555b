"""Settings of Mask R-CNN that a user may choose; no torch."""

from __future__ import annotations

from hyperseg.boxes.levels import check_levels
from hyperseg.core.settings import option, settings


@settings
class MaskRCNNSettings:
    """What Mask R-CNN is; the defaults of its size are ours, for a few cores."""

    widths: tuple[int, ...] = option((16, 32, 64, 96), "Channels of the stages, from fine to coarse.", low=2)
    depth: int = option(1, "Blocks of a stage, each of two convolutions and a skip.", low=1)
    stem: int = option(2, "Stride of the first stage; of every other one it is 2.", low=1, high=8)
    levels: tuple[int, ...] = option((0, 1, 2), "Levels of the pyramid that are read, 0 is the finest.", low=0)
    anchors: tuple[float, ...] = option(
        (), "Sides of the anchors in pixels, of all levels, from small to large; empty plans them from the training "
        "boxes.", above=0,
    )  # fmt: skip
    per_level: int = option(2, "Anchors at a place of a level, where they are planned.", low=1, high=32)
    neck_width: int = option(48, "Channels of the pyramid and of the heads that read it.", low=2)
    hidden: int = option(128, "Values of each of the two layers of the head of classes and boxes.", low=2)
    mask_depth: int = option(2, "Convolutions of the mask head before its map is doubled.", low=1, high=8)
    box_bins: int = option(7, "Places along a side of a box that the head of classes reads. Paper.", low=2, high=28)
    mask_bins: int = option(14, "And the mask head; masks have twice as many pixels a side. Paper.", low=2, high=56)
    samples: int = option(2, "Samples per place and axis. Paper.", low=1, high=8)

    def __post_init__(self) -> None:
        check_levels(self.widths, self.levels, self.anchors)


@settings
class LessonSettings:
    """What a step of Mask R-CNN learns from."""

    anchors_drawn: int = option(256, "Anchors of a picture that say object or not. Faster R-CNN.", low=2)
    positive_anchors: float = option(0.5, "Share of them that stand for an object, at most.", above=0, below=1)
    proposals: int = option(200, "Proposals of a picture that the heads may learn from.", low=1)
    boxes_drawn: int = option(64, "Proposals of a picture that the heads learn from. Paper.", low=2)
    positive_boxes: float = option(
        0.5, "Share of them that hold an object, at most. Ours; paper: 0.25.", above=0, below=1
    )
    overlap: float = option(0.5, "IoU from which on a proposal holds an object. Paper.", above=0, below=1)
    masks_drawn: int = option(24, "Positive proposals of a picture that the mask head learns from. Ours.", low=1)
    smooth: float = option(0.1, "Where the smooth L1 loss of codes changes from square to straight.", above=0)
    weights: tuple[float, float, float, float, float] = option(
        (1.0, 1.0, 1.0, 1.0, 1.0),
        "Weights of the five terms: proposals, their boxes, classes, boxes, masks. Paper.", low=0,
    )  # fmt: skip


@settings
class FindSettings:
    """How objects are found in a picture."""

    before: int = option(2000, "Proposals of a level that are looked at.", low=1)
    proposals: int = option(1000, "Proposals that stay of a picture.", low=1)
    proposal_overlap: float = option(0.7, "IoU above which of two proposals the better stays. Paper.", low=0, high=1)
    score: float = option(0.5, "Least score of an object that is told.", low=0, high=1)
    overlap: float = option(0.5, "IoU above which of two objects the better stays. Paper.", low=0, high=1)
    most: int = option(1000, "Objects of a picture, at most.", low=1)
    mask: float = option(0.5, "Probability from which on a pixel belongs to an object. Paper.", above=0, below=1)
    kept: float = option(
        0.5, "Share of its pixels that an object keeps after better ones took theirs; with less it goes.", low=0, high=1
    )
