"""Scores of detectors in words: the same on the terminal and on the page."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from hyperseg.core.words import counted, number
from hyperseg.recipes.detection.folder import DetectRun

Scores = Mapping[str, Mapping[str, Any]]
"""Of each detector, by name, `Tried.numbers`; the run's own first."""
FEW = 10  # held-out objects: fewer say little
SHORT = 500  # steps
SAME = 5e-4  # of CPM
HEADS = ("detector", "CPM", "95 %", "mAP", "1/8", "1/4", "1/2", "1", "2", "4", "8")


def rows(scores: Scores) -> list[tuple[str, ...]]:
    """A row for each detector, its cells in words, see `HEADS`."""
    return [
        (
            name, number(one["cpm"], 3), "-".join(number(end, 2) for end in one["cpm_interval"]),
            number(one["map"], 3), *(number(value, 2) for value in one["sensitivities"]),
        )
        for name, one in scores.items()
    ]  # fmt: skip


def verdict(scores: Scores) -> str:
    """Which of two detectors is ahead, and whether that says much; "" where there are not two."""
    if len(scores) != 2:
        return ""
    (name, one), (other, twin) = scores.items()
    many = f"{counted(one['objects'], 'object')} of {counted(one['cases'], 'held-out case')}"
    gap = one["cpm"] - twin["cpm"]
    if abs(gap) < SAME:
        return f"{name} and its twin {other} have the same CPM ({number(one['cpm'], 3)}) on {many}."
    ahead, behind = (name, other) if gap > 0 else (other, name)
    low, high = (scores[each]["cpm_interval"] for each in (behind, ahead))
    sure = "the intervals are apart" if high[0] > low[1] else "the intervals overlap: other cases may turn it round"
    if one["objects"] < FEW:
        sure = "so few objects tell nothing about other cases"
    return (
        f"{ahead} is ahead of {behind} in CPM, {number(scores[ahead]['cpm'], 3)} against "
        f"{number(scores[behind]['cpm'], 3)}, on {many}; {sure}."
    )


def cautions(run: DetectRun, scores: Scores) -> tuple[str, ...]:
    """What a reader must know before believing the numbers."""
    if not scores:
        return ("No object is held out: how good the detector is, is not known.",)
    objects = next(iter(scores.values()))["objects"]
    found = []
    if objects < FEW:
        found.append(f"Only {counted(objects, 'object')} in the held-out cases: the numbers are rough.")
    found.append("One training with one seed: how much the numbers vary from seed to seed was not measured.")
    if run.record.steps < SHORT:
        found.append(f"A short training of {counted(run.record.steps, 'step')}: a longer one may change who is ahead.")
    return tuple(found)
