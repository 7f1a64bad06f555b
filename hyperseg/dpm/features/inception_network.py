"""Inception v3 as the Frechet inception distance has it, from the backbone's convolutions.

Units carry the usual names of weight files, so that `Mixed_5b.branch1x1` is where such a file says.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from hyperseg.backbone import Conv, ConvSpec

N_OUT, N_FEATURES = 1008, 2048
EPS = 1e-3  # of the batch norms
SAME, VALID = ConvSpec(2), ConvSpec(2, padding="valid")

Layers = Sequence[tuple[str, int, tuple[int, int], int]]
"""Name, channels that come out, kernel, stride; a stride of 2 and a name in `BARE` pad nothing."""
BARE = ("Conv2d_1a_3x3", "Conv2d_2a_3x3", "Conv2d_4a_3x3")


class Unit(nn.Module):
    """Convolution, batch norm, ReLU."""

    def __init__(self, name: str, n_in: int, n_out: int, kernel: tuple[int, int], stride: int = 1) -> None:
        super().__init__()
        spec = VALID if stride > 1 or name in BARE else SAME
        self.conv = Conv(spec, n_in, n_out, kernel, stride)
        self.bn = nn.BatchNorm2d(n_out, eps=EPS)

    def forward(self, x: Tensor) -> Tensor:
        return F.relu(self.bn(self.conv(x)), inplace=True)


class Mixed(nn.Module):
    """Branches side by side: chains of units, an end that is forked in two, and a pool with or without a unit.

    Args:
        n_in: channels.
        chains: of each branch its units.
        forks: names of the last unit of a chain -> two units behind it, side by side.
        pool: "mean" or "max" of 3 x 3, then a unit of so many channels; None pools by strides of 2 and has no unit.
    """

    def __init__(
        self, n_in: int, chains: Sequence[Layers], pool: tuple[str, int] | None, forks: dict[str, Layers] | None = None
    ) -> None:
        super().__init__()
        self.chains = [[name for name, *_ in chain] for chain in chains]
        self.forks = {before: [name for name, *_ in fork] for before, fork in (forks or {}).items()}
        self.pool = pool
        for chain in chains:
            n = n_in
            for name, n_out, kernel, stride in chain:
                self.add_module(name, Unit(name, n, n_out, kernel, stride))
                n = n_out
            for name, n_out, kernel, stride in (forks or {}).get(chain[-1][0], ()):
                self.add_module(name, Unit(name, n, n_out, kernel, stride))
        if pool is not None:
            self.add_module("branch_pool", Unit("branch_pool", n_in, pool[1], (1, 1)))

    def forward(self, x: Tensor) -> Tensor:
        found = []
        for chain in self.chains:
            y = x
            for name in chain:
                y = self.get_submodule(name)(y)
            ends = self.forks.get(chain[-1])
            found += [y] if ends is None else [self.get_submodule(name)(y) for name in ends]
        if self.pool is None:
            return torch.cat([*found, F.max_pool2d(x, 3, 2)], 1)
        return torch.cat([*found, self.get_submodule("branch_pool")(pooled(x, self.pool[0]))], 1)


def pooled(x: Tensor, how: str) -> Tensor:
    """3 x 3 at every pixel; means leave out what lies beyond the border instead of counting zeros."""
    if how == "max":
        return F.max_pool2d(x, 3, 1, 1)
    return F.avg_pool2d(x, 3, 1, 1, count_include_pad=False)


class InceptionV3(nn.Module):
    """The network of the inception score and the Frechet inception distance, with 1008 outputs.

    Source: Szegedy et al., "Rethinking the Inception Architecture for Computer Vision", CVPR 2016; the weights of 2015
        that Salimans et al. (NeurIPS 2016) and Heusel et al. (NeurIPS 2017) used come from another network than the
        published one: means without padded zeros, a largest value instead of a mean in the last block, 1008 outputs.
    """

    def __init__(self) -> None:
        super().__init__()
        self.Conv2d_1a_3x3 = Unit("Conv2d_1a_3x3", 3, 32, (3, 3), 2)
        self.Conv2d_2a_3x3 = Unit("Conv2d_2a_3x3", 32, 32, (3, 3))
        self.Conv2d_2b_3x3 = Unit("Conv2d_2b_3x3", 32, 64, (3, 3))
        self.Conv2d_3b_1x1 = Unit("Conv2d_3b_1x1", 64, 80, (1, 1))
        self.Conv2d_4a_3x3 = Unit("Conv2d_4a_3x3", 80, 192, (3, 3))
        self.Mixed_5b = _fine(192, 32)
        self.Mixed_5c = _fine(256, 64)
        self.Mixed_5d = _fine(288, 64)
        self.Mixed_6a = _halved_first()
        self.Mixed_6b = _middle(128)
        self.Mixed_6c = _middle(160)
        self.Mixed_6d = _middle(160)
        self.Mixed_6e = _middle(192)
        self.Mixed_7a = _halved_second()
        self.Mixed_7b = _coarse(1280, "mean")
        self.Mixed_7c = _coarse(2048, "max")
        self.fc = nn.Linear(N_FEATURES, N_OUT)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Features and scores of images.

        Args:
            x: (B, 3, H, W) in [-1, 1]; 299 x 299 is what the weights are meant for, 75 x 75 the least.

        Returns:
            (B, 2048) features and (B, 1008) scores, these without the bias of the last layer, as published inception
            scores have it.
        """
        for part, module in self.named_children():
            if part == "fc":
                break
            x = module(x)
            if part in ("Conv2d_2b_3x3", "Conv2d_4a_3x3"):
                x = F.max_pool2d(x, 3, 2)
        features = x.flatten(2).mean(2)
        return features, F.linear(features, self.fc.weight)


def _fine(n_in: int, n_pool: int) -> Mixed:
    return Mixed(
        n_in,
        [
            [("branch1x1", 64, (1, 1), 1)],
            [("branch5x5_1", 48, (1, 1), 1), ("branch5x5_2", 64, (5, 5), 1)],
            [("branch3x3dbl_1", 64, (1, 1), 1), ("branch3x3dbl_2", 96, (3, 3), 1), ("branch3x3dbl_3", 96, (3, 3), 1)],
        ],
        ("mean", n_pool),
    )


def _halved_first() -> Mixed:
    return Mixed(
        288,
        [
            [("branch3x3", 384, (3, 3), 2)],
            [("branch3x3dbl_1", 64, (1, 1), 1), ("branch3x3dbl_2", 96, (3, 3), 1), ("branch3x3dbl_3", 96, (3, 3), 2)],
        ],
        None,
    )


def _middle(n: int) -> Mixed:
    """Kernels of 7 x 7 as 1 x 7 and 7 x 1, n channels between them."""
    double = [
        (f"branch7x7dbl_{i}", 192 if i == 5 else n, kernel, 1)
        for i, kernel in enumerate([(1, 1), (7, 1), (1, 7), (7, 1), (1, 7)], 1)
    ]
    return Mixed(
        768,
        [
            [("branch1x1", 192, (1, 1), 1)],
            [("branch7x7_1", n, (1, 1), 1), ("branch7x7_2", n, (1, 7), 1), ("branch7x7_3", 192, (7, 1), 1)],
            double,
        ],
        ("mean", 192),
    )


def _halved_second() -> Mixed:
    kernels = [(1, 1), (1, 7), (7, 1), (3, 3)]
    return Mixed(
        768,
        [
            [("branch3x3_1", 192, (1, 1), 1), ("branch3x3_2", 320, (3, 3), 2)],
            [(f"branch7x7x3_{i}", 192, kernel, 2 if i == 4 else 1) for i, kernel in enumerate(kernels, 1)],
        ],
        None,
    )


def _coarse(n_in: int, pool: str) -> Mixed:
    return Mixed(
        n_in,
        [
            [("branch1x1", 320, (1, 1), 1)],
            [("branch3x3_1", 384, (1, 1), 1)],
            [("branch3x3dbl_1", 448, (1, 1), 1), ("branch3x3dbl_2", 384, (3, 3), 1)],
        ],
        (pool, 192),
        forks={
            "branch3x3_1": [("branch3x3_2a", 384, (1, 3), 1), ("branch3x3_2b", 384, (3, 1), 1)],
            "branch3x3dbl_2": [("branch3x3dbl_3a", 384, (1, 3), 1), ("branch3x3dbl_3b", 384, (3, 1), 1)],
        },
    )
