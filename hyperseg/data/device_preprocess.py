"""`Preprocess` as operations on tensors: what a device does to raw pixels that were sent to it as they are."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from hyperseg.io.look.values import ABSURD

if TYPE_CHECKING:
    from hyperseg.data.preprocess import Preprocess


class DevicePreprocess:
    """(..., C) raw values of any number type -> (..., n_out) float32, on a device: what `Preprocess` does in NumPy.

    Args:
        preprocess: the map.
        device: where its constants are, and the values it is called with.
    """

    def __init__(self, preprocess: Preprocess, device: torch.device | str) -> None:
        self.preprocess, keep = preprocess, preprocess.keep
        self.kept = None if keep.all() else torch.from_numpy(np.flatnonzero(keep)).to(device)
        self.mean = torch.from_numpy(preprocess.mean).to(device)
        self.std = None if (preprocess.std == 1).all() else torch.from_numpy(preprocess.std).to(device)
        components = preprocess.components
        self.components = None if components is None else torch.from_numpy(components.T.copy()).to(device)

    def __call__(self, raw: Tensor) -> Tensor:
        """Raises SceneError for another number of bands than it was fitted on."""
        self.preprocess.check_bands(raw.shape[-1])
        fractions = raw.is_floating_point()
        x = raw.to(torch.float32)  # first: few operations know unsigned integers
        x = x if self.kept is None else x.index_select(-1, self.kept)
        x = x - self.mean if x is raw else x.sub_(self.mean)
        if fractions:
            _zeroed_beyond(ABSURD, x)
        if self.std is not None:
            x.div_(self.std)
            if fractions:  # a tiny spread makes infinities of finite values
                _zeroed_beyond(float("inf"), x)
        return x if self.components is None else x @ self.components


def _zeroed_beyond(limit: float, x: Tensor) -> None:
    """Put 0 where |x| reaches the limit, and where x is NaN, in place."""
    if looks_first(x) and (not x.numel() or bool(torch.maximum(x.amax(), -x.amin()) < limit)):
        return
    x.masked_fill_(~(x.abs() < limit), 0.0)


def looks_first(x: Tensor) -> bool:
    """Whether it pays to ask for the largest value: a CPU is faster so, a GPU would have to be waited for."""
    return x.device.type == "cpu"
