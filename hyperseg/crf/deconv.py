"""The deconvolution refiner's network: what each band group says about a map, added to the map.

An encoder, one for all groups of bands, reads the scene at full resolution and pools it to the coarse grid of the map's
marginals; a decoder puts what it found there back to the pixels the maxima came from.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from hyperseg.backbone import Conv, ConvBlock, ConvSpec, UpBlock, dropout, seeded
from hyperseg.backbone.context.unpool import pooled, unpooled
from hyperseg.backbone.groups import BandGroups, Groups
from hyperseg.core import SettingError
from hyperseg.core.settings import option, required, settings
from hyperseg.crf.settings import Fuse

Base = Literal["map", "coarse"]

LEAST = 1e-4  # probability below which the network sees no difference: a bound on what it must read


@settings
class DeconvSpec:
    """What a deconvolution network is built from. All sizes are a reconstruction: the paper's are not known.

    Raises:
        SettingError: a value outside what it may be, or groups that do not make up the features.
    """

    n_features: int = required("L, features per pixel after preprocessing.", low=1)
    n_classes: int = required("K.", low=2)
    groups: Groups = required("Half-open (start, stop) per band group, contiguous, together the L features.")
    width: int = option(16, "Channels at every resolution.", low=1, high=8_192)
    stages: int = option(
        2, "Times the resolution is halved; marginals are read on cells of side 2 ** stages.", low=1, high=3
    )
    fuse: Fuse = option(
        "conv", "Masks of the groups become one by a learnt 1x1 convolution (conv) or by their mean (mean)."
    )
    dropout: float = option(
        0.0, "Probability of dropping a channel before the masks, in training only.", low=0, below=1
    )
    switches: bool = option(True, "Put values back where the encoder's maxima were; without, upsample bilinearly.")
    base: Base = option(
        "map", "What the fused masks are added to: the given map, or its coarse marginals upsampled (coarse)."
    )

    def __post_init__(self) -> None:
        covered = BandGroups(self.groups).n_bands
        if covered != self.n_features:
            raise SettingError(
                f"the band groups cover {covered} features, but n_features is {self.n_features}: every feature belongs "
                "to exactly one group."
            )


def build_deconv(spec: DeconvSpec, *, seed: int) -> DeconvNet:
    """The network of `spec` with weights drawn from `seed`; it changes nothing until it is trained."""
    with seeded(seed):
        return DeconvNet(spec)


class DeconvNet(nn.Module):
    """Logits of a better map: those of the given one plus what the band groups' masks add.

    Every group of bands goes through the same layers, with one set of weights:

    1. a 1x1 convolution, then per stage a 3x3 convolution and 2x2 max pooling, down to the coarse grid;
    2. a 3x3 convolution over these features and the map's marginals on that grid;
    3. per stage unpooling to where the encoder's maxima were, and a 3x3 transposed convolution;
    4. a 1x1 convolution over this and the map's own pixels, and K scores: the group's mask.

    The fusion of the masks starts as their mean, and the masks start at zero: a new network returns the given map,
    number by number.

    Any size works: right and bottom are continued by their last row and column to a multiple of `stride`, and cropped
    again at the end. Tiles that start at multiples of `stride`, read with `halo` pixels around them, give what the
    whole scene gives in evaluation mode, float rounding apart (where two values under one pooling window tie to the
    last digit, rounding can choose the other pixel).

    Attributes:
        stride: side of a coarse cell in pixels.
        reach: distance in pixels beyond which no input matters to an output; what a leak is measured with.
        halo: `reach`, rounded up to a multiple of `stride`.

    Source: Alam et al., "Conditional Random Field and Deep Feature Learning for Hyperspectral Image Classification",
        TGRS 2019: a deconvolution network behind the CRF of band groups; Noh et al., "Learning Deconvolution Network
        for Semantic Segmentation", ICCV 2015: unpooling by the encoder's switches, then transposed convolutions with
        batch norm.
    Differs: layers and sizes are a reconstruction. The masks are added to the logits of a map instead of replacing
        them, so any method's map can be refined, whatever its resolution; with base "coarse" only its coarse marginals
        count, as published.
    """

    def __init__(self, spec: DeconvSpec) -> None:
        super().__init__()
        self.spec = spec
        self.stride = 2**spec.stages
        self.reach = _reach(spec.stages, spec.switches)
        self.halo = -(-self.reach // self.stride) * self.stride
        plain, width, k = ConvSpec(2), spec.width, spec.n_classes
        self.cut = BandGroups(spec.groups)
        n_groups, length = self.cut.shape
        self.read = ConvBlock(plain, length, width, 1)
        self.down = nn.ModuleList(ConvBlock(plain, width, width, 3) for _ in range(spec.stages))
        self.mix = ConvBlock(plain, width + k, width, 3)
        self.up = nn.ModuleList(UpBlock(plain, width, width, 3) for _ in range(spec.stages))
        self.drop = dropout(ConvSpec(2, dropout=spec.dropout))
        self.see = ConvBlock(plain, width + k, width, 1)
        self.score = Conv(plain, width, k, 1, bias=True)
        self.fuse = Conv(plain, n_groups * k, k, 1, bias=False) if spec.fuse == "conv" else None
        _set_weight(self.score, torch.zeros(k, width))
        if self.fuse is not None:
            _set_weight(self.fuse, torch.eye(k).repeat(1, n_groups) / n_groups)

    def forward(self, bands: Tensor, log_probs: Tensor, *, strength: float = 1.0) -> Tensor:
        """Refine a map.

        Args:
            bands: (B, 1, L, H, W) preprocessed features, any H and W.
            log_probs: (B, K, H, W) of the map to refine; logits do as well.
            strength: factor of the correction; 0 gives the base back.

        Returns:
            (B, K, H, W) logits, float32 also under autocast.

        Raises:
            SettingError: shapes that do not fit the spec or each other.
        """
        fused = self._fused(self._seen(bands, log_probs))
        base = _precise(log_probs)
        if self.spec.base == "coarse":
            base = upsampled(coarsened(base, self.stride), self.stride, base.shape[2:])
        return base + strength * _precise(fused)

    def masks(self, bands: Tensor, log_probs: Tensor) -> Tensor:
        """What each band group adds to the K scores before fusion: (B, G, K, H, W); arguments as for `forward`."""
        scores: Tensor = self.score(self._seen(bands, log_probs))
        return scores.unflatten(0, (-1, self.cut.shape[0]))

    def _fused(self, seen: Tensor) -> Tensor:
        """The masks' fusion, (B, K, H, W): two linear steps, scores and fusion, taken as one."""
        (groups, _), k = self.cut.shape, self.spec.n_classes
        score, bias = self.score.matrix()
        assert bias is not None
        if self.fuse is None:
            fuse = torch.eye(k, dtype=score.dtype, device=score.device).repeat(1, groups) / groups
        else:
            fuse = self.fuse.matrix()[0]
        fuse = fuse.unflatten(1, (groups, k)).transpose(0, 1)  # group, fused class, class of the group
        weight = (fuse @ score).transpose(0, 1).flatten(1)
        pixels = seen.unflatten(0, (-1, groups)).permute(0, 3, 4, 1, 2).flatten(3)
        return F.linear(pixels, weight, (fuse @ bias).sum(0)).permute(0, 3, 1, 2)

    def _seen(self, bands: Tensor, log_probs: Tensor) -> Tensor:
        """What is seen of every band group, (B * G, width, H, W): all steps but the scores."""
        self._check(bands, log_probs)
        height, width = bands.shape[3:]
        # groups become images of the batch: they share all weights
        x = self.cut(self._grow(bands)).flatten(0, 1)
        if x.device.type == "cpu":  # few channels: twice as quick with those of a pixel together
            x = x.contiguous(memory_format=torch.channels_last)
        x, places = self.read(x), []
        for block in self.down:
            x, where = pool(block(x))
            places.append(where)
        marginals = coarsened(log_probs, self.stride).clamp_min(LEAST).log()
        x = self.mix.beside(x, marginals)
        for block, where in zip(self.up, reversed(places), strict=True):
            raised = unpool(x, where) if self.spec.switches else _enlarge(x, 2)
            x = block(raised, raised.shape[2:])
        seen = _precise(log_probs).softmax(1).clamp_min(LEAST).log()
        # cropped after the unpooling: places count pixels of the grown images
        x = self.see.beside(x[..., :height, :width], seen)
        return x if self.drop is None else self.drop(x)

    def _grow(self, bands: Tensor) -> Tensor:
        """Continue right and bottom by the last column and row to a multiple of the stride."""
        rows, columns = (-n % self.stride for n in bands.shape[3:])
        if not rows and not columns:
            return bands
        return F.pad(bands.squeeze(1), (0, columns, 0, rows), mode="replicate").unsqueeze(1)

    def _check(self, bands: Tensor, log_probs: Tensor) -> None:
        spec = self.spec
        if bands.ndim != 5 or tuple(bands.shape[1:3]) != (1, spec.n_features) or not bands.numel():
            raise SettingError(
                f"bands of shape {tuple(bands.shape)}: this network reads (batch, 1, {spec.n_features}, rows, "
                "columns), preprocessed as it was trained."
            )
        expected = (bands.shape[0], spec.n_classes, *bands.shape[3:])
        if tuple(log_probs.shape) != expected:
            raise SettingError(
                f"the map to refine has shape {tuple(log_probs.shape)}, expected {expected}: (batch, classes, "
                "rows, columns) of the same pixels as the bands."
            )


def pool(x: Tensor) -> tuple[Tensor, Tensor]:
    """(N, C, h, w), both even -> maxima of the 2x2 cells (N, C, h / 2, w / 2), and where they were.

    At least float32: unpooling is not defined for bfloat16 everywhere.
    """
    return pooled(_precise(x), 2)


def unpool(x: Tensor, where: Tensor) -> Tensor:
    """(N, C, h, w) and the places of `pool` -> (N, C, 2 h, 2 w): values where the maxima were, else zeros."""
    return unpooled(_precise(x), where, [2 * side for side in x.shape[2:]])


def coarsened(log_probs: Tensor, stride: int) -> Tensor:
    """(B, K, H, W) logarithms or logits -> (B, K, ceil(H / stride), ceil(W / stride)) mean probabilities of cells.

    Cells have `stride` pixels a side from the upper left on; cut ones count the pixels that exist.
    """
    return F.avg_pool2d(_precise(log_probs).softmax(1), stride, ceil_mode=True)


def upsampled(probs: Tensor, stride: int, size: Sequence[int]) -> Tensor:
    """(B, K, h, w) probabilities of cells of side `stride`, bilinearly, as (B, K, H, W) logarithms.

    They are cropped to `size`, (H, W), at most stride times (h, w).
    """
    fine = _enlarge(probs, stride)[..., : size[0], : size[1]]
    return fine.clamp_min(torch.finfo(fine.dtype).tiny).log()


def _set_weight(layer: Conv, matrix: Tensor) -> None:
    """Make a 1x1 convolution this (out, in) matrix."""
    layer.load_state_dict({"layer.weight": matrix[:, :, None, None]}, strict=False)


def _enlarge(x: Tensor, factor: int) -> Tensor:
    return F.interpolate(_precise(x), scale_factor=factor, mode="bilinear", align_corners=False)


def _precise(x: Tensor) -> Tensor:
    """At least float32."""
    return x.to(torch.promote_types(x.dtype, torch.float32))


def _reach(stages: int, switches: bool) -> int:
    """Largest distance in pixels from an output to an input that it can depend on, over all places in a cell.

    Follows the first and the last pixel that matter from the output to the input. Switches, marginals and the
    coarse base are not followed: they look at pixels within the ones followed.
    """
    reach = 0
    for pixel in range(2**stages):
        first = last = pixel
        for _ in range(stages):
            first, last = first - 1, last + 1  # transposed convolution
            if not switches:  # a pixel is interpolated from its own cell and the nearer neighbour
                first, last = first - 1, last + 1
            first, last = first // 2, last // 2
        first, last = first - 1, last + 1  # mixing with the marginals
        for _ in range(stages):
            first, last = 2 * first - 1, 2 * last + 2  # pooling, convolution
        reach = max(reach, pixel - first, last - pixel)
    return reach
