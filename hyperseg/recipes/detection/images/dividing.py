"""Who is learnt from with boxes, who without, and who is never seen: a division by seed alone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby

import numpy as np

from hyperseg.core import LabelError, SettingError
from hyperseg.core.words import counted
from hyperseg.io.detections.case import BoxCase

TEST, FEWEST = 0.2, 2  # share of the cases with boxes that is held out, and at least so many
SALT = 19_071  # of the draw, beside the seed


@dataclass(frozen=True)
class Division:
    """Names of cases.

    Attributes:
        labelled: learnt from with their boxes.
        unlabelled: learnt from without; boxes of theirs, where there are any, are not looked at.
        held_out: with boxes, never learnt from: what detectors are scored on.
        left_out: without boxes, of a group (a patient) that is held out, or the same bytes as another case.
    """

    labelled: tuple[str, ...]
    unlabelled: tuple[str, ...]
    held_out: tuple[str, ...]
    left_out: tuple[str, ...] = ()

    def told(self) -> str:
        """In words."""
        more = f"; {counted(len(self.left_out), 'case')} left out" if self.left_out else ""
        return (
            f"{counted(len(self.labelled), 'case')} with boxes and {len(self.unlabelled)} without are learnt from, "
            f"{len(self.held_out)} with boxes are held out and scored{more}"
        )


def divide(
    with_boxes: Sequence[BoxCase], without: Sequence[BoxCase], *, labelled: int | None = None, test: float = TEST,
    seed: int = 0,
) -> Division:  # fmt: skip
    """Hold a share of the cases with boxes out, draw `labelled` of the others, and leave the rest to the unlabelled.

    Whole groups are held out, and with them their cases without boxes. Who is held out follows from seed and names
    alone, so that more or fewer labels are compared on the same cases; and of 10 labelled cases 5 are those of a
    training on 5. Both sides have an object: where chance gives none, the next case in the drawn order that has one
    is added, or takes the last place.

    Args:
        with_boxes, without: cases.
        labelled: how many are learnt from with boxes; all that are not held out by default.
        test: share that is held out, 0 to below 1; 0 holds nothing out. At least two are, where it is above 0.
        seed: of the draw.

    Raises:
        SettingError: too few cases with boxes or objects, or more labelled ones asked for than there are.
        LabelError: there is no object.
    """
    if not 0 <= test < 1:
        raise SettingError(f"--test {test:g}: a share of 0 or more and below 1 was expected, 0.2 for a fifth.")
    order = _drawn(with_boxes, seed)
    n_test = max(FEWEST, round(test * len(order))) if test > 0 else 0
    held_out = _held_out(order, n_test)
    names = {case.name for case in held_out}
    rest = [case for case in order if case.name not in names]
    many = counted(len(order), "case")
    if not rest or len(held_out) < n_test or (n_test and not any(map(_holds, held_out))):
        n = sum(map(_holds, order))
        raise SettingError(
            f"{many} with boxes, an object in {n} of them: {n_test} are to be held out to score detectors, and on both "
            "sides there must be an object. Give boxes of more cases, or hold none out (--test 0)."
        )
    if labelled is not None and not 1 <= labelled <= len(rest):
        raise SettingError(
            f"--labelled {labelled}: of {many} with boxes {len(held_out)} are held out, so that 1 to {len(rest)} can "
            "be labelled ones."
        )
    chosen = rest[: len(rest) if labelled is None else labelled]
    if not any(map(_holds, chosen)):
        one = next(filter(_holds, rest), None)
        if one is None:
            raise LabelError(f"none of {many} has an object: nothing to learn from. Give cases with objects.")
        chosen = [*chosen[:-1], one]
    taken, groups = {case.name for case in chosen}, {case.group or case.name for case in held_out}
    others = sorted([case.name for case in rest if case.name not in taken])
    alone = [(case.name, (case.group or case.name) in groups) for case in without]
    return Division(
        tuple(case.name for case in chosen), (*others, *sorted(name for name, out in alone if not out)),
        tuple(sorted(names)), tuple(sorted(name for name, out in alone if out)),
    )  # fmt: skip


def _drawn(cases: Sequence[BoxCase], seed: int) -> list[BoxCase]:
    """Cases in random order, those of a group beside each other."""
    groups: dict[str, list[BoxCase]] = {}
    for case in sorted(cases, key=lambda case: case.name):
        groups.setdefault(case.group or case.name, []).append(case)
    named = sorted(groups)
    return [case for i in np.random.default_rng([seed, SALT]).permutation(len(named)) for case in groups[named[i]]]


def _held_out(order: Sequence[BoxCase], least: int) -> list[BoxCase]:
    """The first cases of the order, whole groups, so many at least and with an object; the others keep one too."""
    found: list[BoxCase] = []
    left = list(order)
    for _, same in groupby(order, key=lambda case: case.group or case.name):
        group = list(same)
        rest = [case for case in left if case not in group]
        if len(found) >= least and (any(map(_holds, found)) or not least):
            break
        if any(map(_holds, group)) and not any(map(_holds, rest)):
            continue
        found, left = [*found, *group], rest
    return found


def _holds(case: BoxCase) -> bool:
    return case.boxes is not None and len(case.boxes) > 0
