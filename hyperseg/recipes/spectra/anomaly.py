"""A map of what a model of spectra has never seen: learned on a scene, drawn of it or of another one."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hyperseg.core import Scene, SceneError, Tile
from hyperseg.core.files import make_folder
from hyperseg.core.runtime import Runtime, check_minutes
from hyperseg.engine import choose_device, scene_progress
from hyperseg.engine.progress import say
from hyperseg.io.write import replacing, write_json
from hyperseg.io.write.files import check_whole, create_raster
from hyperseg.io.write.targets import RECORD, check_targets
from hyperseg.recipes.mapping.prepare import prepare_scene
from hyperseg.recipes.run.blas import one_blas_thread
from hyperseg.recipes.run.record import WEIGHTS
from hyperseg.recipes.spectra.model import fit_spectra_model, trimmed
from hyperseg.recipes.spectra.pictures import draw_map, draw_spectra
from hyperseg.recipes.spectra.pixels import Choice, learning_spectra
from hyperseg.recipes.spectra.record import (
    Found,
    SpectraRun,
    check_other,
    check_replaceable,
    load_spectra_run,
    run_of,
    save_run,
)
from hyperseg.recipes.spectra.scoring import Float32, Write, score_scene
from hyperseg.recipes.spectra.settings import SpectraSettings
from hyperseg.recipes.spectra.summary import summary, usual_up_to
from hyperseg.recipes.spectra.typical import typical_of
from hyperseg.recipes.spectra.whitening import Whitening

MAP, DISTANCE, PICTURE, SPECTRA, SCORES = "anomaly.tif", "rx.tif", "anomaly.png", "spectra.png", "anomaly.json"
MADE = (MAP, DISTANCE, PICTURE, SPECTRA, SCORES)
BITS = "bits per band of the standardised spectrum (higher: less expected)"
RX = "Reed-Xiaoli: squared Mahalanobis distance to the learned pixels"
TRIED_STEPS, FEWEST_STEPS, MOST_STEPS = 30, 100, 50_000


@one_blas_thread()
def learn_and_map(
    scene: Scene, choice: Choice, settings: SpectraSettings, *, out: Path, seed: int = 0, minutes: float | None = None,
    device: str = "auto", overwrite: bool = False, quiet: bool = False, pictures: bool = True, side: int | None = None,
    inputs: Mapping[str, Any] | None = None,
) -> Found:  # fmt: skip
    """Learn what spectra a scene has, and map where it has others.

    Args:
        scene: read in windows.
        choice: what it may learn from, and the truth if there is one.
        out: folder, made where it is not there.
        minutes: of training; the steps that fit in are found by a few. None takes those of the settings.
        inputs: what the user named, for run.json.

    Raises:
        SceneError: too few pixels to learn from, no usable band.
        DataFileError: `out` cannot be written, or must not be.
    """
    check_minutes(minutes)
    named = {"scene": scene.source} | dict(inputs or {})
    check_replaceable(out, overwrite=overwrite)
    _check_files(out, named, overwrite=overwrite)
    spectra = learning_spectra(scene, choice.learn, most=settings.pixels, seed=seed)
    where = str(choose_device(device))
    runtime = Runtime(seed=seed, device=where, quiet=quiet)
    whitening, kept = trimmed(spectra, settings.trim, good_bands=scene.good_bands)
    spectra = spectra[kept]
    if minutes is not None:
        settings = replace(settings, steps=steps_within(minutes, whitening, spectra, settings, runtime))
    model = fit_spectra_model(whitening, spectra, settings, runtime)
    typical = typical_of(model, spectra, seed=seed)
    run = run_of(model, typical, scene, choice.words)
    make_folder(out)
    for name in (RECORD, WEIGHTS, *MADE):  # a map is never that of another model beside it
        (out / name).unlink(missing_ok=True)
    save_run(out, run, inputs=named, n_learned=len(spectra), device=where)
    try:
        return _mapped(run, scene, out, model=out, truth=choice.truth, quiet=quiet, pictures=pictures, side=side)
    except KeyboardInterrupt:
        say(f"The model is finished: `hyperseg anomaly {out} SCENE --out {out}` goes on with it.", quiet=quiet)
        raise


@one_blas_thread()
def apply_and_map(
    root: Path, scene: Scene, *, out: Path, truth: NDArray[np.int8] | None = None, device: str = "auto",
    overwrite: bool = False, quiet: bool = False, pictures: bool = True, side: int | None = None,
) -> Found:  # fmt: skip
    """Map where a scene has spectra that a model learned elsewhere has never seen.

    Its bands are brought to the model's where both know their wavelengths.

    Raises:
        RunError: `root` holds no model of spectra.
        SceneError: bands that the model needs are missing.
        DataFileError: as `learn_and_map`, or `out` holds another run.
    """
    run = load_spectra_run(root)
    check_other(out, root)
    _check_files(out, {"run": root, "scene": scene.source}, overwrite=overwrite)
    scene = _prepared(run, scene, root)
    run = replace(run, model=run.model.to(str(choose_device(device))))
    make_folder(out)
    return _mapped(run, scene, out, model=root, truth=truth, quiet=quiet, pictures=pictures, side=side)


def _prepared(run: SpectraRun, scene: Scene, root: Path) -> Scene:
    try:
        return prepare_scene(run, scene, model=f"the run {root}")
    except SceneError as error:
        if run.wavelengths_nm is None or scene.wavelengths_nm is None:  # they differ in number: nothing can be dropped
            raise
        raise SceneError(
            f"{error} Or learn again without them: hyperseg anomaly {run.scene_name} with --drop-nm and these "
            "wavelengths."
        ) from error


def steps_within(
    minutes: float, whitening: Whitening, spectra: Float32, settings: SpectraSettings, runtime: Runtime
) -> int:
    """Training steps that take about so many minutes, by the time of a few."""
    tried = replace(settings, steps=TRIED_STEPS)
    began = time.perf_counter()
    fit_spectra_model(whitening, spectra, tried, replace(runtime, quiet=True))
    fits = round(60 * minutes * TRIED_STEPS / (time.perf_counter() - began))
    steps = min(max(fits, FEWEST_STEPS), MOST_STEPS)
    say(f"{minutes:g} minutes of training: {steps} steps", quiet=runtime.quiet)
    return steps


def _check_files(out: Path, inputs: Mapping[str, Any], *, overwrite: bool) -> None:
    read = [value for value in inputs.values() if isinstance(value, str | Path) and str(value)]
    check_targets([out / name for name in MADE], inputs=read, overwrite=overwrite)


def _mapped(
    run: SpectraRun, scene: Scene, out: Path, *, model: Path, truth: NDArray[np.int8] | None, quiet: bool,
    pictures: bool, side: int | None,
) -> Found:  # fmt: skip
    tags = {
        "scene": scene.name, "model": model.resolve().name, "learned_from": f"{run.learned} of {run.scene_name}",
    }  # fmt: skip
    with ExitStack() as stack:
        writers = [
            stack.enter_context(_raster(out / name, scene, what, tags | more))
            for name, what, more in ((MAP, BITS, {"usual_up_to": f"{usual_up_to(run):.6g}"}), (DISTANCE, RX, {}))
        ]
        show = stack.enter_context(scene_progress(f"scoring {scene.name}", math.prod(scene.shape), quiet=quiet))
        seen = score_scene(
            run.model, scene, write=_write_both(writers), truth=truth, side=side, progress=show,
        )  # fmt: skip
    scores = summary(run, scene, seen)
    if not pictures:
        for name in (PICTURE, SPECTRA):  # of a map that was replaced
            (out / name).unlink(missing_ok=True)
    else:
        for name, picture in ((PICTURE, draw_map(run, scene, seen)), (SPECTRA, draw_spectra(run, scene, seen))):
            with replacing(out / name) as temporary:
                temporary.write_bytes(picture)
    write_json(out / SCORES, scores)
    return Found(out, scores)


@contextmanager
def _raster(path: Path, scene: Scene, meaning: str, tags: Mapping[str, str]) -> Iterator[Any]:
    with replacing(path) as temporary:
        with create_raster(temporary, path, (*scene.shape, 1), "float32", scene.grid, nodata=math.nan) as raster:
            raster.set_band_description(1, meaning)
            raster.update_tags(**tags)
            yield raster
        check_whole(temporary, path)


def _write_both(rasters: list[Any]) -> Write:
    def write(window: Tile, bits: Float32, distance: Float32) -> None:
        rows, columns = window.core
        for raster, values in zip(rasters, (bits, distance), strict=True):
            raster.write(values, 1, window=(rows, columns))

    return write
