"""What a step learns: the supervised twin, FocalMix, and every step between, by their settings alone."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from hyperseg.boxes.codes import encode
from hyperseg.boxes.matching import match
from hyperseg.detection.batch import Batch
from hyperseg.detection.mixing import mix_images, mix_objects, shaken
from hyperseg.detection.negatives import hard_negative_loss
from hyperseg.detection.network import Detector, flat, flat_maps
from hyperseg.detection.settings import FocalMixSettings
from hyperseg.detection.symmetries import Symmetry, drawn, symmetries
from hyperseg.detection.targets import Predicted, confident_boxes, evaluated, predicted
from hyperseg.engine.ema import Ema
from hyperseg.engine.one_cycle import one_cycle
from hyperseg.engine.training import Phase
from hyperseg.losses.soft_focal import soft_focal

NETWORK = "network"  # what the detector is called among the modules of a training
CANDIDATES = 4  # anchors of a level that ATSS looks at for a box


class Assigned(NamedTuple):
    """What labels say of every anchor.

    Attributes:
        positive: (B, N) bool, the anchor stands for an object.
        codes: (B, N, 2n) of that object's box; zero elsewhere.
    """

    positive: Tensor
    codes: Tensor


def lesson(
    net: Detector, settings: FocalMixSettings, *, steps: int, lr: float = 1e-3, weight_decay: float = 1e-4
) -> tuple[list[Phase], dict[str, Ema]]:
    """Phases and averages for `hyperseg.engine.one_cycle.train`, with modules={"network": net}.

    Every step takes a `Batch`. Until the warm-up has ended only its labels count. Then targets of its unlabelled
    patches are predicted, patches and objects are mixed, and scores are learnt from all; boxes from labels alone.

    Args:
        net: on the device that it is trained on; its average is made from it here.
        steps: of the whole training.
        lr, weight_decay: of AdamW over one cycle.
    """
    average = Ema(net, decay=settings.average)
    teacher = average.module if settings.teacher == "ema" else net
    loss = FocalMixLoss(net, settings, teacher=teacher, warm=round(settings.warm_up * steps))
    phase = one_cycle("detector", loss, net.parameters(), steps=steps, lr=lr, weight_decay=weight_decay)
    phase.recorded = False  # how many objects there are decides what is done
    return [phase], {NETWORK: average}


@dataclass
class FocalMixLoss:
    """Batch -> loss terms, by name; their sum is minimised.

    The score loss is divided by the sum of the targets, at least 1: of hard targets that is the usual count of
    positives. Box codes have an L1 loss at the positives of labelled patches, where the patch itself is the
    larger part of a mixture.

    Attributes:
        net: in training mode.
        teacher: who predicts targets; the network itself or its average.
        warm: steps that learn from labels alone.

    Source: Wang et al., "FocalMix", CVPR 2020 (read second-hand).
    Differs: stages, normaliser, what object MixUp takes for objects without labels, and ATSS are our reconstruction.
        Anchors in doubt carry no loss: a faint object whose target is pulled to 0 would be learnt as background. The
        teacher may be the average, and patches may be shaken after targets were predicted, labelled ones too.
    """

    net: Detector
    settings: FocalMixSettings
    teacher: nn.Module
    warm: int
    known: dict[object, list[Tensor]] = field(default_factory=dict)

    def __call__(self, batch: Batch) -> Mapping[str, Tensor]:
        chosen, rng = self.settings, np.random.default_rng(batch.seed)
        group = symmetries(
            batch.images.shape[2:], self.net.anchors, stride=self.net.spec.stride, alike=self.net.spec.alike
        )
        images, boxes = turned(batch, group, rng) if chosen.turned else (batch.images, batch.boxes)
        labels = self.assigned(images, boxes)
        images = shaken(images, chosen.shaken, rng)
        if batch.step < self.warm:
            return self._terms(images, labels, None, None, rng)
        every, objects = labels.positive.float(), list(boxes)
        counted = torch.ones_like(every)
        if chosen.unlabelled and batch.unlabelled is not None:
            others = each_turned(batch.unlabelled, group, rng) if chosen.turned else batch.unlabelled
            said = self.predict(others, group, rng)
            targets = flat_maps(said.targets)
            images = torch.cat((images, shaken(others, chosen.shaken, rng)))
            every, counted = torch.cat((every, targets)), torch.cat((counted, self._sure(targets)))
            if chosen.object_mixup:
                objects += self._believed(said, targets, images.shape[2:])
        if chosen.image_mixup:
            images, every, share, partner = mix_images(images, every, eta=chosen.eta, rng=rng)
            counted = torch.lerp(counted[partner], counted, share.to(counted)[:, None])
        if chosen.object_mixup:
            images = mix_objects(images, objects, eta=chosen.eta, rng=rng)
        return self._terms(images, labels, every, counted, rng)

    def assigned(self, images: Tensor, boxes: list[Tensor]) -> Assigned:
        """Objects and codes of the anchors of labelled patches, by ATSS."""
        levels = self._anchors(images)
        anchors = torch.cat(levels)
        positive = torch.zeros(len(boxes), len(anchors), dtype=torch.bool, device=images.device)
        codes = torch.zeros(len(boxes), *anchors.shape, device=images.device)
        for i, own in enumerate(boxes):
            if len(own):
                which = match(levels, own, candidates=CANDIDATES)
                positive[i] = which >= 0
                codes[i, positive[i]] = encode(own[which[positive[i]]].float(), anchors[positive[i]])
        return Assigned(positive, codes)

    def predict(self, images: Tensor, group: tuple[Symmetry, ...], rng: np.random.Generator) -> Predicted:
        """Targets of unlabelled patches, see `hyperseg.detection.targets`."""
        views = drawn(group, self.settings.views, rng)
        with evaluated(self.teacher) as teacher:
            return predicted(
                teacher, images, views, self.net.spec.sizes, temperature=self.settings.temperature
            )  # fmt: skip

    def _sure(self, targets: Tensor) -> Tensor:
        """1 where a predicted target counts, 0 where it is in doubt."""
        low, high = self.settings.doubtful
        return 1 - ((targets > low) & (targets < high)).float()

    def _believed(self, said: Predicted, targets: Tensor, shape: torch.Size) -> list[Tensor]:
        codes = torch.cat([code.movedim(2, -1).flatten(1, -2) for code in said.codes], dim=1)
        anchors = torch.cat(self._anchors(said.targets[0], tuple(shape)))
        return confident_boxes(targets, codes, anchors, shape, least=self.settings.confident)

    def _anchors(self, like: Tensor, shape: tuple[int, ...] | None = None) -> list[Tensor]:
        """Of every level, for patches of this shape; they are made once."""
        shape = tuple(like.shape[2:]) if shape is None else shape
        key = (shape, like.device)
        if key not in self.known:
            self.known[key] = [one.to(like.device) for one in self.net.anchors.boxes(shape)]
        return self.known[key]

    def _terms(
        self, images: Tensor, labels: Assigned, targets: Tensor | None, counted: Tensor | None, rng: np.random.Generator
    ) -> dict[str, Tensor]:
        """Scores of all patches against `targets` (None: the labels), boxes of the first ones, which are labelled.

        `counted` has the weight of every anchor; None: all are 1.
        """
        chosen, n = self.settings, len(labels.positive)
        logits, codes = flat(self.net(images))
        logits, codes = logits.float(), codes.float()
        terms: dict[str, Tensor] = {}
        if chosen.classification == "bce":
            terms["scores"] = hard_negative_loss(logits, labels.positive, rng)
        else:
            y = labels.positive.float() if targets is None else targets
            every = soft_focal(logits, y, alpha0=chosen.alpha0, alpha1=chosen.alpha1, gamma=chosen.gamma)
            if counted is not None:
                every, y = every * counted, y * counted
            halves = chosen.normaliser == "halves"
            terms["scores"] = every[:n].sum() / (y[:n] if halves else y).sum().clamp(min=1)
            if len(logits) > n:
                terms["unlabelled"] = chosen.weight * every[n:].sum() / (y[n:] if halves else y).sum().clamp(min=1)
        off = (codes[:n] - labels.codes).abs().mean(-1)[labels.positive].sum()
        terms["boxes"] = chosen.boxes * off / labels.positive.sum().clamp(min=1)
        return terms


def turned(batch: Batch, group: tuple[Symmetry, ...], rng: np.random.Generator) -> tuple[Tensor, list[Tensor]]:
    """Every labelled patch turned and mirrored by a symmetry of its own, and its boxes with it."""
    own = drawn(group, len(batch.images), rng)
    shape = batch.images.shape[2:]
    images = torch.stack([turn.image(image) for turn, image in zip(own, batch.images, strict=True)])
    return images, [turn.boxes(boxes, shape) for turn, boxes in zip(own, batch.boxes, strict=True)]


def each_turned(images: Tensor, group: tuple[Symmetry, ...], rng: np.random.Generator) -> Tensor:
    """Every patch without labels turned and mirrored by a symmetry of its own."""
    turns = drawn(group, len(images), rng)
    return torch.stack([turn.image(image) for turn, image in zip(turns, images, strict=True)])
