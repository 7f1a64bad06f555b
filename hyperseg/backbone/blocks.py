"""Blocks of convolution, normalisation, condition, activation and dropout, with and without a skip."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn

from hyperseg.backbone.conv import Conv, ConvTranspose
from hyperseg.backbone.layers import activation, dropout, norm
from hyperseg.backbone.spec import ConvSpec, PerAxis, out_size, per_axis
from hyperseg.core import SettingError


class FiLM(nn.Module):
    """Feature-wise affine map read from a condition: y = x * (1 + scale(cond)) + shift(cond).

    Both maps are linear and start at zero, so a new layer changes nothing.

    Source: Perez et al., "FiLM: Visual Reasoning with a General Conditioning Layer", 2018.
    """

    def __init__(self, cond_dim: int, channels: int) -> None:
        super().__init__()
        self.to_scale_shift = nn.Linear(cond_dim, 2 * channels)
        nn.init.zeros_(self.to_scale_shift.weight)
        nn.init.zeros_(self.to_scale_shift.bias)

    def forward(self, x: Tensor, cond: Tensor | None) -> Tensor:
        """x (B, C, *S), cond (B, cond_dim) -> (B, C, *S)."""
        if cond is None:
            raise SettingError("this net was built with cond_dim > 0: give `cond`, a (B, cond_dim) tensor.")
        scale, shift = self.to_scale_shift(cond)[(...,) + (None,) * (x.ndim - 2)].chunk(2, dim=1)
        return x * (1 + scale) + shift


class Finish(nn.Module):
    """What follows a convolution: normalisation, FiLM, [skip], activation, dropout."""

    def __init__(self, spec: ConvSpec, channels: int) -> None:
        super().__init__()
        self.norm = norm(spec, channels)
        self.film = FiLM(spec.cond_dim, channels) if spec.cond_dim else None
        self.act = activation(spec)
        self.dropout = dropout(spec)
        self.needs_extent = spec.norm == "instance"

    def forward(self, y: Tensor, cond: Tensor | None, skip: Tensor | None = None) -> Tensor:
        if self.norm is not None:
            if self.needs_extent and y.shape[2:].numel() == 1:
                raise SettingError(
                    f"instance norm of a map of one element is always 0 (shape {tuple(y.shape)}): "
                    "use norm='group' or 'batch', a larger patch, or fewer stages."
                )
            y = self.norm(y)
        if self.film is not None:
            y = self.film(y, cond)
        if skip is not None:
            y = y + skip
        if self.act is not None:
            y = self.act(y)
        return y if self.dropout is None else self.dropout(y)


class ConvBlock(nn.Module):
    """Convolution -> normalisation -> FiLM -> activation -> dropout. Arguments as of `Conv`."""

    def __init__(
        self, spec: ConvSpec, in_channels: int, out_channels: int, kernel: PerAxis, stride: PerAxis = 1,
        *, dilation: PerAxis = 1, groups: int = 1,
    ) -> None:  # fmt: skip
        super().__init__()
        self.conv = Conv(spec, in_channels, out_channels, kernel, stride, dilation=dilation, groups=groups)
        self.finish = Finish(spec, out_channels)

    def forward(self, x: Tensor, cond: Tensor | None = None) -> Tensor:
        """(B, in, *S), (B, cond_dim) or None -> (B, out, *T)."""
        return self.finish(self.conv(x), cond)

    def beside(self, x: Tensor, common: Tensor) -> Tensor:
        """Of x with `common` behind its channels, which runs of maps of x have in common: see `Conv.beside`."""
        return self.finish(self.conv.beside(x, common), None)


class UpBlock(nn.Module):
    """The mirror of `ConvBlock`: transposed convolution to a given size, then the same steps."""

    def __init__(
        self, spec: ConvSpec, in_channels: int, out_channels: int, kernel: PerAxis, stride: PerAxis = 1
    ) -> None:
        super().__init__()
        self.conv = ConvTranspose(spec, in_channels, out_channels, kernel, stride)
        self.finish = Finish(spec, out_channels)

    def forward(self, x: Tensor, size: Sequence[int], cond: Tensor | None = None) -> Tensor:
        """(B, in, *T) -> (B, out, *size)."""
        return self.finish(self.conv(x, size), cond)


class ResidualBlock(nn.Module):
    """Two convolutions and a skip, activated after the sum; the first convolution carries the stride.

    On valid axes the skip is cropped to the pixels in the middle of the windows that the two convolutions see
    (for an even window the earlier of the two middle pixels). Where width or stride change, or dilation does in place
    of stride, the skip is a strided 1x1 convolution with normalisation; on "same" axes it takes every stride-th pixel
    from the first.

    Args:
        dilation: of the second convolution.
        before: of the first, where the map that it reads is finer than it would be with strides; by default the same.

    Source: He et al., "Deep Residual Learning for Image Recognition", 2016, projection shortcuts.
    Differs: the crop on valid axes, so that a patch and a scene give the same numbers.
    """

    def __init__(
        self, spec: ConvSpec, in_channels: int, out_channels: int, kernel: PerAxis, stride: PerAxis = 1,
        *, dilation: PerAxis = 1, before: PerAxis | None = None,
    ) -> None:  # fmt: skip
        super().__init__()
        self.stride, self.valid = per_axis("stride", stride, spec.ndim), spec.valid
        self.first = ConvBlock(
            spec, in_channels, out_channels, kernel, stride, dilation=dilation if before is None else before
        )
        self.conv = Conv(spec, out_channels, out_channels, kernel, dilation=dilation)
        self.extents = self.first.conv.window.extent, self.conv.window.extent
        self.finish = Finish(spec, out_channels)
        # dilation that grows stands for a stride: the same layers as with it
        instead = self.first.conv.window.dilation != self.conv.window.dilation
        changes = in_channels != out_channels or max(self.stride) > 1 or instead
        self.project = Conv(spec, in_channels, out_channels, 1, stride) if changes else None
        self.project_norm = norm(spec, out_channels) if changes else None

    def forward(self, x: Tensor, cond: Tensor | None = None) -> Tensor:
        """(B, in, *S), (B, cond_dim) or None -> (B, out, *T)."""
        skip = self.crop(x)
        if self.project is not None:
            skip = self.project(skip)
            if self.project_norm is not None:
                skip = self.project_norm(skip)
        return self.finish(self.conv(self.first(x, cond)), cond, skip)

    def crop(self, x: Tensor) -> Tensor:
        """The part of x (B, C, *S) that lies under the outputs, as a view."""
        axes = zip(*self.extents, self.stride, self.valid, strict=True)
        for axis, (k, later, s, v) in enumerate(axes, start=2):
            if v and max(k, later) > 1:
                count = out_size(out_size(x.shape[axis], k, s, True), later, 1, True)
                # an output sees k + (later - 1) * s pixels; this many lie before the middle one
                before = (k - 1 + (later - 1) * s) // 2
                x = x.narrow(axis, before, (count - 1) * s + 1)
        return x
