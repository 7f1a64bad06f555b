"""Masks drawn for an image of any size: windows see one state, which is stepped as a whole."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from hyperseg.dpm.masks.codes import MaskCode
from hyperseg.dpm.masks.network import MaskDenoiser
from hyperseg.dpm.masks.settings import DrawSettings, Says
from hyperseg.dpm.schedules.schedule import Schedule


@dataclass(frozen=True)
class MaskModel:
    """Networks that draw masks (several: their predictions of the mask are averaged at every step), and how they see.

    Attributes:
        networks: in evaluation mode, on one device.
        code: of the masks.
        schedule, says: that they were trained with.
    """

    networks: Sequence[MaskDenoiser]
    code: MaskCode
    schedule: Schedule
    says: Says


def draw_masks(
    model: MaskModel, image: Tensor, patch: Sequence[int], how: DrawSettings, *, noise: Callable[[int], Tensor],
    device: torch.device | str, mirror: bool = False, done: Callable[[int, int], None] | None = None,
    watch: Callable[[int, Tensor], None] | None = None,
) -> Iterator[Tensor]:  # fmt: skip
    """Draw `how.samples` masks, one after the other (drawn together as memory allows).

    Args:
        image: (C, *S) float32; one axis more than the patch for a volume of planes.
        patch: sides of a window. Windows overlap and their predictions of the mask are blended at every step, on one
            noise field, so that no sample has seams; an image that one patch holds is one window.
        noise: number of a sample -> (M, *S) standard normal noise it starts from: the same number, the same mask.
        mirror: predictions are averaged over mirror images, at every step.
        done: told how many network calls (of a window, for a batch of samples) of how many are done.
        watch: told the number of a step and the (r, M, *S) clean masks that are predicted there.

    Yields:
        (K, *S) float32 probabilities, on the device; with the rule "steps" the mean over the steps of a sample, weighted
        by their certainty.
    """
    raise NotImplementedError
