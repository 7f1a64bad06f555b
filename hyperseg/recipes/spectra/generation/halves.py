"""Labelled pixels of a scene in two halves: learned from, and held out to judge what was generated."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hyperseg.core import LabelError, Scene
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


def halve(scene: Scene, *, only: Sequence[str], most: int, seed: int) -> Halves:
    """Every class in two random halves; of those learned from at most `most` are kept in all.

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
        if len(own) < 2:
            raise LabelError(f"{scene.name}: class {classes[k]} has {len(own)} labelled pixel; leave it out (--class).")
        side[own[: len(own) // 2]] = True
    train, test = np.flatnonzero(~side), np.flatnonzero(side)
    train, test = (p if len(p) <= most else np.sort(rng.choice(p, most, replace=False)) for p in (train, test))
    return Halves(places[train], labels[train], places[test], labels[test], classes)
