"""Convolutions in one, two or three dimensions: the only place of the package where they are made.

`Conv` and `ConvTranspose` add three things to torch's layers: "same" padding that gives ceil(n / stride) for every
kernel, transposed convolutions that give any size their convolution could have come from, and a short cut for spectral
kernels (k, 1, 1): the same numbers from a 2-D convolution on a view, up to several times faster on a CPU.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import chain

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils.parametrizations import spectral_norm

from hyperseg.backbone.layers import BATCH_NORMS
from hyperseg.backbone.spec import ConvSpec, PerAxis, Size, extent, out_size, per_axis, same_padding
from hyperseg.core import SettingError

_CONV: dict[int, Callable[..., nn.Module]] = {1: nn.Conv1d, 2: nn.Conv2d, 3: nn.Conv3d}
_FUNCTION: dict[int, Callable[..., Tensor]] = {1: F.conv1d, 2: F.conv2d, 3: F.conv3d}
_TRANSPOSED: dict[int, Callable[..., nn.Module]] = {1: nn.ConvTranspose1d, 2: nn.ConvTranspose2d, 3: nn.ConvTranspose3d}


@contextmanager
def seeded(seed: int) -> Iterator[None]:
    """Build layers, on the CPU, inside this block from `seed`; torch's own generator is left as it was."""
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)
        yield


@torch.no_grad()
def scale_weights(net: nn.Module, factor: float) -> None:
    """Multiply every matrix and kernel of `net`, in place; biases and the vectors of norms stay."""
    for weight in net.parameters():
        if weight.ndim > 1:
            weight.mul_(factor)


@contextmanager
def own_statistics(net: nn.Module) -> Iterator[None]:
    """Batch norms normalise by each batch alone inside this block; what they keep for prediction stays.

    Without it, batches of another kind (generated ones, unlabelled ones) would move the statistics that the
    network predicts with. Nets without batch norm, or in evaluation mode, are not affected.
    """
    kept = {m: m.momentum for m in net.modules() if isinstance(m, BATCH_NORMS)}
    for m in kept:
        m.momentum = 0.0
    try:
        yield
    finally:
        for m, momentum in kept.items():
            m.momentum = momentum


@dataclass(frozen=True)
class Window:
    """How a kernel moves over the axes.

    Attributes:
        kernel, stride, dilation, valid: per axis.
        extent: pixels from the first to the last element of the kernel, per axis.
        pads: zeros on both sides of each axis.
        flat: a 3-D kernel that looks along the first axis only; the other two may be laid end to end.
        plane: a 3-D kernel that looks along the last two axes only.
    """

    kernel: Size
    stride: Size
    dilation: Size
    extent: Size
    valid: tuple[bool, ...]
    pads: Size
    flat: bool
    plane: bool


def window(spec: ConvSpec, kernel: PerAxis, stride: PerAxis, dilation: PerAxis = 1) -> Window:
    """The window of these settings, each of kernel, stride and dilation one number or one per axis."""
    k, s = per_axis("kernel", kernel, spec.ndim), per_axis("stride", stride, spec.ndim)
    d = per_axis("dilation", dilation, spec.ndim)
    reach = extent(k, d)
    pads = tuple(0 if v else same_padding(a, b) for a, b, v in zip(reach, s, spec.valid, strict=True))
    flat, plane = len(k) == 3 and k[1:] == (1, 1) == s[1:], len(k) == 3 and k[0] == 1 == s[0]
    return Window(k, s, d, reach, spec.valid, pads, flat=flat, plane=plane)


class Conv(nn.Module):
    """A convolution, (B, in, *S) -> (B, out, *T): T is ceil(S / stride), or whole windows on valid axes.

    Args:
        spec: number of axes, padding, spectral norm and the rule for the bias.
        in_channels, out_channels: channels before and after.
        kernel, stride, dilation: one number or one per axis.
        groups: of channels that do not see each other; as many as channels are a depthwise convolution.
        bias: None gives a bias unless a normalisation follows (`spec.norm`), whose own shift would cancel it.
    """

    def __init__(
        self, spec: ConvSpec, in_channels: int, out_channels: int, kernel: PerAxis, stride: PerAxis = 1,
        *, dilation: PerAxis = 1, groups: int = 1, bias: bool | None = None,
    ) -> None:  # fmt: skip
        super().__init__()
        if in_channels % groups or out_channels % groups:
            raise SettingError(f"{groups} groups cannot share {in_channels} and {out_channels} channels evenly.")
        self.window = w = window(spec, kernel, stride, dilation)
        self.groups = groups
        # torch pads both sides alike; forward adds what the last window can need beyond that
        self.uneven = any(not v and 2 * p < k - 1 for k, p, v in zip(w.extent, w.pads, w.valid, strict=True))
        fan_in = in_channels // groups * math.prod(w.kernel)
        self.layer = _layer(_CONV, spec, in_channels, out_channels, w, fan_in=fan_in, bias=bias, groups=groups)

    def forward(self, x: Tensor) -> Tensor:
        if self.uneven:
            x = self._pad_behind(x)
        w = self.window
        alone = self.groups == 1
        if alone and w.flat and w.pads[0] == 0 and x.shape[2] == w.kernel[0] == w.extent[0]:  # all bands: a 1x1 one
            weight, bias = _parameters(self.layer)
            return F.conv2d(x.flatten(1, 2), weight.flatten(1)[:, :, None, None], bias).unsqueeze(2)
        if w.flat:
            return self.layer(x.flatten(3)).unflatten(3, x.shape[3:])
        if w.plane and x.shape[2] == 1:
            weight, bias = _parameters(self.layer)
            axes = w.stride[1:], w.pads[1:], w.dilation[1:]
            return F.conv2d(x.squeeze(2), weight.squeeze(2), bias, *axes, self.groups).unsqueeze(2)
        if self._overruns(x):
            weight, bias = _parameters(self.layer)
            behind = w.pads[0]
            padded = F.pad(x, (0, 0, 0, 0, behind, behind))
            return F.conv3d(padded, weight, bias, w.stride, (0, *w.pads[1:]), w.dilation, self.groups)
        return self.layer(x)

    def _overruns(self, x: Tensor) -> bool:
        """Whether torch would compute a wrong gradient of the weights.

        oneDNN, in bfloat16 on a CPU, reads beyond its arrays where a padded kernel is longer than the first of three
        axes: gradients are NaN or noise, and memory is damaged (torch 2.13). Zeros that are there beforehand mend it.
        """
        if x.ndim != 5 or not 1 < x.shape[2] < self.window.extent[0] or x.device.type != "cpu":
            return False
        return x.dtype == torch.bfloat16 or torch.is_autocast_enabled("cpu")

    def beside(self, x: Tensor, common: Tensor) -> Tensor:
        """`self` of x with `common` behind its channels, where runs of G maps of x have a map of `common` in common.

        The common part is convolved once instead of G times. Only for layers without a short cut and even padding.

        Args:
            x: (B * G, a, *S).
            common: (B, in - a, *S).
        """
        assert not any((self.uneven, self.window.flat, self.window.plane, self.groups > 1))
        weight, bias = _parameters(self.layer)
        convolve = _FUNCTION[x.ndim - 2]
        own, other = weight[:, : x.shape[1]], weight[:, x.shape[1] :]
        found = convolve(x, own, bias, self.window.stride, self.window.pads, self.window.dilation)
        once = convolve(common, other, None, self.window.stride, self.window.pads, self.window.dilation)
        found.unflatten(0, (len(common), -1)).add_(once.unsqueeze(1))
        return found

    def matrix(self) -> tuple[Tensor, Tensor | None]:
        """(out, in) weights, and the bias, of a kernel of one element."""
        assert math.prod(self.window.kernel) == 1
        weight, bias = _parameters(self.layer)
        return weight.flatten(1), bias

    def _pad_behind(self, x: Tensor) -> Tensor:
        """Add the zeros that only the last window needs, and none where it needs none."""
        w, extra = self.window, []
        for n, k, s, p, v in zip(x.shape[2:], w.extent, w.stride, w.pads, w.valid, strict=True):
            extra.append(0 if v else max(0, (-(-n // s) - 1) * s + k - 2 * p - n))
        return F.pad(x, list(chain.from_iterable((0, e) for e in reversed(extra)))) if any(extra) else x


class ConvTranspose(nn.Module):
    """The mirror of `Conv`, (B, in, *T) -> (B, out, *S) for any S that `Conv` maps to T.

    With the weight of a `Conv` and no bias it is that convolution's adjoint: <Conv(x), y> = <x, mirror(y)>.
    Arguments as for `Conv`; kernel, stride and padding are those of the mirrored convolution.
    """

    def __init__(
        self, spec: ConvSpec, in_channels: int, out_channels: int, kernel: PerAxis, stride: PerAxis = 1,
        *, bias: bool | None = None,
    ) -> None:  # fmt: skip
        super().__init__()
        self.window = w = window(spec, kernel, stride)
        # an output is reached by in * kernel / stride weights, not by all of them
        fan_in = max(1, in_channels * math.prod(w.kernel) // math.prod(w.stride))
        self.layer = _layer(_TRANSPOSED, spec, in_channels, out_channels, w, fan_in=fan_in, bias=bias)

    def forward(self, x: Tensor, size: Sequence[int]) -> Tensor:
        """Upsample to the spatial size `size`.

        Raises:
            SettingError: no input of that size gives a map of x's size.
        """
        w, full = self.window, []
        for n, m, k, s, p, v in zip(size, x.shape[2:], w.kernel, w.stride, w.pads, w.valid, strict=True):
            if out_size(n, k, s, v) != m:
                raise SettingError(
                    f"a map of size {tuple(x.shape[2:])} cannot be upsampled to {tuple(size)} with kernel "
                    f"{w.kernel} and stride {w.stride}: the convolution gives another map. "
                    "Take the sizes from BackboneSpec.sizes."
                )
            full.append(max(n, (m - 1) * s + k - 2 * p))
        y = self._raise(x, full)
        for axis, (n, longer) in enumerate(zip(size, full, strict=True), start=2):
            if longer > n:  # zeros that the convolution added behind have no pixel to go back to
                y = y.narrow(axis, 0, n)
        return y

    def _raise(self, x: Tensor, full: list[int]) -> Tensor:
        w = self.window
        if w.flat and w.pads[0] == 0 and x.shape[2] == 1 and full[0] == w.kernel[0]:  # all bands at once
            weight, bias = _parameters(self.layer)
            every = None if bias is None else bias.repeat_interleave(full[0])
            y = F.conv2d(x.squeeze(2), weight.flatten(1).t()[:, :, None, None], every)
            return y.unflatten(1, (-1, full[0]))
        if w.flat:
            flat = x.flatten(3)
            return self.layer(flat, output_size=(full[0], flat.shape[3])).unflatten(3, x.shape[3:])
        if w.plane and x.shape[2] == 1 == full[0]:
            axes = zip(full, x.shape[2:], w.kernel, w.stride, w.pads, strict=True)
            behind = [n - ((m - 1) * s - 2 * p + k) for n, m, k, s, p in axes][1:]
            weight, bias = _parameters(self.layer)
            y = F.conv_transpose2d(x.squeeze(2), weight.squeeze(2), bias, w.stride[1:], w.pads[1:], behind)
            return y.unsqueeze(2)
        return self.layer(x, output_size=full)


def _parameters(layer: nn.Module) -> tuple[Tensor, Tensor | None]:
    """Weight and bias, for one use: asking a spectrally normalised layer twice takes two steps of its iteration."""
    weight, bias = layer.weight, layer.bias
    assert isinstance(weight, Tensor)
    return weight, bias if isinstance(bias, Tensor) else None


def _layer(
    kinds: dict[int, Callable[..., nn.Module]], spec: ConvSpec, in_channels: int, out_channels: int, w: Window,
    *, fan_in: int, bias: bool | None, groups: int = 1,
) -> nn.Module:  # fmt: skip
    """Torch's layer with He normal weights; its own default shrinks the signal in nets without a normalisation."""
    axes = 2 if w.flat else len(w.kernel)
    with_bias = spec.norm == "none" if bias is None else bias
    layer = kinds[axes](
        in_channels, out_channels, w.kernel[:axes], w.stride[:axes], w.pads[:axes], bias=with_bias, groups=groups,
        dilation=w.dilation[:axes],
    )  # fmt: skip
    weight, shift = _parameters(layer)
    nn.init.normal_(weight, std=(1.0 if spec.act == "none" else math.sqrt(2.0)) / math.sqrt(fan_in))
    if shift is not None:
        nn.init.zeros_(shift)
    return spectral_norm(layer) if spec.spectral_norm else layer
