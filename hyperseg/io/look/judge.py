"""What of a cube is data: its no-data value, declared, given or found; its bad bands; its mask."""

from __future__ import annotations

import logging
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hyperseg.core import Cube, Scene
from hyperseg.core.scene import NodataBy
from hyperseg.core.words import percent
from hyperseg.io.look.bands import judge_bands, makes_gaps
from hyperseg.io.look.fill import Fill, NotFill, find_fill, partial_fill
from hyperseg.io.look.sample import Sample, take_sample
from hyperseg.io.look.values import holds, same

log = logging.getLogger(__name__)


@dataclass(frozen=True, eq=False)
class Judged:
    """What a sample of a cube's pixels says about what is missing in it.

    Attributes:
        good: (C,) bool, bands that hold data.
        nodata, by, gaps, mask: as in `Scene`, `by` being its `nodata_by`.
    """

    good: NDArray[np.bool_]
    nodata: float | None
    by: NodataBy
    gaps: bool
    mask: Cube | None


def judge(
    cube: Cube,
    *,
    bbl: NDArray[np.bool_] | None,
    declared: float | None,
    given: bool = False,
    mask: Cube | None = None,
    name: str,
    file: Any = None,
) -> Judged:
    """Look at a sample of a cube (H, W, C), lazy or not, and say in the log what is left out.

    Args:
        cube: whole rows of it are read, or stretches of them.
        bbl: (C,) bool, the file's own list of good bands, or None.
        declared: the value that stands for no data by the file or the user, or None.
        given: it is the user's, None included: no other is looked for, and None means that the mask does not count.
        mask: (H, W) lazy, False where the file says that there is no data; or None.
        name: of the scene, for notes.
        file: for errors.

    Raises:
        SceneError: no band is left.
    """
    mask = None if given and declared is None else mask
    sample = take_sample(cube, mask=mask)
    nodata, by = declared, "given" if given else "file"
    fills: tuple[Fill, ...] = ()
    if not given:
        fills, doubts = find_fill(sample, bbl=bbl, nodata=declared)
        _tell(fills, doubts, name)
        if fills and fills[0].value is not None and (declared is None or not holds(np.dtype(cube.dtype), declared)):
            nodata, by, fills = fills[0].value, "found", fills[1:]
        nodata, by = _some_bands(sample, bbl, nodata, by, name)
    if fills:
        mask = NotFill(cube, fills, mask)
        sample = sample.only(_none_of(fills, sample.pixels))
    gaps = makes_gaps(sample, nodata, bbl=bbl)
    good, reasons = judge_bands(sample, bbl=bbl, nodata=nodata, gaps=gaps, name=str(file or name))
    for reason in reasons:
        log.info("%s: %s; dropped", name, reason)
    return Judged(good, nodata, by, gaps, mask)  # type: ignore[arg-type]


def with_nodata_of(scene: Scene, value: float | None, *, model: str) -> Scene:
    """The scene with a no-data value of the model's own scene, where neither file nor user names one and none is found.

    Whether any pixel has it is seen in the windows; a value that no pixel has changes nothing.
    """
    if value is None or scene.nodata is not None or scene.nodata_by == "given" or scene.valid is not None:
        return scene
    if not holds(np.dtype(scene.cube.dtype), value):
        return scene
    gaps = makes_gaps(take_sample(scene.cube, mask=scene.mask), value, bbl=scene.good_bands)
    log.info(
        "%s: names no no-data value; that of %s is taken, %g (--nodata none: keep all as data)",
        scene.name,
        model,
        value,
    )
    return replace(scene, nodata=value, nodata_by="run", gaps=gaps)


def _some_bands(
    sample: Sample, bbl: NDArray[np.bool_] | None, nodata: float | None, by: str, name: str
) -> tuple[float | None, str]:
    """The no-data value and who says so, where fill stands in some bands; beside another value it is only told."""
    partial = partial_fill(sample, bbl=bbl)
    if partial is None or same(np.array(partial[0], sample.pixels.dtype), nodata):
        return nodata, by
    value, share = partial
    what = f"{percent(100 * share)} of the pixels looked at hold {value:g} in some bands, far beyond all other values"
    if nodata is None:
        log.warning("%s: %s: taken for no data there; --nodata none keeps them as data", name, what)
        return value, "found"
    log.warning(
        "%s: %s, beside the no-data value %g: kept as data, --nodata %g leaves them out", name, what, nodata, value
    )
    return nodata, by


def _none_of(fills: tuple[Fill, ...], pixels: NDArray[Any]) -> NDArray[np.bool_]:
    out = np.ones(len(pixels), bool)
    for fill in fills:
        out &= (pixels[:, fill.bands] != fill.spectrum).any(-1)
    return out


def _tell(fills: tuple[Fill, ...], doubts: tuple[str, ...], name: str) -> None:
    for fill in fills:
        log.warning("%s: %s: taken for no data, which no header says; --nodata none keeps them as data", name, fill)
    for doubt in doubts:
        log.info("%s: %s", name, doubt)
