"""Scores by group of classes, as metrics.json and `score` tell them."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hyperseg.core import LabelError, Scene, SegmentationMap, SettingError, Split
from hyperseg.core.groups import SURE, ClassGroups, Fallback
from hyperseg.core.scene import UNLABELLED
from hyperseg.metrics import scores
from hyperseg.metrics.groups import merged_confusion, score_answers


def fallback_of(scene: Scene, sure: float | None) -> Fallback | None:
    """What the map of a scene falls back to, or None where its classes have no groups.

    Args:
        scene: with its classes.
        sure: the probability an answer must have; None is the default.

    Raises:
        SettingError: `sure` is given and there are no groups.
    """
    if scene.groups is not None:
        return Fallback(scene.groups, SURE if sure is None else sure)
    if sure is not None:
        raise SettingError(
            f"sure {sure:g}: the classes of {scene.name} have no groups to fall back to. Give groups with "
            "--class-groups FILE or --group-column NAME, or leave sure out."
        )
    return None


def group_scores(confusion: NDArray[np.int64], groups: ClassGroups) -> dict[str, Any]:
    """Accuracies by group, in percent, of the confusion (K, K + 1) by class."""
    found = scores(merged_confusion(confusion, groups.of_class))
    return {
        "OA": found.oa,
        "AA": found.aa,
        "kappa": found.kappa,
        "per_group": dict(zip(groups.names, found.per_class, strict=True)),
    }


def describe_groups(
    final: SegmentationMap, fallback: Fallback, labels: NDArray[np.int16], split: Split
) -> dict[str, Any]:
    """What groups there are, and how right the answers of a map are on its test pixels."""
    truth = np.where(split.test, labels, np.int16(UNLABELLED))
    return {
        "classes": fallback.groups.table(final.classes),
        "sure": fallback.sure,
        "answers": score_answers(final, fallback, truth),
    }


def told_by(sides: Sequence[tuple[ClassGroups | None, Sequence[int]]], classes: Sequence[str]) -> ClassGroups | None:
    """The groups of the classes of a comparison, from the first of its sides that tells any.

    Args:
        sides: groups of a file, and the place of each of its classes among `classes`.
        classes: of the comparison.
    """
    for groups, places in sides:
        if groups is None:
            continue
        of: list[str | None] = [None] * len(classes)
        for place, g in zip(places, groups.of_class, strict=True):
            of[place] = groups.names[g] if g in groups.joint else None
        with suppress(LabelError):  # with the classes of the other side they tell nothing
            return ClassGroups.by_class(of, classes, origin="groups")
    return None
