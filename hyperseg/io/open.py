"""From what a user names to a `Scene`: a data set's name or alias, or a file with labels beside it."""

from __future__ import annotations

import logging
import os
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hyperseg.core import DataFileError, LabelError, Scene
from hyperseg.core.groups import ClassGroups
from hyperseg.io.card import Card
from hyperseg.io.catalog import find_card, open_card, unknown_card
from hyperseg.io.cube_options import AS_STATED, CubeOptions
from hyperseg.io.formats import check_file, is_data
from hyperseg.io.labels.groups import groups_table
from hyperseg.io.labels.raster import with_labels
from hyperseg.io.labels.rasterise import read_vector_mask
from hyperseg.io.labels.vectors import AS_DRAWN, VectorOptions, is_vector
from hyperseg.io.labels.warp import both_placed, labels_on
from hyperseg.io.look.bands import find_bad_bands
from hyperseg.io.read import open_array, read_labels, read_scene, split_key

log = logging.getLogger(__name__)


def named_card(source: str | os.PathLike[str]) -> Card | None:
    """The data set that a user names, or None where a file is named; a file of that name comes first.

    Args:
        source: name or alias of a data set, a file, or FILE:ARRAY.

    Raises:
        DataFileError: neither a data set nor a file that can be read; the nearest name is told.
    """
    text = os.fspath(source)
    file, _ = split_key(text)
    card = None if is_data(file) else find_card(text)
    if card is None:
        if not os.path.exists(file) and not file.suffix and len(file.parts) == 1:  # a bare word is meant as a name
            raise DataFileError(f"{text}: no such file, and {unknown_card(text)}")
        check_file(file)
    return card


def open_scene(
    text: str,
    *,
    labels: str | None = None,
    folder: Path | None = None,
    need_labels: bool = True,
    vectors: VectorOptions = AS_DRAWN,
    cube: CubeOptions = AS_STATED,
    groups: str | os.PathLike[str] | None = None,
) -> Scene:
    """Open a data set by name, or a file.

    Args:
        text: name or alias of a data set ("indian-pines"), a file, or FILE:ARRAY.
        labels: polygons or points (or FILE:LAYER), or a label raster (or FILE:ARRAY), 0 = unlabelled; replaces those
            of a data set. None opens a file as a scene without labels.
        folder: where a data set's own files are, if not in the cache.
        need_labels: False for scenes of any size that are only to be mapped: not all of their pixels are read.
        vectors: class column, layer and the like; of labels drawn as vectors only.
        cube: what the file of the scene does not say itself.
        groups: a TOML file that tells which classes belong together; it replaces the groups of a data set.

    Raises:
        DataFileError, SettingError, SceneError, LabelError: whatever is missing or does not fit, with the remedy.
    """
    table = groups_table(groups, column=vectors.group_column)
    scene = _opened(text, labels=labels, folder=folder, need_labels=need_labels, vectors=vectors, cube=cube)
    return scene if table is None else scene.with_(groups=ClassGroups.of(table, scene.classes, origin=groups))


def _opened(
    text: str, *, labels: str | None, folder: Path | None, need_labels: bool, vectors: VectorOptions, cube: CubeOptions
) -> Scene:
    card = named_card(text)
    if card is None:
        # a scene that is only mapped may be of any size
        return read_scene(text, labels=labels, scan=need_labels, vectors=vectors, options=cube)
    cube.refuse(card.title)
    if labels is None:
        vectors.refuse(labels)
    scene = open_card(card, cache=folder)
    good, reasons = find_bad_bands(scene.cube, scene.valid, bbl=scene.good_bands, name=scene.name)
    for reason in reasons:
        log.info("%s: %s; dropped", scene.name, reason)
    scene = scene.with_(good_bands=good)
    if labels is None:
        return scene
    found = read_labels(labels, scene.shape, grid=scene.grid, vectors=vectors, scene=scene.name)
    return with_labels(scene, found)


def read_mask(text: str | None, scene: Scene) -> NDArray[Any] | None:
    """Training or test pixels of a scene: a raster of file codes, 0 = not in the mask, or any geometries; or None.

    A raster on another grid is brought onto the scene's by nearest neighbour.

    Raises:
        DataFileError: as `read_array`.
        LabelError: another shape without coordinates, or another place.
    """
    if text is None:
        return None
    shape = scene.shape
    if is_vector(text):
        return read_vector_mask(text, shape, scene.grid, scene=scene.name)
    file = open_array(text, ndim=2, shape=shape)
    if tuple(file.array.shape) != shape and both_placed(file.grid, scene.grid):
        drawn = labels_on(file, shape, scene.grid, scene=scene.name)
        return np.append(np.array(drawn.file_codes) != 0, False)[drawn.codes]  # 0 is no class of a mask
    found = np.asarray(file.array[...])
    if file.nodata is not None:
        found = np.where(found == file.nodata, np.zeros((), found.dtype), found)
    if found.shape != shape:
        hint = "it looks transposed: swap rows and columns" if found.shape == shape[::-1] else "crop or resample it"
        raise LabelError(f"{text}: the mask has shape {found.shape}, the scene's pixels are {shape}; {hint}.")
    return found
