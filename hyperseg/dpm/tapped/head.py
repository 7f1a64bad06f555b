"""`PixelHead`: a few numbers, or scores of classes, of every pixel, from levels of a denoiser's decoder."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

from torch import Tensor, nn
from torch.nn import functional as F

from hyperseg.backbone import Conv, ConvSpec, TimeEmbedding, resized, seeded
from hyperseg.core import SettingError
from hyperseg.core.settings import option, required, settings
from hyperseg.dpm.denoise import Tapped
from hyperseg.dpm.network import DenoiserSpec
from hyperseg.dpm.tapped.tap import blocks_at

MEANS = {1: F.avg_pool1d, 2: F.avg_pool2d, 3: F.avg_pool3d}  # by the number of axes


@settings
class HeadSpec:
    """What a head is."""

    ndim: int = required("Spatial axes of the data.", low=1, high=3)
    widths: tuple[int, ...] = required("Channels of the decoder's blocks, coarsest first, as many as it has.", low=1)
    blocks: tuple[int, ...] = required("Blocks that are read; 0 is the coarsest.", low=0)
    outputs: int = required("Numbers for each pixel, or classes.", low=1)
    hidden: tuple[int, ...] = option((128, 32), "Widths of the layers between.", low=1)
    cond_dim: int = option(64, "Length of the embedded time; 0 for a head that is not told it.", low=0)
    coarse: bool = option(False, "Work at the size of the finest level that is read, and raise what comes out.")
    mean: int = option(1, "Side of the box, odd, over which each level is averaged first.", low=1)

    def __post_init__(self) -> None:
        rising = sorted(set(self.blocks)) == list(self.blocks)
        if not self.blocks or not self.hidden or not rising or self.blocks[-1] >= len(self.widths):
            raise SettingError(
                f"a head reads one or more of the decoder's {len(self.widths)} blocks, rising, through one or more "
                f"layers, got blocks {list(self.blocks)} and layers {list(self.hidden)}."
            )
        if self.mean % 2 == 0:
            raise SettingError(f"a head averages features over a box of an odd side, got mean={self.mean}.")


def head_spec(
    of: DenoiserSpec, fractions: Sequence[float], outputs: int, *, hidden: Sequence[int] = (128, 32),
    cond_dim: int = 64, coarse: bool = False, mean: int = 1,
) -> HeadSpec:  # fmt: skip
    """The head of a denoiser that reads these fractions of its decoder's depth."""
    widths = of.backbone.widths[::-1]
    blocks = blocks_at(fractions, len(widths))
    return HeadSpec(of.backbone.conv.ndim, widths, blocks, outputs, tuple(hidden), cond_dim, coarse, mean)


class PixelHead(nn.Module):
    """A small network for each pixel, 1x1 convolutions, told the time: one head for all noise levels.

    The first layer, and what the time does to it, come before the maps are raised to the size of the finest one:
    raising keeps sums and constants, so that this is the layer on all raised maps side by side, without ever making
    these. A coarse head works at the size of the finest map that it reads, and raises its answer instead. A mean over
    a box is taken of every level at its own size, before anything else.

    Source: Kim et al., "DAG", arXiv 2212.08861 (a shallow network for each pixel, with a block for the time); the
        widths 128 and 32 are those of Baranchuk et al., "Label-Efficient Semantic Segmentation with Diffusion Models",
        ICLR 2022.
    Differs: how the time enters (a scale and a shift after the first layer) is a reconstruction; no normalisation; a
        coarse head, far cheaper where gradients pass through it, is ours, and so is the mean over a box.
    """

    def __init__(self, spec: HeadSpec) -> None:
        super().__init__()
        self.spec = spec
        conv, first = ConvSpec(spec.ndim, norm="none", act="none"), spec.hidden[0]
        self.reads = nn.ModuleList(Conv(conv, spec.widths[b], first, 1, bias=i == 0) for i, b in enumerate(spec.blocks))
        self.time = TimeEmbedding(spec.cond_dim) if spec.cond_dim else None
        self.scale = nn.Linear(spec.cond_dim, 2 * first) if spec.cond_dim else None
        if self.scale is not None:
            nn.init.zeros_(self.scale.weight)
            nn.init.zeros_(self.scale.bias)
        widths = (*spec.hidden, spec.outputs)
        self.layers = nn.ModuleList(Conv(conv, a, b, 1, bias=True) for a, b in pairwise(widths))

    def forward(self, tapped: Tapped) -> Tensor:
        """(B, outputs, *S), S being the size of the finest level; no activation at the end."""
        blocks, size = tapped.levels[::-1], tapped.levels[0].shape[2:]
        if self.spec.mean > 1:
            average, box = MEANS[self.spec.ndim], self.spec.mean
            asked = set(self.spec.blocks)
            blocks = tuple(
                average(b, box, 1, box // 2, count_include_pad=False) if i in asked else b for i, b in enumerate(blocks)
            )
        maps = [read(blocks[b]) for read, b in zip(self.reads, self.spec.blocks, strict=True)]
        if self.time is not None and self.scale is not None:
            scale, shift = self.scale(self.time(tapped.place.to(maps[0].dtype))).chunk(2, 1)
            broad = (..., *(None,) * self.spec.ndim)
            maps = [m * (1 + scale[broad]) for m in maps]
            maps[0] = maps[0] + shift[broad]
        inside = maps[-1].shape[2:] if self.spec.coarse else size  # blocks rise, the last is the finest
        x = resized(maps[0], inside)
        for other in maps[1:]:
            x = x + resized(other, inside)
        for layer in self.layers:
            x = layer(x.relu())
        return resized(x, size)


def new_head(spec: HeadSpec, seed: int) -> PixelHead:
    """An untrained head; the seed decides every weight."""
    with seeded(seed):
        return PixelHead(spec)
