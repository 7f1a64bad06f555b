"""`suggest`: which fields to label next, as polygons in a file that becomes the next label file."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from hyperseg.core import DataFileError, LabelError, Scene, SceneError, SettingError
from hyperseg.core.settings import option, settings
from hyperseg.core.words import thousands
from hyperseg.engine import choose_device, scene_progress
from hyperseg.io.labels.frame import Frame
from hyperseg.io.labels.place import AMONG_NOTHING
from hyperseg.io.write.targets import check_targets
from hyperseg.io.write.vectors import vector_driver
from hyperseg.recipes.export import ExportSettings
from hyperseg.recipes.mapping.apply import map_here
from hyperseg.recipes.mapping.prepare import prepare_scene
from hyperseg.recipes.mapping.windows import make_mapper, plan_windows
from hyperseg.recipes.run.load import LoadedRun, load_run
from hyperseg.recipes.suggest.describe import Suggestion, describe
from hyperseg.recipes.suggest.file import write_fields
from hyperseg.regions.fields import Fields, find_fields
from hyperseg.regions.gain import choose, expected_wrong

MOST_PX = 4_000_000  # map, components and tree lie in memory: 1 to 2 GB


@settings
class SuggestSettings:
    """What to suggest."""

    budget: int = option(10, "How many fields to suggest at most.", low=1)
    field_px: float = option(80.0, "Mean size of the regions a field is taken for, in pixels.", low=4)
    cost_per_km: float = option(
        0.0, "Pixels that a kilometre of way has to put right; fields that do not pay for it are left out.", low=0
    )


@dataclass(frozen=True)
class Suggested:
    """What was found, and the files written."""

    fields: tuple[Suggestion, ...]
    labelled: int  # polygons with a class in the file
    files: tuple[Path, ...]


def suggest(
    run: Path,
    scene: Scene,
    chosen: SuggestSettings | None = None,
    *,
    out: Path,
    start: tuple[float, float] | None = None,
    picture: bool = True,
    overwrite: bool = False,
    inputs: tuple[str, ...] = (),
    device: str = "auto",
    quiet: bool = False,
) -> Suggested:
    """Write the fields whose labels would help most, beside those that are labelled already.

    The file holds one layer: polygons of all labelled parcels with their `class` and rank 0, and the suggested fields
    with an empty `class`. Filled in, it is a label file for `classify`.

    Args:
        run: folder written by `classify`; its refiners are applied.
        scene: with the labels that are known, or None of them; regions that hold a label are not suggested.
        chosen: how many, how large, at what cost.
        out: .gpkg, .geojson or .shp; OUT.png is a picture with numbered outlines.
        start: (x, y) in the scene's coordinates where the way begins.
        picture: False draws none.
        overwrite: replace files that are there.
        inputs: what else was read, as the user named it.
        device, quiet: as in `classify`.

    Raises:
        HypersegError: before any work, for whatever the input lacks.
    """
    chosen = chosen or SuggestSettings()
    drawn = [out.with_suffix(".png")] if picture else []
    files = [*ExportSettings(polygons=out).files(), *drawn]
    stale = [p for p in (out.with_suffix(".png"),) if overwrite and not picture and p.is_file()]
    check_targets([*files, *stale], inputs=[run, scene.source, *inputs], overwrite=overwrite)
    _check(scene, chosen, out, start)
    loaded = load_run(run)
    scene = prepare_scene(loaded, scene, model=f"the run {run}")
    probs = _probabilities(loaded, scene, device=device, quiet=quiet)
    mapped = np.isfinite(probs[..., 0])
    scene = scene.with_(valid=None if mapped.all() else mapped)
    fields = find_fields(scene, field_px=chosen.field_px) if mapped.any() else None
    if fields is None:
        raise SceneError(
            f"{scene.name}: too few neighbouring pixels with data to tell fields from noise: nothing can be suggested."
        )
    means = fields.means(probs)
    known = _classes_of(fields, scene)
    if (known >= 0).all():
        raise LabelError(
            f"{scene.name}: all {len(known)} regions hold labels already: nothing is left to suggest. Smaller regions "
            "(--field-px) leave more."
        )
    picked = choose(
        expected_wrong(means, fields.pixels), fields.spectra, labelled=known >= 0, budget=chosen.budget,
        places=_metres(fields, scene), start=_start(start, scene), cost_per_km=chosen.cost_per_km,
    )  # fmt: skip
    if not len(picked.regions):
        raise SettingError(
            f"no field of {scene.name} is worth its way at --cost-per-km {chosen.cost_per_km:g}: lower it."
            if chosen.cost_per_km
            else f"{scene.name}: the run is certain of every pixel: nothing is worth a visit."
        )
    found = tuple(describe(picked, means, known, fields, scene, loaded.classes))
    for file in stale:  # the picture of the fields that are replaced
        file.unlink()
    labelled = write_fields(out, found, picked.regions, fields.number, scene, loaded)
    if picture:
        from hyperseg.io.write.files import replacing
        from hyperseg.report.outlines import outlines_figure

        named = {int(r): str(f.rank) for r, f in zip(picked.regions, found, strict=True)}
        with replacing(drawn[0]) as temporary:
            temporary.write_bytes(outlines_figure(scene, fields.number, named))
    return Suggested(found, labelled, (out, *drawn))


def _check(scene: Scene, chosen: SuggestSettings, out: Path, start: tuple[float, float] | None) -> None:
    if len(scene.shape) != 2:
        raise SceneError(f"{scene.name}: suggest reads (rows, columns, bands) cubes, this one is {scene.cube.shape}.")
    if (n := int(np.prod(scene.shape))) > MOST_PX:
        raise SceneError(
            f"{scene.name}: {thousands(n)} pixels are more than the {thousands(MOST_PX)} whose map and regions "
            "are held in memory. Suggest on a part of it, e.g. cut out by gdal_translate -srcwin 0 0 2000 2000."
        )
    if vector_driver(out) == "GeoJSON" and scene.grid.affine is None:
        raise DataFileError(
            f"{out}: GeoJSON is in longitude and latitude, and {scene.name} has no coordinates. Write "
            f"{out.stem}.gpkg instead: classify lays it on the pixels."
        )
    if chosen.cost_per_km and scene.grid.unit != "m":
        raise SettingError(
            f"--cost-per-km: the way between fields is measured in metres, and the grid of {scene.name} has "
            f"{'no CRS in metres' if scene.grid.crs else 'no CRS'}. Leave it out, or warp the scene to a projected CRS."
        )
    if start is not None and not chosen.cost_per_km:
        raise SettingError("--start is where a way begins that costs something: give --cost-per-km too.")


def _probabilities(loaded: LoadedRun, scene: Scene, *, device: str, quiet: bool) -> NDArray[np.float32]:
    """(H, W, K) of the run with its refiners, window by window; NaN where there is no data."""
    mapper = make_mapper(loaded, refine=True, probabilities=True, device=str(choose_device(device)))
    windows = plan_windows(scene, halo_px=mapper.halo_px, refined=mapper.refine)
    probs = np.empty((*scene.shape, len(loaded.classes)), np.float32)
    with scene_progress(f"mapping {scene.name}", probs[..., 0].size, quiet=quiet) as progress:
        done = 0
        for number, made in map_here(mapper, scene, enumerate(windows)):
            assert made.probs is not None
            probs[windows[number].core_slices] = made.probs
            done += made.labels.size
            progress(done, probs[..., 0].size)
    return probs


def _classes_of(fields: Fields, scene: Scene) -> NDArray[np.int64]:
    """(R,) class of most labelled pixels of every region, -1 for those without."""
    n, k = len(fields.pixels), scene.n_classes
    if scene.labels is None:
        return np.full(n, -1)
    where = scene.labelled() & (fields.number >= 0)
    counts = np.bincount(fields.number[where] * k + scene.labels[where], minlength=n * k).reshape(n, k)
    return np.where(counts.sum(1) > 0, counts.argmax(1), -1)


def _metres(fields: Fields, scene: Scene) -> NDArray[np.float64] | None:
    return fields.centres * scene.grid.spacing[:2] if scene.grid.unit == "m" else None


def _start(start: tuple[float, float] | None, scene: Scene) -> NDArray[np.float64] | None:
    """(2,) metres down and right of the first pixel's centre."""
    if start is None:
        return None
    frame = Frame(scene.name, (scene.shape[0], scene.shape[1]), scene.grid.affine or AMONG_NOTHING, scene.grid.crs)
    column, row = frame.to_pixels(np.array([start], np.float64))[0]
    return np.array([row - 0.5, column - 0.5]) * scene.grid.spacing[:2]
