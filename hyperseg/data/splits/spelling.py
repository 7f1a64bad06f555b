"""The command line's spelling of splits: `parcels:0.3`, `random_per_class:30`, `blocks:32,guard=26`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from numpy.typing import NDArray

from hyperseg.core import SettingError, Split
from hyperseg.data.splits.components import parcels as by_parcel
from hyperseg.data.splits.drawing import Labels, Mask, Parcels
from hyperseg.data.splits.pixels import random_fraction, random_per_class, random_total
from hyperseg.data.splits.published import fixed
from hyperseg.data.splits.squares import blocks

SPLIT_SPELLINGS = (
    "parcels, parcels:0.3 (share of each class's area), parcels:0.3,cap=50,guard=4; "
    "blocks, blocks:32 (side in pixels), blocks:32,fraction=0.3,guard=8; "
    "random_fraction:0.1 (share per class); random_per_class:30; random_total:200; "
    "fixed (with a training and a test mask)"
)
"""What `make_split` understands, with examples: for help texts and error messages."""


def make_split(
    text: str,
    labels: Labels,
    n_classes: int,
    *,
    seed: int,
    valid: Mask | None = None,
    train_mask: NDArray[Any] | None = None,
    test_mask: NDArray[Any] | None = None,
    parcels: Parcels | None = None,
) -> Split:
    """Make the split that `text` spells: a name, then its main number after a colon, then further options.

    Args:
        text: see `SPLIT_SPELLINGS`.
        labels: (*S) integers, classes 0..K-1, -1 unlabelled.
        n_classes: K.
        seed: same seed, same masks.
        valid: (*S) bool or None.
        train_mask: for `fixed` only: bool mask or label raster.
        test_mask: for `fixed` only; None takes all other labelled pixels.
        parcels: (*S) number of the drawn polygon of every pixel, -1 none; or None. For `parcels` only: other splits
            do not look at it.

    Raises:
        SettingError: an unknown name or option, a value that is no number, or masks without `fixed`.
        SplitError: a split that cannot be made from these labels.
    """
    name, _, rest = text.strip().lower().partition(":")
    name, _, more = name.partition(",")
    name = name.strip().replace("-", "_")
    words = [w.strip() for w in f"{rest},{more}".split(",") if w.strip()]
    if name != "fixed" and (train_mask is not None or test_mask is not None):
        raise SettingError(
            f"training or test masks were given, but the split is {text!r}: write 'fixed' to use them."
        )
    say = _Spelling(text, words)
    given: dict[str, Any] = {"seed": seed, "valid": valid}
    match name:
        case "parcels":
            kinds: dict[str, type] = {"fraction": float, "cap": int, "guard": int, "outer": float}
            kinds |= {"val_cap": int, "validation": str}
            return by_parcel(labels, n_classes, parcels=parcels, **say.options(kinds), **given)
        case "blocks":
            kinds = {"block": int, "fraction": float, "guard": int, "val": float}
            return blocks(labels, n_classes, **say.options(kinds), **given)
        case "random_fraction":
            return random_fraction(
                labels, n_classes, **say.options({"fraction": float, "val": float}, main="fraction"), **given
            )
        case "random_per_class":
            return random_per_class(
                labels, n_classes, **say.options({"n": int, "val": int}, main="n"), **given
            )
        case "random_total":
            return random_total(labels, n_classes, **say.options({"n": int, "val": int}, main="n"), **given)
        case "fixed":
            if train_mask is None:
                raise SettingError(
                    "the split 'fixed' needs a training mask: give one, or choose another split."
                )
            return fixed(
                labels, n_classes, train_mask, test_mask, **say.options({"val_fraction": float}), **given
            )
        case _:
            raise SettingError(f"the split {text!r} is unknown. There are: {SPLIT_SPELLINGS}.")


class _Spelling:
    """The words after a split's name: one bare main value at most, then key=value pairs."""

    def __init__(self, text: str, words: list[str]) -> None:
        self.text, self.words = text, words

    def options(self, kinds: Mapping[str, type], *, main: str | None = None) -> dict[str, Any]:
        """Values by name; the bare word is the first of `kinds`; `main` must be given."""
        found: dict[str, Any] = {}
        for k, word in enumerate(self.words):
            key, equals, value = (w.strip() for w in word.partition("="))
            if not equals:
                key, value = next(iter(kinds)) if k == 0 else "", key
            if key not in kinds or key in found:
                raise SettingError(
                    f"{word!r} in the split {self.text!r} is not understood: its options are "
                    f"{', '.join(kinds)}. "
                    f"Examples: {SPLIT_SPELLINGS}."
                )
            try:
                found[key] = kinds[key](value)
            except ValueError:
                what = "a whole number" if kinds[key] is int else "a number"
                raise SettingError(f"{key} = {value!r} in the split {self.text!r} is not {what}.") from None
        if main is not None and main not in found:
            raise SettingError(
                f"the split {self.text!r} needs a value for {main}. Examples: {SPLIT_SPELLINGS}."
            )
        return found
