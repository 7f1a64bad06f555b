"""Class maps as GeoTIFF with palette, class names and coordinates, whole or window by window."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple, Self

import numpy as np
from numpy.typing import NDArray

from hyperseg.core import UNLABELLED, DataFileError, Grid, LabelError, SegmentationMap, SettingError
from hyperseg.core.codes import code_table, code_type, codes_of, empty_code
from hyperseg.core.words import distinct
from hyperseg.io.formats.windows import import_rasterio
from hyperseg.io.labels.background import is_nothing
from hyperseg.io.read import open_array, split_key
from hyperseg.io.write.files import AnyPath, blocks_of, check_labels, create_raster, replacing
from hyperseg.io.write.style import Colours, Measure, categories_xml, measure_qml, raster_qml

SIZE = "pixel_size_m"  # the tag of a map without coordinates whose pixels have a known size
ORIGIN, GIVEN, NUMBERED = "class_codes", "of the labels", "numbered"  # a tag of a map, and its values
NO_CODE = -2
CONFIDENCE = "confidence (as the method states it, not calibrated)"
CALIBRATED = "confidence (calibrated on held-out pixels)"
APPLICABLE = "dissimilarity to the training pixels over its threshold (above 1 outside the area of applicability)"
ENTROPY = "entropy as a share of the largest (0 certain, 1 no idea)"
DISAGREEMENT = "disagreement of the answers (0 all say the same, 1 each is sure of another class)"
MEANINGS: Mapping[Measure, str] = {
    "confidence": CONFIDENCE, "entropy": ENTROPY, "disagreement": DISAGREEMENT, "applicability": APPLICABLE,
}  # fmt: skip


class MapWriter:
    """Writes a class map, its confidence and other measures window by window; memory does not grow with the scene.

    In the file classes have their `codes`, and 0 means unlabelled or no data; where 0 is a class, 255 does (or the
    largest number of a byte that is no class). Class names, colours and
    counts go into `<map>.aux.xml` (GDAL, ArcGIS) and `<stem>.qml` (QGIS). All files appear together when the block
    ends without an error; otherwise none does. Windows that start at multiples of 256 px compress best.

    Args:
        path: the map, a .tif.
        shape: (rows, columns) of the scene.
        classes: K names.
        colours: K sRGB triples 0..255.
        grid: coordinates, or None.
        beside: float32 GeoTIFFs of what is written beside it, by its name.
        made_by: method and refiners, in order; the tag "made_by" of the file.
        codes: K codes of the classes in the file; None numbers them 1..K, and a tag of the file says so.
        tags: further tags of the file.
        calibrated: what the band of the confidence says of itself.
    """

    def __init__(
        self,
        path: AnyPath,
        shape: tuple[int, ...],
        *,
        classes: Sequence[str],
        colours: Colours,
        grid: Grid | None = None,
        beside: Mapping[Measure, AnyPath] | None = None,
        made_by: Sequence[str] = (),
        codes: Sequence[int] | None = None,
        tags: Mapping[str, str] | None = None,
        calibrated: bool = False,
    ) -> None:
        if len(shape) != 2 or min(shape) < 1:
            raise SettingError(f"{path}: a map has shape (rows, columns), got {tuple(shape)}.")
        if len(classes) != len(colours) or not 1 <= len(classes) < 2**15:
            raise LabelError(f"{path}: {len(classes)} class names, {len(colours)} colours; give as many of both.")
        self.path = Path(path)
        if self.path.suffix.lower() not in (".tif", ".tiff"):
            raise DataFileError(f"{path}: a map is written as GeoTIFF; name it {self.path.stem}.tif.")
        self.shape, self.grid = (shape[0], shape[1]), grid
        self.classes, self.colours = distinct(classes), tuple(colours)
        self.beside = {measure: Path(file) for measure, file in (beside or {}).items()}
        self.made_by = tuple(made_by)
        self._meanings = {**MEANINGS, "confidence": CALIBRATED if calibrated else CONFIDENCE}
        self.codes = codes_of(len(classes), codes)
        self._tags = {ORIGIN: NUMBERED if codes is None else GIVEN} | dict(tags or {})
        self._dtype, self._table = code_type(self.codes), code_table(self.codes).astype(code_type(self.codes))

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            # left in reverse order: the map itself gets its name last, when all that belongs to it is there
            map_file = stack.enter_context(replacing(self.path))
            sidecar = stack.enter_context(replacing(self.path.with_name(self.path.name + ".aux.xml")))
            counts = np.zeros(int(self._table.max()) + 1, np.int64)
            stack.enter_context(_described(sidecar, self.classes, self.colours, counts, self.codes))
            style = stack.enter_context(replacing(self.path.with_suffix(".qml")))
            style.write_text(raster_qml(self.classes, self.colours, self.codes), encoding="utf-8")
            self._values: dict[str, Any] = {
                measure: self._opened(stack, file, measure) for measure, file in self.beside.items()
            }
            stack.enter_context(_checked(map_file, self.path, counts))
            self._map = stack.enter_context(
                create_raster(map_file, self.path, (*self.shape, 1), self._dtype, self.grid, nodata=self._empty)
            )
            painted = dict(zip(self.codes, self.colours, strict=True))
            self._map.write_colormap(1, {self._empty: (0, 0, 0, 0), **painted})
            self._map.update_tags(**self._tags)
            if self.made_by:
                self._map.update_tags(made_by=" + ".join(self.made_by))
            if self.grid is not None and self.grid.unit == "m" and self.grid.affine is None:
                # a transform would claim a place; without one the size of a pixel is known here alone
                self._map.update_tags(**{SIZE: " ".join(map(repr, self.grid.spacing))})
            self._stack = stack.pop_all()
        return self

    def write(self, window: tuple[slice, ...], labels: NDArray[Any], **beside: NDArray[Any]) -> None:
        """Write one window.

        Args:
            window: row and column slices, such as `Tile.core_slices`.
            labels: (h, w) labels of the window, -1 = unlabelled.
            beside: (h, w) of every measure that is written beside the map, by its name; entropy as
                `share_of_largest`.
        """
        check_labels(labels, len(self.classes), self.path)
        rows, columns = (
            (s.start or 0, n if s.stop is None else s.stop) for s, n in zip(window, self.shape, strict=True)
        )
        size = (rows[1] - rows[0], columns[1] - columns[0])
        for what, array in {"labels": labels, **beside}.items():
            if array.shape != size:
                raise SettingError(f"{self.path}: {what} of shape {array.shape} for a window of {size} pixels.")
        if other := sorted(beside.keys() ^ self._values.keys()):
            raise SettingError(f"{self.path}: give {other[0]} a path, and for every window, or neither of them.")
        codes = self._table[labels]
        self._map.write(codes, 1, window=(rows, columns))
        for what, array in beside.items():
            self._values[what].write(array.astype(np.float32, copy=False), 1, window=(rows, columns))

    @property
    def _empty(self) -> int:
        return empty_code(self.codes)

    def _opened(self, stack: ExitStack, path: Path, measure: Measure) -> Any:
        """An open float32 raster of the map's grid at `path` with a style beside."""
        style = stack.enter_context(replacing(path.with_suffix(".qml")))
        style.write_text(measure_qml(measure), encoding="utf-8")
        file = stack.enter_context(replacing(path))
        stack.enter_context(_checked(file, path))
        raster = stack.enter_context(create_raster(file, path, (*self.shape, 1), "float32", self.grid, nodata=math.nan))
        raster.set_band_description(1, self._meanings[measure])
        return raster

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.__exit__(kind, error, trace)


def write_map(
    path: AnyPath,
    labels: SegmentationMap | NDArray[Any],
    *,
    classes: Sequence[str] | None = None,
    colours: Colours | None = None,
    grid: Grid | None = None,
    codes: Sequence[int] | None = None,
    made_by: Sequence[str] = (),
    tags: Mapping[str, str] | None = None,
) -> None:
    """Write a class map as a GeoTIFF with palette, class names and coordinates (see `MapWriter`).

    Args:
        path: the map, a .tif.
        labels: a `SegmentationMap`, or (H, W) labels, -1 = unlabelled, with their classes and colours.
        classes, colours, grid, codes, made_by: override those of a `SegmentationMap`; without codes they are 1..K.
        tags: further tags of the file.
    """
    if isinstance(labels, SegmentationMap):
        made_by = made_by or labels.made_by
        classes, colours = classes or labels.classes, colours or labels.colours
        codes = labels.codes if codes is None else codes
        grid, labels = grid or labels.grid, labels.labels()
    if classes is None or colours is None:
        raise SettingError(f"{path}: an array of labels needs classes and colours to become a map.")
    check_labels(labels, len(classes), path)
    with MapWriter(
        path, labels.shape, classes=classes, colours=colours, grid=grid, made_by=made_by, codes=codes, tags=tags
    ) as writer:
        writer.write((slice(None), slice(None)), labels)


class ClassMap(NamedTuple):
    """A map read back.

    Attributes:
        labels: (H, W) int16 classes, -1 = unlabelled.
        classes: K names, also of classes without a pixel.
        colours: K sRGB triples.
        grid: where pixels are.
        codes: K codes in the file.
    """

    labels: NDArray[np.int16]
    classes: tuple[str, ...]
    colours: tuple[tuple[int, int, int], ...]
    grid: Grid
    codes: tuple[int, ...]


def read_map(path: AnyPath) -> ClassMap:
    """Read back a map that `write_map` or `MapWriter` wrote; classes come in the order of their codes.

    Raises:
        DataFileError: the file is no such map.
    """
    file = open_array(path, ndim=2)
    values = np.asarray(file.array)
    codes = tuple(sorted(c for c, name in file.names.items() if c != file.nodata and not (c == 0 and is_nothing(name))))
    if (
        values.ndim != 2
        or values.dtype.kind != "u"
        or file.nodata is None
        or not codes
        or set(codes) - set(file.palette)
    ):
        raise DataFileError(
            f"{path}: is no class map of this package: expected one band of codes with a palette, and class "
            f"names in {Path(path).name}.aux.xml beside it. Keep both files together, or read it as labels."
        )
    table = np.full(2**16, NO_CODE, np.int16)
    table[[*codes, int(file.nodata)]] = [*range(len(codes)), UNLABELLED]
    labels = table[values]
    if (labels == NO_CODE).any():
        strange = int(values[labels == NO_CODE].max())
        raise DataFileError(f"{path}: holds code {strange} but names {len(codes)} classes; write the map again.")
    colours = tuple(file.palette[code] for code in codes)
    return ClassMap(labels, distinct(file.names[c] for c in codes), colours, _sized(file.grid, Path(path)), codes)


def codes_are_given(path: AnyPath) -> bool | None:
    """Whether the codes of a map mean something outside it, those of a label file, say; None for maps of others."""
    rasterio = import_rasterio()
    try:
        with rasterio.open(split_key(path)[0]) as file:
            tags = file.tags()
    except rasterio.errors.RasterioError:
        return None
    return tags[ORIGIN] == GIVEN if ORIGIN in tags else False if "made_by" in tags else None


def _sized(grid: Grid, path: Path) -> Grid:
    """The grid with the size of its pixels, where the file holds that and nothing else of it."""
    if grid != Grid():
        return grid
    with import_rasterio().open(path) as file:
        found = [float(v) for v in file.tags().get(SIZE, "").split()]
    return Grid((found[0], found[1]), "m") if len(found) == 2 else grid


def share_of_largest(entropy: NDArray[Any], n_classes: int) -> NDArray[np.float32]:
    """Entropy in nats over the largest that `n_classes` classes can have, ln K: 0 (certain) to 1 (no idea)."""
    return (entropy / np.log(max(n_classes, 2))).astype(np.float32)


@contextmanager
def _checked(path: Path, target: Path, counts: NDArray[np.int64] | None = None) -> Iterator[None]:
    """Once the raster is closed without an error, read it back; count codes into `counts`."""
    yield
    for block in blocks_of(path, target):
        if counts is not None:
            counts += np.bincount(block.ravel(), minlength=len(counts))


@contextmanager
def _described(
    path: Path, classes: Sequence[str], colours: Colours, counts: NDArray[np.int64], codes: Sequence[int]
) -> Iterator[None]:
    """Once the codes are counted, say what they mean."""
    yield
    path.write_text(categories_xml(classes, colours, counts.tolist(), codes), encoding="utf-8")
