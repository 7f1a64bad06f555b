"""The folder of a run of detectors: the record, the weights, and what came of it.

RUN/run.json               plan, settings, who was learnt from, and what was found
RUN/weights.safetensors
RUN/metrics.json           FROC, CPM and mAP of the held-out cases, of all detectors
RUN/held-out.csv           what was found in them
RUN/report.html
RUN/beside/supervised/     a run of its own: the supervised twin
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hyperseg.core import RunError
from hyperseg.io.write.runs import read_recorded, write_recorded
from hyperseg.io.write.targets import RECORD
from hyperseg.io.write.weights import load_sealed, write_sealed
from hyperseg.recipes.detection.images.dividing import Division
from hyperseg.recipes.detection.planning import Plan
from hyperseg.recipes.detection.settings import DetectSettings, Method

if TYPE_CHECKING:
    from torch import Tensor

    from hyperseg.detection.network import Detector

WEIGHTS, METRICS, FOUND, REPORT, BESIDE = (
    "weights.safetensors", "metrics.json", "held-out.csv", "report.html", "beside"
)  # fmt: skip
CACHE, UNFINISHED = "cache", "unfinished"
KIND, FORMAT, COMMAND = "detect", 1, "hyperseg detect train"


@dataclass(frozen=True)
class Record:
    """What a run was made from, and what came of it: run.json.

    Attributes:
        folder, boxes, pool: the data set, the file of boxes and the folder of further unlabelled images, as they were
            named; "" where none was.
        method: what is trained.
        seed: of division, weights and batches.
        division: who was learnt from, and who was held out.
        plan, settings: of network and training.
        budget: "minutes" or "steps", as asked for; steps: of the training, 0 until they are known.
        prints: a checksum of each case.
        spacing: millimetres per axis of files that say none, as they were stated.
        labelled, test: how many were to be labelled, and the share to be held out; None where nobody said.
        versions: of Python and libraries.
        found: history and costs of the training, and scores of the held-out cases, JSON.
    """

    folder: str
    boxes: str
    pool: str
    method: Method
    seed: int
    division: Division
    plan: Plan
    settings: DetectSettings
    budget: dict[str, float]
    steps: int = 0
    prints: dict[str, str] = field(default_factory=dict)
    spacing: tuple[float, ...] = ()
    labelled: int | None = None
    test: float | None = None
    versions: dict[str, str] = field(default_factory=dict)
    found: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class DetectRun:
    """A run that was read: its folder and record."""

    root: Path
    record: Record

    @property
    def trained(self) -> bool:
        """Whether its weights are there."""
        return (self.root / WEIGHTS).is_file()

    @property
    def beside(self) -> dict[str, DetectRun]:
        """Runs of methods that were trained beside it, by name."""
        files = sorted((self.root / BESIDE).glob(f"*/{RECORD}"))
        return {file.parent.name: read_run(file.parent) for file in files}


def write_run(root: Path, record: Record) -> DetectRun:
    """Write the record, whole or not at all.

    Raises:
        DataFileError: the folder cannot be written.
        RunError: it holds a run of another kind.
    """
    write_recorded(root, record, kind=KIND, version=FORMAT, command=COMMAND)
    return DetectRun(root, record)


def read_run(root: Path) -> DetectRun:
    """The run in a folder.

    Raises:
        RunError: no folder, no run of `hyperseg detect train`, or one that is damaged.
    """
    return DetectRun(root, read_recorded(root, Record, kind=KIND, version=FORMAT, command=COMMAND))


def write_network(run: DetectRun, tensors: Mapping[str, Tensor]) -> Path:
    """Write a trained network, whole or not at all."""
    write_sealed(run.root / WEIGHTS, tensors, kind=KIND, method=run.record.method, plan=run.record.plan)
    return run.root / WEIGHTS


def load_network(run: DetectRun) -> Detector:
    """The trained network, in evaluation mode on the CPU.

    Raises:
        RunError: it is not there, is damaged, or was trained with another plan.
    """
    from hyperseg.backbone.conv import seeded
    from hyperseg.detection.network import Detector

    file = run.root / WEIGHTS
    if not file.is_file():
        raise RunError(f"{run.root}: its training has not ended. Go on by {COMMAND} ... --resume.")
    with seeded(0):  # the values are replaced below
        net = Detector(run.record.plan.spec)
    load_sealed(file, net, kind=KIND, plan=run.record.plan, record=run.root / RECORD)
    return net
