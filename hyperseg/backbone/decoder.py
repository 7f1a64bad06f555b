"""Decoders: a pyramid becomes a pyramid of the same sizes, or a single map becomes a whole scene."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor, nn

from hyperseg.backbone.attention import SelfAttention
from hyperseg.backbone.blocks import ConvBlock, ResidualBlock, UpBlock
from hyperseg.backbone.conv import Conv, ConvTranspose
from hyperseg.backbone.encoder import Pyramid, check_condition, run_stage
from hyperseg.backbone.resize import resized
from hyperseg.backbone.spec import BackboneSpec, ConvSpec, Size
from hyperseg.core import SettingError

Skips = Literal["concat", "add", "none"]
Up = Literal["transpose", "interpolate"]


class Decoder(nn.Module):
    """The decoder that belongs to an encoder of the same `spec`; it never holds the encoder.

    With skips (U-Net) it maps a pyramid to a pyramid of the same shapes, fine to coarse: level i is the skip
    merged with the upsampled level i + 1; the coarsest level is passed on as it came. Every map is upsampled
    to its skip's exact size, so any input size works.

    Without skips (generator) it mirrors the encoder, convolution by convolution, with transposed ones of the
    same kernel, stride and padding. It starts from the coarsest map and the shape to reach, and gives one
    level more, fine to coarse: (B, in_channels, *shape), then (B, widths[i], *spec.sizes(shape)[i]), the last
    of them the map it was given. The finest is linear: no normalisation, activation or dropout. `residual` is
    not mirrored, nor is attention: the generator is a plain chain of as many convolutions.

    Args:
        spec: the encoder's spec. With skips all axes must be "same".
        skips: "concat" and "add" merge with the encoder's maps, "none" is the generator.
        up: "transpose" (kernel = stride) or "interpolate" (1x1 convolution, linear); unused without skips.
        depths: blocks after each merge, finest level first, one fewer than stages; None takes the encoder's.
            Unused without skips.

    Raises:
        SettingError: unknown choice, depths of the wrong length, or skips on valid axes.
    """

    def __init__(
        self, spec: BackboneSpec, *, skips: Skips = "concat", up: Up = "transpose", depths: Sequence[int] | None = None
    ) -> None:
        super().__init__()
        self.spec, self.skips = spec, skips
        levels = range(len(spec.widths) - 1)
        match skips:
            case "none":
                if spec.dilations:
                    raise SettingError(
                        "a decoder without skips mirrors strides alone, and this backbone has dilations."
                    )
                self.mirrors = nn.ModuleList(Mirror(spec, level) for level in range(len(spec.widths)))
            case "concat" | "add":
                if any(spec.conv.valid):
                    raise SettingError(
                        f"a decoder with skips needs padding 'same' on every axis, got {spec.conv.padding}; "
                        "on a valid axis the coarse map covers less than the skip. Use 'same' or 'none'."
                    )
                blocks = spec.depths[:-1] if depths is None else tuple(depths)
                if len(blocks) != len(levels) or any(d < 1 for d in blocks):
                    raise SettingError(f"depths {blocks}: expected {len(levels)} numbers of at least 1.")
                self.merges = nn.ModuleList(Merge(spec, i, blocks[i], skips=skips, up=up) for i in levels)
            case _:
                raise SettingError(f"skips must be concat, add or none, got {skips!r}.")

    def forward(
        self, x: Pyramid | Tensor, cond: Tensor | None = None, *, shape: Sequence[int] | None = None, finest: int = 0,
        sparing: bool = False,
    ) -> Pyramid:  # fmt: skip
        """Decode.

        Args:
            x: the encoder's pyramid; without skips its coarsest map (B, widths[-1], *spec.sizes(shape)[-1]).
            cond: (B, cond_dim), exactly where the spec has cond_dim > 0.
            shape: without skips, the spatial size to reach; with skips, leave it out.
            finest: stop at this level and return it first (pre-training of part of a decoder).
            sparing: gradient checkpointing, see `encoder.run_stage`; with skips.

        Returns:
            Maps from fine to coarse; see the class.

        Raises:
            SettingError: the input does not fit the spec or `shape`.
        """
        check_condition(self.spec, cond)
        if self.skips == "none":
            if not isinstance(x, Tensor) or shape is None:
                raise SettingError("a decoder without skips takes the coarsest map and `shape`, the size to reach.")
            return self._generate(x, cond, shape, finest)
        if isinstance(x, Tensor) or len(x) != len(self.spec.widths) or shape is not None:
            raise SettingError(f"a decoder with skips takes a pyramid of {len(self.spec.widths)} maps and no `shape`.")
        coarse, pyramid = x[-1], [x[-1]]
        for level in range(len(x) - 2, finest - 1, -1):
            coarse = run_stage(self.merges[level], coarse, x[level], cond, sparing=sparing)
            pyramid.append(coarse)
        return pyramid[::-1]

    def _generate(self, x: Tensor, cond: Tensor | None, shape: Sequence[int], finest: int) -> Pyramid:
        sizes = (tuple(shape), *self.spec.sizes(shape))
        if tuple(x.shape[1:]) != (self.spec.widths[-1], *sizes[-1]):
            raise SettingError(
                f"a scene of size {sizes[0]} starts from a map of shape (batch, {self.spec.widths[-1]}, "
                f"{', '.join(map(str, sizes[-1]))}), got {tuple(x.shape)}."
            )
        pyramid = [x]
        for level in range(len(self.spec.widths) - 1, finest - 1, -1):
            x = self.mirrors[level](x, sizes[level], cond)
            pyramid.append(x)
        return pyramid[::-1]


class Merge(nn.Module):
    """Upsample the coarser map to the skip's size, join the two, refine."""

    def __init__(self, spec: BackboneSpec, level: int, depth: int, *, skips: Literal["concat", "add"], up: Up) -> None:
        super().__init__()
        stage, coarser = spec.stages[level], spec.stages[level + 1]
        self.skips = skips
        self.up: nn.Module
        self.transposes = up == "transpose"
        match up:
            case "transpose":
                stride = coarser.stride
                self.up = ConvTranspose(spec.conv, coarser.width, stage.width, stride, stride, bias=True)
            case "interpolate":  # the 1x1 convolution commutes with interpolation and is cheaper before it
                self.up = Conv(spec.conv, coarser.width, stage.width, 1, bias=True)
            case _:
                raise SettingError(f"up must be transpose or interpolate, got {up!r}.")
        block = ResidualBlock if spec.conv.residual else ConvBlock
        joined = 2 * stage.width if skips == "concat" else stage.width
        blocks: list[nn.Module] = [block(spec.conv, joined, stage.width, stage.kernel)]
        blocks += [block(spec.conv, stage.width, stage.width, stage.kernel) for _ in range(depth - 1)]
        self.blocks = nn.ModuleList(blocks)
        self.attention = SelfAttention(spec.conv, stage.width, stage.heads) if stage.heads else None

    def forward(self, coarse: Tensor, skip: Tensor, cond: Tensor | None = None) -> Tensor:
        """(B, widths[i + 1], *S_coarse), (B, widths[i], *S) -> (B, widths[i], *S)."""
        size = skip.shape[2:]
        if self.transposes:
            raised = self.up(coarse, size)
        else:
            raised = resized(self.up(coarse), size)
        x = torch.cat((skip, raised), dim=1) if self.skips == "concat" else skip + raised
        del skip, raised  # large maps less while the blocks run, where nobody else has them
        for block in self.blocks:
            x = block(x, cond)
        return x if self.attention is None else self.attention(x)


class Mirror(nn.Module):
    """One stage of an encoder run backwards: (B, width, *T) -> (B, the stage's input channels, *size)."""

    def __init__(self, spec: BackboneSpec, level: int) -> None:
        super().__init__()
        stage = spec.stages[level]
        (kernel, stride), *others = spec.convolutions(stage)
        self.valid = spec.conv.valid
        self.blocks = nn.ModuleList(UpBlock(spec.conv, stage.width, stage.width, k) for k, _ in others)
        self.grows = tuple(k - 1 if v else 0 for k, v in zip(kernel, self.valid, strict=True))
        last = spec.conv
        if level == 0:  # a generator ends with a convolution and nothing after it
            last = ConvSpec(last.ndim, norm="none", act="none", padding=last.padding, spectral_norm=last.spectral_norm)
        self.last = UpBlock(last, stage.width, stage.in_channels, kernel, stride)

    def forward(self, x: Tensor, size: Size, cond: Tensor | None = None) -> Tensor:
        for block in self.blocks:
            x = block(x, [n + g for n, g in zip(x.shape[2:], self.grows, strict=True)], cond)
        return self.last(x, size, cond)
