"""Labelled pixels of a scene in two halves: learned from, and held out to judge what was generated."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hyperseg.core import LabelError, Scene
from hyperseg.core.words import counted
from hyperseg.recipes.spectra.pixels import FEWEST, class_places


@dataclass(frozen=True, eq=False)
class Halves:
    """Places (row-major indices) and classes 0..K-1 of labelled pixels.

    Attributes:
        train, test: (n,), (m,) places.
        train_labels, test_labels: their classes.
        classes: K names.
    """

    train: NDArray[np.int64]
    train_labels: NDArray[np.int64]
    test: NDArray[np.int64]
    test_labels: NDArray[np.int64]
    classes: tuple[str, ...]


LEAST_OF_CLASS = 20  # pixels that a class keeps, or all it has, where few are drawn of many
LEARNED_LEAST = 2  # pixels of a class below which it has no spread


def halve(scene: Scene, *, only: Sequence[str], most: int, seed: int) -> Halves:
    """Every class in two random halves; of each half `most` are kept, or as many as every class needs.

    Neighbouring pixels fall into both halves, so that the held-out half is easier than another field would be.

    Raises:
        LabelError: no labels, an unknown class, or too few pixels.
    """
    places, labels, classes = class_places(scene, only=only)
    if len(places) < 2 * FEWEST:
        raise LabelError(
            f"{scene.name}: {len(places)} labelled pixels to learn from, at least {2 * FEWEST} are needed."
        )
    rng = np.random.default_rng(seed)
    side = np.zeros(len(places), bool)
    for k in range(len(classes)):
        own = rng.permutation(np.flatnonzero(labels == k))
        if len(own) - len(own) // 2 < LEARNED_LEAST:
            raise LabelError(
                f"{scene.name}: class {classes[k]} has {counted(len(own), 'labelled pixel')}, half of which are held "
                f"out; at least {LEARNED_LEAST + 1} are needed. Label more of it, or name the other classes (--class)."
            )
        side[own[: len(own) // 2]] = True
    train, test = np.flatnonzero(~side), np.flatnonzero(side)
    train, test = (p[strata(labels[p], most, rng=rng)] for p in (train, test))
    return Halves(places[train], labels[train], places[test], labels[test], classes)


def strata(
    labels: NDArray[np.int64], most: int, *, rng: np.random.Generator, least: int = LEAST_OF_CLASS
) -> NDArray[np.int64]:
    """Rising indices of `most` random ones of (n,) labels, but at least `least` of every class, or all it has."""
    if len(labels) <= most:
        return np.arange(len(labels))
    order = rng.permutation(len(labels))
    first = np.concatenate([order[labels[order] == k][:least] for k in np.unique(labels)])
    rest = order[~np.isin(order, first)][: max(most - len(first), 0)]
    return np.sort(np.concatenate([first, rest]))
