"""A trained diffusion model over masks, as drawing needs it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from torch import Tensor

from hyperseg.dpm.adapters import denoiser
from hyperseg.dpm.masks.codes import MaskCode
from hyperseg.dpm.masks.network import Condition, MaskDenoiser
from hyperseg.dpm.masks.settings import Says
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

    def clean(self, network: MaskDenoiser, condition: Condition, x: Tensor, sigma: Tensor) -> Tensor:
        """(B, M, *S) the clean mask that one network predicts, -1 to 1; x and sigma as of a `Denoise`."""
        by_logits = self.says == "x0"

        def said(state: Tensor, place: Tensor) -> Tensor:
            out = network(state, place, condition).float()
            return self.code.clean(out) if by_logits else out

        return denoiser(said, self.schedule, self.says, clip=None if by_logits else 1.0)(x, sigma).x0
