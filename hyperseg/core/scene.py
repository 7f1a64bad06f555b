"""`Scene`: a cube with everything that is known about it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from hyperseg.core.codes import codes_of
from hyperseg.core.errors import LabelError, SceneError
from hyperseg.core.words import distinct

if TYPE_CHECKING:
    from hyperseg.core.groups import ClassGroups

UNLABELLED = -1
NodataBy = Literal["file", "given", "found", "run"]


class Cube(Protocol):
    """What a cube must offer: a shape and slicing that returns an array (a memory map or lazy reader will do)."""

    @property
    def shape(self) -> tuple[int, ...]: ...
    @property
    def dtype(self) -> Any: ...
    def __getitem__(self, key: Any) -> Any: ...


@dataclass(frozen=True)
class Grid:
    """Where pixels are.

    Attributes:
        spacing: size of a pixel per axis (row, column[, depth]) in `unit`.
        unit: "m" on a map, "mm" in a body, "px" when nothing is known.
        crs: coordinate reference system as WKT or "EPSG:n", or None.
        affine: the six numbers (a, b, c, d, e, f) of the pixel-to-map transform, or None.
    """

    spacing: tuple[float, ...] = (1.0, 1.0)
    unit: Literal["m", "mm", "px"] = "px"
    crs: str | None = None
    affine: tuple[float, ...] | None = None


@dataclass(frozen=True)
class Scene:
    """A cube and what is known about it.

    Attributes:
        cube: (*S, C), channels last; a NumPy array or anything lazily sliceable. S is (H, W) or (D, H, W).
        labels: (*S) int16, classes 0..K-1, -1 = unlabelled; or None.
        valid: (*S) bool or None; False marks no-data pixels, which are never sampled, scored or coloured.
        classes: K class names: clean (`hyperseg.core.words.clean_name`), and of equal ones the later are numbered.
        colours: K sRGB triples 0..255.
        grid: where pixels are.
        wavelengths_nm: (C,) band centres in nanometres, or None.
        good_bands: (C,) bool, False for bands to drop; or None for all good.
        rgb_bands: three band indices for a natural or false-colour picture, or None.
        scale: what to divide values by to get reflectance from 0 to 1, or None where nobody said.
        nodata: the value that stands for "no data" in the cube, or None; `valid` already knows of it where given.
        nodata_by: who says so: the file, the user (None too), a look at the pixels, or the run that maps the scene.
        gaps: `nodata` in a single band is a gap, as NaN is; without it a pixel is empty only where all bands have it.
        mask: (*S) bool, lazy, False where there is no data whatever the values are; or None. `valid` knows of it too.
        parcels: (*S) int32 number of the drawn polygon a pixel got its label from, -1 for none; or None.
        name: short name; a simulated scene says so here.
        source: where the data come from (file, licence).
        codes: K codes of the classes in the label file, which maps keep; None where it has none: they are 1..K then.
        groups: which classes belong together, or None.
        origin: where its first pixel lies in the scene that it is a window of; () for a whole scene.
    """

    cube: Cube
    labels: NDArray[np.int16] | None = None
    valid: NDArray[np.bool_] | None = None
    classes: tuple[str, ...] = ()
    colours: tuple[tuple[int, int, int], ...] = ()
    grid: Grid = field(default_factory=Grid)
    wavelengths_nm: NDArray[np.float64] | None = None
    good_bands: NDArray[np.bool_] | None = None
    rgb_bands: tuple[int, int, int] | None = None
    scale: float | None = None
    nodata: float | None = None
    nodata_by: NodataBy = "file"
    gaps: bool = False
    mask: Cube | None = None
    parcels: NDArray[np.int32] | None = None
    name: str = "scene"
    source: str = ""
    codes: tuple[int, ...] | None = None
    groups: ClassGroups | None = None
    origin: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        object.__setattr__(self, "classes", distinct(self.classes))
        if self.codes is not None:
            object.__setattr__(self, "codes", codes_of(len(self.classes), self.codes))
        if self.groups is not None and len(self.groups.of_class) != len(self.classes):
            raise LabelError(
                f"{self.name}: groups of {len(self.groups.of_class)} classes for a scene of {len(self.classes)}."
            )
        shape = tuple(self.cube.shape)
        if len(shape) not in (3, 4):
            raise SceneError(
                f"{self.name}: a cube has shape (rows, columns, bands) or (depth, rows, columns, bands), "
                f"but this array has shape {shape}. Choose another array of the file or reshape it."
            )
        if 0 in shape:
            raise SceneError(f"{self.name}: a cube of shape {shape} holds no value. Choose another array or file.")
        for what, array in (
            ("labels", self.labels),
            ("valid mask", self.valid),
            ("parcels", self.parcels),
            ("mask", self.mask),
        ):
            if array is not None and tuple(array.shape) != shape[:-1]:
                turned = array.shape[::-1] == shape[:-1]
                hint = "; they look transposed: swap rows and columns" if turned else ""
                raise LabelError(
                    f"{self.name}: the {what} has shape {tuple(array.shape)}, the cube's pixels are {shape[:-1]}. "
                    f"Both must lie on the same grid{hint}."
                )
        for what, bands in (("wavelengths", self.wavelengths_nm), ("good-band list", self.good_bands)):
            if bands is not None and len(bands) != shape[-1]:
                raise SceneError(f"{self.name}: {len(bands)} {what} for a cube of {shape[-1]} bands.")
        labels = self.labels
        if labels is None:
            return
        if labels.dtype != np.int16:
            raise LabelError(f"{self.name}: labels must be int16 (classes 0..K-1, -1 unlabelled), got {labels.dtype}.")
        if labels.min() < UNLABELLED or labels.max() >= len(self.classes):
            raise LabelError(
                f"{self.name}: labels run from {labels.min()} to {labels.max()}, but there are {len(self.classes)} "
                f"class names (labels must be -1 or 0..{len(self.classes) - 1})."
            )

    def __repr__(self) -> str:
        """A few words: the arrays themselves fill pages."""
        size = " x ".join(map(str, self.shape))
        known = "no labels" if self.labels is None else f"{self.n_classes} classes"
        return f"Scene({self.name!r}, {size} pixels, {self.n_bands} bands of {self.cube.dtype}, {known})"

    @property
    def shape(self) -> tuple[int, ...]:
        """Spatial shape S."""
        return tuple(self.cube.shape[:-1])

    @property
    def n_bands(self) -> int:
        return int(self.cube.shape[-1])

    @property
    def n_classes(self) -> int:
        return len(self.classes)

    @property
    def usable(self) -> NDArray[np.bool_]:
        """(*S) bool: pixels that hold data; `valid`, or all."""
        return np.ones(self.shape, bool) if self.valid is None else self.valid

    def labelled(self) -> NDArray[np.bool_]:
        """(*S) bool: pixels that carry a label and hold data."""
        if self.labels is None:
            raise LabelError(f"{self.name} has no labels: give a label raster of shape {self.shape}.")
        known = self.labels != UNLABELLED
        return known if self.valid is None else known & self.valid

    def features(self, preprocess: Callable[[Any], NDArray[np.float32]], at: Any = slice(None)) -> NDArray[np.float32]:
        """(..., L) preprocessed pixels of the window `at`, by default of all pixels; those without data are 0.

        That is the mean of the training pixels: whatever numbers stand there, a network whose window has a hole in it
        sees nothing unusual.
        """
        made = preprocess(np.asarray(self.cube[at]))
        inside = None if self.valid is None else self.valid[at]
        return made if inside is None or inside.all() else np.where(inside[..., None], made, np.float32(0))

    def class_counts(self) -> NDArray[np.int64]:
        """(K,) number of labelled pixels per class."""
        return np.bincount(np.asarray(self.labels)[self.labelled()], minlength=self.n_classes)

    def with_(self, **changes: Any) -> Scene:
        """A copy with some fields replaced."""
        return replace(self, **changes)
