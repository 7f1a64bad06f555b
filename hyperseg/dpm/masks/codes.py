"""Classes of pixels as numbers that noise can be added to, and back: one channel for two classes, one-hot, bits."""

from __future__ import annotations

from dataclasses import dataclass
from typing import get_args

import torch
from torch import Tensor

from hyperseg.core import SettingError
from hyperseg.dpm.masks.settings import Coded

SURE = 1 - 1e-6  # clean data are cut to +-SURE, so that no class of a pixel is ruled out


@dataclass(frozen=True)
class MaskCode:
    """How K classes are written as M channels from -1 to 1: every class has a code word of -1 and 1.

    Attributes:
        n_classes: K.
        coded: of more than two classes; two are one channel in any case, with 1 for class 1.

    Raises:
        SettingError: fewer than two classes, or an unknown code.
    """

    n_classes: int
    coded: Coded = "onehot"

    def __post_init__(self) -> None:
        if self.n_classes < 2:
            raise SettingError(f"a mask tells two classes or more apart, got {self.n_classes}.")
        if self.coded not in get_args(Coded):
            raise SettingError(f"classes are coded as {' or '.join(get_args(Coded))}, got {self.coded!r}.")

    @property
    def channels(self) -> int:
        """M: 1 of two classes, K of "onehot", ceil(log2 K) of "bits"."""
        return self.n_classes if self._onehot else (self.n_classes - 1).bit_length()

    @property
    def _onehot(self) -> bool:
        return self.coded == "onehot" and self.n_classes > 2

    def words(self, device: torch.device | str) -> Tensor:
        """(K, M) float32 code words."""
        if self._onehot:
            return 2 * torch.eye(self.n_classes, device=device) - 1
        classes = torch.arange(self.n_classes, device=device).unsqueeze(1)
        bits = (classes >> torch.arange(self.channels, device=device)) & 1
        return 2 * bits.float() - 1

    def encoded(self, labels: Tensor) -> Tensor:
        """(B, *S) classes -> (B, M, *S) float32 of -1 and 1; 0 in all channels where the class is -1."""
        words = self.words(labels.device)[labels.clamp(min=0)].movedim(-1, 1).contiguous()
        return words * (labels >= 0).unsqueeze(1)

    def logits(self, out: Tensor) -> Tensor:
        """(B, M, *S) what a network says of classes -> (B, K, *S) logits: of a twin, or of a network that says x0.

        A class has the sum of what is said of the channels where its word is 1: the correlation with the word, less
        what is the same for all classes. A word that is no class's cannot win.
        """
        return out if self._onehot else _along((self.words(out.device) + 1) / 2, out)

    def clean(self, out: Tensor) -> Tensor:
        """(B, M, *S) of a network that says x0 -> (B, M, *S) the expected code, -1 to 1."""
        probabilities = self.logits(out).softmax(1)
        return 2 * probabilities - 1 if self._onehot else _along(self.words(out.device).T, probabilities)

    def probabilities(self, x0: Tensor) -> Tensor:
        """(B, M, *S) clean data -> (B, K, *S) probabilities.

        Each channel tells how likely 1 is in it. One-hot, that is how likely its class is; else channels are taken to
        be independent: exact for two classes, and for bits where every word has a class.
        """
        x0 = x0.clamp(-SURE, SURE)
        if self._onehot:
            likely = (x0 + 1) / 2
        else:  # word by word: the products of all take several times the memory
            words = self.words(x0.device).view(self.n_classes, -1, *[1] * (x0.ndim - 2))
            likely = torch.stack([((1 + word * x0) / 2).prod(1) for word in words], 1)
        return likely / likely.sum(1, keepdim=True)


def _along(rows: Tensor, values: Tensor) -> Tensor:
    """(n, m), (B, m, *S) -> (B, n, *S) sums of products; no product of matrices, which autocast would make coarse."""
    return (rows.view(*rows.shape, *[1] * (values.ndim - 2)) * values.unsqueeze(1)).sum(2)
