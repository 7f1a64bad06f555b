"""From what a user names to a `Scene`: a data set's name or alias, or a file with labels beside it."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hyperseg.core import LabelError, Scene
from hyperseg.data.catalog import find_card, load_card, open_scene
from hyperseg.data.read import find_bad_bands, open_array, read_labels, read_scene, split_key, with_labels
from hyperseg.data.read_file import check_file

log = logging.getLogger(__name__)


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
        DataFileError, SettingError, SceneError, LabelError: whatever is missing or does not fit, with the remedy.
    """
    file, _ = split_key(text)
    card = None if file.is_file() else find_card(text)
    if card is None:
        if not file.exists() and not file.suffix and len(file.parts) == 1:
            load_card(text)  # a bare word is meant as a name: tells the nearest one
        check_file(file)
        if need_labels and labels is None:
            raise LabelError(
                f"{text}: a scene of your own needs labels: give --labels FILE, a raster of the same size "
                "with 0 = unlabelled."
            )
        return read_scene(text, labels=labels)
    scene = open_scene(card, cache=folder)
    good, reasons = find_bad_bands(scene.cube, scene.valid, bbl=scene.good_bands, name=scene.name)
    for reason in reasons:
        log.info("%s: %s; dropped", scene.name, reason)
    scene = scene.with_(good_bands=good)
    return scene if labels is None else with_labels(scene, read_labels(labels, scene.shape))


def read_mask(text: str | None, shape: tuple[int, ...]) -> NDArray[Any] | None:
    """A raster of training or test pixels of a scene of `shape`: file codes, 0 = not in the mask; or None.

    Raises:
        DataFileError: as `read_array`.
        LabelError: another shape.
    """
    if text is None:
        return None
    found = np.asarray(open_array(text, ndim=2, shape=shape).array[...])
    if found.shape != shape:
        hint = (
            "it looks transposed: swap rows and columns"
            if found.shape == shape[::-1]
            else "crop or resample it"
        )
        raise LabelError(f"{text}: the mask has shape {found.shape}, the scene's pixels are {shape}; {hint}.")
    return found
