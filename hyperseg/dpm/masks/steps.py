"""The mean over the steps of a drawn mask, by how certain each is."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from hyperseg.dpm.masks.codes import MaskCode


class MeanOfSteps:
    """Probabilities that are predicted on the way, sum of w_i P_i over sum of w_i, pixel by pixel.

    w_i = exp(sigmoid(i / N) (1 - H(P_i) / ln K)) of the i-th of N: certain and late ones count more.

    Source: Xing et al., "Diff-UNet", 2023: step-uncertainty fusion.
    Differs: the entropy is that of all classes, as a share of the largest there is, so that foreground and background
        are treated alike; every sample is fused alone, and the sum is normalised.
    """

    def __init__(self, code: MaskCode, steps: int) -> None:
        self.code, self.steps, self.seen = code, steps, 0
        self.total: Tensor | float = 0.0
        self.weight: Tensor | float = 0.0

    def add(self, x0: Tensor) -> None:
        """The next clean mask (B, M, *S) that is predicted."""
        self.seen += 1
        likely = self.code.probabilities(x0)
        entropy = torch.special.entr(likely).sum(1, keepdim=True) / math.log(self.code.n_classes)
        late = 1 / (1 + math.exp(-self.seen / self.steps))
        weight = (late * (1 - entropy)).exp()
        self.total, self.weight = self.total + weight * likely, self.weight + weight

    def probabilities(self) -> Tensor:
        """(B, K, *S) the mean."""
        return torch.as_tensor(self.total / self.weight)
