"""A scene as benchmarks take it: opened once, its splits, and the accuracy of a map on the test pixels."""

from __future__ import annotations

import zlib
from pathlib import Path
from typing import Any

import numpy as np

from hyperseg.core import UNLABELLED, Scene, SegmentationMap
from hyperseg.core.task import Task
from hyperseg.data.identity import identity_of
from hyperseg.metrics import Scores, confusion, scores
from hyperseg.recipes.run.classify import draw_split
from hyperseg.recipes.run.inputs import Masks, open_inputs
from hyperseg.recipes.run.settings import RunSettings

OA, AA, KAPPA = "OA", "AA", "kappa"


def opened(target: str | Scene, run: RunSettings, *, labels: str | None, folder: Path | None) -> Scene:
    """A scene with labels, its cube in memory.

    Args:
        target: a data set's name, a file, or a scene.
        run: the settings that it is read for.
        labels: file of the labels, where the scene has none of its own.
        folder: where a data set's own files are.
    """
    scene = target
    if not isinstance(scene, Scene):
        scene = open_inputs(run, {"scene": scene, "labels": labels}, folder=folder).scene
    return scene.with_(cube=np.asarray(scene.cube[:]))


def task_of(scene: Scene, run: RunSettings, fold: int) -> Task:
    """The scene with one of its splits; the seed of the settings is that of the first."""
    return Task((scene,), (draw_split(scene, run, Masks(), repeat=fold),))


def data_of(scene: Scene) -> dict[str, Any]:
    """What bench.json is told of a scene: another one has other checksums."""
    assert scene.labels is not None
    return {"name": scene.name, "scene": identity_of(scene), "labels": zlib.crc32(scene.labels.tobytes())}


def tested(found: SegmentationMap, on: Task) -> Scores:
    """Accuracies of a map on the test pixels, in percent."""
    truth = np.where(on.split.test, np.asarray(on.scene.labels), np.int16(UNLABELLED))
    return scores(confusion(truth, found.labels(), on.scene.n_classes))
