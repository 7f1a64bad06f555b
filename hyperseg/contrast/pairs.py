"""Which pictures count as alike and which as different: the three strategies of the global loss."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, NamedTuple, get_args

import torch
from torch import Tensor

from hyperseg.core import SettingError

Pairs = Literal["gr", "gd-", "gd"]
"""G^R (two views of a slice), G^{D-} (and partitions that differ), G^D (and partitions that agree)."""
PAIRS: tuple[Pairs, ...] = get_args(Pairs)


@dataclass(frozen=True)
class Views:
    """What of each slice is in a batch: perhaps the slice as it is, and so many views that are changed at random."""

    original: bool
    augmented: int

    @property
    def number(self) -> int:
        return int(self.original) + self.augmented


class Masks(NamedTuple):
    """Of N views, (N, N) bool. A row is an anchor's.

    Attributes:
        positive: what it is drawn to.
        negative: what stands in the denominator beside the positive one.
    """

    positive: Tensor
    negative: Tensor


def views(pairs: Pairs) -> Views:
    """The views of each slice that a strategy takes, the original first."""
    match pairs:
        case "gr":
            return Views(original=False, augmented=2)
        case "gd-":
            return Views(original=True, augmented=2)
        case "gd":
            return Views(original=True, augmented=1)
        case _:
            raise _unknown(pairs)


def volumes_of(pairs: Pairs) -> int:
    """The least number of volumes in a batch."""
    match pairs:
        case "gr" | "gd-":
            return 1
        case "gd":
            return 2
        case _:
            raise _unknown(pairs)


def masks(image: Tensor, volume: Tensor, partition: Tensor, *, pairs: Pairs) -> Masks:
    """Who is drawn to whom, and who is held apart from whom.

    | pairs | positive                                                                | negative             |
    |-------|-------------------------------------------------------------------------|----------------------|
    | gr    | other views of the slice                                                | views of all others  |
    | gd-   | other views of the slice                                                | all other partitions |
    | gd    | as gd-, and the same view of the same partition in all other volumes    | all other partitions |

    With gd "the same view" is original to original and changed to changed: the first view of a slice that comes in the
    batch is its original. All views take part; no view of the same partition is ever a negative of gd- and gd.

    Args:
        image, volume, partition: (N,) int64: the slice that a view is of, its volume and its partition. A slice's views
            have one `image`; slices of different volumes have different ones.
        pairs: see the table.

    Raises:
        SettingError: a view has no other view of its kind, or nothing to be held apart from.
    """
    check_indices(image, volume, partition)
    same = image[:, None] == image
    own = ~torch.eye(len(image), dtype=torch.bool, device=image.device)
    elsewhere = partition[:, None] != partition
    match pairs:
        case "gr":
            found = Masks(same & own, ~same)
        case "gd-":
            found = Masks(same & own, elsewhere)
        case "gd":
            rank = (same & own).tril().sum(1)  # 0 of a slice's first view, 1 of the next
            alike = ~elsewhere & (volume[:, None] != volume) & (rank[:, None] == rank)
            found = Masks(same & own | alike, elsewhere)
        case _:
            raise _unknown(pairs)
    if not bool(same.sum(1).gt(1).all()):
        raise SettingError(f"pairs {pairs} need {views(pairs).number} views of every slice, and one has a single view.")
    if pairs == "gd" and not bool((found.positive & ~same).any(1).all()):
        raise SettingError("pairs gd need each partition from two volumes or more: draw more volumes for a batch.")
    if not bool(found.negative.any(1).all()):
        what = "slices" if pairs == "gr" else "partitions"
        raise SettingError(f"a contrast needs two {what} or more in a batch: there is nothing to be different from.")
    return found


def check_indices(image: Tensor, volume: Tensor, partition: Tensor) -> None:
    """Raise SettingError unless all are (N,) whole numbers of one N."""
    shapes = [tuple(one.shape) for one in (image, volume, partition)]
    if len(set(shapes)) > 1 or len(shapes[0]) != 1 or any(one.is_floating_point() for one in (image, partition)):
        raise SettingError(f"image, volume and partition are three lists of whole numbers of one length, got {shapes}.")


def _unknown(pairs: object) -> SettingError:
    return SettingError(f"pairs is one of {', '.join(PAIRS)}, got {pairs!r}.")
