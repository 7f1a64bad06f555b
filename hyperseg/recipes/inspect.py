"""What a file is: everything understood about a scene, and a quick look at it, without reading all of it."""

from __future__ import annotations

import logging
import math
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from itertools import count
from pathlib import Path
from typing import Any

import numpy as np

from hyperseg.core import Grid, Scene
from hyperseg.io.cube_options import AS_STATED, CubeOptions
from hyperseg.io.formats import list_arrays
from hyperseg.io.formats.array import ArrayChoiceError, ArrayEntry
from hyperseg.io.formats.axes import in_degrees
from hyperseg.io.look.survey import Survey, survey
from hyperseg.io.look.thin import ThinCube, thin_mask
from hyperseg.io.open import named_card, open_scene
from hyperseg.io.read import open_array, read_scene, split_key
from hyperseg.io.write.files import replacing
from hyperseg.report.pictures import false_colour
from hyperseg.report.sheet import enlarge

PICTURE_PX, SMALLEST_PX = 1000, 400
# picking rows from a file larger than this is what a quick look waits for: half as many are taken
LARGE_BYTES, LARGE_PX = 4 * 2**30, 500
SOURCE = "Source"  # in a quick look: the file it shows
KM_PER_DEGREE = 111.32


@dataclass(frozen=True)
class Inspection:
    """What was found out about a file.

    Attributes:
        source: what the user named.
        about: kind of file.
        scene: the scene, lazy; None where the file holds several arrays and none was named.
        survey: what a sample of its pixels says.
        arrays: every array of a file of several, with shape and type where known.
        remarks: what readers said while opening, bands dropped and why among it.
    """

    source: str
    about: str
    scene: Scene | None = None
    survey: Survey | None = None
    arrays: Mapping[str, ArrayEntry | None] = field(default_factory=dict)
    remarks: tuple[str, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """Everything as numbers, text and lists."""
        arrays = {
            name: None if entry is None else {"shape": list(entry.shape), "dtype": str(entry.dtype)}
            for name, entry in self.arrays.items()
        }
        out: dict[str, Any] = {"source": self.source, "about": self.about, "arrays": arrays}
        out["remarks"] = list(self.remarks)
        if self.scene is None or self.survey is None:
            return out
        scene, sampled = self.scene, asdict(self.survey)
        sampled["values"] = dict(zip(("min", "p2", "median", "p98", "max"), sampled["values"], strict=True))
        good = scene.good_bands
        return out | {
            "name": scene.name,
            "rows": scene.shape[0],
            "columns": scene.shape[1],
            "bands": scene.n_bands,
            "dtype": np.dtype(scene.cube.dtype).name,
            "bytes": cube_bytes(scene),
            "size_km": size_km(scene),
            "crs": scene.grid.crs,
            "pixel_size": pixel_size(scene.grid),
            "corners": corners(scene),
            "wavelengths_nm": None if scene.wavelengths_nm is None else scene.wavelengths_nm.tolist(),
            "bad_bands": [] if good is None else np.flatnonzero(~good).tolist(),
            "nodata": scene.nodata,
            "nodata_by": None if scene.nodata is None else scene.nodata_by,
            "mask": scene.mask is not None,
            "scale": scene.scale,
            "scale_hint": scale_hint(scene, self.survey),
            "sample": sampled,
            "groups": None if scene.groups is None else scene.groups.table(scene.classes),
        }


def inspect_file(text: str, cube: CubeOptions = AS_STATED) -> Inspection:
    """Open a file (or FILE:KEY, or a data set by its name) and look at a sample of its pixels.

    Raises:
        DataFileError, SceneError: as `open_scene`; a file of several arrays is no error here.
    """
    path, key = split_key(text)
    with said_while_reading() as remarks:
        if named_card(text) is None:
            try:
                about = open_array(text, ndim=3).about
                scene = read_scene(text, scan=False, options=cube)
            except ArrayChoiceError:
                if key is not None:
                    raise
                return Inspection(text, "file of several arrays", arrays=list_arrays(path))
            arrays = list_arrays(path)
        else:
            scene, about, arrays = open_scene(text, need_labels=False, cube=cube), "public data set", {}
        seen = survey(scene)
    return Inspection(text, about, scene, seen, arrays if len(arrays) > 1 else {}, tuple(dict.fromkeys(remarks)))


def write_quicklook(scene: Scene, path: Path) -> tuple[int, ...]:
    """Write a picture in false colour (PNG); pixels without data are grey.

    A large scene is thinned to at most 1000 pixels a side (500 above 4 GiB), a small one enlarged by repeating
    its pixels.

    Returns:
        The bands shown, red first, counted from 0.
    """
    from matplotlib.image import imsave

    side = PICTURE_PX if cube_bytes(scene) <= LARGE_BYTES else LARGE_PX
    step = max(1, math.ceil(max(scene.shape) / side))
    seen = _Seen(ThinCube(scene.cube, step, scene.nodata))
    valid = thin_mask(scene, step)
    picture = false_colour(scene.with_(cube=seen, valid=valid, labels=None, parcels=None))
    picture = enlarge(picture, max(1, math.ceil(SMALLEST_PX / max(picture.shape[:2]))))
    with replacing(path) as temporary:
        imsave(temporary, picture, format="png", metadata={SOURCE: scene.source})
    order = np.arange(scene.n_bands) if scene.wavelengths_nm is None else scene.wavelengths_nm
    return scene.rgb_bands or tuple(sorted(seen.bands, key=lambda band: -order[band]))


def quicklook_path(scene: Scene) -> tuple[Path, bool]:
    """Where the quick look of a scene goes by default, and whether it is there already.

    A picture of that name that shows another file is left alone: the next free number is taken.
    """
    for n in count(1):
        path = Path(f"{scene.name}-quicklook{'' if n == 1 else f'-{n}'}.png")
        if not path.exists():
            return path, False
        if _shows(path) == scene.source:
            return path, True
    raise AssertionError("unreachable")


def _shows(path: Path) -> str | None:
    """The file that a quick look says it shows."""
    from PIL import Image

    try:
        with Image.open(path) as picture:
            return picture.info.get(SOURCE)
    except Exception:  # no picture of ours
        return None


def cube_bytes(scene: Scene) -> int:
    """Bytes of all values, uncompressed."""
    return math.prod(scene.cube.shape) * np.dtype(scene.cube.dtype).itemsize


def pixel_size(grid: Grid) -> dict[str, Any] | None:
    """Height and width of a pixel and their unit (m, or degree), or None where the file does not say."""
    if grid.unit == "m":
        return {"height": grid.spacing[0], "width": grid.spacing[1], "unit": "m"}
    if grid.affine is None or grid.crs is None or not in_degrees(grid):
        return None
    a, b, _, d, e, _ = grid.affine
    return {"height": math.hypot(b, e), "width": math.hypot(a, d), "unit": "degree"}


def size_km(scene: Scene) -> tuple[float, float] | None:
    """Height and width of the scene on the ground, or None; from degrees only roughly."""
    pixel = pixel_size(scene.grid)
    if pixel is None:
        return None
    high, wide = scene.shape[0] * pixel["height"], scene.shape[1] * pixel["width"]
    if pixel["unit"] == "m":
        return high / 1000, wide / 1000
    at = [y for _, y in corners(scene) or ()]
    return high * KM_PER_DEGREE, wide * KM_PER_DEGREE * math.cos(math.radians(sum(at) / len(at)))


def corners(scene: Scene) -> list[tuple[float, float]] | None:
    """Map coordinates (x, y) of the outer corners: upper left, upper right, lower right, lower left; or None."""
    if scene.grid.affine is None:
        return None
    a, b, c, d, e, f = scene.grid.affine
    rows, columns = scene.shape[:2]
    at = ((0, 0), (columns, 0), (columns, rows), (0, rows))
    return [(a * x + b * y + c, d * x + e * y + f) for x, y in at]


def scale_hint(scene: Scene, seen: Survey) -> str | None:
    """What values without a scale may be, or None."""
    top = seen.values[3]
    if scene.scale is not None or not math.isfinite(top):
        return None
    if top <= 1.5:
        return "values look like reflectance from 0 to 1"
    if np.dtype(scene.cube.dtype).itemsize == 1:
        return "values look like raw counts; the file states no scale"
    if top <= 100:
        return "values look like reflectance in percent, or radiance; the file states no scale"
    if top <= 20000:
        return "values look like reflectance x 10000, radiance or raw counts; the file states no scale"
    return "values look like raw counts; the file states no scale"


class _Seen:
    """A cube that remembers which bands were asked for."""

    def __init__(self, cube: ThinCube) -> None:
        self._cube, self.shape, self.dtype = cube, cube.shape, cube.dtype
        self.bands: list[int] = []

    def __getitem__(self, key: Any) -> Any:
        self.bands.append(int(key[-1]))
        return self._cube[key]


@contextmanager
def said_while_reading() -> Iterator[list[str]]:
    """Collect what readers remark about a file, instead of the notes the command line makes of it."""
    found: list[str] = []

    class Collect(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            found.append(record.getMessage())

    log = logging.getLogger("hyperseg")
    handlers, level, passes = log.handlers, log.level, log.propagate
    log.handlers, log.propagate = [Collect()], False
    log.setLevel(logging.INFO)
    try:
        yield found
    finally:
        log.handlers, log.propagate = handlers, passes
        log.setLevel(level)
