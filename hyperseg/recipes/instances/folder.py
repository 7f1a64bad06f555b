"""The folder of a run of Mask R-CNN: the record, the weights, and what came of it.

RUN/run.json             plan, settings, who was learnt from, and what was found
RUN/model.safetensors
RUN/metrics.json         AP50, AP and PQ of the held-out pictures, beside those of the baseline
RUN/held-out/            a map of objects for each of them, and boxes.json
RUN/report.html
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hyperseg.core import RunError
from hyperseg.io.write.runs import read_recorded, write_recorded
from hyperseg.io.write.targets import RECORD
from hyperseg.io.write.weights import load_sealed, write_sealed
from hyperseg.recipes.instances.planning import Plan
from hyperseg.recipes.instances.settings import InstanceSettings

if TYPE_CHECKING:
    from torch import Tensor

    from hyperseg.zoo.instances.mask_rcnn import MaskRCNN

WEIGHTS, METRICS, FOUND, REPORT, UNFINISHED = (
    "model.safetensors", "metrics.json", "held-out", "report.html", "unfinished"
)  # fmt: skip
KIND, FORMAT, COMMAND = "instances", 1, "hyperseg segment train --method mask-rcnn"


@dataclass(frozen=True)
class Record:
    """What a run was made from, and what came of it: run.json.

    Attributes:
        folder: the data set, as it was named.
        method: its name in the table of methods.
        seed: of folds, weights and patches.
        fold: which of the folds is held out.
        learnt, held_out: names of the pictures.
        channels, classes: names; of objects alone.
        plan, settings: of network and training.
        budget: "minutes" or "steps", as asked for; steps: of the training, 0 until they are known.
        prints: a checksum of each picture and its labels.
        versions: of Python and libraries.
        found: history and costs of the training, and scores of the held-out pictures, JSON.
    """

    folder: str
    method: str
    seed: int
    fold: int
    learnt: tuple[str, ...]
    held_out: tuple[str, ...]
    channels: tuple[str, ...]
    classes: tuple[str, ...]
    plan: Plan
    settings: InstanceSettings
    budget: dict[str, float]
    steps: int = 0
    prints: dict[str, str] = field(default_factory=dict)
    versions: dict[str, str] = field(default_factory=dict)
    found: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class InstanceRun:
    """A run that was read: its folder and record."""

    root: Path
    record: Record

    @property
    def trained(self) -> bool:
        """Whether its weights are there."""
        return (self.root / WEIGHTS).is_file()

    @property
    def scores(self) -> dict[str, dict[str, Any]]:
        """AP50, AP, PQ... of the held-out pictures, by method, its own first."""
        return dict(self.record.found.get("scores", {}))


def finds_objects(root: Path) -> bool:
    """Whether a folder holds a run of this kind; what else it may hold is not looked at."""
    try:
        data = json.loads((root / RECORD).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False
    return isinstance(data, dict) and data.get("kind") == KIND


def write_run(root: Path, record: Record) -> InstanceRun:
    """Write the record, whole or not at all.

    Raises:
        DataFileError: the folder cannot be written.
        RunError: it holds a run of another kind.
    """
    write_recorded(root, record, kind=KIND, version=FORMAT, command=COMMAND)
    return InstanceRun(root, record)


def read_run(root: Path) -> InstanceRun:
    """The run in a folder.

    Raises:
        RunError: no folder, no run of this kind, or one that is damaged.
    """
    return InstanceRun(root, read_recorded(root, Record, kind=KIND, version=FORMAT, command=COMMAND))


def write_network(run: InstanceRun, tensors: Mapping[str, Tensor]) -> None:
    """Write a trained network, whole or not at all, sealed with its plan."""
    write_sealed(run.root / WEIGHTS, tensors, kind=KIND, method=run.record.method, plan=run.record.plan)


def load_network(run: InstanceRun) -> MaskRCNN:
    """The trained network, in evaluation mode on the CPU.

    Raises:
        RunError: it is not there, is damaged, or was trained with another plan.
    """
    from hyperseg.zoo.instances.mask_rcnn import build

    file = run.root / WEIGHTS
    if not file.is_file():
        raise RunError(f"{run.root}: its training has not ended. Go on by {COMMAND} ... --resume.")
    net = build(run.record.plan.spec, 0)  # the values are replaced
    load_sealed(file, net, kind=KIND, plan=run.record.plan, record=run.root / RECORD)
    return net
