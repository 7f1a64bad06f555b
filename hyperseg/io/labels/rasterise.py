"""Vector labels as a raster: every pixel the class and the number of the polygon it lies in."""

from __future__ import annotations

import itertools
import logging
import os
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hyperseg.core import UNLABELLED, Grid, LabelError
from hyperseg.core.groups import ClassGroups
from hyperseg.io.labels.classes import Classes, classes_of
from hyperseg.io.labels.frame import Frame
from hyperseg.io.labels.groups import groups_of, without
from hyperseg.io.labels.place import Placed, frame_for, place
from hyperseg.io.labels.raster import Labels, only_present
from hyperseg.io.labels.vectors import AS_DRAWN, Layer, VectorOptions, open_layer

log = logging.getLogger(__name__)
SHOWN = 5
POLYGON = 3  # type of a geometry in shapely


@dataclass
class _Burnt:
    """Pixels as they are burnt, class after class."""

    codes: NDArray[np.int16]  # (H, W) class, -1 none
    parcels: NDArray[np.int32]  # (H, W) number of the geometry, -1 none
    disputed: NDArray[np.bool_]  # (H, W) geometries of several classes claim the pixel
    seen: NDArray[np.bool_]  # (m,) the geometry got a pixel
    pairs: Counter[tuple[int, int]] = field(default_factory=Counter)  # pixels by (geometry there, one that came later)


def read_vectors(
    path: str | os.PathLike[str],
    shape: tuple[int, ...],
    grid: Grid | None,
    *,
    options: VectorOptions = AS_DRAWN,
    scene: str = "the scene",
) -> Labels:
    """Geometries with a class column as labels on the grid of a scene.

    A pixel belongs to the polygon its centre lies in (with `all_touched` to every polygon that touches it), to the
    lines through it and to the points in it. Where geometries of different classes overlap the pixel stays
    unlabelled, and a warning names them; among those of one class the last of the file wins.

    Returns:
        Labels with `parcels`: every simple geometry (each part of a multi-geometry) has a number of its own.

    Raises:
        DataFileError: the file cannot be read, or the layer is unclear.
        LabelError: no class column, no place, or nothing in the scene.
    """
    layer = open_layer(path, layer=options.layer)
    frame = frame_for(layer, shape, grid, scene)
    classes = classes_of(without(layer, options.group_column), options.class_column)
    groups = groups_of(layer, options.group_column, classes)
    placed = place(layer, classes.of >= 0, frame, buffer_m=options.buffer_m)
    _note_thin(layer, placed)
    burnt = _burn_classes(placed, classes, frame, all_touched=options.all_touched)
    _report_disputes(layer, placed, classes, burnt)
    burnt.codes[burnt.disputed], burnt.parcels[burnt.disputed] = UNLABELLED, -1
    if lost := int(np.count_nonzero(~burnt.seen)):
        hint = "" if options.all_touched else "; --all-touched would label what they touch"
        log.info("%s: geometries that got no pixel (smaller than one, or under others of their class): %d%s",
                 layer.path, lost, hint)  # fmt: skip
    return _labels(layer, placed, classes, burnt, groups)


def read_vector_mask(
    path: str | os.PathLike[str], shape: tuple[int, ...], grid: Grid | None, *, scene: str = "the scene"
) -> NDArray[np.bool_]:
    """(rows, columns) bool: pixels in any geometry of the file, whatever its columns say.

    Raises:
        DataFileError, LabelError: as `read_vectors`.
    """
    layer = open_layer(path)
    frame = frame_for(layer, shape, grid, scene)
    placed = place(layer, np.ones(len(layer.shapes), bool), frame, buffer_m=None)
    where, numbers = _burn(placed.shapes, frame, all_touched=False)
    mask = np.zeros(frame.shape, np.bool_)
    mask[where] = numbers > 0
    return mask


def _burn_classes(placed: Placed, classes: Classes, frame: Frame, *, all_touched: bool) -> _Burnt:
    burnt = _Burnt(
        np.full(frame.shape, UNLABELLED, np.int16),
        np.full(frame.shape, -1, np.int32),
        np.zeros(frame.shape, np.bool_),
        np.zeros(len(placed.shapes), np.bool_),
    )
    of, n = classes.of[placed.feature], len(placed.shapes)
    codes, parcels, disputed = (a.reshape(-1) for a in (burnt.codes, burnt.parcels, burnt.disputed))
    for k in np.unique(of):
        mine = np.flatnonzero(of == k)
        (rows, columns), numbers = _burn(placed.shapes[mine], frame, all_touched=all_touched)
        inside = np.flatnonzero(numbers)
        row, column = np.divmod(inside, numbers.shape[1])
        at = (row + rows.start) * frame.shape[1] + column + columns.start
        owner = mine[numbers.reshape(-1)[inside] - 1]
        burnt.seen[owner] = True
        before = parcels[at]
        clash = before >= 0
        pairs, pixels = np.unique(before[clash].astype(np.int64) * n + owner[clash], return_counts=True)
        burnt.pairs.update({divmod(int(p), n): int(c) for p, c in zip(pairs, pixels, strict=True)})
        disputed[at[clash]] = True
        codes[at[~clash]], parcels[at[~clash]] = k, owner[~clash]
    return burnt


def _burn(shapes: NDArray[Any], frame: Frame, *, all_touched: bool) -> tuple[tuple[slice, slice], NDArray[np.int32]]:
    """A window around the shapes and, in it, 1 + the index of the last shape at each pixel, 0 for none."""
    import shapely
    from rasterio.features import rasterize

    where = frame.window(tuple(shapely.total_bounds(shapes)), margin=1)
    assert where is not None, "shapes that do not meet the scene were left out before"
    size = (where[0].stop - where[0].start, where[1].stop - where[1].start)
    usable = np.flatnonzero(~shapely.is_empty(shapes))
    if not usable.size:
        return where, np.zeros(size, np.int32)
    drawn = zip(_mappings(shapes[usable]), (usable + 1).tolist(), strict=True)
    numbers = rasterize(
        drawn, out_shape=size, transform=frame.transform(where), fill=0, all_touched=all_touched, dtype="int32"
    )
    return where, numbers


def _mappings(shapes: NDArray[Any]) -> Iterator[Any]:
    """Shapes as `rasterize` takes them; polygons all at once, which is several times faster than one by one."""
    import shapely

    kind = shapely.get_type_id(shapes)
    if (kind != POLYGON).any():
        yield from shapes
        return
    _, places, (rings, polygons) = shapely.to_ragged_array(shapes, include_z=False)
    xy = places.tolist()
    for first, last in itertools.pairwise(polygons.tolist()):
        outlines = [xy[a:b] for a, b in itertools.pairwise(rings[first : last + 1].tolist())]
        yield {"type": "Polygon", "coordinates": outlines}


def _note_thin(layer: Layer, placed: Placed) -> None:
    import shapely

    dimension = shapely.get_dimensions(placed.shapes)
    for d, what, pixels in ((0, "points", "the pixel it falls in"), (1, "lines", "the pixels it passes")):
        if n := int(np.count_nonzero(dimension == d)):
            log.info("%s: %s without a buffer: %d, each labels %s; --buffer-m METRES labels the surroundings too",
                     layer.path, what, n, pixels)  # fmt: skip


def _report_disputes(layer: Layer, placed: Placed, classes: Classes, burnt: _Burnt) -> None:
    pixels = int(np.count_nonzero(burnt.disputed))
    if not pixels:
        return

    def told(geometry: int) -> str:
        feature = placed.feature[geometry]
        return f"{classes.names[classes.of[feature]]} (feature {layer.ids[feature]})"

    shown = [f"{told(a)} and {told(b)} in {n}" for (a, b), n in burnt.pairs.most_common(SHOWN)]
    more = f"; and {len(burnt.pairs) - SHOWN} more pairs" if len(burnt.pairs) > SHOWN else ""
    log.warning(
        "%s: geometries of different classes overlap in %d pixels, which stay unlabelled: %s%s",
        layer.path, pixels, "; ".join(shown), more,
    )  # fmt: skip


def _labels(layer: Layer, placed: Placed, classes: Classes, burnt: _Burnt, groups: ClassGroups | None) -> Labels:
    if (burnt.codes < 0).all():
        raise LabelError(
            f"{layer.path}: no pixel is left to label: its {len(placed.shapes)} geometries in the scene are smaller "
            "than a pixel or overlap others of another class. Try --all-touched, or draw them larger."
        )
    drawn = Labels(
        burnt.codes, classes.names, classes.colours, classes.codes, burnt.parcels, classes.numbered, classes.beside,
        groups,
    )  # fmt: skip
    found = only_present(drawn, layer.path)
    if groups is not None and found.groups is None:
        log.warning("%s: in the scene its groups tell nothing: each is one class, or one holds them all", layer.path)
    geometries = len(np.unique(burnt.parcels[burnt.parcels >= 0]))
    log.info("%s: %d pixels labelled, classes: %d, geometries: %d",
             layer.path, np.count_nonzero(found.codes >= 0), len(found.classes), geometries)  # fmt: skip
    return found
