"""Small networks, padded and not, with bands as depth or as channels, and scenes for them."""

from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from hyperseg.backbone import BackboneSpec, ClassHead, ConvSpec, Encoder, seeded
from hyperseg.backbone.spec import Padding
from hyperseg.core import Scene
from hyperseg.core.tiles import PerAxis

BANDS, K = 6, 3


class Net(nn.Module):
    """A classifier of patches or scenes. With bands as depth it has a spectral stage first, or none (`ndim` 2).

    Its margin is 2; of volumes (`ndim` 3, bands as channels) it is 1 along the slices.
    """

    def __init__(self, ndim: int, padding: Padding, layout: str = "depth") -> None:
        super().__init__()
        self.ndim, self.padded, self.layout = ndim, padding == "same", layout
        if layout == "depth" and ndim == 3:
            conv = ConvSpec(3, padding=("valid", padding, padding))
            spec = BackboneSpec(1, (4, 8), ((2, 1, 1), 1), ((3, 3, 3), (2, 3, 3)), (1, 1), conv)
        elif ndim == 3:
            spec = BackboneSpec(BANDS, (4, 8), (1, 1), ((1, 3, 3), 3), (1, 1), ConvSpec(3, padding=padding))
        else:
            conv = ConvSpec(2, padding=padding, residual=True)
            spec = BackboneSpec(BANDS, (8,), (1,), (3,), (1,), conv)
        self.encoder, self.head = Encoder(spec), ClassHead(spec, K, level=-1)
        self.margin: PerAxis = spec.margin if layout == "channels" else spec.margin[-1]

    def forward(self, x: Tensor) -> Tensor:
        y = self.head(self.encoder(x.squeeze(1) if self.layout == "depth" and self.ndim == 2 else x))
        return y.squeeze(2) if self.layout == "depth" and self.ndim == 3 else y


def net(ndim: int = 3, padding: Padding = "valid", layout: str = "depth") -> Any:
    with seeded(4):
        made = Net(ndim, padding, layout)
        window = (BANDS, *[9] * ndim) if layout == "channels" else (1, BANDS, 9, 9)
        for _ in range(3):  # batch statistics that are not those of a new layer
            made(torch.randn(4, *window))
    return made.eval()


def scene(shape: tuple[int, ...], *, seed: int = 0, **more: Any) -> Scene:
    cube = np.random.default_rng(seed).normal(size=(*shape, BANDS)).astype(np.float32)
    return Scene(cube, classes=tuple("abc"), colours=((0, 0, 0),) * K, **more)


def keep(x: Any) -> np.ndarray:
    return np.asarray(x, np.float32)
