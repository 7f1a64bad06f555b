"""Objects as boxes from Python: train, predict, score and simulate, as the commands of `hyperseg detect`.

    from hyperseg import detect

    run = detect.train("nodules", "nodules-run", labelled=5, minutes=5)
    found = detect.predict(run, "NEW", out="found", threshold=0).found
    print(detect.score("found", "NEW").froc.cpm)

Where a folder is asked for, it is named; `open_boxes` tells what is understood of it. `hyperseg detect scene`, targets
in a hyperspectral scene, is `hyperseg.recipes.detection.scene.run.find_targets`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from hyperseg.core import SettingError
from hyperseg.core.runtime import Runtime
from hyperseg.core.words import did_you_mean, listed
from hyperseg.engine.device import choose_device, choose_precision
from hyperseg.io.detections.case import BoxFolder
from hyperseg.io.detections.folder import open_boxes, read_image
from hyperseg.io.write.targets import RECORD
from hyperseg.recipes.detection.folder import DetectRun, read_run
from hyperseg.recipes.detection.pooling import with_pool
from hyperseg.recipes.detection.predicting import MOST, THRESHOLD, Predicted, predict_boxes
from hyperseg.recipes.detection.scoring import SEED, BoxScores, score_boxes
from hyperseg.recipes.detection.settings import FOCALMIX, METHODS
from hyperseg.recipes.detection.starting import Order
from hyperseg.recipes.detection.training import train_detectors
from hyperseg.recipes.run.folder import Interrupted
from hyperseg.simulated.nodule_folder import write_nodules as simulate
from hyperseg.simulated.nodules import Difficulty

__all__ = [
    "BoxFolder", "BoxScores", "DetectRun", "Difficulty", "Predicted", "open_boxes", "predict", "read_image", "read_run",
    "score", "simulate", "train",
]  # fmt: skip


def train(
    folder: str | Path, out: str | Path, *, boxes: str | Path | None = None, labelled: int | None = None,
    unlabelled: str | Path | None = None, test: float | None = None, method: str = FOCALMIX,
    settings: Mapping[str, Any] | None = None, minutes: float | None = None, steps: int | None = None,
    spacing: Sequence[float] = (), seed: int = 0, device: str = "auto", alone: bool = False, resume: bool = False,
    overwrite: bool = False, quiet: bool = False,
) -> DetectRun:  # fmt: skip
    """Train a detector, and its supervised twin beside it, into the folder `out`, with its page, report.html.

    Args:
        folder: images or volumes with boxes.csv, boxes.json or masks; see `open_boxes`.
        out: the run's folder.
        boxes: the file of boxes, where it is not in the folder.
        labelled: cases that are learnt from with their boxes; all that are not held out by default.
        unlabelled: a folder of further images without boxes; "none": those of `folder` that have none are left out too.
        test: share of the cases with boxes that is held out, at least two; a fifth by default, 0 holds nothing out.
        method: "focalmix", or "supervised", which looks at no image without boxes.
        settings: by name: {"focalmix.views": 2}; the end of a name is enough.
        minutes: of the training of the method; 10 where neither is given, or as the run was begun. The twin takes as
            many steps.
        steps: exactly so many instead.
        spacing: millimetres per voxel, where files do not say it.
        seed: of division, weights and batches.
        device: see `choose_device`.
        alone: leave out the twin.
        resume: go on with the run that is there; what is trained already stays. Boxes, further images, spacing,
            `labelled` and `test` are those of the run where none are given.
        overwrite: remove the run that is there.
        quiet: no progress.

    Raises:
        SettingError, RunError, LabelError, DataFileError: what cannot be done, before training.
    """
    if minutes is not None and steps is not None:
        raise SettingError("minutes and steps contradict each other: give one of them.")
    if method not in METHODS:
        raise SettingError(
            f"method {method!r} is unknown: {listed(METHODS, last='or')}.{did_you_mean(method, METHODS)}"
        )
    where, root = choose_device(device), Path(out)
    if resume and (root / RECORD).is_file():
        record = read_run(root).record
        boxes, unlabelled = boxes or record.boxes or None, unlabelled or record.pool or None
        spacing = spacing or record.spacing
    opened = with_pool(
        open_boxes(folder, boxes=None if boxes is None else Path(boxes), spacing=tuple(spacing)), unlabelled, spacing
    )
    order = Order(method, settings or {}, minutes, steps, labelled, test, alone)
    runtime = Runtime(seed, str(where), choose_precision(where), quiet=quiet)
    try:
        return train_detectors(
            opened, root, order, runtime, boxes=str(boxes or ""), pool=str(unlabelled or ""), spacing=spacing,
            resume=resume, overwrite=overwrite,
        )  # fmt: skip
    except KeyboardInterrupt as stop:
        raise Interrupted(root) from stop


def predict(
    run: str | Path | DetectRun, images: str | Path, *, out: str | Path, threshold: float = THRESHOLD, most: int = MOST,
    overlays: bool = False, spacing: Sequence[float] = (), device: str = "auto", overwrite: bool = False,
    quiet: bool = False,
) -> Predicted:  # fmt: skip
    """Find objects in every image of a folder (or one file), into boxes.csv and boxes.json; see `predict_boxes`."""
    return predict_boxes(
        run.root if isinstance(run, DetectRun) else Path(run), Path(images), out=Path(out), threshold=threshold,
        most=most, overlays=overlays, spacing=spacing, device=device, overwrite=overwrite, quiet=quiet,
    )  # fmt: skip


def score(
    found: str | Path, truth: str | Path, *, boxes: str | Path | None = None, spacing: Sequence[float] = (),
    absent: bool = False, seed: int = SEED,
) -> BoxScores:  # fmt: skip
    """FROC, CPM and average precision of found boxes against true ones; see `score_boxes`."""
    return score_boxes(
        Path(found), Path(truth), boxes=None if boxes is None else Path(boxes), spacing=tuple(spacing), absent=absent,
        seed=seed,
    )  # fmt: skip
