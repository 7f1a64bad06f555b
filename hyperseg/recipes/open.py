"""From what a user names to a `Scene`: a data set's name or alias, or a file with labels beside it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hyperseg.core import LabelError, Scene
from hyperseg.data.catalog import cards, find_card, open_scene
from hyperseg.data.read import find_bad_bands, read_array, read_scene, split_key


def open_named(
    text: str, *, labels: str | None = None, folder: Path | None = None, need_labels: bool = True
) -> Scene:
    """Open a data set by name, or a file.

    Args:
        text: name or alias of a data set ("indian-pines"), a file, or FILE:ARRAY.
        labels: label raster for a file (or FILE:ARRAY), 0 = unlabelled; replaces those of a data set.
        folder: where a data set's own files are, if not in the cache.
        need_labels: False for scenes that are only to be mapped.

    Raises:
        DataFileError, SceneError, LabelError: whatever is missing or does not fit, with the remedy.
    """
    card = None if split_key(text)[0].exists() else find_card(text)
    if card is None:
        if need_labels and labels is None and split_key(text)[0].exists():
            raise LabelError(
                f"{text}: a scene of your own needs labels: give --labels FILE, a raster of the same size "
                "with 0 = unlabelled."
            )
        if not split_key(text)[0].exists():
            raise LabelError(
                f"{text}: no such file, and no data set of that name. Data sets: {', '.join(cards())}."
            )
        return read_scene(text, labels=labels)
    scene = open_scene(card, cache=folder)
    good, _ = find_bad_bands(scene.cube, scene.valid, bbl=scene.good_bands, name=scene.name)
    scene = scene.with_(good_bands=good)
    return scene if labels is None else _relabelled(scene, labels)


def _relabelled(scene: Scene, labels: str) -> Scene:
    from hyperseg.data.read import read_labels

    found = read_labels(labels, scene.shape)
    colours = found.colours or scene.colours[: len(found.classes)]
    return scene.with_(labels=found.codes, classes=found.classes, colours=colours)


def read_mask(text: str) -> NDArray[Any]:
    """A raster of training or test pixels, as an array: file codes, 0 = not in the mask."""
    return np.asarray(read_array(text, ndim=2)[:]).squeeze()
