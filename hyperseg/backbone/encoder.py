"""The encoder: an image, cube or spectrum becomes a pyramid of feature maps."""

from __future__ import annotations

from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from hyperseg.backbone.attention import SelfAttention
from hyperseg.backbone.blocks import ConvBlock, ResidualBlock
from hyperseg.backbone.spec import BackboneSpec, PerAxis
from hyperseg.core import SettingError

Pyramid = list[Tensor]
"""Feature maps from fine to coarse, (B, widths[i], *S_i)."""


class Stage(nn.Module):
    """One stage of an encoder; nets that step two encoders side by side hold these themselves.

    Args:
        spec: the backbone.
        level: which stage, 0 is the finest.
        in_channels: channels of its input where they differ from the spec's (something was concatenated).
    """

    def __init__(self, spec: BackboneSpec, level: int, *, in_channels: int | None = None) -> None:
        super().__init__()
        stage = spec.stages[level]
        n, first = stage.depth, stage.in_channels if in_channels is None else in_channels
        inputs = (first, *[stage.width] * (n - 1))
        strides: tuple[PerAxis, ...] = (stage.stride, *[1] * (n - 1))
        before = (stage.before, *[stage.dilation] * (n - 1))
        blocks: list[nn.Module] = [
            ResidualBlock(spec.conv, c, stage.width, stage.kernel, s, dilation=stage.dilation, before=d)
            if spec.conv.residual
            else ConvBlock(spec.conv, c, stage.width, stage.kernel, s, dilation=d)
            for c, s, d in zip(inputs, strides, before, strict=True)
        ]
        self.blocks = nn.ModuleList(blocks)
        self.attention = SelfAttention(spec.conv, stage.width, stage.heads) if stage.heads else None

    def forward(self, x: Tensor, cond: Tensor | None = None) -> Tensor:
        """(B, in, *S), (B, cond_dim) or None -> (B, width, *T)."""
        for block in self.blocks:
            x = block(x, cond)
        return x if self.attention is None else self.attention(x)


class Encoder(nn.Module):
    """The encoder that `spec` describes.

    On valid axes the map of a scene holds, at every pixel, what the patch around that pixel gives (with stride 1; float
    rounding apart). `spec.margin` says how many pixels that costs.
    """

    def __init__(self, spec: BackboneSpec) -> None:
        super().__init__()
        self.spec = spec
        self.stages = nn.ModuleList(Stage(spec, level) for level in range(len(spec.widths)))
        self._least = spec.min_size  # asked at every call, computed once

    def forward(self, x: Tensor, cond: Tensor | None = None, *, sparing: bool = False) -> Pyramid:
        """Features from fine to coarse.

        Args:
            x: (B, in_channels, *S).
            cond: (B, cond_dim), exactly where the spec has cond_dim > 0.
            sparing: gradient checkpointing, see `run_stage`.

        Returns:
            One map per stage, (B, widths[i], *spec.sizes(S)[i]).

        Raises:
            SettingError: wrong axes or channels, input below `spec.min_size`, cond missing or unused.
        """
        self._check(x, cond)
        pyramid = []
        for stage in self.stages:
            x = run_stage(stage, x, cond, sparing=sparing)
            pyramid.append(x)
        return pyramid

    def _check(self, x: Tensor, cond: Tensor | None) -> None:
        spec = self.spec
        if x.ndim != spec.conv.ndim + 2 or x.shape[1] != spec.in_channels:
            raise SettingError(
                f"the encoder got a tensor of shape {tuple(x.shape)}; expected (batch, {spec.in_channels}, "
                f"{spec.conv.ndim} spatial axes). Bands as depth need x.unsqueeze(1)."
            )
        if any(n < least for n, least in zip(x.shape[2:], self._least, strict=True)):
            spec.check_input(x.shape[2:])
        check_condition(spec, cond)


def run_stage(stage: nn.Module, *inputs: Tensor | None, sparing: bool) -> Tensor:
    """A stage's map; where `sparing`, what it works out within is forgotten, and worked out again for gradients.

    Source: Chen et al., "Training Deep Nets with Sublinear Memory Cost", arXiv 1604.06174.
    """
    found: Tensor = checkpoint(stage, *inputs, use_reentrant=False) if sparing else stage(*inputs)
    return found


def check_condition(spec: BackboneSpec, cond: Tensor | None) -> None:
    """Raise SettingError where a condition is missing, superfluous or of the wrong length."""
    wanted = spec.conv.cond_dim
    given = 0 if cond is None else cond.shape[-1]
    if given != wanted:
        what = f"(batch, {wanted})" if wanted else "None (the spec has cond_dim=0)"
        raise SettingError(f"cond must be {what}, got {None if cond is None else tuple(cond.shape)}.")
