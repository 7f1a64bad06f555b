"""A planned U-Net, and how it learns from pixels: of a scene a few of them, of images and volumes most."""

from __future__ import annotations

from copy import deepcopy
from dataclasses import dataclass, replace
from math import prod
from typing import Literal

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from hyperseg.backbone import BackboneSpec, ConvBlock, ConvSpec, dropout, scale_weights, seeded
from hyperseg.backbone.centring import centre_batch_norms
from hyperseg.backbone.spec import extent
from hyperseg.core import UNLABELLED
from hyperseg.core.runtime import Runtime
from hyperseg.core.settings import option, required, settings
from hyperseg.core.task import Task
from hyperseg.core.tiles import Layout
from hyperseg.data.augment import SpectralNoise
from hyperseg.data.patches import PatchSource
from hyperseg.data.preprocess import Preprocess
from hyperseg.engine import Ema, History
from hyperseg.engine.one_cycle import one_cycle, train
from hyperseg.losses.loss import Loss, Sums
from hyperseg.medical.bridged.controls import bridged_unet
from hyperseg.medical.bridged.network import with_auxiliary
from hyperseg.medical.bridged.settings import BridgeSettings
from hyperseg.medical.networks import UNet
from hyperseg.medical.training import supervision
from hyperseg.recipes.training.network import MOST_LOST, labelled_pixels
from hyperseg.recipes.training.windows import window_batches, window_source

LINEAR = {2: "bilinear", 3: "trilinear"}
CENTRED_PX, FEWEST_CENTRED, MOST_CENTRED = 2**17, 8, 256  # pixels and windows that say what a scene's mean is


@settings
class UNetSpec:
    """What a U-Net of a plan is built from."""

    n_features: int = required("L, features per pixel after preprocessing.", low=1)
    n_classes: int = required("K.", low=1)
    body: BackboneSpec = required("The U-Net; it reads as many channels as two pointwise convolutions make of L.")
    tile: tuple[int, ...] = required("Sides of the windows that it is trained on and maps in, per axis.", low=1)
    pointwise: bool = option(True, "Two pointwise convolutions before it, else it reads the features themselves.")
    dropout: float = option(0.3, "Probability of dropping a feature map before the class scores.", low=0, below=1)
    initial_scale: float = option(0.2, "Spread of the initial weights, relative to He's.", above=0)
    bridged: BridgeSettings | None = option(None, "Two U-Nets in a row in its place, joined so; none is a single one.")

    @property
    def scored(self) -> int:
        """Levels of the decoder that have class scores in training: all but the coarsest."""
        return max(1, len(self.body.widths) - 1)

    @property
    def weights(self) -> tuple[float, ...]:
        """Of the losses of the network's `levels`."""
        found = supervision(len(self.body.widths), supervised=True)[: self.scored]
        return with_auxiliary(found, auxiliary=self.bridged is not None and self.bridged.auxiliary)


class PlannedUNet(nn.Module):
    """(B, L, *S) -> (B, K, *S) logits: features made pixel by pixel, then a U-Net.

    Attributes:
        tile: sides of the windows it maps in.
        context_px: how far a decision looks, at most.
    """

    padded, margin = True, 0
    layout: Layout = "channels"

    def __init__(self, spec: UNetSpec) -> None:
        super().__init__()
        self.spec, self.tile = spec, spec.tile
        self.context_px = min(context_of(spec), max(spec.tile) - 1)
        flat, first = ConvSpec(spec.body.conv.ndim), spec.body.in_channels
        blocks = [ConvBlock(flat, spec.n_features, first, 1), ConvBlock(flat, first, first, 1)]
        self.collapse = nn.Sequential(*blocks) if spec.pointwise else nn.Identity()
        self.body = (
            UNet(spec.body, spec.n_classes, heads=spec.scored)
            if spec.bridged is None
            else bridged_unet(spec.body, spec.n_classes, spec.bridged, heads=spec.scored, down="stride")
        )
        self.drop = dropout(ConvSpec(spec.body.conv.ndim, dropout=spec.dropout))

    def forward(self, x: Tensor) -> Tensor:
        return self.body(self.collapse(x))

    def levels(self, x: Tensor) -> list[Tensor]:
        """(B, L, *S) -> logits of every scored level, (B, K, *S_level) from fine to coarse."""
        maps = self.body.maps(self.collapse(x))
        return self.body.scores(maps if self.drop is None else [self.drop(level) for level in maps])


def context_of(spec: UNetSpec) -> int:
    """How many pixels away a decision may look, tiles apart; of two U-Nets the second looks at what the first saw."""
    reach = reach_of(spec.body)
    if spec.bridged is None:
        return reach
    deeper = replace(spec.body, depths=tuple(max(2, depth) for depth in spec.body.depths))  # a block after each bridge
    return reach + reach_of(deeper)


def reach_of(body: BackboneSpec) -> int:
    """How many pixels away a decision of the U-Net may look, along the axis where that is most; an upper bound."""
    far = 0
    for axis in range(body.conv.ndim):
        step, found = 1, 0
        for level, stage in enumerate(body.stages):
            step *= stage.stride[axis]
            many = len(body.convolutions(stage)) * (2 if level < len(body.widths) - 1 else 1)
            found += many * (extent(stage.kernel, stage.dilation)[axis] // 2) * step + step
        far = max(far, found)
    return far


def build(spec: UNetSpec, seed: int) -> PlannedUNet:
    """The network of `spec` with weights drawn from `seed`."""
    with seeded(seed):
        net = PlannedUNet(spec)
    scale_weights(net, spec.initial_scale)
    return net


@dataclass(frozen=True)
class Lesson:
    """How a U-Net is trained.

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


def fit_unet(
    task: Task, net: PlannedUNet, preprocess: Preprocess, lesson: Lesson, runtime: Runtime, *, name: str
) -> History:
    """Train `net` in place: windows laid around training pixels, the lesson's loss of those within.

    Coarse levels are raised to the size of the labels: of sparse ones every second would be few.
    """
    net.to(runtime.device)
    draw, make = window_batches(task, net.tile, preprocess, runtime, batch=lesson.batch, noise=lesson.noise)
    sums = Sums(batch=True, first=int(lesson.background))

    def loss(batch: tuple[Tensor, Tensor]) -> dict[str, Tensor]:
        features, labels = batch
        total: dict[str, Tensor] = {}
        for logits, weight in zip(net.levels(features), net.spec.weights, strict=True):
            if logits.shape[2:] != labels.shape[1:]:
                logits = F.interpolate(logits.float(), labels.shape[1:], mode=LINEAR[labels.ndim - 1])
            for term, value in lesson.loss(logits, labels, sums).items():
                total[term] = total[term] + weight * value if term in total else weight * value
        return total

    phase = one_cycle(
        "segment", loss, net.parameters(), steps=lesson.steps, lr=lesson.lr, weight_decay=lesson.weight_decay, rise=0.2
    )
    averages = {"network": Ema(net, decay=lesson.average)} if lesson.average else {}
    return train(
        [phase], draw, lesson.steps, modules={"network": net}, averages=averages, runtime=runtime, name=name,
        title=name, make=make,
    )  # fmt: skip


def centred_unet(
    task: Task,
    net: PlannedUNet,
    preprocess: Preprocess,
    runtime: Runtime,
    *,
    centre: Literal["auto", "always", "never"],
) -> bool:
    """Centre the batch norms of a trained U-Net on windows of its scenes; see `training.network.centred`.

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


def known_loss(net: PlannedUNet, source: PatchSource, task: Task, *, batch: int = 16, most: int = 128) -> float:
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
