"""Samples, answers and heads that do not go together are refused before any training."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import combinations

from torch import Tensor

from hyperseg.core import SettingError
from hyperseg.core.words import listed
from hyperseg.dpm.batches import check_data
from hyperseg.dpm.network import DenoiserSpec
from hyperseg.dpm.tapped.head import PixelHead

NAMED = 5  # samples in a message


def check_heads(heads: Mapping[str, PixelHead], of: DenoiserSpec) -> None:
    """Raise SettingError unless there are heads, each fits the denoiser, and no two read the same blocks."""
    if not heads:
        raise SettingError("no heads are given to be trained: give one or more, by name.")
    for head in heads.values():
        check_head(head, of)
    for (one, a), (other, b) in combinations(heads.items(), 2):
        if sorted(a.spec.blocks) == sorted(b.spec.blocks):
            raise SettingError(
                f"the heads {one!r} and {other!r} both read the blocks {list(a.spec.blocks)} and would agree without a "
                "reason: give them different taps, or a network of more stages."
            )


def check_head(head: PixelHead, of: DenoiserSpec) -> None:
    """Raise SettingError unless a head was built for this denoiser's decoder."""
    ndim, widths = of.backbone.conv.ndim, of.backbone.widths[::-1]
    if head.spec.ndim != ndim or head.spec.widths != widths:
        raise SettingError(
            f"this head reads a decoder of {head.spec.ndim} axes with blocks of {list(head.spec.widths)} channels, and "
            f"the denoiser's has {ndim} axes and {list(widths)}, coarsest first: build the head with `head_spec`."
        )


def check_samples(x0: Tensor, of: DenoiserSpec) -> None:
    """Raise SettingError unless the denoiser can be asked of all samples; names those that are not finite."""
    if x0.ndim > 1 and len(x0):
        wrong = ~x0.flatten(1).isfinite().all(1)
        if bool(wrong.any()):
            raise SettingError(
                f"NaN or infinity in the values of {_which(wrong)}: leave them out, or repair their values."
            )
    check_data(x0, of, None)


def check_target(target: Tensor, x0: Tensor, outputs: int) -> None:
    """Raise SettingError unless a head of so many outputs can learn these answers, known somewhere in each sample."""
    size = (len(x0), *x0.shape[2:])
    if tuple(target.shape) != size:
        raise SettingError(
            f"the targets have shape {tuple(target.shape)} and the samples {tuple(x0.shape)}: expected {size}, one "
            "target for each pixel. Bring maps of another size to that of the pictures first."
        )
    if target.is_floating_point():
        if outputs != 1:
            raise SettingError(f"targets are numbers, which a head of 1 output learns, and this one has {outputs}.")
        wrong = target.isinf().flatten(1).any(1)
        if bool(wrong.any()):
            raise SettingError(f"infinity in the targets of {_which(wrong)}: NaN says that a number is unknown.")
        known = target.isfinite()
    else:
        low, high = int(target.min()), int(target.max())
        if low < -1 or high >= outputs:
            raise SettingError(
                f"classes are 0 to {outputs - 1} for a head of {outputs} outputs, and -1 where unknown, got {low} to "
                f"{high}."
            )
        known = target >= 0
    empty = ~known.flatten(1).any(1)
    if bool(empty.any()):
        raise SettingError(f"no pixel has a known target in {_which(empty)}: leave those samples out.")


def _which(wrong: Tensor) -> str:
    """The samples that are True, the first few by number, counted from 0."""
    found = [str(i) for i in wrong.nonzero()[:, 0].tolist()]
    if len(found) <= NAMED:
        return f"sample{'s' if len(found) > 1 else ''} {listed(found)}"
    return f"{len(found)} of {len(wrong)} samples ({', '.join(found[:NAMED])}, ...)"
