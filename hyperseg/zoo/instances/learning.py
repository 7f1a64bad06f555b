"""What Mask R-CNN learns from: five terms, of the anchors and of the proposals of each picture."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

from hyperseg.boxes.codes import encode
from hyperseg.boxes.matching import match
from hyperseg.boxes.overlap import iou
from hyperseg.zoo.instances.mask_rcnn import MaskRCNN, Proposals
from hyperseg.zoo.instances.proposing import proposed
from hyperseg.zoo.instances.settings import LessonSettings

MOVES, STRETCHES = 0.1, 0.2  # what codes of the second stage are counted in: they are small
BEFORE, PROPOSAL_OVERLAP = 500, 0.7  # proposals of a level that are looked at in training, and IoU of two


class Objects(NamedTuple):
    """The objects of one picture.

    Attributes:
        boxes: (M, 2n), half open, around what is seen of each.
        ids: (M) their numbers in the map.
        classes: (M) from 1.
        numbers: (*S) the map of numbers, 0 where none is.
    """

    boxes: Tensor
    ids: Tensor
    classes: Tensor
    numbers: Tensor


class Batch(NamedTuple):
    """Pictures of one size and their objects; `seed` decides what is drawn among anchors and proposals."""

    images: Tensor
    objects: list[Objects]
    seed: int


@dataclass
class MaskRCNNLoss:
    """Batch -> the five terms of Mask R-CNN, by name; their sum is minimised.

    Of each picture some anchors are drawn, half of them such as stand for an object; they learn whether they do, and
    where it lies. Then some of the proposals, and of the true boxes, learn class and box. Those that hold an object
    learn its mask: the cross-entropy of each of its pixels in the channel of the true class alone.

    Source: He et al., arXiv 1703.06870, section 3; Ren et al., arXiv 1506.01497, sections 3.1.2 and 3.1.3.
    """

    net: MaskRCNN
    settings: LessonSettings
    known: dict[object, list[Tensor]] = field(default_factory=dict)

    def __call__(self, batch: Batch) -> Mapping[str, Tensor]:
        chosen, shape = self.settings, tuple(batch.images.shape[2:])
        rng = torch.Generator().manual_seed(batch.seed)
        pyramid, said = self.net(batch.images)
        said = Proposals(said.logits.float(), said.codes.float())
        anchors = self._anchors(shape, batch.images.device)
        objectness, places = self._first(said, anchors, batch.objects, rng)
        drawn = [
            self._drawn(said.logits[i], said.codes[i], anchors, own, shape, rng) for i, own in enumerate(batch.objects)
        ]
        classes, codes = self._second(pyramid, drawn)
        masks = self._masks(pyramid, drawn, batch.objects)
        names = ("objects", "proposals", "classes", "boxes", "masks")
        terms = (objectness, places, classes, codes, masks)
        return {name: w * term for name, w, term in zip(names, chosen.weights, terms, strict=True)}

    def _anchors(self, shape: tuple[int, ...], device: torch.device) -> list[Tensor]:
        if (shape, device) not in self.known:
            self.known[shape, device] = self.net.anchors.boxes(shape, device=device)
        return self.known[shape, device]

    def _first(
        self, said: Proposals, anchors: list[Tensor], objects: Sequence[Objects], rng: torch.Generator
    ) -> tuple[Tensor, Tensor]:
        chosen, every = self.settings, torch.cat(anchors)
        scores, places, count = [], [], 0
        for logits, codes, own in zip(said.logits, said.codes, objects, strict=True):
            of = match(anchors, own.boxes)
            positive = _some(of >= 0, round(chosen.positive_anchors * chosen.anchors_drawn), rng)
            negative = _some(of < 0, chosen.anchors_drawn - len(positive), rng)
            here = torch.cat([positive, negative])
            truth = (of[here] >= 0).to(logits)
            scores.append(F.binary_cross_entropy_with_logits(logits[here], truth))
            target = encode(own.boxes[of[positive]], every[positive])
            places.append(_smooth(codes[positive], target, chosen.smooth))
            count += len(positive)
        return torch.stack(scores).mean(), torch.stack(places).sum() / max(count, 1)

    @torch.no_grad()
    def _drawn(
        self, logits: Tensor, codes: Tensor, anchors: list[Tensor], own: Objects, shape: tuple[int, ...],
        rng: torch.Generator,
    ) -> Drawn:  # fmt: skip
        """Proposals that the heads learn from, those with an object first."""
        chosen = self.settings
        boxes = proposed(
            logits.detach(), codes.detach(), anchors, shape, before=BEFORE, most=chosen.proposals,
            overlap=PROPOSAL_OVERLAP,
        )  # fmt: skip
        boxes = torch.cat([own.boxes.to(boxes), boxes])
        if len(own.boxes):
            best, of = iou(boxes, own.boxes.to(boxes)).max(1)
        else:
            best, of = boxes.new_zeros(len(boxes)), torch.zeros(len(boxes), dtype=torch.int64, device=boxes.device)
        positive = _some(best >= chosen.overlap, round(chosen.positive_boxes * chosen.boxes_drawn), rng)
        negative = _some(best < chosen.overlap, chosen.boxes_drawn - len(positive), rng)
        return Drawn(boxes[torch.cat([positive, negative])], of[positive], own)

    def _second(self, pyramid: list[Tensor], drawn: Sequence[Drawn]) -> tuple[Tensor, Tensor]:
        logits, codes = self.net.classes(pyramid, [one.boxes for one in drawn])
        truth = torch.cat([one.classes for one in drawn])
        held = (truth > 0).nonzero()[:, 0]
        target = torch.cat([encode(one.held.boxes, one.boxes[: len(one.of)]) for one in drawn])
        said = codes.float()[held, truth[held] - 1]
        off = _smooth(said, in_units(target), self.settings.smooth) / max(len(truth), 1)
        return F.cross_entropy(logits.float(), truth), off

    def _masks(self, pyramid: list[Tensor], drawn: Sequence[Drawn], objects: Sequence[Objects]) -> Tensor:
        most = self.settings.masks_drawn
        boxes = [one.boxes[: min(len(one.of), most)] for one in drawn]
        if not sum(map(len, boxes)):
            return pyramid[0].sum() * 0
        logits = self.net.outlined(pyramid, boxes).float()
        bins = logits.shape[2:]
        targets, classes = [], []
        for one, own, box in zip(drawn, objects, boxes, strict=True):
            of = one.of[: len(box)]
            targets.append(masks_in(own.numbers, box, own.ids[of], bins))
            classes.append(own.classes[of])
        return mask_loss(logits, torch.cat(targets), torch.cat(classes))


@dataclass(frozen=True)
class Drawn:
    """Proposals of a picture that the heads learn from.

    Attributes:
        boxes: (R, 2n), those with an object first.
        of: (P) index of the object that the first P hold.
        own: the objects of the picture.
    """

    boxes: Tensor
    of: Tensor
    own: Objects

    @property
    def held(self) -> Objects:
        return Objects(self.own.boxes[self.of], self.own.ids[self.of], self.own.classes[self.of], self.own.numbers)

    @property
    def classes(self) -> Tensor:
        """(R) from 1, 0 where no object is."""
        none = torch.zeros(len(self.boxes) - len(self.of), dtype=torch.int64, device=self.boxes.device)
        return torch.cat([self.held.classes, none])


def mask_loss(logits: Tensor, masks: Tensor, classes: Tensor) -> Tensor:
    """Mean binary cross-entropy of (R, K, *M) logits in the channel of the true class; other channels take no part.

    Args:
        masks: (R, *M) bool.
        classes: (R) from 1.
    """
    own = logits[torch.arange(len(logits), device=logits.device), classes - 1]
    return F.binary_cross_entropy_with_logits(own, masks.to(own))


def masks_in(numbers: Tensor, boxes: Tensor, ids: Tensor, bins: Sequence[int]) -> Tensor:
    """(R, *bins) bool: whether the pixel below the centre of each bin of a box has the number of the box's object.

    Args:
        numbers: (*S) map of numbers.
        boxes: (R, 2n); ids: (R).
    """
    lo, hi = boxes.chunk(2, 1)
    n, where = len(bins), []
    for axis, count in enumerate(bins):
        share = (torch.arange(count, device=boxes.device) + 0.5) / count
        at = (lo[:, axis, None] + share * (hi - lo)[:, axis, None]).floor().long().clamp(0, numbers.shape[axis] - 1)
        where.append(at.view(len(boxes), *(count if axis == a else 1 for a in range(n))))
    return numbers[tuple(where)] == ids.view(-1, *(1,) * n)


def in_units(codes: Tensor) -> Tensor:
    """Codes (N, 2n) of the second stage in units of their usual size."""
    move, stretch = codes.chunk(2, -1)
    return torch.cat([move / MOVES, stretch / STRETCHES], -1)


def from_units(codes: Tensor) -> Tensor:
    """The inverse of `in_units`."""
    move, stretch = codes.chunk(2, -1)
    return torch.cat([move * MOVES, stretch * STRETCHES], -1)


def _smooth(said: Tensor, target: Tensor, beta: float) -> Tensor:
    return F.smooth_l1_loss(said, target, beta=beta, reduction="sum")


def _some(mask: Tensor, most: int, rng: torch.Generator) -> Tensor:
    """Indices of at most `most` of the true entries, drawn at random, in the order that they were drawn."""
    there = mask.nonzero()[:, 0]
    if len(there) <= most and most > 0:
        return there
    order = torch.randperm(len(there), generator=rng).to(there.device)
    return there[order[: max(most, 0)]]
