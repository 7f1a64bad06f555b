"""What Mask R-CNN finds in a picture: boxes, classes, and a map that numbers the objects."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from hyperseg.boxes.codes import decode
from hyperseg.boxes.overlap import clipped, sizes
from hyperseg.boxes.suppression import suppressed
from hyperseg.zoo.instances.learning import from_units
from hyperseg.zoo.instances.mask_rcnn import MaskRCNN
from hyperseg.zoo.instances.proposing import LEAST, proposed
from hyperseg.zoo.instances.settings import FindSettings

AT_ONCE = 256  # objects whose masks are asked for together
FEWEST = 3  # pixels of an object


@dataclass(frozen=True)
class Found:
    """The objects of a picture; number i of the map is row i - 1 of the others, best first.

    Attributes:
        numbers: (*S) int32, 0 where no object is.
        boxes: (N, 2n) float32, half open, as the network said them; axes in the order of the array.
        scores: (N) float32.
        classes: (N) int64, from 1.
    """

    numbers: NDArray[np.int32]
    boxes: NDArray[np.float32]
    scores: NDArray[np.float32]
    classes: NDArray[np.int64]

    def above(self, score: float) -> Found:
        """Those with at least this score, as if no others had been looked for: a better one never gives way."""
        n = int((self.scores >= score).sum())
        numbers = np.where(self.numbers <= n, self.numbers, 0).astype(np.int32)
        return Found(numbers, self.boxes[:n], self.scores[:n], self.classes[:n])


@torch.no_grad()
def find_objects(net: MaskRCNN, image: Tensor, chosen: FindSettings) -> Found:
    """Look at one picture (C, *S), on the device of the network, which is in evaluation mode."""
    shape = tuple(image.shape[1:])
    pyramid, said = net(image[None])
    anchors = net.anchors.boxes(shape, device=image.device)
    boxes = proposed(
        said.logits[0], said.codes[0], anchors, shape, before=chosen.before, most=chosen.proposals,
        overlap=chosen.proposal_overlap,
    )  # fmt: skip
    boxes, scores, classes = _classified(net, pyramid, boxes, shape, chosen)
    masks = [
        net.outlined(pyramid, [part])[torch.arange(len(part)), own - 1]
        for part, own in zip(boxes.split(AT_ONCE), classes.split(AT_ONCE), strict=True)
    ]
    logits = torch.cat(masks) if masks else boxes.new_zeros(0)
    return _resolved(boxes.cpu(), scores.cpu(), classes.cpu(), logits.float().cpu(), shape, chosen)


def _classified(
    net: MaskRCNN, pyramid: list[Tensor], boxes: Tensor, shape: Sequence[int], chosen: FindSettings
) -> tuple[Tensor, Tensor, Tensor]:
    """Boxes, scores and classes of objects; each class by itself, then the best of all."""
    if not len(boxes):
        return boxes, boxes.new_zeros(0), torch.zeros(0, dtype=torch.int64, device=boxes.device)
    logits, codes = net.classes(pyramid, [boxes])
    said = logits.float().softmax(1)
    found = []
    for k in range(codes.shape[1]):
        own = clipped(decode(from_units(codes[:, k].float()), boxes), shape)
        score = said[:, k + 1]
        sure = ((score >= chosen.score) & (sizes(own) >= LEAST).all(1)).nonzero()[:, 0]
        kept = sure[suppressed(own[sure], score[sure], overlap=chosen.overlap, most=chosen.most)]
        found.append((own[kept], score[kept], torch.full_like(kept, k + 1)))
    where, scores, classes = (torch.cat(part) for part in zip(*found, strict=True))
    best = scores.argsort(descending=True, stable=True)[: chosen.most]
    return where[best], scores[best], classes[best]


def _resolved(
    boxes: Tensor, scores: Tensor, classes: Tensor, logits: Tensor, shape: tuple[int, ...], chosen: FindSettings
) -> Found:
    """A pixel goes to the best object that has it; objects of which too little is left go."""
    numbers, kept = np.zeros(shape, np.int32), []
    for i in range(len(boxes)):
        window, inside = pasted(boxes[i], logits[i].sigmoid(), shape, least=chosen.mask)
        there = numbers[window]
        free = inside & (there == 0)
        n = int(free.sum())
        if n >= max(FEWEST, chosen.kept * inside.sum()):
            kept.append(i)
            there[free] = len(kept)
    return Found(
        numbers, boxes[kept].numpy().astype(np.float32), scores[kept].numpy().astype(np.float32), classes[kept].numpy()
    )


def pasted(
    box: Tensor, mask: Tensor, shape: Sequence[int], *, least: float = 0.5
) -> tuple[tuple[slice, ...], NDArray[Any]]:
    """A mask (*M) that covers a box (2n), at the size of the image: the window around the box, and what is inside.

    A pixel is inside where its centre lies in the box and the mask, read there by linear interpolation between the
    centres of its own pixels, is `least` or more.
    """
    n = mask.ndim
    lo, hi = box[:n].double(), box[n:].double()
    begin, end = lo.floor().clamp(min=0).long(), hi.ceil().long()
    window = tuple(slice(int(a), min(int(b), size)) for a, b, size in zip(begin, end, shape, strict=True))
    at = [
        (torch.arange(w.start, w.stop, dtype=torch.float64) + 0.5 - lo[k]) / (hi[k] - lo[k]) * 2 - 1
        for k, w in enumerate(window)
    ]
    grid = torch.stack(torch.meshgrid(*at, indexing="ij")[::-1], -1)
    read = F.grid_sample(mask[None, None].double(), grid[None], padding_mode="border", align_corners=False)[0, 0]
    inside = (read >= least) & (grid.abs() <= 1).all(-1)
    return window, inside.numpy()
