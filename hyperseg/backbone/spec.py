"""What a backbone is, as plain frozen data: settings of its convolutions and one entry per stage.

Only arithmetic happens here. The sizes, receptive fields and margins are computed from the same two
functions (`out_size`, `same_padding`) that the layers of `hyperseg.backbone.conv` use.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal, cast

from hyperseg.core import SettingError
from hyperseg.core.settings import Rule, converted, option, required, settings

Size = tuple[int, ...]
PerAxis = int | tuple[int, ...]
Padding = Literal["same", "valid"]
Norm = Literal["batch", "instance", "group", "none"]
Act = Literal["relu", "leaky_relu", "prelu", "elu", "silu", "gelu", "none"]
POSITIVE = Rule("", low=1)


@settings
class ConvSpec:
    """Settings shared by every convolution of a backbone; a convolution has a bias only with norm "none"."""

    ndim: int = required(
        "Spatial axes: 1 (a spectrum), 2 (an image) or 3 (a cube with bands as depth, or a volume).", low=1, high=3
    )
    norm: Norm = option(
        "batch",
        "Normalisation after each convolution. Batch norm suits classification nets. Instance norm cannot normalise a "
        "map of one element and says so when it meets one. Group norm always puts at least two channels in a group, "
        "so it works on such a map.",
    )
    act: Act = option("relu", "Activation; the slope of leaky_relu is 0.01, that of prelu is learnt, one a layer.")
    residual: bool = option(False, "A block is two convolutions and a skip instead of one convolution.")
    padding: Padding | tuple[Padding, ...] = option(
        "same",
        "Zeros around the input, output ceil(n / stride) (same), or no padding (valid), for all axes or per axis; kept "
        "as one entry per axis.",
    )
    dropout: float = option(
        0.0, "Probability of dropping a whole channel after the activation, in training only.", low=0, below=1
    )
    spectral_norm: bool = option(False, "Divide every weight by its largest singular value (discriminators).")
    cond_dim: int = option(0, "Length of the condition vector of FiLM; 0 builds no FiLM.", low=0)

    def __post_init__(self) -> None:
        words = (self.padding,) * self.ndim if isinstance(self.padding, str) else self.padding
        if len(words) != self.ndim:
            raise SettingError(
                f"padding {self.padding!r} has {len(words)} entries for {self.ndim} axes: "
                "give one word or one per axis."
            )
        object.__setattr__(self, "padding", words)

    @property
    def valid(self) -> tuple[bool, ...]:
        """Per axis: True where convolutions are not padded."""
        return tuple(word == "valid" for word in self.padding)


@dataclass(frozen=True)
class StageSpec:
    """One stage of a `BackboneSpec`: `depth` blocks of one kernel, the first of them strided, then attention.

    Attributes:
        before, dilation: pixels of the stage's input, and of its maps, between neighbouring elements of a kernel: of
            its first convolution, and of all others.
    """

    in_channels: int
    width: int
    stride: Size
    kernel: Size
    depth: int
    heads: int = 0
    before: Size = ()
    dilation: Size = ()


@settings
class BackboneSpec:
    """An encoder's shape: one entry per stage, from fine to coarse.

    Raises:
        SettingError: entries of different length, or a value outside what it may be.
    """

    in_channels: int = required("Channels of the input.", low=1)
    widths: tuple[int, ...] = required("Channels after each stage.", low=1)
    strides: tuple[PerAxis, ...] = required(
        "Stride of each stage's first convolution, one number or one per axis; kept per axis.", low=1
    )
    kernels: tuple[PerAxis, ...] = required(
        "Kernel of each stage's convolutions, one number or one per axis; kept per axis.", low=1
    )
    depths: tuple[int, ...] = required("Blocks per stage.", low=1)
    conv: ConvSpec = required("Settings of every convolution.")
    attention: tuple[int, ...] = option(
        (),
        "Heads of self-attention after each stage, of encoder and decoder; 0 for none, empty for none anywhere.",
        low=0,
    )
    dilations: tuple[PerAxis, ...] = option(
        (),
        "Pixels between neighbouring elements of a kernel, a number per stage or one per axis, empty for 1 everywhere. "
        "A stage's first convolution has those of the stage before: it reads that one's maps.",
        low=1,
        later=True,
    )

    def __post_init__(self) -> None:
        for name in ("strides", "kernels", "dilations"):
            entries = enumerate(getattr(self, name))
            found = tuple(per_axis(f"{name}[{i}]", entry, self.conv.ndim) for i, entry in entries)
            object.__setattr__(self, name, found)
        lengths = {name: len(getattr(self, name)) for name in ("widths", "strides", "kernels", "depths")}
        if len(set(lengths.values())) != 1 or not self.widths:
            raise SettingError(f"a backbone needs one entry per stage and at least one stage, got {lengths}.")
        if self.attention and len(self.attention) != len(self.widths):
            raise SettingError(f"attention has {len(self.attention)} entries for {len(self.widths)} stages.")
        if self.dilations and len(self.dilations) != len(self.widths):
            raise SettingError(f"dilations has {len(self.dilations)} entries for {len(self.widths)} stages.")
        if self.conv.norm == "group" and min(self.widths) < 2:
            raise SettingError(
                f"group norm of one channel is instance norm, and widths are {self.widths}: "
                "use widths of at least 2, or norm='instance'."
            )

    @property
    def stages(self) -> tuple[StageSpec, ...]:
        """The stages from fine to coarse, strides and kernels per axis."""
        inputs = (self.in_channels, *self.widths[:-1])
        strides, kernels = cast(tuple[Size, ...], self.strides), cast(tuple[Size, ...], self.kernels)
        heads = self.attention or (0,) * len(self.widths)
        ones = (1,) * self.conv.ndim
        dilations = cast(tuple[Size, ...], self.dilations) or (ones,) * len(self.widths)
        before = (ones, *dilations[:-1])
        rows = zip(inputs, self.widths, strides, kernels, self.depths, heads, before, dilations, strict=True)
        return tuple(StageSpec(*row) for row in rows)

    def convolutions(self, stage: StageSpec) -> list[tuple[Size, Size]]:
        """(extent of the kernel, stride) of the stage's convolutions in order; a residual block has two."""
        count = stage.depth * (2 if self.conv.residual else 1)
        ones, later = (1,) * self.conv.ndim, extent(stage.kernel, stage.dilation)
        return [(extent(stage.kernel, stage.before), stage.stride), *[(later, ones)] * (count - 1)]

    def at_output_stride(self, stride: PerAxis) -> BackboneSpec:
        """The same weights with maps no coarser than `stride`: dilation takes the place of the strides that are left.

        Every `s`-th pixel of a finer map, away from the border, is the pixel that the strided backbone gives.

        Source: Chen et al., "DeepLab", arXiv 1606.00915, section 3.1: atrous convolution in place of striding.

        Raises:
            SettingError: a backbone with dilations of its own, strides that have no product of `stride`, or none so
                large.
        """
        if self.dilations:
            raise SettingError("this backbone has dilations already: give the one with strides alone.")
        most = per_axis("output stride", stride, self.conv.ndim)
        if all(m > s for m, s in zip(most, self.stride, strict=True)):
            raise SettingError(f"an output stride of {stride} is coarser than this backbone's maps, {self.stride}.")
        most = tuple(map(min, most, self.stride))
        total, dilation = (1,) * self.conv.ndim, (1,) * self.conv.ndim
        strides, dilations = [], []
        for stage in self.stages:
            kept = tuple(s if t * s <= m else 1 for t, s, m in zip(total, stage.stride, most, strict=True))
            dilation = tuple(d * s // k for d, s, k in zip(dilation, stage.stride, kept, strict=True))
            total = tuple(t * k for t, k in zip(total, kept, strict=True))
            strides.append(kept)
            dilations.append(dilation)
        if total != most:
            raise SettingError(f"strides of {self.strides} cannot stop at {stride}: they make {total}.")
        return replace(self, strides=tuple(strides), dilations=tuple(dilations))

    @property
    def stride(self) -> Size:
        """Per axis: input pixels from one output of the coarsest level to the next."""
        return tuple(_trace(self, axis)[1] for axis in range(self.conv.ndim))

    @property
    def receptive_field(self) -> Size:
        """Per axis: input pixels one output of the coarsest level looks at, padded axes included."""
        return tuple(_trace(self, axis)[0] for axis in range(self.conv.ndim))

    @property
    def margin(self) -> Size:
        """Per axis: input pixels lost on each side of a valid axis, 0 on a padded one.

        An output of the coarsest level sees `receptive_field` pixels, and this is half of them. An even
        receptive field has no middle pixel: then one pixel less is lost before than after, and `margin` is
        the larger number. A halo of `margin` on both sides is always enough.
        """
        return tuple(r // 2 if v else 0 for r, v in zip(self.receptive_field, self.conv.valid, strict=True))

    @property
    def min_size(self) -> Size:
        """Per axis: the smallest input that leaves one output."""
        return tuple(r if v else 1 for r, v in zip(self.receptive_field, self.conv.valid, strict=True))

    def sizes(self, input_shape: Sequence[int]) -> tuple[Size, ...]:
        """Spatial size of every level, fine to coarse, for an input of spatial size `input_shape`.

        Raises:
            SettingError: the number of axes differs, or the input is smaller than `min_size`.
        """
        self.check_input(input_shape)
        size, levels = tuple(input_shape), []
        for stage in self.stages:
            for kernel, stride in self.convolutions(stage):
                size = tuple(map(out_size, size, kernel, stride, self.conv.valid))
            levels.append(size)
        return tuple(levels)

    def check_input(self, input_shape: Sequence[int]) -> None:
        """Raise SettingError unless an input of this spatial size leaves at least one output."""
        least = self.min_size
        if len(input_shape) != len(least) or any(n < m for n, m in zip(input_shape, least, strict=True)):
            raise SettingError(
                f"an input of spatial size {tuple(input_shape)} is too small or has other axes: "
                f"this backbone needs at least {least}. Enlarge the patch, or use smaller kernels."
            )


def extent(kernel: Size, dilation: Size) -> Size:
    """Pixels from the first to the last element of a kernel, both counted, per axis."""
    return tuple((k - 1) * d + 1 for k, d in zip(kernel, dilation, strict=True))


def per_axis(name: str, value: PerAxis, ndim: int) -> Size:
    """One whole number for all axes, or one per axis, as one per axis.

    Raises:
        SettingError: another number of entries, or one below 1; it says `name`.
    """
    found: PerAxis = converted(value, PerAxis, name, POSITIVE)
    entries = (found,) * ndim if isinstance(found, int) else found
    if len(entries) != ndim:
        raise SettingError(f"{name} is {value!r}: give one number or {ndim}, one per axis.")
    return entries


def same_padding(kernel: int, stride: int) -> int:
    """Zeros before the first pixel of a "same" axis.

    Stride 1 centres the kernel on its pixel. A larger stride centres it on the cell of pixels
    `[j * stride, (j + 1) * stride)` it stands for, so that `kernel >= stride` leaves no pixel unseen.
    """
    return (max(kernel - stride, 0) + (stride > 1)) // 2


def out_size(n: int, kernel: int, stride: int, valid: bool) -> int:
    """Length of an axis after a convolution: whole windows if valid, else ceil(n / stride)."""
    return (n - kernel) // stride + 1 if valid else -(-n // stride)


def _trace(spec: BackboneSpec, axis: int) -> tuple[int, int]:
    """(receptive field, stride) of the coarsest level along one axis."""
    field, jump = 1, 1
    for stage in spec.stages:
        for kernel, stride in spec.convolutions(stage):
            field += (kernel[axis] - 1) * jump
            jump *= stride[axis]
    return field, jump
