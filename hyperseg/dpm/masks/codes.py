"""Classes of pixels as numbers that noise can be added to, and back: one channel for two classes, one-hot, bits."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from hyperseg.dpm.masks.settings import Coded


@dataclass(frozen=True)
class MaskCode:
    """How K classes are written as M channels from -1 to 1.

    Attributes:
        n_classes: K.
        coded: of more than two classes; two are one channel in any case.
    """

    n_classes: int
    coded: Coded = "onehot"

    @property
    def channels(self) -> int:
        """M: 1 of two classes, K of "onehot", ceil(log2 K) of "bits"."""
        raise NotImplementedError

    def encoded(self, labels: Tensor) -> Tensor:
        """(B, *S) classes -> (B, M, *S) float32 of -1 and 1; 0 in all channels where the class is -1."""
        raise NotImplementedError

    def logits(self, out: Tensor) -> Tensor:
        """(B, M, *S) what a network says of classes -> (B, K, *S) logits: of a twin, or of a network that says x0."""
        raise NotImplementedError

    def clean(self, out: Tensor) -> Tensor:
        """(B, M, *S) of a network that says x0 -> (B, M, *S) the expected code, -1 to 1."""
        raise NotImplementedError

    def probabilities(self, x0: Tensor) -> Tensor:
        """(B, M, *S) clean data -> (B, K, *S) probabilities."""
        raise NotImplementedError
