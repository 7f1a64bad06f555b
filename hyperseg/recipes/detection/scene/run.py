"""Targets of a scene: detectors trained on implanted ones, what that promises, and where targets may be."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from hyperseg import __version__
from hyperseg.core import Scene
from hyperseg.core.files import make_folder
from hyperseg.core.runtime import Runtime
from hyperseg.core.settings import to_json
from hyperseg.engine import choose_device
from hyperseg.io.write import replacing, write_json
from hyperseg.io.write.files import write_raster
from hyperseg.io.write.targets import check_targets
from hyperseg.recipes.detection.scene.candidates import painted
from hyperseg.recipes.detection.scene.drawing import draw_expected, draw_targets
from hyperseg.recipes.detection.scene.output import columns_of, page_of, write_points, write_table
from hyperseg.recipes.detection.scene.positions import Mask
from hyperseg.recipes.detection.scene.search import FILTERS, filtered
from hyperseg.recipes.detection.scene.settings import Asked, SceneTargetSettings, trained_rows
from hyperseg.recipes.detection.scene.spectrum import Target
from hyperseg.recipes.detection.scene.study import make_ready, searched, study
from hyperseg.recipes.detection.scene.summary import against_truth, made_by, section, summary, words
from hyperseg.recipes.run.blas import one_blas_thread
from hyperseg.report.page import write_page

TABLE, POINTS, SCORES, PICTURE, EXPECTED, NUMBERS, PAGE = MADE = (
    "targets.csv", "targets.gpkg", "scores.tif", "targets.png", "expected.png", "targets.json", "targets.html"
)  # fmt: skip


@dataclass(frozen=True)
class Done:
    """What a search came to.

    Attributes:
        root: the folder.
        numbers: as in targets.json.
        sentences: what to expect.
        made_by: a sentence: which method made the list, and why.
    """

    root: Path
    numbers: Mapping[str, Any]
    sentences: tuple[str, ...]
    made_by: str


@one_blas_thread()
def find_targets(
    scene: Scene, target: Target, settings: SceneTargetSettings, *, out: Path, rows: Sequence[Asked] = ("auto",),
    truth: Mask | None = None, seed: int = 0, device: str = "auto", overwrite: bool = False, quiet: bool = False,
    pictures: bool = True, inputs: Mapping[str, Any] | None = None,
) -> Done:  # fmt: skip
    """Find targets of one spectrum in a scene, and tell how far the list can be trusted.

    Args:
        scene: read in windows; a few score maps of its size are held.
        target: what is sought.
        rows: detectors to train; the first one makes the list, the others are told beside it. With "auto" among them
            the best of all methods on the implanted targets makes it, filters too; alone it trains "ace".
        truth: (H, W) bool pixels of real targets: scored, and never learned from.
        inputs: what the user named, for targets.json.

    Raises:
        SceneError: too small a scene.
        SettingError: no detector, one twice, or an unknown one.
        DataFileError: `out` cannot be written, or must not be.
    """
    trained, auto = trained_rows(rows)
    named = {"scene": scene.source} | dict(inputs or {})
    read = [value for value in named.values() if isinstance(value, str | Path) and str(value)]
    check_targets([out / name for name in MADE], inputs=read, overwrite=overwrite)
    ready = make_ready(scene, target, settings, seed=seed, truth=truth)
    runtime = Runtime(seed=seed, device=str(choose_device(device)), quiet=quiet)
    make_folder(out)
    done = study(ready, trained, runtime, auto=auto)
    together = done.together(done.mapped)
    scores = filtered(scene, ready.background, ready.local)
    candidates = searched(done, scores, runtime)
    threshold = together.threshold(settings.false_alarms)
    every = candidates[done.mapped]
    found = every.only(every.scores > threshold)
    names: tuple[str, ...]
    if done.mapped in FILTERS:
        made, maps, names = scores[..., FILTERS.index(done.mapped)], scores, FILTERS
    else:
        made = painted(every, np.isfinite(scores[..., 0]))
        maps, names = np.concatenate([scores, made[..., None]], -1), (*FILTERS, done.mapped)
    known = None if truth is None else against_truth(candidates, truth, target.known, ready.area_px)
    columns = columns_of(found, scores, scene, target.known)
    numbers = summary(done, listed=len(found.scores), threshold=threshold, truth=known) | {
        "settings": to_json(settings) | {"detectors": list(trained), "auto": auto, "seed": seed}, "inputs": named,
        "versions": {"hyperseg": __version__},
    }  # fmt: skip
    for name in MADE:  # nothing of an earlier search stays beside this one
        (out / name).unlink(missing_ok=True)
    write_table(out / TABLE, columns)
    if scene.grid.affine is not None and len(found.scores):
        write_points(out / POINTS, columns, scene)
    write_raster(out / SCORES, maps, scene.grid, names=names)
    if pictures:
        drawn = {
            "targets": draw_targets(scene, made, found, title=done.mapped, truth=truth, known=target.known),
            "expected": draw_expected(numbers["found_by_share"], rate=settings.false_alarms),
        }  # fmt: skip
        for name, picture in ((PICTURE, drawn["targets"]), (EXPECTED, drawn["expected"])):
            with replacing(out / name) as temporary:
                temporary.write_bytes(picture)
        write_page(
            out / PAGE, page_of(section(done), drawn, columns), title=f"Targets in {scene.name}",
            lead=[f"Sought: {target.words}.", made_by(done)],
            tiles=[
                ("candidates", str(len(found.scores))),
                ("standard deviations of the background that a whole pixel of the target stands out by",
                 f"{ready.background.contrast:.1f}"),
            ],
        )  # fmt: skip
    write_json(out / NUMBERS, numbers)
    return Done(out, numbers, tuple(words(done)), made_by(done))
