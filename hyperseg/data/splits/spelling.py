"""Splits as parts: what one is made of, and how the command line spells it: `parcels:0.3,cap=50`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields
from typing import Any

from numpy.typing import NDArray

from hyperseg.core import SettingError, Split
from hyperseg.core.parts import read_settings, spelling_of, spelt, split_spelling
from hyperseg.core.settings import from_json, to_json
from hyperseg.core.words import listed
from hyperseg.data.splits.drawing import Draw, Labels, Mask, Parcels


@dataclass(frozen=True)
class Splitter:
    """A split as a value. Called with labels and options by name, it makes one: `PARCELS(labels, 4, seed=0, guard=2)`.

    Attributes:
        name: as in the table.
        settings: class of its settings. The first one may be spelled without its name: it is the main one.
        make: (draw, settings) -> split.
        needs_masks: whether it is made from a training mask that is given; other splits refuse masks.
        single_pixels: whether every pixel is drawn on its own, whatever parcel it lies in.
        estimates: what accuracies on its test pixels are an estimate of, to end a sentence; "" where nobody says.
    """

    name: str
    settings: type
    make: Callable[[Draw, Any], Split]
    needs_masks: bool = False
    single_pixels: bool = False
    estimates: str = ""

    def __call__(
        self, labels: Labels, n_classes: int, *, seed: int, valid: Mask | None = None, parcels: Parcels | None = None,
        train_mask: NDArray[Any] | None = None, test_mask: NDArray[Any] | None = None,
        val_mask: NDArray[Any] | None = None, **options: Any,
    ) -> Split:  # fmt: skip
        """A split of these labels; the arguments are those of `Draw`, the options those of `settings`.

        Raises:
            SettingError: an unknown option, a value it cannot have, or masks that are missing or not looked at.
            SplitError: a split that cannot be made from these labels.
        """
        chosen: Any = from_json(self.settings, options, self.name)
        if not self.needs_masks and any(mask is not None for mask in (train_mask, test_mask, val_mask)):
            from hyperseg.data.splits import SPLITS

            masked = listed((name for name in SPLITS if SPLITS[name].needs_masks), last="or")
            raise SettingError(
                f"training or test masks were given, but the split is {self.name!r}: write {masked!r} to use them."
            )
        if self.needs_masks and train_mask is None:
            raise SettingError(f"the split {self.name!r} needs a training mask: give one, or choose another split.")
        return self.make(Draw(labels, n_classes, seed, valid, parcels, train_mask, test_mask, val_mask), chosen)

    def spelling(self) -> str:
        """All its options with their defaults, as they are spelled; a capital stands for what must be given."""
        return spelling_of(self.name, self.settings)


def make_split(
    text: str, labels: Labels, n_classes: int, *, seed: int, valid: Mask | None = None, parcels: Parcels | None = None,
    train_mask: NDArray[Any] | None = None, test_mask: NDArray[Any] | None = None,
) -> Split:  # fmt: skip
    """Make the split that `text` spells, e.g. "parcels:0.3,cap=50"; `splits_help` tells what there is.

    Args:
        text: name of the split, a colon, the value of its main option, then further options.
        labels, n_classes, seed, valid, parcels, train_mask, test_mask: as for `Draw`. Splits that are not made from
            given masks refuse them, and only the split into parcels looks at `parcels`.

    Raises:
        SettingError: see `parse_split`; or masks that are missing or not looked at.
        SplitError: a split that cannot be made from these labels.
    """
    splitter, chosen = parse_split(text)
    return splitter(
        labels, n_classes, seed=seed, valid=valid, parcels=parcels, train_mask=train_mask, test_mask=test_mask,
        **to_json(chosen),
    )  # fmt: skip


def parse_split(text: str) -> tuple[Splitter, Any]:
    """The split that `text` spells, and its settings; needs no data.

    Raises:
        SettingError: an unknown name or option (the nearest one is told), a value of another type or outside its
            bounds, or a value that is lacking.
    """
    from hyperseg.data.splits import SPLITS

    name, words = split_spelling(text)
    splitter: Splitter = SPLITS[name.replace("-", "_")]
    try:
        return splitter, read_settings(splitter.settings, words.lower(), splitter.name)
    except SettingError as why:
        raise SettingError(f"the split {text!r}: {why} It is spelled {splitter.spelling()}.") from None


def splits_help() -> str:
    """One line for each split: how it is spelled, with all options and their defaults, and what it does."""
    from hyperseg.data.splits import SPLITS

    return "\n".join(f"{SPLITS[name].spelling()}  {entry.help}" for name, entry in SPLITS.entries.items())


def described(settings: Any) -> str:
    """Settings as in `Split.how`: "fraction=0.3, cap=50"."""
    return ", ".join(f"{f.name}={spelt(getattr(settings, f.name))}" for f in fields(settings))
