"""Losses of a diffusion model over masks and of its twin; pixels without a label count in none."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import torch
from torch import Tensor

from hyperseg.dpm.losses.loss import noised
from hyperseg.dpm.masks.codes import MaskCode
from hyperseg.dpm.masks.network import MaskDenoiser
from hyperseg.dpm.masks.settings import Says
from hyperseg.dpm.objectives.times import even
from hyperseg.dpm.parameterisation import parameterisation
from hyperseg.dpm.schedules.schedule import Schedule
from hyperseg.losses.dice import dice_and_cross_entropy

Loss = Callable[[tuple[Tensor, Tensor]], Mapping[str, Tensor]]
"""((B, C, *S) image, (B, *S) classes, -1 unlabelled) -> terms; their sum is minimised."""


def diffusion_loss(
    net: MaskDenoiser, code: MaskCode, schedule: Schedule, says: Says, *, batch_dice: bool = False, first: int = 1,
    hide: float = 0.0, pure: float = 0.0,
) -> Loss:  # fmt: skip
    """Noise at a random time, and what the network says of it: Eq. 7 of the paper ("eps"), "v", or Dice and CE ("x0").

    Args:
        net, code, schedule: of the model.
        says: what the network learns to say; for "x0" its answers are logits, see `MaskCode.logits`.
        batch_dice: Dice over all patches of a batch together.
        first: the first class that Dice counts: 1 leaves out the background.
        hide: share of the pixels whose mask is shown as neutral (0), as that of unlabelled ones is, in random regions.
            "x0" is asked for their classes; noise and velocity there would say nothing of the mask, and do not count.
        pure: share of the samples that are noise alone: the image has to tell all there, which at most other times the
            mask does.

    Source: Wu et al., "MedSegDiff", MIDL 2023, Eq. 7 ("eps").
    Differs: "x0" and "v"; times are stratified over a batch, and some are the last; the mean is over labelled pixels.
    """
    form = parameterisation(says)

    def loss(batch: tuple[Tensor, Tensor]) -> Mapping[str, Tensor]:
        image, labels = batch
        hidden = regions(labels, hide)
        x0 = code.encoded(labels) * ~hidden
        noise = torch.randn_like(x0)
        state, alpha, std, place = noised(schedule, x0, random_times(schedule, labels, pure=pure), noise)
        out = net(state, place, image).float()
        if says == "x0":
            return dice_and_cross_entropy(code.logits(out), labels, batch=batch_dice, first=first)._asdict()
        known = (labels >= 0).unsqueeze(1) & ~hidden
        wrong = (out - form.target(x0, noise, alpha, std)) ** 2 * known
        return {"square": wrong.sum() / (known.sum() * code.channels).clamp(min=1)}

    return loss


def twin_loss(
    net: MaskDenoiser, code: MaskCode, schedule: Schedule, *, batch_dice: bool = False, first: int = 1
) -> Loss:
    """Dice and cross-entropy of what the network says of a blank mask at the most noise; see `diffusion_loss`."""
    place = noisiest_place(schedule)

    def loss(batch: tuple[Tensor, Tensor]) -> Mapping[str, Tensor]:
        image, labels = batch
        logits = code.logits(net.blank(image, place).float())
        return dice_and_cross_entropy(logits, labels, batch=batch_dice, first=first)._asdict()

    return loss


def noisiest_place(schedule: Schedule) -> float:
    """By which a network is told the end of a schedule: where the twin is asked."""
    return float(schedule.place(torch.tensor(schedule.t_max, dtype=torch.float64)))


def random_times(schedule: Schedule, like: Tensor, *, pure: float = 0.0) -> Tensor:
    """(B,) float64 times, where `like` (B, ...) is: one in each of B equal parts, a share `pure` of them the last."""
    n = len(like)
    within = torch.rand(n, device=like.device, dtype=torch.float64)
    times = even(schedule, (torch.arange(n, device=like.device) + within) / n)
    return torch.where(torch.rand(n, device=like.device) < pure, schedule.t_max, times)


def regions(labels: Tensor, share: float) -> Tensor:
    """(B, 1, *S) true in one box of each sample, anywhere and of any proportions, that is `share` of it on average.

    A box that leaves the sample on one side enters it on the other, so that no pixel is hidden more often than others.
    """
    n, sides = len(labels), labels.shape[1:]
    parts = torch.rand(n, len(sides), device=labels.device)
    lengths = share ** (parts / parts.sum(1, keepdim=True))  # of unit sides; their product is the share
    starts = torch.rand(n, len(sides), device=labels.device)
    inside = torch.ones(n, 1, *sides, dtype=torch.bool, device=labels.device)
    for axis, side in enumerate(sides):
        at = torch.arange(side, device=labels.device) / side
        hit = (at - starts[:, axis, None]) % 1 < lengths[:, axis, None]
        shape = [1] * len(sides)
        shape[axis] = side
        inside = inside & hit.view(n, 1, *shape)
    return inside
