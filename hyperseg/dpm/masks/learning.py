"""Losses of a diffusion model over masks and of its twin; pixels without a label count in none."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from torch import Tensor

from hyperseg.dpm.masks.codes import MaskCode
from hyperseg.dpm.masks.network import MaskDenoiser
from hyperseg.dpm.masks.settings import Says
from hyperseg.dpm.schedules.schedule import Schedule

Loss = Callable[[tuple[Tensor, Tensor]], Mapping[str, Tensor]]
"""((B, C, *S) image, (B, *S) classes, -1 unlabelled) -> terms; their sum is minimised."""


def diffusion_loss(
    net: MaskDenoiser, code: MaskCode, schedule: Schedule, says: Says, *, batch_dice: bool = False, first: int = 1,
    hide: float = 0.0,
) -> Loss:  # fmt: skip
    """Noise at a random time, and what the network says of it: Eq. 7 of the paper ("eps"), "v", or Dice and CE ("x0").

    Args:
        batch_dice: Dice over all patches of a batch together.
        first: the first class that Dice counts: 1 leaves out the background.
        hide: share of the labelled pixels whose mask is shown as neutral (0), in random regions; they count in the loss.
    """
    raise NotImplementedError


def twin_loss(
    net: MaskDenoiser, code: MaskCode, schedule: Schedule, *, batch_dice: bool = False, first: int = 1
) -> Loss:
    """Dice and cross-entropy of what the network says of a blank mask at the most noise."""
    raise NotImplementedError
