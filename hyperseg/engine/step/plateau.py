"""A learning rate that falls where the training loss stands still."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor


class PlateauOfEpochs(torch.optim.lr_scheduler.ReduceLROnPlateau):
    """torch's, told the loss of every step; it looks at a moving mean of the losses of epochs.

    `note` waits for nothing; the device is asked once an epoch.

    Args:
        optimizer: whose rate falls.
        steps: of an epoch.
        average: share of the old mean in the new one, at the end of each epoch.
        gain: what the mean has to fall by to count as progress.
        patience: epochs without; then the rate is multiplied by `factor`.
        least: the rate never falls below.
    """

    def __init__(
        self, optimizer: torch.optim.Optimizer, *, steps: int, average: float, gain: float, patience: int,
        factor: float, least: float,
    ) -> None:  # fmt: skip
        super().__init__(
            optimizer, factor=factor, patience=patience - 1, threshold=gain, threshold_mode="abs", min_lr=least
        )  # fmt: skip
        self.steps, self.average = steps, average
        self.taken = 0
        self.total: float | Tensor = 0.0
        self.mean: float | None = None

    def note(self, loss: Tensor) -> None:
        """The loss of the step that is being taken."""
        self.total = self.total + loss.detach().double()

    def step(self, *_: Any) -> None:
        """After every step; at the end of an epoch the rate may fall."""
        self.taken += 1
        if self.taken % self.steps:
            return
        value, self.total = float(self.total) / self.steps, 0.0
        self.mean = value if self.mean is None else self.average * self.mean + (1 - self.average) * value
        super().step(self.mean)

    def state_dict(self) -> dict[str, Any]:
        """As torch's, in plain numbers."""
        return super().state_dict() | {"total": float(self.total)}
