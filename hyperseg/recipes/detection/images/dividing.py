"""Who is learnt from with boxes, who without, and who is never seen: a division by seed alone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from hyperseg.core import SettingError
from hyperseg.core.words import counted

TEST, FEWEST = 0.2, 2  # share of the cases with boxes that is held out, and at least so many
SALT = 19_071  # of the draw, beside the seed


@dataclass(frozen=True)
class Division:
    """Names of cases.

    Attributes:
        labelled: learnt from with their boxes.
        unlabelled: learnt from without; boxes of theirs, where there are any, are not looked at.
        held_out: with boxes, never learnt from: what detectors are scored on.
    """

    labelled: tuple[str, ...]
    unlabelled: tuple[str, ...]
    held_out: tuple[str, ...]

    def told(self) -> str:
        """In words."""
        return (
            f"{counted(len(self.labelled), 'case')} with boxes and {len(self.unlabelled)} without are learnt from, "
            f"{len(self.held_out)} with boxes are held out and scored"
        )


def divide(
    with_boxes: Sequence[str], without: Sequence[str], *, labelled: int | None = None, test: float = TEST, seed: int = 0
) -> Division:
    """Hold a share of the cases with boxes out, draw `labelled` of the others, and leave the rest to the unlabelled.

    The held-out cases follow from seed and names alone, so that more or fewer labels are compared on the same ones; and
    of 10 labelled cases 5 are those of a training on 5.

    Args:
        with_boxes, without: names of cases.
        labelled: how many are learnt from with boxes; all that are not held out by default.
        test: share that is held out, 0 to below 1; 0 holds nothing out. At least two are, where it is above 0.
        seed: of the draw.

    Raises:
        SettingError: too few cases with boxes, or more labelled ones asked for than there are.
    """
    if not 0 <= test < 1:
        raise SettingError(f"the share of held-out cases is 0 or more and below 1, got {test:g}.")
    names = sorted(with_boxes)
    order = [names[i] for i in np.random.default_rng([seed, SALT]).permutation(len(names))]
    n_test = max(FEWEST, round(test * len(names))) if test > 0 else 0
    left = len(names) - n_test
    if left < 1:
        raise SettingError(
            f"{counted(len(names), 'case')} with boxes, and {n_test} are held out to score detectors: none is left to "
            f"learn from. Give boxes of {n_test + 1} cases or more, or hold none out (--test 0)."
        )
    if labelled is not None and not 1 <= labelled <= left:
        raise SettingError(
            f"--labelled {labelled}: of {counted(len(names), 'case')} with boxes {n_test} are held out, 1 to {left} can "
            "be labelled ones."
        )
    held_out, rest = order[:n_test], order[n_test:]
    n = left if labelled is None else labelled
    return Division(tuple(rest[:n]), (*sorted(rest[n:]), *sorted(without)), tuple(sorted(held_out)))
