"""Scores of objects in words: the same on the terminal and on the page."""

from __future__ import annotations

from hyperseg.core.words import counted, duration, number
from hyperseg.recipes.instances.folder import InstanceRun
from hyperseg.recipes.instances.trying import BASELINE, Scores

FEW = 100  # held-out objects: fewer say little
SHORT = 500  # steps
SAME = 5e-4  # of PQ
HEADS = ("method", "AP50", "AP", "PQ", "SQ", "RQ", "nuclei score", "seconds a picture")
RULE = (
    "AP50 and AP are the mean average precision of masks at an overlap (IoU) of 0.5, and of 0.5 to 0.95; PQ is "
    "panoptic quality, the mean overlap of hits (SQ) times the F1 of objects (RQ), a hit has an overlap above 0.5; the "
    "nuclei score is that of the Data Science Bowl 2018."
)


def rows(scores: Scores) -> list[tuple[str, ...]]:
    """A row for each method, its cells in words, see `HEADS`."""
    keys = ("ap50", "ap", "pq", "sq", "rq", "nuclei_score")
    return [
        (name, *(number(one.get(key), 3) for key in keys), number(one["seconds"] / max(one["pictures"], 1), 2))
        for name, one in scores.items()
    ]


def verdict(scores: Scores) -> str:
    """Which of the method and the baseline is ahead; "" where there are not two."""
    if len(scores) != 2:
        return ""
    (name, one), (other, base) = scores.items()
    mine, theirs = one["pq"] or 0.0, base["pq"] or 0.0
    many = f"{counted(one['objects'], 'object')} of {counted(one['pictures'], 'held-out picture')}"
    if abs(mine - theirs) < SAME:
        return f"{name} and the {other} have the same PQ ({number(mine, 3)}) on {many}."
    ahead = f"{name} is ahead of the {other}" if mine > theirs else f"the {other} is ahead of {name}"
    return f"{ahead} in PQ, {number(max(mine, theirs), 3)} against {number(min(mine, theirs), 3)}, on {many}."


def cautions(run: InstanceRun) -> tuple[str, ...]:
    """What a reader must know before believing the numbers."""
    scores, found = run.scores, []
    objects = scores[run.record.method]["objects"] if scores else 0
    if objects < FEW:
        found.append(f"Only {counted(objects, 'object')} in the held-out pictures: the numbers are rough.")
    found.append("One training with one seed on one fold: how much the numbers vary was not measured.")
    if run.record.steps < SHORT:
        found.append(f"A short training of {counted(run.record.steps, 'step')}: a longer one may find more.")
    if BASELINE in scores and (scores[run.record.method]["pq"] or 0) < (scores[BASELINE]["pq"] or 0):
        found.append(f"The {BASELINE}, which needs no training, is better here.")
    return tuple(found)


def took(run: InstanceRun) -> str:
    """What the training took; "" where it has not ended."""
    costs = run.record.found.get("costs") or {}
    return f"{counted(run.record.steps, 'step')} in {duration(costs['seconds'])}" if costs else ""
