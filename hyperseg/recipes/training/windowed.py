"""How networks of windows learn from pixels: of a scene from a few of them, of images and volumes from most."""

from __future__ import annotations

from collections.abc import Sequence
from copy import deepcopy
from dataclasses import dataclass
from math import prod
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from hyperseg.backbone import resized
from hyperseg.backbone.centring import centre_batch_norms
from hyperseg.core import UNLABELLED
from hyperseg.core.runtime import Runtime
from hyperseg.core.task import Task
from hyperseg.data.augment import SpectralNoise
from hyperseg.data.patches import PatchSource
from hyperseg.data.preprocess import Preprocess
from hyperseg.engine import Ema, History
from hyperseg.engine.one_cycle import one_cycle, train
from hyperseg.losses.loss import Loss, Sums
from hyperseg.recipes.training.adversary import own_weights, with_critic
from hyperseg.recipes.training.network import MOST_LOST, labelled_pixels
from hyperseg.recipes.training.windows import window_batches, window_source
from hyperseg.zoo.member import Minimised

CENTRED_PX, FEWEST_CENTRED, MOST_CENTRED = 2**17, 8, 256  # pixels and windows that say what a scene's mean is
Windowed = Any
"""A network with `tile` (sides of its windows), and `terms` (features, labels, `Minimised`) -> terms of its loss."""


@dataclass(frozen=True)
class Lesson:
    """How a network of windows is trained.

    Attributes:
        steps, batch: and windows in each.
        lr, weight_decay: of AdamW over one cycle.
        average: decay of the weights' moving average.
        noise: of the features.
        background: class 0 is what no class is: it does not count in overlap.
        loss: what is minimised.
    """

    steps: int
    batch: int
    lr: float
    weight_decay: float
    average: float
    noise: SpectralNoise
    background: bool
    loss: Loss


def fit_windows(
    task: Task, net: Windowed, preprocess: Preprocess, lesson: Lesson, runtime: Runtime, *, name: str
) -> History:
    """Train `net` in place: windows laid around training pixels, the lesson's loss of those within.

    Coarse levels are raised to the size of the labels: of sparse ones every second would be few. A network that plays
    against a critic is trained in two phases, see `adversary.with_critic`.
    """
    net.to(runtime.device)
    draw, make = window_batches(task, net.tile, preprocess, runtime, batch=lesson.batch, noise=lesson.noise)
    minimised = raised(lesson.loss, Sums(batch=True, first=int(lesson.background)))
    phase = one_cycle(
        "segment", lambda batch: net.terms(*batch, minimised), own_weights(net), steps=lesson.steps, lr=lesson.lr,
        weight_decay=lesson.weight_decay, rise=0.2,
    )  # fmt: skip
    averages = {"network": Ema(net, decay=lesson.average)} if lesson.average else {}
    return train(
        with_critic(phase, net, steps=lesson.steps), draw, lesson.steps, modules={"network": net}, averages=averages,
        runtime=runtime, name=name, title=name, make=make,
    )  # fmt: skip


def raised(loss: Loss, sums: Sums) -> Minimised:
    """The weighted sum of a loss over levels that are raised to the size of the labels."""

    def minimised(levels: Sequence[Tensor], labels: Tensor, weights: Sequence[float]) -> dict[str, Tensor]:
        total: dict[str, Tensor] = {}
        for logits, weight in zip(levels, weights, strict=True):
            for term, value in loss(resized(logits.float(), labels.shape[1:]), labels, sums).items():
                total[term] = total[term] + weight * value if term in total else weight * value
        return total

    return minimised


def centred_windows(
    task: Task, net: Windowed, preprocess: Preprocess, runtime: Runtime, *, centre: Literal["auto", "always", "never"]
) -> bool:
    """Centre the batch norms of a trained network on windows of its scenes; see `training.network.centred`.

    Returns:
        Whether it is centred. Of labels those of training pixels are looked at.
    """
    if centre == "never" or (centre == "auto" and not all(split.guard_px > 0 for split in task.splits)):
        return False
    source, rng = window_source(task, net.tile, preprocess, runtime), np.random.default_rng(runtime.seed)
    places = [
        np.insert(np.stack([rng.integers(n, size=MOST_CENTRED) for n in scene.shape], 1), 0, i, axis=1)
        for i, scene in enumerate(task.scenes)
    ]
    many = min(max(CENTRED_PX // prod(source.window), FEWEST_CENTRED), MOST_CENTRED)
    found = source.gather(torch.from_numpy(np.concatenate([place[: -(-many // len(places))] for place in places])))
    before, kept = known_loss(net, source, task), deepcopy(net.state_dict())
    centre_batch_norms(net, found[:, :-1])
    if centre == "auto" and known_loss(net, source, task) > before + MOST_LOST:
        net.load_state_dict(kept)
        return False
    return True


def known_loss(net: Windowed, source: PatchSource, task: Task, *, batch: int = 16, most: int = 128) -> float:
    """Mean cross-entropy of the training pixels of windows around `most` of them, in nats."""
    pixels, _ = labelled_pixels(task, "train", source.device)
    chosen = pixels[torch.linspace(0, len(pixels) - 1, min(most, len(pixels))).long()]
    total, many = 0.0, 0
    with torch.inference_mode():
        for part in chosen.split(batch):
            found = source.gather(part)
            labels = found[:, -1].long()
            scores = net(found[:, :-1]).float()
            total += float(F.cross_entropy(scores, labels, ignore_index=UNLABELLED, reduction="sum"))
            many += int((labels != UNLABELLED).sum())
    return total / max(many, 1)
