"""What a backbone is, as plain frozen data: settings of its convolutions and one entry per stage.

Only arithmetic happens here. The sizes, receptive fields and margins are computed from the same two
functions (`out_size`, `same_padding`) that the layers of `hyperseg.backbone.conv` use.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from typing import Any, Literal, cast, get_args

from hyperseg.backbone.checks import as_tuple, check_choice, check_int, check_keys, per_axis
from hyperseg.core import SettingError

Size = tuple[int, ...]
PerAxis = int | tuple[int, ...]
Padding = Literal["same", "valid"]
Norm = Literal["batch", "instance", "group", "none"]
Act = Literal["relu", "leaky_relu", "elu", "silu", "gelu", "none"]


@dataclass(frozen=True)
class ConvSpec:
    """Settings shared by every convolution of a backbone.

    Attributes:
        ndim: spatial axes, 1 (a spectrum), 2 (an image) or 3 (a cube with bands as depth, or a volume).
        norm: normalisation after each convolution; "batch" suits classification nets. "instance" cannot
            normalise a map of one element and says so when it meets one. "group" always puts at least two
            channels in a group, so it works on such a map. A convolution has a bias only with "none".
        act: activation; the slope of "leaky_relu" is 0.01.
        residual: a block is two convolutions and a skip instead of one convolution.
        padding: "same" (zeros, output ceil(n / stride)) or "valid" (no padding), for all axes or per axis;
            kept as one entry per axis.
        dropout: probability of dropping a whole channel after the activation, in training only.
        spectral_norm: divide every weight by its largest singular value (discriminators).
        cond_dim: length of the condition vector of FiLM; 0 builds no FiLM.

    Raises:
        SettingError: a value outside what it may be.
    """

    ndim: int
    norm: Norm = "batch"
    act: Act = "relu"
    residual: bool = False
    padding: Padding | tuple[Padding, ...] = "same"
    dropout: float = 0.0
    spectral_norm: bool = False
    cond_dim: int = 0

    def __post_init__(self) -> None:
        check_int("ndim", self.ndim, low=1, high=3)
        check_choice("norm", self.norm, get_args(Norm))
        check_choice("act", self.act, get_args(Act))
        for name in ("residual", "spectral_norm"):
            if not isinstance(getattr(self, name), bool):
                raise SettingError(f"{name} must be True or False, got {getattr(self, name)!r}.")
        padding = self.padding
        words = (padding,) * self.ndim if isinstance(padding, str) else as_tuple("padding", padding)
        if len(words) != self.ndim:
            raise SettingError(
                f"padding {padding!r} has {len(words)} entries for {self.ndim} axes: "
                "give one word or one per axis."
            )
        for word in words:
            check_choice("padding", word, get_args(Padding))
        object.__setattr__(self, "padding", words)
        if (
            isinstance(self.dropout, bool)
            or not isinstance(self.dropout, int | float)
            or not 0 <= self.dropout < 1
        ):
            raise SettingError(f"dropout must be a probability in [0, 1), got {self.dropout!r}.")
        object.__setattr__(self, "dropout", float(self.dropout))
        check_int("cond_dim", self.cond_dim, low=0)

    @property
    def valid(self) -> tuple[bool, ...]:
        """Per axis: True where convolutions are not padded."""
        return tuple(word == "valid" for word in self.padding)


@dataclass(frozen=True)
class StageSpec:
    """One stage of a `BackboneSpec`: `depth` blocks of one kernel, the first of them strided."""

    in_channels: int
    width: int
    stride: Size
    kernel: Size
    depth: int


@dataclass(frozen=True)
class BackboneSpec:
    """An encoder's shape: one entry per stage, from fine to coarse.

    Attributes:
        in_channels: channels of the input.
        widths: channels after each stage.
        strides: stride of each stage's first convolution, an int or one int per axis; kept per axis.
        kernels: kernel of each stage's convolutions, an int or one int per axis; kept per axis.
        depths: blocks per stage.
        conv: settings of every convolution.

    Raises:
        SettingError: entries of different length, or a value outside what it may be.
    """

    in_channels: int
    widths: tuple[int, ...]
    strides: tuple[PerAxis, ...]
    kernels: tuple[PerAxis, ...]
    depths: tuple[int, ...]
    conv: ConvSpec

    def __post_init__(self) -> None:
        if not isinstance(self.conv, ConvSpec):
            raise SettingError(f"conv must be a ConvSpec, got {self.conv!r}.")
        check_int("in_channels", self.in_channels, low=1)
        lengths = {}
        for name in ("widths", "strides", "kernels", "depths"):
            entries = as_tuple(name, getattr(self, name))
            lengths[name] = len(entries)
            if name in ("strides", "kernels"):
                entries = tuple(per_axis(f"{name}[{i}]", e, self.conv.ndim) for i, e in enumerate(entries))
            else:
                for i, entry in enumerate(entries):
                    check_int(f"{name}[{i}]", entry, low=1)
            object.__setattr__(self, name, entries)
        if len(set(lengths.values())) != 1 or not self.widths:
            raise SettingError(f"a backbone needs one entry per stage and at least one stage, got {lengths}.")
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
        rows = zip(inputs, self.widths, strides, kernels, self.depths, strict=True)
        return tuple(StageSpec(*row) for row in rows)

    def convolutions(self, stage: StageSpec) -> list[tuple[Size, Size]]:
        """(kernel, stride) of the stage's convolutions in order; a residual block has two."""
        count = stage.depth * (2 if self.conv.residual else 1)
        ones = (1,) * self.conv.ndim
        return [(stage.kernel, stage.stride if i == 0 else ones) for i in range(count)]

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

    def to_json(self) -> dict[str, Any]:
        """Plain dicts, lists and numbers, ready for `json.dumps`."""
        return cast(dict[str, Any], _listed(asdict(self)))

    @staticmethod
    def from_json(data: Mapping[str, Any]) -> BackboneSpec:
        """The spec written by `to_json`.

        Raises:
            SettingError: an unknown or missing key, or a value outside what it may be.
        """
        check_keys("BackboneSpec", data, {f.name for f in fields(BackboneSpec)}, None)
        check_keys("ConvSpec", data["conv"], {f.name for f in fields(ConvSpec)}, {"ndim"})
        return BackboneSpec(**{**data, "conv": ConvSpec(**data["conv"])})


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


def _listed(value: Any) -> Any:
    if isinstance(value, dict):
        return {k: _listed(v) for k, v in value.items()}
    return [_listed(v) for v in value] if isinstance(value, tuple) else value
