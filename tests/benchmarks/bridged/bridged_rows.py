"""Rows of bench_bridged.py: networks, losses, and their training at a constant rate with a score every ten steps."""

from __future__ import annotations

import time
from dataclasses import dataclass
from statistics import fmean
from typing import Any, NamedTuple

import torch
from bridged_sets import Images, batch_of
from torch import Tensor, nn

from hyperseg.backbone import BackboneSpec, ConvSpec, seeded
from hyperseg.losses import parse_loss
from hyperseg.losses.cosdice import mean_of_present
from hyperseg.losses.dice import soft_dice
from hyperseg.losses.loss import Loss, Sums, Terms
from hyperseg.medical.bridged.controls import equal_parameters
from hyperseg.medical.bridged.network import BridgedUNet
from hyperseg.medical.bridged.settings import BridgeSettings
from hyperseg.medical.networks import UNet

ACTS = (("relu", "relu"), ("elu", "elu"), ("relu", "elu"), ("elu", "relu"))
BRIDGED = {
    f"{first}/{second}, {bridge}": BridgeSettings(act_first=first, act_second=second, bridge=bridge)  # type: ignore[arg-type]
    for bridge in ("cat", "add")
    for first, second in ACTS
}
DEPTH, PARAMETERS = "single, equal depth", "single, equal parameters"
NETS = (*BRIDGED, DEPTH, PARAMETERS)
DEFAULT = "relu/elu, cat"  # rates are chosen with it
END = 5  # evaluations that "final" is the mean of
LOSSES = ("dice", "cosdice")
REFERENCE = "dice-ce"
SUMS = Sums(batch=True)  # of the reference alone, as nnU-Net's in 2-D; the other two say themselves how they sum
SMOOTH = 1.0  # of both
RATES = {"adam": (1e-3, 3e-3, 1e-2, 3e-2), "sgd": (0.01, 0.03, 0.1)}


class PlainDice:
    """1 - soft Dice, over the same images and classes and with the same smooth as Cos-Dice: without its cosine."""

    def __call__(self, logits: Tensor, labels: Tensor, sums: Sums) -> Terms:
        found = soft_dice(logits.log_softmax(1), labels, batch=False, smooth=SMOOTH, first=1)
        return {"dice": mean_of_present(1 - found.dsc, found.present)}


def loss_of(spelling: str) -> Loss:
    return PlainDice() if spelling == "dice" else parse_loss(spelling)


@dataclass(frozen=True)
class Training:
    """How long, how wide, and by what."""

    steps: int = 400
    every: int = 10
    batch: int = 4
    widths: tuple[int, ...] = (8, 16, 32, 64)
    optimiser: str = "adam"


def build(net: str, channels: int, n_classes: int, training: Training) -> nn.Module:
    """The untrained network; weights come from torch's generator."""
    n = len(training.widths)
    spec = BackboneSpec(channels, training.widths, (1,) + (2,) * (n - 1), (3,) * n, (2,) * n, ConvSpec(2))
    if net == DEPTH:
        return UNet(spec, n_classes)
    if net == PARAMETERS:
        return UNet(equal_parameters(spec, n_classes, BRIDGED[DEFAULT]), n_classes)
    chosen = BRIDGED[net]
    return BridgedUNet(
        spec, n_classes, act_first=chosen.act_first, act_second=chosen.act_second, bridge=chosen.bridge
    )  # fmt: skip


def fit(
    net: str, loss: str, lr: float, learnt: Images, tested: Images, training: Training, seed: int
) -> dict[str, Any]:
    """A training and its scores: a line of the benchmark.

    All networks and losses of a seed see the same batches, and those of one network begin with the same weights. The
    rate is constant and weights are not averaged: what is compared is how a training swings.
    """
    n_classes = 1 + int(max(learnt.labels.max(), tested.labels.max()))
    with seeded(seed):
        network = build(net, learnt.images.shape[1], n_classes, training).to(memory_format=torch.channels_last)
    weights = list(network.parameters())
    if training.optimiser == "adam":
        optimiser: torch.optim.Optimizer = torch.optim.Adam(weights, lr=lr)
    else:
        optimiser = torch.optim.SGD(weights, lr=lr, momentum=0.9, nesterov=True)
    minimised = loss_of(loss)
    curve: list[Scores] = []
    began = time.process_time()
    for step in range(1, training.steps + 1):
        x, y = batch_of(learnt, training.batch, seed, step)
        optimiser.zero_grad()
        value = torch.stack(list(minimised(network(_last(x)), y, SUMS).values())).sum()
        value.backward()  # type: ignore[no-untyped-call]
        optimiser.step()
        if step % training.every == 0:
            curve.append(scores(tested, answered(network, tested.images), n_classes))
    return {
        "parameters": sum(weight.numel() for weight in weights), "seconds": round(time.process_time() - began, 1),
        "curve": [round(one.dice, 5) for one in curve], "micro": fmean(one.micro for one in curve[-END:]),
        "alarms": fmean(one.alarms for one in curve[-END:]) if tested.empty else None,
        "images": [len(learnt), len(tested)], "empty": [learnt.empty, tested.empty],
    }  # fmt: skip


def answered(network: nn.Module, images: Tensor) -> Tensor:
    """(n, C, 48, 48) -> (n, 48, 48) classes; the network is in training mode again afterwards."""
    network.eval()
    with torch.inference_mode():
        found = torch.cat([network(_last(part)).argmax(1) for part in images.split(16)])
    network.train()
    return found


def _last(images: Tensor) -> Tensor:
    """Channels last in memory: a fourth faster here."""
    return images.contiguous(memory_format=torch.channels_last)


class Scores(NamedTuple):
    """Of masks.

    Attributes:
        dice: the mean over classes that an image has, then over images that have any.
        micro: the mean over classes of the Dice of all images' pixels together.
        alarms: the share of images without any class in which the answer has one; NaN where there are none.
    """

    dice: float
    micro: float
    alarms: float


def scores(tested: Images, found: Tensor, n_classes: int) -> Scores:
    """Of answers (n, 48, 48)."""
    classes = torch.arange(1, n_classes).view(-1, 1, 1)
    truth, answer = tested.labels[:, None] == classes, found[:, None] == classes
    both, sizes = (truth & answer).sum((2, 3)), truth.sum((2, 3)) + answer.sum((2, 3))
    present = truth.any(3).any(2)
    full = present.any(1)
    each = 2 * both / sizes.clamp(min=1)
    dice = ((each * present).sum(1) / present.sum(1).clamp(min=1))[full].mean()
    micro = (2 * both.sum(0) / sizes.sum(0).clamp(min=1)).mean()
    return Scores(float(dice), float(micro), float(found[~full].flatten(1).any(1).double().mean()))
