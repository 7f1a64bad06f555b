"""Drawn geometries on the grid of a scene: one CRS, buffered, and only those that lie there."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hyperseg.core import Grid, LabelError
from hyperseg.io.labels.frame import Frame, extent, mover, same_crs, short
from hyperseg.io.labels.vectors import Layer

log = logging.getLogger(__name__)
Shapes = NDArray[Any]

INSIDE = 0.9  # share of geometries within the scene from which unstated coordinates are believed to be the scene's
CHORDS = 32  # an edge across the scene is cut into this many before it is bent by another projection
LOOKED_AT = 20_000  # vertices up to which a geometry is asked whether it is valid
AMONG_NOTHING = (1.0, 0.0, 0.0, 0.0, -1.0, 0.0)  # a raster without coordinates lies below the origin in a GIS
ROUND = 16  # segments of a quarter circle: the buffer's radius is right within 0.25 %


@dataclass(frozen=True)
class Placed:
    """(m,) polygons, lines and points in the scene's CRS that meet the scene, and the feature each is a part of."""

    shapes: Shapes
    feature: NDArray[np.intp]


def frame_for(layer: Layer, shape: tuple[int, ...], grid: Grid | None, scene: str) -> Frame:
    """The frame of the scene that a layer is to be laid on.

    Raises:
        LabelError: the scene does not say where its pixels are.
    """
    frame = Frame.of(shape, grid, scene) or _of_pixels(layer, shape, grid, scene)
    if frame is None:
        lack = "neither coordinates nor a CRS" if grid is None or grid.crs is None else "no coordinates of its pixels"
        raise LabelError(
            f"{layer.path}: geometries can only be laid on a scene that says where its pixels are, but {scene} has "
            f"{lack}. Give a georeferenced scene (GeoTIFF, ENVI with map info), or labels as a raster of "
            f"{'x'.join(map(str, shape))} pixels."
        )
    return frame


def _of_pixels(layer: Layer, shape: tuple[int, ...], grid: Grid | None, scene: str) -> Frame | None:
    """The frame of polygons that were written for a scene without coordinates: x is the column, y less the row."""
    import shapely

    if layer.crs is not None or len(shape) != 2 or (grid is not None and (grid.crs or grid.affine) is not None):
        return None
    frame = Frame(scene, (shape[0], shape[1]), AMONG_NOTHING, None)
    west, south, east, north = frame.bounds()
    left, low, right, high = shapely.total_bounds(layer.shapes)
    if not (west <= left and south <= low and right <= east and high <= north):
        return None
    log.info("%s: neither it nor %s has coordinates: it is laid on the pixels, x the column and -y the row",
             layer.path, scene)  # fmt: skip
    return frame


def place(layer: Layer, wanted: NDArray[np.bool_], frame: Frame, *, buffer_m: float | None) -> Placed:
    """Bring the wanted (n,) features of a layer onto the scene's frame, points and lines with `buffer_m` metres around.

    Collections and multi-geometries fall into their parts: a ring drawn is a polygon of its own.

    Raises:
        LabelError: no geometry, an unknown place, or nothing in the scene.
    """
    import shapely

    parts, feature = _explode(layer, wanted)
    crs, assumed = _crs_of(layer, parts, frame)
    if assumed:
        log.info("%s: %s; its coordinates lie in the scene and are taken for the scene's", layer.path, assumed)
    total = len(parts)
    to_scene = None if same_crs(crs, frame.crs) else mover(crs, frame.crs, layer.path)
    if to_scene is not None:
        parts, feature = _near_only(parts, feature, frame, crs, buffer_m)
    plain, void = _plain(parts, layer), _void(parts)
    if void.any():
        log.info("%s: polygons without an area: %d, skipped", layer.path, void.sum())
        parts, feature, plain, total = parts[~void], feature[~void], plain[~void], total - int(void.sum())
    if to_scene is not None and len(parts):
        longest = float(np.max(shapely.bounds(parts)[:, 2:] - shapely.bounds(parts)[:, :2]))
        edge = _edge(frame, crs)
        if longest > edge > 0:
            parts = shapely.segmentize(parts, edge)
        parts = shapely.transform(parts, to_scene)
        finite = np.isfinite(shapely.bounds(parts)).all(1)
        parts, feature, plain = parts[finite], feature[finite], plain[finite]
    if buffer_m is not None:
        parts = _buffered(parts, buffer_m, frame, layer)
    inside = _meet(parts, plain, frame) if len(parts) else np.zeros(0, bool)
    if not inside.any():
        raise LabelError(_nowhere(layer, wanted, frame, crs))
    if inside.sum() < total:
        log.info("%s: geometries outside %s: %d of %d, left out",
                 layer.path, frame.name, total - inside.sum(), total)  # fmt: skip
    return Placed(parts[inside], feature[inside])


def _explode(layer: Layer, wanted: NDArray[np.bool_]) -> tuple[Shapes, NDArray[np.intp]]:
    """Simple parts and the feature each is of; features without a usable geometry are skipped with a note."""
    import shapely

    feature = np.flatnonzero(wanted)
    parts = layer.shapes[feature]
    while np.isin(shapely.get_type_id(parts), (4, 5, 6, 7)).any():  # collections, perhaps of collections
        parts, at = shapely.get_parts(parts, return_index=True)
        feature = feature[at]
    usable = ~shapely.is_missing(parts) & ~shapely.is_empty(parts)
    usable &= np.isfinite(np.where(usable[:, None], shapely.bounds(parts), np.nan)).all(1)
    parts, feature = parts[usable], feature[usable]
    lost = int(np.count_nonzero(wanted)) - len(np.unique(feature))
    if len(parts) == 0:
        raise LabelError(f"{layer.path}: none of the {np.count_nonzero(wanted)} features with a class has a geometry.")
    if lost:
        log.info("%s: features with a class but without a geometry: %d, skipped", layer.path, lost)
    return parts, feature


def _crs_of(layer: Layer, parts: Shapes, frame: Frame) -> tuple[str | None, str]:
    """The CRS of the layer, and why it was assumed, if it was."""
    import shapely

    stated, why = layer.crs, "has no CRS"
    if stated is not None and layer.path.suffix.lower() in (".geojson", ".geojsonl", ".json"):
        west, south, east, north = shapely.total_bounds(parts)
        if _is_geographic(stated) and (min(west, south) < -360 or max(east, north) > 360):
            stated, why = (None, "is GeoJSON, which means longitudes and latitudes, but holds other coordinates")
    if stated is not None:
        if frame.crs is None:
            raise LabelError(
                f"{layer.path}: is in {short(stated)}, but {frame.name} has no CRS, so that the two cannot be brought "
                "together. Write the CRS into the scene (rio edit-info --crs EPSG:n scene.tif; 'coordinate system "
                "string' in an ENVI header)."
            )
        return stated, ""
    west, south, east, north = frame.bounds()
    middle = shapely.centroid(parts)
    x, y = shapely.get_x(middle), shapely.get_y(middle)
    if np.mean((x >= west) & (x <= east) & (y >= south) & (y <= north)) >= INSIDE:
        return frame.crs, why
    raise LabelError(
        f"{layer.path}: {why}, and its coordinates ({extent(shapely.total_bounds(parts))}) are not those of "
        f"{frame.name} ({extent(frame.bounds())}). Write the CRS into it: a .prj beside a Shapefile, or "
        "ogr2ogr -a_srs EPSG:n out.gpkg in."
    )


def _is_geographic(crs: str) -> bool:
    from rasterio.crs import CRS

    try:
        return bool(CRS.from_user_input(crs).is_geographic)
    except Exception:  # not understood: `mover` says so
        return False


def _near_only(
    parts: Shapes, feature: NDArray[np.intp], frame: Frame, crs: str | None, buffer_m: float | None
) -> tuple[Shapes, NDArray[np.intp]]:
    """Leave out early what is far away: it need not be repaired and moved."""
    import shapely

    bounds = frame.bounds_in(crs)
    if bounds is None or buffer_m is not None:
        return parts, feature
    west, south, east, north = bounds
    x, y = 0.1 * (east - west), 0.1 * (north - south)
    low_x, low_y, high_x, high_y = shapely.bounds(parts).T
    near = (high_x >= west - x) & (low_x <= east + x) & (high_y >= south - y) & (low_y <= north + y)
    return parts[near], feature[near]


def _edge(frame: Frame, crs: str | None) -> float:
    """Longest edge that stays straight enough in another projection, in the units of `crs`; 0 for any."""
    bounds = frame.bounds_in(crs)
    return 0.0 if bounds is None else max(bounds[2] - bounds[0], bounds[3] - bounds[1]) / CHORDS


def _plain(parts: Shapes, layer: Layer) -> NDArray[np.bool_]:
    """(m,) which geometries are known to be valid; how many are not is told.

    They are not repaired, which can take minutes: `rasterize` fills a polygon by the even-odd rule, whatever its edges
    cross. Validity is not even looked at where there are so many vertices that this would take long.
    """
    import shapely

    few = shapely.get_num_coordinates(parts) <= LOOKED_AT
    plain = np.zeros(len(parts), np.bool_)
    plain[few] = shapely.is_valid(parts[few])
    if broken := int(np.count_nonzero(few & ~plain)):
        log.info("%s: invalid geometries (crossing or repeated edges): %d, filled by the even-odd rule",
                 layer.path, broken)  # fmt: skip
    return plain


def _void(parts: Shapes) -> NDArray[np.bool_]:
    """(m,) empty geometries, and polygons that are a line: their bounds, or the hull around them, have no area."""
    import shapely

    flat = shapely.get_dimensions(parts) == 2
    flat[flat] = shapely.area(shapely.convex_hull(parts[flat])) == 0
    return shapely.is_empty(parts) | flat


def _meet(parts: Shapes, plain: NDArray[np.bool_], frame: Frame) -> NDArray[np.bool_]:
    """(m,) whether geometries meet the frame; of invalid ones and of the largest, whether their bounds do."""
    import shapely

    outlines = parts.copy()
    outlines[~plain] = shapely.box(*shapely.bounds(parts[~plain]).T)
    shapely.prepare(outlines)
    return np.asarray(shapely.intersects(outlines, shapely.Polygon(frame.corners())), np.bool_)


def _buffered(parts: Shapes, buffer_m: float, frame: Frame, layer: Layer) -> Shapes:
    """Metres around points and lines, drawn in an azimuthal equidistant map about the scene's centre.

    Its scale is true along lines through the centre, and elsewhere off by (d/R)^2/6: 0.4 % at d = 1000 km. So metres
    are metres in degrees, feet and web Mercator alike.
    """
    import shapely
    from rasterio.crs import CRS

    thin = shapely.get_dimensions(parts) < 2
    if not thin.any():
        log.info("%s: holds polygons only; the buffer concerns points and lines", layer.path)
        return parts
    parts = parts.copy()
    known = None if frame.crs is None else CRS.from_user_input(frame.crs)
    if known is None or not (known.is_projected or known.is_geographic):
        parts[thin] = shapely.buffer(parts[thin], buffer_m, quad_segs=ROUND)
        return parts
    centre = frame.corners().mean(0, keepdims=True)
    ((lon, lat),) = mover(frame.crs, "EPSG:4326", layer.path)(centre)
    local = f"+proj=aeqd +lat_0={lat:.10f} +lon_0={lon:.10f} +datum=WGS84 +units=m"
    there, back = mover(frame.crs, local, layer.path), mover(local, frame.crs, layer.path)
    grown = shapely.buffer(shapely.transform(parts[thin], there), buffer_m, quad_segs=ROUND)
    parts[thin] = shapely.transform(grown, back)
    return parts


def _nowhere(layer: Layer, wanted: NDArray[np.bool_], frame: Frame, crs: str | None) -> str:
    """Why nothing falls in the scene, with both extents."""
    import shapely

    bounds = shapely.total_bounds(layer.shapes[wanted])
    ours = frame.bounds_in(crs)
    hint = "Check the CRS of both, and that they show the same place."
    if ours is not None:
        x, y = (bounds[0] + bounds[2]) / 2, (bounds[1] + bounds[3]) / 2
        if ours[0] <= y <= ours[2] and ours[1] <= x <= ours[3]:
            hint = "Its coordinates look swapped: x and y (longitude and latitude) the other way round would fit."
    return (
        f"{layer.path}: no geometry falls in {frame.name}: they lie at {extent(bounds)}, the scene at "
        f"{extent(ours or frame.bounds())} ({short(crs if ours else frame.crs)}). {hint}"
    )
