"""Accuracy by group of classes: confusion merged, and how right the answers of a map with a fallback are."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hyperseg.core import UNLABELLED
from hyperseg.core.groups import Fallback
from hyperseg.core.maps import SegmentationMap

ANSWERS = ("class", "group", "unsure")


def merged_confusion(confusion: NDArray[np.int64], of_class: Sequence[int]) -> NDArray[np.int64]:
    """(G, G) or (G, G + 1) pixels by group, from (K, K) or (K, K + 1) by class; a last column of no prediction stays.

    Args:
        confusion: rows true, columns predicted.
        of_class: the group 0..G-1 of each of K classes.
    """
    n = max(of_class) + 1
    columns = [*of_class, *range(n, n + confusion.shape[1] - confusion.shape[0])]
    found = np.zeros((n, max(columns) + 1), np.int64)
    np.add.at(found, np.ix_(list(of_class), columns), confusion)
    return found


def score_answers(map: SegmentationMap, fallback: Fallback, truth: NDArray[np.int16]) -> dict[str, dict[str, Any]]:
    """Of the answers class, group and unsure: their share of the map, and how right they are.

    Args:
        map: probabilities.
        fallback: when it answers with what.
        truth: (*S) classes, -1 where nothing is to be scored.

    Returns:
        By answer: "share" of the mapped pixels in percent, scored "pixels", and of these in percent: "right", the class
        right for a class and the group for a group (None for unsure); "as_class", the most probable class right, and
        "as_group", its group right, whatever was answered.
    """
    found, k, best = fallback.answers(map), len(fallback.groups.of_class), map.labels()
    kinds = (found < k, (found >= k) & (found < k + fallback.n_groups), found == k + fallback.n_groups)
    mapped, scored = found != UNLABELLED, truth != UNLABELLED
    joint, of = np.array(fallback.groups.joint, np.int16), fallback.groups.labels
    told: dict[str, dict[str, Any]] = {}
    for name, kind in zip(ANSWERS, kinds, strict=True):
        here = kind & mapped
        at = here & scored
        true, said, top = truth[at], found[at], best[at]
        match name:
            case "class":
                answered = _percent(said == true)
            case "group":
                answered = _percent(joint[said - k] == of(true))
            case _:
                answered = None
        told[name] = {
            "share": _percent(here[mapped]),
            "pixels": int(at.sum()),
            "right": answered,
            "as_class": _percent(top == true),
            "as_group": _percent(of(top) == of(true)),
        }
    return told


def _percent(which: NDArray[np.bool_]) -> float | None:
    return 100 * float(which.mean()) if which.size else None
