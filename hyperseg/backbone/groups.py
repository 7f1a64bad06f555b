"""Contiguous groups of bands, each read by an encoder of its own or by one that all share."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from hyperseg.backbone.encoder import Encoder
from hyperseg.backbone.spec import BackboneSpec
from hyperseg.core import SettingError

Groups = tuple[tuple[int, int], ...]
"""Half-open (start, stop) per group: ordered, contiguous, every band in exactly one group."""


def group_index(groups: Sequence[tuple[int, int]], *, length: int | None = None) -> NDArray[np.int64]:
    """(G, l) bands of every group; shorter groups are continued by reflection at their end.

    Args:
        groups: see `Groups`.
        length: l; None is the longest group's.

    Raises:
        SettingError: groups that leave out, repeat or disorder bands, an empty one, or one longer than l.
    """
    stops = [0, *(stop for _, stop in groups)]
    if not groups or [start for start, _ in groups] != stops[:-1] or any(a >= b for a, b in groups):
        raise SettingError(
            f"band groups must be contiguous from band 0 on, each of 1 band or more, got {tuple(groups)}."
        )
    longest = max(b - a for a, b in groups)
    n = longest if length is None else length
    if n < longest:
        raise SettingError(f"band groups of up to {longest} bands cannot be continued to {n}.")
    return np.stack(
        [np.pad(np.arange(a, b), (0, n - (b - a)), mode="reflect" if b - a > 1 else "edge") for a, b in groups]
    )


class BandGroups(nn.Module):
    """Cuts the bands of a cube into groups of one length: (B, 1, L, h, w) -> (B, G, l, h, w).

    Arguments as for `group_index`. Without reflection the result is a view.
    """

    index: Tensor

    def __init__(self, groups: Sequence[tuple[int, int]], *, length: int | None = None) -> None:
        super().__init__()
        found = group_index(groups, length=length)
        self.n_bands = int(groups[-1][1])
        self.shape: tuple[int, int] = (found.shape[0], found.shape[1])
        self.register_buffer("index", torch.from_numpy(found).flatten(), persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        """(B, 1, L, h, w) -> (B, G, l, h, w)."""
        if x.ndim != 5 or x.shape[1] != 1 or x.shape[2] != self.n_bands:
            raise SettingError(
                f"band groups over {self.n_bands} bands got a tensor of shape {tuple(x.shape)}; expected "
                f"(batch, 1, {self.n_bands}, rows, columns)."
            )
        bands = x[:, 0]
        if len(self.index) > self.n_bands:  # some bands occur twice
            bands = bands.index_select(1, self.index)
        return bands.unflatten(1, self.shape)


class GroupEncoder(nn.Module):
    """Features of every band group, from one encoder that all groups share or from one each.

    The encoder is 3-D, bands as depth; what its kernels leave of the depth is folded into the features. Where a
    stride along the bands would miss the last ones, groups are continued by reflection until all are seen.

    Args:
        groups: see `Groups`.
        spec: a 3-D backbone with one input channel, whose kernels fit the longest group.
        shared: one set of weights for all groups.

    Attributes:
        channels: features per group.

    Source: Alam et al., "Conditional Random Field and Deep Feature Learning for Hyperspectral Image
        Classification", TGRS 2019: the spectrum in groups of bands, each the 3-D input of a CNN. Layer sizes are
        not known to us: those used in this package are a reconstruction.
    """

    def __init__(self, groups: Sequence[tuple[int, int]], spec: BackboneSpec, *, shared: bool = True) -> None:
        super().__init__()
        if spec.conv.ndim != 3 or spec.in_channels != 1:
            raise SettingError(
                f"band groups need a 3-D backbone with 1 input channel, got ndim={spec.conv.ndim} and "
                f"in_channels={spec.in_channels}."
            )
        self.cut = BandGroups(groups, length=_fitting_length(group_index(groups).shape[1], spec))
        self.shared = shared
        self.encoders = nn.ModuleList(Encoder(spec) for _ in range(1 if shared else self.cut.shape[0]))
        depth = spec.sizes((self.cut.shape[1], *(2 * m + 1 for m in spec.margin[1:])))[-1][0]
        self.channels = spec.widths[-1] * depth

    def forward(self, x: Tensor) -> Tensor:
        """(B, 1, L, h, w) -> (B, G, channels, h', w')."""
        parts = self.cut(x)
        if self.shared:
            flat: Tensor = self.encoders[0](parts.flatten(0, 1).unsqueeze(1))[-1]
            return flat.flatten(1, 2).unflatten(0, parts.shape[:2])
        each = zip(self.encoders, parts.unbind(1), strict=True)
        return torch.stack([encoder(part.unsqueeze(1))[-1].flatten(1, 2) for encoder, part in each], dim=1)


def _fitting_length(longest: int, spec: BackboneSpec) -> int:
    """The least depth from `longest` on at which the strided kernels end on the last band."""
    if not spec.conv.valid[0]:
        return longest
    field, stride = spec.receptive_field[0], spec.stride[0]
    steps = -(-(longest - field) // stride)
    if steps < 0:
        raise SettingError(
            f"the longest band group has {longest} bands, the encoder's kernels need {field}: use longer groups "
            "or shorter kernels."
        )
    return field + steps * stride
