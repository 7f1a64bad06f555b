"""One repeat of a run: its scores, and its state on disk so that an interrupted run goes on after it."""

from __future__ import annotations

import json
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any
from zipfile import BadZipFile

import numpy as np
from numpy.typing import NDArray

from hyperseg.core import UNLABELLED, RunError, Scene, SegmentationMap, Split
from hyperseg.core.settings import to_json
from hyperseg.data.leak import leak
from hyperseg.io.write import replacing, write_json
from hyperseg.metrics import boundary_accuracy, confusion, expected_calibration_error, scores
from hyperseg.recipes.run.chain import Link
from hyperseg.recipes.run.folder import RunFolder
from hyperseg.recipes.run.make import Model
from hyperseg.recipes.run.record import prefixed, weights_of
from hyperseg.recipes.training.gan import TrainedGan
from hyperseg.recipes.training.network import Trained


@dataclass(frozen=True)
class RepeatResult:
    """What a repeat leaves behind.

    Attributes:
        summary: JSON: scores per step, confusion of the final map, refiners' reports, training history, seconds, what a
            generator makes.
        tensors: named arrays: the final map's probabilities, weights, preprocessing, refiners.
        record: JSON: what is needed to rebuild the model from the tensors.
    """

    summary: dict[str, Any]
    tensors: dict[str, NDArray[Any]]
    record: dict[str, Any]

    @staticmethod
    def of(
        final: SegmentationMap,
        model: Model,
        links: Sequence[Link],
        steps: Mapping[str, Any],
        seconds: Mapping[str, float],
        *,
        gan: Mapping[str, Any] | None = None,
    ) -> RepeatResult:
        summary: dict[str, Any] = {
            "steps": dict(steps),
            "seconds": dict(seconds),
            "chain": list(final.made_by),
            "refiners": [link.report for link in links],
            "training": None if not isinstance(model, Trained | TrainedGan) else asdict(model.history),
            "gan": gan,
        }
        record: dict[str, Any] = {"refiners": [link.record for link in links]}
        tensors = {"map.probs": final.probs}
        match model:
            case Trained():
                record["network"] = to_json(model.network.spec)
                tensors |= weights_of("network", model.network)
            case TrainedGan():
                record["gan"] = to_json(model.network.spec)
                tensors |= weights_of("discriminator", model.network)
                if model.generator is not None:
                    tensors |= weights_of("generator", model.generator)
            case _:
                record["classical"] = {"name": model.name, "window": model.window, "settings": model.settings}
        assert model.preprocess is not None
        tensors |= prefixed("preprocess", model.preprocess.to_arrays())
        for i, link in enumerate(links):
            tensors |= prefixed(f"refiner{i}", link.tensors)
        return RepeatResult(summary, tensors, record)


def score_map(map: SegmentationMap, scene: Scene, split: Split, *, window: int) -> dict[str, Any]:
    """Accuracies of a map on the test pixels of a split, in percent, and the leak for the method's window."""
    assert scene.labels is not None
    truth = np.where(split.test, scene.labels, np.int16(UNLABELLED))
    predicted = map.labels()
    table = confusion(truth, predicted, scene.n_classes)
    found = scores(table)
    given = leak(split, window=window)
    return {
        "OA": found.oa,
        "AA": found.aa,
        "kappa": found.kappa,
        "per_class": {name: found.per_class[k] for k, name in enumerate(scene.classes)},
        "boundary_OA": boundary_accuracy(truth, predicted),
        "ece": 100 * expected_calibration_error(map.probs[split.test], truth[split.test]),
        "leak": {"window": window, "a": 100 * given.a, "b": 100 * given.b},
        "confusion": table.tolist(),
    }


def save_repeat(folder: RunFolder, repeat: int, result: RepeatResult) -> None:
    """Keep a finished repeat until the run ends; the JSON is written last and makes it count."""
    with replacing(folder.unfinished / f"repeat{repeat}.npz") as temporary, temporary.open("wb") as file:
        np.savez(file, **result.tensors)  # type: ignore[arg-type]
    state = {"summary": result.summary, "record": result.record}
    write_json(folder.unfinished / f"repeat{repeat}.json", state)
    for trained in folder.unfinished.glob(f"train{repeat}-*.pt"):
        trained.unlink()


def load_repeat(folder: RunFolder, repeat: int) -> RepeatResult | None:
    """A finished repeat of an interrupted run, or None.

    Raises:
        RunError: its files are damaged.
    """
    file = folder.unfinished / f"repeat{repeat}.json"
    if not file.exists():
        return None
    try:
        state = json.loads(file.read_text(encoding="utf-8"))
        with np.load(file.with_suffix(".npz"), allow_pickle=False) as arrays:
            return RepeatResult(state["summary"], dict(arrays), state["record"])
    except (OSError, ValueError, KeyError, TypeError, EOFError, BadZipFile, zlib.error) as error:
        raise RunError(
            f"{file} and its .npz: damaged ({error}). Remove both to do this repeat again, then resume."
        ) from error
